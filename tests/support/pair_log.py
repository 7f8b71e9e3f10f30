"""Doubles for comparing logs: a memory journal read by pair and hour, and what came of it, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from federation.answer import Answerer
from federation.ask_peer import NodeAsker
from federation.between_nodes import NodeOperations, WorkBudget
from federation.holder_record import HolderRecords, OwnHolderRecord
from federation.pair_log import Checked, OwnHours, PairPage, Reconciled, Span
from federation.ports import RecordKind, StoredRecord
from federation.query import BETWEEN_NODES, LoggedMessage, Operation, Part
from federation.reconcile import by_exchange
from federation.reconciling import ReconcileLimits, Reconciler, Schedule
from tests.support.exchange import MemoryJournal, Node

__all__ = ["Comparing", "MemoryHolderLog", "MemoryPairLog", "MemoryReconciliations"]

REQUESTS = (RecordKind.ASKED_REQUEST, RecordKind.ANSWERED_REQUEST)


class MemoryPairLog:
    """Reads a memory journal. `altered` are the places whose bytes were changed behind the node's back."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal
        self.altered: set[int] = set()
        self.checked: list[tuple[str, int]] = []
        self.archived: datetime | None = None

    def _messages(self, span: Span, marked: set[int]) -> list[LoggedMessage]:
        found = [
            LoggedMessage(
                record.meta.request_id,
                record.meta.asking,
                Part.REQUEST if record.kind in REQUESTS else Part.ANSWER,
                record.identity,
                record.recorded_at,
                record.log_index in marked,
            )
            for record in self.journal.records
            if span.peer in (record.meta.asking, record.meta.answering)
            and span.lower <= record.meta.request_id < span.upper
        ]
        return sorted(found, key=lambda message: message.request_id)

    async def check(self, span: Span, *, most: int, newest: bool) -> Checked:
        messages = self._messages(span, self.altered)
        looked_at = messages[-most:] if newest else messages[:most]
        self.checked.append((span.peer, len(looked_at)))
        return Checked(len(looked_at), tuple(one for one in looked_at if one.altered))

    async def page(self, span: Span, *, after: str, limit: int, suspects: frozenset[str]) -> PairPage:
        by_index = {record.log_index: record.meta.request_id for record in self.journal.records}
        marked = {index for index in self.altered if by_index.get(index) in suspects}
        exchanges = [
            exchange
            for exchange in by_exchange(self._messages(span, marked))
            if exchange[0].request_id > after
        ]
        page = exchanges[:limit]
        messages = tuple(message for exchange in page for message in exchange)
        return PairPage(messages, page[-1][0].request_id if len(exchanges) > limit else "")

    async def newest_index(self, peer: str) -> int:
        indices = [
            record.log_index
            for record in self.journal.records
            if peer in (record.meta.asking, record.meta.answering)
            and record.meta.operation not in BETWEEN_NODES
        ]
        return max(indices, default=-1)

    async def begins_at(self) -> datetime | None:
        return self.journal.records[0].recorded_at if self.journal.records else None

    async def archived_until(self) -> datetime | None:
        return self.archived


class MemoryReconciliations:
    """The newest result of each hour."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], Reconciled] = {}

    async def keep(self, one: Reconciled) -> None:
        self.rows[(one.peer, one.hour)] = one

    async def find(self, peer: str, first_hour: int, last_hour: int) -> Sequence[Reconciled]:
        found = [
            row for (of, hour), row in self.rows.items() if of == peer and first_hour <= hour <= last_hour
        ]
        return sorted(found, key=lambda row: -row.hour)

    async def alarming(self, peer: str, *, limit: int) -> Sequence[Reconciled]:
        return [row for row in await self.find(peer, 0, 10**9) if row.state == "alarm"][:limit]


class MemoryHolderLog:
    """Finds a holder's exchanges by whose number stands in the request."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal

    async def exchanges(
        self, holders: Sequence[bytes], *, before: str, limit: int, home: str
    ) -> Sequence[Sequence[StoredRecord]]:
        about = [
            record
            for record in self.journal.records
            if record.kind in REQUESTS
            and (record.meta.operation, record.meta.asking) != (Operation.HOLDER_RECORD, home)
            and any(holder in record.envelope for holder in holders)
        ]
        pairs = {(record.meta.asking, record.meta.request_id) for record in about}
        ids = {one for _, one in pairs if not before or one < before}
        return [
            [
                record
                for record in await self.journal.find_records(one)
                if record in about or (record.kind not in REQUESTS and (record.meta.asking, one) in pairs)
            ]
            for one in sorted(ids, reverse=True)[:limit]
        ]


class Comparing:
    """What a node has to compare logs and to gather a citizen's record, made over one of `make_country`."""

    def __init__(self, node: Node, limits: ReconcileLimits | None = None) -> None:
        limits = limits or ReconcileLimits()
        self.node = node
        self.log, self.rows = MemoryPairLog(node.journal), MemoryReconciliations()
        self.alarms: list[Reconciled] = []
        self.asker = NodeAsker(node.parts, node.transport, now_s=lambda: node.seconds[0])
        own = OwnHolderRecord(
            MemoryHolderLog(node.journal),
            lambda _id_type, number: (number.encode(),),
            node.parts.codec,
            node.directory,
            node.clock,
            skew_s=60,
        )
        self.reconciler = Reconciler(
            self.asker, self.log, self.rows, node.directory, node.clock, limits, alarm=self._alarm
        )
        self.schedule = Schedule(self.reconciler, self.log, node.clock, limits, now_s=lambda: node.seconds[0])
        self.holders = HolderRecords(
            own, self.asker, node.directory, lambda: node.key, node.clock, deadline_s=5
        )
        hours = OwnHours(self.log, self.rows, node.clock)
        budget = WorkBudget(limits.audit_records, limits.reconcile_s, now_s=lambda: node.seconds[0])
        node.answerer = Answerer(
            node.parts,
            node.registry,
            version="1.2.3",
            between_nodes=NodeOperations(self.log, hours, budget, own, node.clock),
            now_s=lambda: node.seconds[0],
        )
        assert isinstance(node.transport.answerers, dict)
        node.transport.answerers[node.entity_id] = node.answerer

    async def _alarm(self, hour: Reconciled) -> None:
        self.alarms.append(hour)
