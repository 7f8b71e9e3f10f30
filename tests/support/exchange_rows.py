"""Rows of the log, written straight into the tables: for tests that need many, and need not sign them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, select

from federation.ports import RecordKind
from federation.query import Operation
from node.store.database import Database
from node.store.tables import BODIES, CLAIM_FINISHED, CLAIMS, HOLDERS, HOLDERS_SEGMENT, LABELS, RECORDS
from node.store.times import to_micros
from tests.support.clock import NOON
from tests.support.exchanges import next_request_id
from trust.evidence import leaf_data

__all__ = ["JIANGSU", "SHANGHAI", "ZHEJIANG", "Lines", "LogRows", "rows_of"]

SHANGHAI, JIANGSU, ZHEJIANG = (f"https://node.{name}.example" for name in ("sh", "js", "zj"))
_SALT = bytes(16)
_LABELS_FROM = 1000
"""PostgreSQL gives a journal's labels their numbers, from 1."""
Lines = dict[Table, list[dict[str, Any]]]


@dataclass
class LogRows:
    """Exchanges of Zhejiang's node, one after the other, with bodies in clear."""

    at: datetime = NOON
    step_s: float = 1.0
    next_index: int = 0
    generation: int = 1
    _labels: dict[tuple[Any, ...], int] = field(default_factory=dict)
    lines: Lines = field(
        default_factory=lambda: {table: [] for table in (LABELS, RECORDS, BODIES, HOLDERS, CLAIMS)}
    )

    def exchange(
        self,
        *,
        peer: str = SHANGHAI,
        asked: bool = False,
        operation: Operation = Operation.CERTIFICATES_QUERY,
        outcome: str = "answered",
        case_number: str = "",
        client: str = "",
        holders: Sequence[bytes] = (),
        request_id: str = "",
    ) -> str:
        """One more, the next second; its request id. `outcome` ``unanswered``: only a request."""
        request_id = request_id or next_request_id()
        kinds = (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER)
        if not asked:
            kinds = (RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER)
        ends = (ZHEJIANG, peer) if asked else (peer, ZHEJIANG)
        first = self.next_index
        for kind in kinds[: 1 if outcome == "unanswered" else 2]:
            said = "" if kind is RecordKind.ASKED_REQUEST else outcome
            self._record(kind, (int(kind), *ends, operation.value, said, client), request_id, case_number)
        place = {"segment": first // HOLDERS_SEGMENT, "log_index": first}
        self.lines[HOLDERS] += [{"holder": holder, **place} for holder in holders]
        if not asked:
            self._claim(ends[0], request_id, self.next_index - 1)
        self.at += timedelta(seconds=self.step_s)
        return request_id

    def _record(self, kind: RecordKind, label: tuple[Any, ...], request_id: str, case_number: str) -> None:
        envelope = b"%d %s" % (self.next_index, request_id.encode())
        row = {
            "log_index": self.next_index,
            "generation": self.generation,
            "kind": int(kind),
            "label": self._label(label),
            "request_id": request_id,
            "case_number": case_number,
            "recorded_at": to_micros(self.at),
            "identity": bytes(32),
            "leaf": leaf_data(kind, to_micros(self.at), envelope, _SALT),
            "key_id": 0,
            "wrapped": b"",
        }
        self.lines[RECORDS].append(row)
        self.lines[BODIES].append({"log_index": self.next_index, "sealed": _SALT + envelope})
        self.next_index += 1

    def _label(self, label: tuple[Any, ...]) -> int:
        if label not in self._labels:
            self._labels[label] = _LABELS_FROM + len(self._labels)
            names = ("kind", "asking", "answering", "operation", "outcome", "client")
            self.lines[LABELS].append({"label": self._labels[label], **dict(zip(names, label, strict=True))})
        return self._labels[label]

    def _claim(self, asking: str, request_id: str, answer: int) -> None:
        claim = {
            "asking": asking,
            "request_id": request_id,
            "identity": bytes(32),
            "state": CLAIM_FINISHED,
            "lease_until": 0,
            "owner": "",
            "answer": answer,
        }
        self.lines[CLAIMS].append(claim)

    async def store(self, database: Database) -> None:
        """Write what was made since the last time."""
        async with database.writing() as connection:
            for table, lines in self.lines.items():
                if lines:
                    await connection.execute(insert(table), lines)
                    lines.clear()


async def rows_of(database: Database, table: Table) -> list[dict[str, Any]]:
    """All rows of a table in the order of its key."""
    async with database.reading() as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]
