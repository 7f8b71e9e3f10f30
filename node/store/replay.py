"""Token ids that may be used once (jti). Implements `node.api.ports.Replays`; all replicas share the rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from federation.ports import Clock
from node.store.database import Database
from node.store.tables import REPLAYS
from node.store.times import to_micros

__all__ = ["ReplayRows"]

_USE = (
    "INSERT INTO replays (issuer, jti, expires_at) VALUES (:issuer, :jti, :expires_at) ON CONFLICT DO NOTHING"
)


class ReplayRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def use_once(self, issuer: str, jti: str, expires_at: datetime) -> bool:
        """True for the first use of (issuer, jti), False for each later one until it is forgotten.

        The caller refuses tokens past `expires_at` by itself; from then on the id may be forgotten.
        """
        ends = to_micros(expires_at)
        return await self._database.change(
            lambda run: run(_USE, issuer=issuer, jti=jti, expires_at=ends).changed == 1
        )

    async def forget_expired(self) -> int:
        """Delete what has expired; how many there were. For a background loop."""
        now = to_micros(self._clock.now())
        async with self._database.writing() as connection:
            gone = await connection.execute(delete(REPLAYS).where(REPLAYS.c.expires_at <= now))
            return gone.rowcount
