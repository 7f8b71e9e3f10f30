"""The log as it is searched for a holder: by keyed hashes. Implements `federation.holder_record.HolderLog`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.errors import OwnRecordDamaged
from federation.ports import RecordKind, StoredRecord
from federation.query import Operation
from node.store.bodies import Bodies
from node.store.database import Database
from node.store.holder_index import newest_about
from node.store.records import RECORD_ROWS, RecordReader, meta_of
from node.store.tables import LABELS, RECORDS
from node.store.times import from_micros

__all__ = ["MOST_LOOKED_AT", "HolderRows"]

MOST_LOOKED_AT: Final = 10_000
"""Exchanges of one holder that are put in order for a page: the newest in the log."""
_RECORDS_OF_ONE: Final = 8
"""Requests that one node made under one id, and answers to them with one outcome: whoever repeats an id for ever fills
no page.
"""
_AT_ONCE: Final = 500
_ANSWERS: Final = (int(RecordKind.ASKED_ANSWER), int(RecordKind.ANSWERED_ANSWER))
_R = RECORDS.c
_L = LABELS.c
_OF_RECORD: Final = _L.label == _R.label + 0
"""Plus nothing, so that labels are looked up for records, and never records for labels."""
_Row = Mapping[Any, Any]
_Pair = tuple[str, str]
"""Who asked, and the request id: an id alone is of every node that used it."""


class HolderRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, bodies: Bodies) -> None:
        self._database = database
        self._reader = RecordReader(bodies)

    async def exchanges(
        self, holders: Sequence[bytes], *, before: str, limit: int, home: str
    ) -> Sequence[Sequence[StoredRecord]]:
        """The newest exchanges about a holder, by request id: the requests about that holder, and what was answered to
        who asked them.
        """
        async with self._database.reading() as connection:
            about = await _requests(connection, holders, before, limit, home)
            answers = await _answers(connection, about)
            wanted = sorted({*chain.from_iterable(about.values()), *answers})
            rows = await _rows(connection, wanted)
        rows.sort(key=lambda row: (row["request_id"], -row["log_index"]), reverse=True)
        return await asyncio.to_thread(self._read, rows)

    def _read(self, rows: Sequence[_Row]) -> Sequence[Sequence[StoredRecord]]:
        return [
            [self._record(row) for row in group]
            for _, group in groupby(rows, key=lambda row: row["request_id"])
        ]

    def _record(self, row: _Row) -> StoredRecord:
        try:
            return self._reader.read(row)
        except (
            OwnRecordDamaged
        ):  # told by reconciliation and verification; the rest of the record still counts
            return StoredRecord(
                log_index=row["log_index"],
                kind=RecordKind(row["kind"]),
                meta=meta_of(row),
                recorded_at=from_micros(row["recorded_at"]),
                identity=bytes(row["identity"]),
                envelope=b"",
                salt=b"",
                leaf=bytes(row["leaf"]),
                generation=row["generation"],
            )


async def _requests(
    connection: AsyncConnection, holders: Sequence[bytes], before: str, limit: int, home: str
) -> Mapping[_Pair, Sequence[int]]:
    """The log indices of requests about a holder under the newest ids, by who asked and id; `_RECORDS_OF_ONE` of each
    at most, the oldest, and without those by which `home` asked for the holder's record.
    """
    indices: set[int] = set()
    for holder in holders:
        indices.update(await connection.run_sync(newest_about, holder, limit=MOST_LOOKED_AT))
    by_id: dict[str, dict[str, list[int]]] = {}
    ordered = sorted(indices, reverse=True)[:MOST_LOOKED_AT]
    for begin in range(0, len(ordered), _AT_ONCE):
        query = select(_R.log_index, _R.request_id, _L.asking, _L.operation).join(LABELS, _OF_RECORD)
        query = query.where(_R.log_index.in_(ordered[begin : begin + _AT_ONCE]))
        for index, request_id, asking, operation in await connection.execute(query):
            is_own_look = asking == home and operation == Operation.HOLDER_RECORD.value
            if not is_own_look and (not before or request_id < before):
                by_id.setdefault(request_id, {}).setdefault(asking, []).append(index)
    return {
        (asking, request_id): sorted(by_id[request_id][asking])[:_RECORDS_OF_ONE]
        for request_id in sorted(by_id, reverse=True)[:limit]
        for asking in by_id[request_id]
    }


async def _answers(connection: AsyncConnection, about: Mapping[_Pair, Sequence[int]]) -> Sequence[int]:
    """The log indices of what was answered to these pairs, `_RECORDS_OF_ONE` of each at most, the oldest."""
    place = func.row_number().over(partition_by=(_R.request_id, _R.label), order_by=_R.log_index)
    of_these = select(_R.log_index, _R.request_id, _L.asking, place.label("place"))
    of_these = of_these.join(LABELS, _OF_RECORD)
    ids = {request_id for _, request_id in about}
    placed = of_these.where(_R.request_id.in_(ids), _R.kind.in_(_ANSWERS)).subquery()
    query = select(placed.c.log_index, placed.c.request_id, placed.c.asking)
    found = await connection.execute(query.where(placed.c.place <= _RECORDS_OF_ONE))
    return [row.log_index for row in found if (row.asking, row.request_id) in about]


async def _rows(connection: AsyncConnection, indices: Sequence[int]) -> list[_Row]:
    rows: list[_Row] = []
    for begin in range(0, len(indices), _AT_ONCE):
        wanted = RECORD_ROWS.where(_R.log_index.in_(indices[begin : begin + _AT_ONCE]))
        rows += (await connection.execute(wanted)).mappings().all()
    return rows
