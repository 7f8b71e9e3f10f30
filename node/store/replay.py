"""Token ids that may be used once (jti). Implements `node.api.ports.Replays`; all replicas share the rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from federation.ports import Clock
from node.store.database import Database
from node.store.tables import REPLAYS
from node.store.times import to_micros
from node.store.upsert import insert_into

__all__ = ["ReplayRows"]


class ReplayRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def use_once(self, issuer: str, jti: str, expires_at: datetime) -> bool:
        """True for the first use of (issuer, jti), False for each later one until it is forgotten.

        The caller refuses tokens past `expires_at` by itself; from then on the id may be forgotten.
        """
        row = insert_into(self._database, REPLAYS).values(
            issuer=issuer, jti=jti, expires_at=to_micros(expires_at)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(row.on_conflict_do_nothing())).rowcount == 1)

    async def forget_expired(self) -> int:
        """Delete what has expired; how many there were. For a background loop."""
        now = to_micros(self._clock.now())
        async with self._database.writing() as connection:
            gone = await connection.execute(delete(REPLAYS).where(REPLAYS.c.expires_at <= now))
            return gone.rowcount
