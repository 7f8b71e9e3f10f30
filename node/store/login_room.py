"""How many rows may wait for browsers: whoever begins logins on end fills no disk."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from federation.errors import OwnBusy
from federation.ports import Clock
from node.store.database import Database
from node.store.times import to_micros

__all__ = ["RowRoom"]

RECOUNT_S: Final = 10
_COUNT: Final = {
    "interactions": (
        "SELECT count(*) FROM (SELECT 1 FROM interactions WHERE expires_at > :now LIMIT :most) AS living"
    ),
    "pushed_requests": (
        "SELECT count(*) FROM (SELECT 1 FROM pushed_requests WHERE expires_at > :now LIMIT :most) AS living"
    ),
}


class RowRoom:
    """A room of `most` rows that have not expired, for all replicas. It is counted every `RECOUNT_S` seconds and
    reckoned on between, so that another replica's are seen that much later.
    """

    def __init__(self, database: Database, clock: Clock, table: str, most: int) -> None:
        self._database = database
        self._clock = clock
        self._count = _COUNT[table]
        self._table = table
        self._most = most
        self._taken = 0
        self._recount_at: datetime | None = None

    async def enter(self) -> None:
        """Take a place for a row. Raises OwnBusy when there is none, OwnStoreUnavailable."""
        now = self._clock.now()
        if self._recount_at is None or now >= self._recount_at:
            self._recount_at = now + timedelta(seconds=RECOUNT_S)
            rows = await self._database.look(self._count, now=to_micros(now), most=self._most)
            self._taken = int(rows[0][0])
        if self._taken >= self._most:
            raise OwnBusy(f"there is no room for more than {self._most} rows in {self._table}")
        self._taken += 1

    def leave(self) -> None:
        """Give back the place that was taken for a row that was not kept."""
        self._taken = max(0, self._taken - 1)
