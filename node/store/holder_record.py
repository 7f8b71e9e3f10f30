"""The log as it is searched for a holder: by keyed hashes. Implements `federation.holder_record.HolderLog`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import select
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
_R = RECORDS.c
_L = LABELS.c
_Row = Mapping[Any, Any]


class HolderRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, bodies: Bodies) -> None:
        self._database = database
        self._reader = RecordReader(bodies)

    async def exchanges(
        self, holders: Sequence[bytes], *, before: str, limit: int, home: str
    ) -> Sequence[Sequence[StoredRecord]]:
        """The newest exchanges about a holder, each with all its records in log order."""
        async with self._database.reading() as connection:
            looks = select(_L.label).where(_L.asking == home, _L.operation == Operation.HOLDER_RECORD.value)
            without = (await connection.execute(looks)).scalars().all()
            ids = await _request_ids(connection, holders, before, limit, without)
            wanted = RECORD_ROWS.where(_R.request_id.in_(ids)).order_by(_R.request_id.desc(), _R.log_index)
            rows = (await connection.execute(wanted.limit(_RECORDS_OF_ONE * limit))).mappings().all()
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


async def _request_ids(
    connection: AsyncConnection, holders: Sequence[bytes], before: str, limit: int, without: Sequence[int]
) -> Sequence[str]:
    """The newest request ids about a holder, but for some labels."""
    indices: set[int] = set()
    for holder in holders:
        indices.update(await connection.run_sync(newest_about, holder, limit=MOST_LOOKED_AT))
    found: set[str] = set()
    ordered = sorted(indices, reverse=True)[:MOST_LOOKED_AT]
    for begin in range(0, len(ordered), 500):
        ids = select(_R.request_id).where(
            _R.log_index.in_(ordered[begin : begin + 500]), (_R.label + 0).not_in(without)
        )
        found.update((await connection.execute(ids)).scalars())
    return sorted((one for one in found if not before or one < before), reverse=True)[:limit]
