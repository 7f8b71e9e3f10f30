"""Token ids that may be used once (jti). Implements `node.api.ports.Replays`; all replicas share the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete

from federation.login.uses import Use
from federation.ports import Clock
from node.store.database import Database
from node.store.short import Run
from node.store.tables import REPLAYS
from node.store.times import to_micros

__all__ = ["ReplayRows", "use_up"]

_USE = (
    "INSERT INTO replays (issuer, jti, expires_at) VALUES (:issuer, :jti, :expires_at) ON CONFLICT DO NOTHING"
)

_CLOCKS_APART: Final = timedelta(minutes=1)
"""How far the clock of the replica that forgets may be ahead of that of one that still takes the token."""


class ReplayRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def use_once(self, issuer: str, jti: str, expires_at: datetime) -> bool:
        """True for the first use of (issuer, jti), False for each later one until it is forgotten.

        The caller refuses tokens past `expires_at` by itself; a little later the id is forgotten.
        """
        return await self._database.change(lambda run: _is_first(run, issuer, jti, expires_at))

    async def forget_expired(self) -> int:
        """Delete what has expired by the clock of every replica; how many there were. For a background loop."""
        before = to_micros(self._clock.now() - _CLOCKS_APART)
        async with self._database.writing() as connection:
            gone = await connection.execute(delete(REPLAYS).where(REPLAYS.c.expires_at <= before))
            return gone.rowcount


def use_up(run: Run, uses: Sequence[Use]) -> Use | None:
    """Use them up in a transaction, one after the other; the first that was used before, None when none was.

    Of two transactions that use up the same id one waits until the other is over, and is late then.
    """
    for one in uses:
        if not _is_first(run, one.issuer, one.jti, one.expires_at):
            return one
    return None


def _is_first(run: Run, issuer: str, jti: str, expires_at: datetime) -> bool:
    return run(_USE, issuer=issuer, jti=jti, expires_at=to_micros(expires_at)).changed == 1
