"""Comparing logs with peers, and a citizen's record, as a node is made of them: parts, commands, figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from federation.ask_peer import NodeAsker
from federation.between_nodes import NodeOperations, WorkBudget
from federation.errors import OwnOwnProvince, OwnUnknownProvince, PeerRevoked, PeerUnknown
from federation.exchange import ExchangeParts
from federation.holder_record import HolderRecords, OwnHolderRecord
from federation.log_conflicts import ConflictKind, ConflictStore, conflict_of
from federation.pair_log import OwnHours, Reconciled
from federation.peers import Directory, Peer
from federation.ports import Clock, PeerTransport, Tree
from federation.reconcile import ADVICE, Finding, FindingKind, Place, start_of_hour
from federation.reconciling import BLOCK_HOURS, ReconcileLimits, Reconciler, Schedule
from node.config import Config
from node.control import CommandRefused, Handler
from node.evidence_view import EvidenceLook
from node.ground import Ground
from node.keystore.encrypted_bodies import EncryptedBodies
from node.keystore.holder_hashes import HolderHashes
from node.keystore.releasing import releasing_signer
from node.store.holder_record import HolderRows
from node.store.reconcile import PairRows, ReconciliationRows
from node.store.witness import ConflictRows

__all__ = [
    "Comparison",
    "ConflictAlarm",
    "ReconcileMetrics",
    "ReconcileSteering",
    "open_comparison",
    "told_hour",
]

_log = structlog.get_logger("yrd.reconcile")

_MOST_TOLD: Final = 20
"""Conflicts that are kept of one hour."""
_AT_A_COMMAND: Final = 10_000
"""Stored messages that a command looks at in a block of hours, if `audit_records` is less."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The parts that a node is made of. `holders` is for the page on which a citizen looks."""

    schedule: Schedule
    rows: ReconciliationRows
    reconciler: Reconciler
    answers: NodeOperations
    holders: HolderRecords
    steering: ReconcileSteering

    def evidence_look(self, ground: Ground, tree: Tree) -> EvidenceLook:
        """What the evidence page reads."""
        return EvidenceLook(
            tree,
            ground.gate,
            ConflictRows(ground.database),
            self.rows,
            self.reconciler,
            ground.directory,
            ground.clock,
        )


def open_comparison(ground: Ground, parts: ExchangeParts, transport: PeerTransport) -> Comparison:
    """The parts, over the node's store and its way to the peers."""
    config, clock, directory = ground.config, ground.clock, ground.directory
    limits, bodies = _limits(config), EncryptedBodies(ground.data_keys)
    log, rows = PairRows(ground.database, bodies, config.node.entity_id), ReconciliationRows(ground.database)
    alarm = ConflictAlarm(ConflictRows(ground.database), config.node.entity_id, clock)
    asker = NodeAsker(parts, transport)
    reconciler = Reconciler(asker, log, rows, directory, clock, limits, alarm=alarm)
    own = OwnHolderRecord(
        HolderRows(ground.database, bodies),
        HolderHashes(ground.data_keys).to_search,
        parts.codec,
        directory,
        clock,
        skew_s=config.limits.skew_s,
    )
    signer = releasing_signer(ground.keystore, "envelope")
    holders = HolderRecords(own, asker, directory, signer, clock, deadline_s=config.limits.deadline_s)
    budget = WorkBudget(limits.audit_records, limits.reconcile_s)
    answers = NodeOperations(log, OwnHours(log, rows, clock, alarm=alarm), budget, own, clock)
    ground.metrics.registry.register(ReconcileMetrics(reconciler, directory, clock))
    return Comparison(
        schedule=Schedule(reconciler, log, clock, limits),
        rows=rows,
        reconciler=reconciler,
        answers=answers,
        holders=holders,
        steering=ReconcileSteering(reconciler, directory, max(limits.audit_records, _AT_A_COMMAND)),
    )


def _limits(config: Config) -> ReconcileLimits:
    return ReconcileLimits(
        reconcile_s=config.evidence.reconcile_s,
        audit_records=config.evidence.audit_records,
        deadline_s=config.limits.deadline_s,
        settle_s=config.limits.deadline_s + 1,
    )


class ConflictAlarm:
    """Keeps what is alarming among the conflicts of logs, each once, with whose log it is about."""

    def __init__(self, conflicts: ConflictStore, own_entity: str, clock: Clock) -> None:
        self._conflicts = conflicts
        self._own = own_entity
        self._clock = clock

    async def __call__(self, hour: Reconciled) -> None:
        """Keep the first findings of an hour. Raises OwnStoreUnavailable."""
        alarming = [one for one in hour.findings if one.kind.is_alarming]
        for finding in alarming[:_MOST_TOLD]:
            whose = self._own if finding.place is Place.HERE else hour.peer
            altered = finding.kind is FindingKind.ALTERED
            _, en = ADVICE[finding.kind, finding.place]
            conflict = conflict_of(
                ConflictKind.RECORD_ALTERED if altered else ConflictKind.RECORD_MISSING,
                whose,
                f"{whose.partition('://')[2]}/records/{finding.request_id}",
                self._clock.now(),
                known="",
                offered="",
                detail=f"request {finding.request_id}, compared with {hour.peer}: {en}",
            )
            if await self._conflicts.keep(conflict):
                _log.error(
                    "logs_differ",
                    kind=finding.kind.value,
                    request_id=finding.request_id,
                    log=whose,
                    peer=hour.peer,
                )


@dataclass(frozen=True, slots=True)
class ReconcileSteering:
    """What an operator has compared now (`yrd evidence reconcile`)."""

    reconciler: Reconciler
    directory: Directory
    most: int

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name."""
        return {"evidence.reconcile": self.reconcile}

    async def reconcile(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Compare a block of hours with one peer. Raises CommandRefused, and what the peer refused with."""
        peer = self._peer(str(arguments.get("peer", "")))
        first, hours = arguments.get("first_hour"), arguments.get("hours")
        if type(first) is not int or type(hours) is not int or first < 0 or not 1 <= hours <= BLOCK_HOURS:
            raise CommandRefused(
                "control.hours", f"一次至多 {BLOCK_HOURS} 小时", f"at most {BLOCK_HOURS} hours at a time"
            )
        looked = await self.reconciler.look(peer, first, hours, most=self.most)
        return {
            "peer": peer.entity_id,
            "province": peer.province,
            "checked": looked.checked,
            "archived_before": looked.archived_before.isoformat() if looked.archived_before else None,
            "hours": [told_hour(hour) for hour in looked.hours],
        }

    def _peer(self, named: str) -> Peer:
        snapshot = self.directory.current
        try:
            return snapshot.peer(named) if "://" in named else snapshot.peer_in(named)
        except (PeerUnknown, PeerRevoked, OwnUnknownProvince, OwnOwnProvince) as error:
            raise CommandRefused("control.peer", f"没有这个节点：{named[:80]}", error.detail) from None


def told_hour(hour: Reconciled) -> Mapping[str, Any]:
    """One hour as JSON."""
    return {
        "hour": start_of_hour(hour.hour).isoformat(),
        "checked_at": hour.checked_at.isoformat(),
        "exchanges": hour.exchanges,
        "state": hour.state,
        "findings": [_told(one) for one in hour.findings],
        "more": hour.more,
    }


def _told(finding: Finding) -> Mapping[str, Any]:
    zh, en = ADVICE[finding.kind, finding.place]
    return {
        "request_id": finding.request_id,
        "kind": finding.kind.value,
        "place": finding.place.value,
        "asked_here": finding.asked_here,
        "alarming": finding.kind.is_alarming,
        "zh": zh,
        "en": en,
    }


class ReconcileMetrics(Collector):
    """The figures of the last looks, from memory."""

    def __init__(self, reconciler: Reconciler, directory: Directory, clock: Clock) -> None:
        self._reconciler = reconciler
        self._directory = directory
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """As the last looks saw it."""
        findings = GaugeMetricFamily(
            "yrd_reconcile_findings",
            "What the last look at a peer's log found, and what is alarming in any hour, by kind.",
            labels=["province", "kind"],
        )
        ages = GaugeMetricFamily(
            "yrd_reconcile_age_seconds",
            "Since the last look at a peer's log that came to an end.",
            labels=["province"],
        )
        for province, found, age_s in self._looks():
            for kind in FindingKind:
                findings.add_metric([province, kind.value], found[kind])
            ages.add_metric([province], age_s)
        yield findings
        yield ages

    def _looks(self) -> Iterator[tuple[str, Counter[FindingKind], float]]:
        peers, now = self._directory.current.peers, self._clock.now()
        for entity_id, look in self._reconciler.looks.items():
            if entity_id not in peers:
                continue
            hours = {hour.hour: hour for hour in [*look.alarming, *look.hours]}
            found = Counter(one.kind for hour in hours.values() for one in hour.findings)
            age_s = float("nan") if look.done_at is None else (now - look.done_at).total_seconds()
            yield peers[entity_id].province, found, age_s
