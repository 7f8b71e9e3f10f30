"""Idempotency-Key: which request a client's key was answered with, so that a repeat gets the same answer.

Implements `node.api.ports.IdempotencyKeys`. A key lives for a day. One that is at work has a lease, so that a
crash does not hold it for ever.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import and_, delete, or_, select, update

from federation.ports import Clock
from node.api.ports import KeyState, KeyVerdict
from node.store.database import Database
from node.store.tables import IDEMPOTENCY_KEYS
from node.store.times import to_micros
from node.store.upsert import insert_into

__all__ = ["LEASE_S", "LIFE_S", "IdempotencyRows"]

LIFE_S: Final = 24 * 3600
"""How long a key is kept for repeats."""

LEASE_S: Final = 30
"""How long a request may be at work before a repeat does it anew; well above the usual deadline of a query."""

_MICROS: Final = 1_000_000
_WORKING: Final = 1
_FINISHED: Final = 2
_T: Final = IDEMPOTENCY_KEYS.c


class IdempotencyRows:
    """Keys by client. Every method raises OwnStoreUnavailable; each is one transaction and safe to repeat."""

    def __init__(self, database: Database, clock: Clock, *, lease_s: float = LEASE_S) -> None:
        """`lease_s` is longer than any request may be at work."""
        self._database = database
        self._clock = clock
        self._lease = int(lease_s * _MICROS)

    async def claim(self, client: str, key: str, digest: bytes) -> KeyVerdict:
        """NEW: the caller does the work and then finishes or releases the key."""
        now = to_micros(self._clock.now())
        fresh = {
            "digest": digest,
            "state": _WORKING,
            "lease_until": now + self._lease,
            "request_id": "",
            "expires_at": now + LIFE_S * _MICROS,
        }
        abandoned = and_(_T.state == _WORKING, _T.digest == digest, _T.lease_until <= now)
        row = insert_into(self._database, IDEMPOTENCY_KEYS).values(client=client, key=key, **fresh)
        row = row.on_conflict_do_update(
            index_elements=[_T.client, _T.key], set_=fresh, where=or_(_T.expires_at <= now, abandoned)
        )
        async with self._database.writing() as connection:
            if (await connection.execute(row)).rowcount == 1:
                return KeyVerdict(KeyState.NEW)
            query = select(_T.digest, _T.state, _T.request_id)
            found = (await connection.execute(query.where(*_at(client, key)))).one_or_none()
        if found is None:
            return KeyVerdict(KeyState.WORKING)
        if bytes(found.digest) != digest:
            return KeyVerdict(KeyState.CONFLICT)
        if found.state == _WORKING:
            return KeyVerdict(KeyState.WORKING)
        return KeyVerdict(KeyState.FINISHED, found.request_id)

    async def finish(self, client: str, key: str, *, request_id: str) -> None:
        """Keep which request was answered; the first one stays."""
        change = (
            update(IDEMPOTENCY_KEYS)
            .where(*_at(client, key), _T.state == _WORKING)
            .values(state=_FINISHED, request_id=request_id)
        )
        async with self._database.writing() as connection:
            await connection.execute(change)

    async def release(self, client: str, key: str) -> None:
        """Forget a key that is at work; an answered one stays."""
        async with self._database.writing() as connection:
            await connection.execute(delete(IDEMPOTENCY_KEYS).where(*_at(client, key), _T.state == _WORKING))

    async def forget_expired(self) -> int:
        """Delete what has expired; how many there were. For a background loop."""
        now = to_micros(self._clock.now())
        async with self._database.writing() as connection:
            gone = await connection.execute(delete(IDEMPOTENCY_KEYS).where(_T.expires_at <= now))
            return gone.rowcount


def _at(client: str, key: str) -> tuple[Any, Any]:
    return _T.client == client, _T.key == key
