"""What the evidence page shows: the own log, its witnesses, conflicts, how logs compare. Read when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec import Struct

from federation.log_conflicts import Conflict
from federation.pair_log import Reconciled
from federation.peers import Directory, Peer
from federation.ports import CheckpointRow, Clock, Cosignature, LogGate, Tree
from federation.reconcile import hour_of
from federation.reconciling import PeerLook, Reconciler
from node.store.reconcile import ReconciliationRows
from node.store.witness import ConflictRows

__all__ = ["EvidenceLook", "EvidenceView", "PeerView"]

_HOURS: Final = 24
_MOST_ALARMING: Final = 24
_MOST_CONFLICTS: Final = 50


class PeerView(Struct, frozen=True):
    """One peer: its cosignature of the newest checkpoint, the last look, the last day's hours and all alarming ones."""

    peer: Peer
    cosigned: Cosignature | None
    look: PeerLook | None
    hours: tuple[Reconciled, ...]


class EvidenceView(Struct, frozen=True):
    """The page's content at `at`."""

    at: datetime
    own_entity: str
    province: str
    closed: str
    generations: int
    signed: CheckpointRow | None
    settled: CheckpointRow | None
    quorum: int
    peers: tuple[PeerView, ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class EvidenceLook:
    """Reads it."""

    tree: Tree
    gate: LogGate
    conflicts: ConflictRows
    rows: ReconciliationRows
    reconciler: Reconciler
    directory: Directory
    clock: Clock

    async def view(self) -> EvidenceView:
        """As it is now. Raises OwnStoreUnavailable."""
        snapshot = self.directory.current
        signed, settled = await self.tree.latest(), await self.tree.latest_settled()
        cosigned = await self._cosignatures(signed, settled)
        peers = sorted(snapshot.peers.values(), key=lambda peer: peer.province)
        return EvidenceView(
            at=self.clock.now(),
            own_entity=snapshot.own_entity,
            province=snapshot.own_province,
            closed=self.gate.reason,
            generations=len(await self.tree.generations()),
            signed=signed,
            settled=settled,
            quorum=snapshot.witness_quorum or 0,
            peers=tuple([await self._peer(peer, cosigned.get(peer.entity_id)) for peer in peers]),
            conflicts=tuple(await self.conflicts.unacknowledged(limit=_MOST_CONFLICTS)),
        )

    async def _cosignatures(self, *checkpoints: CheckpointRow | None) -> dict[str, Cosignature]:
        """By witness, the newest of each."""
        found: dict[str, Cosignature] = {}
        for one in checkpoints:
            lines: Sequence[Cosignature] = ()
            if one is not None:
                lines = await self.tree.cosignatures_of(one.generation, one.size)
            for line in lines:
                found.setdefault(line.witness, line)
        return found

    async def _peer(self, peer: Peer, cosigned: Cosignature | None) -> PeerView:
        now = hour_of(self.clock.now())
        recent = await self.rows.find(peer.entity_id, now - _HOURS, now)
        alarming = await self.rows.alarming(peer.entity_id, limit=_MOST_ALARMING)
        hours = {one.hour: one for one in [*alarming, *recent]}
        shown = tuple([hours[hour] for hour in sorted(hours, reverse=True)])
        return PeerView(peer, cosigned, self.reconciler.looks.get(peer.entity_id), shown)
