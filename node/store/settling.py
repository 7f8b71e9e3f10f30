"""The cosignatures of this node's checkpoints. Implements `federation.settling.SettlingStore`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

from federation.ports import Cosignature
from node.store.database import Database
from node.store.short import Run
from node.store.times import from_micros, to_micros

__all__ = ["MOST_COUNTED", "SettlingRows", "Unsettled"]

MOST_COUNTED: Final = 10_000
"""Unsettled checkpoints are counted up to here: almost three hours of one a second."""

_COSIGNED = (
    "INSERT INTO cosignatures (generation, size, witness, cosigned_at, line)"
    " VALUES (:g, :size, :witness, :at, :line) ON CONFLICT DO NOTHING"
)
_SETTLE = "UPDATE checkpoints SET settled_at = :at WHERE generation = :g AND size = :size"
_OPEN = "SELECT max(generation) FROM log_generations"
_SETTLED = (
    "SELECT size, settled_at FROM checkpoints WHERE generation = :g AND settled_at IS NOT NULL"
    " ORDER BY size DESC LIMIT 1"
)
_AFTER = (
    "SELECT count(*), min(made_at) FROM (SELECT made_at FROM checkpoints WHERE generation = :g AND size > :size"
    " ORDER BY size LIMIT :most) AS waiting"
)


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
        at, line = to_micros(cosignature.cosigned_at), cosignature.line
        row = {"g": generation, "size": size, "witness": cosignature.witness, "at": at, "line": line}
        await self._database.change(lambda run: run(_COSIGNED, **row))

    async def settle(self, generation: int, size: int, at: datetime) -> None:
        """Write the quorum's time of a checkpoint."""
        await self._database.change(lambda run: run(_SETTLE, g=generation, size=size, at=to_micros(at)))

    async def unsettled(self) -> Unsettled:
        """What of the open generation is not settled."""
        return await self._database.read(_unsettled)


def _unsettled(run: Run) -> Unsettled:
    generation = run(_OPEN).rows[0][0]
    settled = run(_SETTLED, g=generation).row
    count, since = run(_AFTER, g=generation, size=settled[0] if settled else -1, most=MOST_COUNTED).rows[0]
    return Unsettled(
        checkpoints=count,
        since=None if since is None else from_micros(since),
        settled_at=None if settled is None else from_micros(settled[1]),
    )
