"""The cosignatures of this node's checkpoints. Implements `federation.settling.SettlingStore`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct
from sqlalchemy import func, select, update

from federation.ports import Cosignature
from node.store.database import Database
from node.store.tables import CHECKPOINTS, COSIGNATURES, LOG_GENERATIONS
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into

__all__ = ["MOST_COUNTED", "SettlingRows", "Unsettled"]

MOST_COUNTED: Final = 10_000
"""Unsettled checkpoints are counted up to here: almost three hours of one a second."""

_C, _S = CHECKPOINTS.c, COSIGNATURES.c
_OPEN = select(func.max(LOG_GENERATIONS.c.generation)).scalar_subquery()


class Unsettled(Struct, frozen=True):
    """What of the open generation is not settled: signed checkpoints after the newest settled one, at most
    `MOST_COUNTED`, and when the first of them was made; `settled_at` of the newest settled one.
    """

    checkpoints: int = 0
    since: datetime | None = None
    settled_at: datetime | None = None


class SettlingRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_cosignature(self, generation: int, size: int, cosignature: Cosignature) -> None:
        """Keep a witness's cosignature of a checkpoint; the first one stays."""
        row = insert_into(self._database, COSIGNATURES).values(
            generation=generation,
            size=size,
            witness=cosignature.witness,
            cosigned_at=to_micros(cosignature.cosigned_at),
            line=cosignature.line,
        )
        async with self._database.writing() as connection:
            await connection.execute(row.on_conflict_do_nothing())

    async def settle(self, generation: int, size: int, at: datetime) -> None:
        """Write the quorum's time of a checkpoint."""
        row = update(CHECKPOINTS).where(_C.generation == generation, _C.size == size)
        async with self._database.writing() as connection:
            await connection.execute(row.values(settled_at=to_micros(at)))

    async def unsettled(self) -> Unsettled:
        """What of the open generation is not settled."""
        newest = (
            select(_C.size, _C.settled_at)
            .where(_C.generation == _OPEN, _C.settled_at.is_not(None))
            .order_by(_C.size.desc())
            .limit(1)
        )
        async with self._database.reading() as connection:
            settled = (await connection.execute(newest)).one_or_none()
            after = (
                select(_C.made_at)
                .where(_C.generation == _OPEN, _C.size > (settled.size if settled else -1))
                .order_by(_C.size)
                .limit(MOST_COUNTED)
            ).subquery()
            counted = select(func.count(), func.min(after.c.made_at)).select_from(after)
            count, since = (await connection.execute(counted)).one()
        return Unsettled(
            checkpoints=count,
            since=None if since is None else from_micros(since),
            settled_at=None if settled is None else from_micros(settled.settled_at),
        )
