"""Old checkpoints, made fewer: of each minute the first settled one stays, with its cosignatures.

A record's evidence time is that of the earliest settled checkpoint that holds it; so afterwards it may be up to a
minute later than it was, and never earlier. What was exported before stays as it was. What is not settled goes too,
when a later one is; the last checkpoint of a generation always stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from node.store.database import Database
from node.store.tables import CHECKPOINTS, COSIGNATURES
from node.store.times import to_micros

__all__ = ["BATCH_CHECKPOINTS", "Thinning"]

BATCH_CHECKPOINTS: Final = 500
"""Checkpoints that one transaction looks at."""

_MINUTE: Final = timedelta(minutes=1) // timedelta(microseconds=1)
_C, _S = CHECKPOINTS.c, COSIGNATURES.c


class Thinning:
    """Every method raises OwnStoreUnavailable. Any process may do it at any time, and break off."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._done_to = (0, -1)
        self._minute = -1

    async def batch(self, before: datetime) -> tuple[int, bool]:
        """Look at the next checkpoints that were made before that moment: how many went, and whether there are more.

        Where the last look ended is remembered only to spare looking twice.
        """
        async with self._database.reading() as connection:
            after = tuple_(_C.generation, _C.size) > tuple_(*self._done_to)
            query = select(_C.generation, _C.size, _C.made_at, _C.settled_at).where(after)
            query = query.order_by(_C.generation, _C.size).limit(BATCH_CHECKPOINTS)
            rows = (await connection.execute(query)).mappings().all()
            generations = {row["generation"] for row in rows}
            ends = {one: await _largest(connection, one, settled=False) for one in generations}
            settled = {one: await _largest(connection, one, settled=True) for one in generations}
        old = [row for row in rows if row["made_at"] < to_micros(before)]
        gone = [
            {"one_generation": row["generation"], "one_size": row["size"]}
            for row in self._superfluous(old, settled)
            if row["size"] != ends[row["generation"]]
        ]
        if gone:
            await self._delete(gone)
        if old:
            self._done_to = (old[-1]["generation"], old[-1]["size"])
        return len(gone), len(old) == BATCH_CHECKPOINTS

    def _superfluous(
        self, rows: Sequence[Mapping[Any, Any]], settled: Mapping[int, int]
    ) -> Iterator[Mapping[Any, Any]]:
        for row in rows:
            if row["settled_at"] is None:
                if row["size"] < settled[row["generation"]]:
                    yield row
                continue
            minute = row["settled_at"] // _MINUTE
            if minute == self._minute:
                yield row
            self._minute = minute

    async def _delete(self, keys: Sequence[Mapping[str, int]]) -> None:
        async with self._database.writing() as connection:
            for table in (COSIGNATURES, CHECKPOINTS):
                mine = and_(
                    table.c.generation == bindparam("one_generation"), table.c.size == bindparam("one_size")
                )
                await connection.execute(delete(table).where(mine), list(keys))


async def _largest(connection: AsyncConnection, generation: int, *, settled: bool) -> int:
    query = select(func.max(_C.size)).where(_C.generation == generation)
    if settled:
        query = query.where(_C.settled_at.is_not(None))
    return (await connection.execute(query)).scalar() or 0
