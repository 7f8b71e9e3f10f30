"""Pushed authorization requests: `federation.login.ports.PushedRequests` as rows. Taken by one DELETE … RETURNING."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
from sqlalchemy import delete

from federation.login.model import AuthRequest
from federation.login.ports import Seal
from federation.login.requests import PUSHED_PREFIX
from federation.login.uses import Use
from federation.ports import Clock
from node.store.database import Database
from node.store.login_room import RowRoom
from node.store.login_tables import PUSHED_REQUESTS
from node.store.replay import use_up
from node.store.short import Run
from node.store.times import to_micros

__all__ = ["PushedRequestRows"]

_KEEP = (
    "INSERT INTO pushed_requests (request_uri, client_id, sealed, expires_at) "
    "VALUES (:request_uri, :client_id, :sealed, :expires_at)"
)
_TAKE = (
    "DELETE FROM pushed_requests WHERE request_uri = :request_uri AND client_id = :client_id AND expires_at > :now "
    "RETURNING sealed"
)
MOST = 100_000
"""How many requests wait for their browsers at once."""
_DECODER = msgspec.json.Decoder(AuthRequest)


class PushedRequestRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, seal: Seal, clock: Clock, *, most: int = MOST) -> None:
        self._room = RowRoom(database, clock, "pushed_requests", most)
        self._database = database
        self._seal = seal
        self._clock = clock

    async def keep(
        self, request: AuthRequest, *, life_s: int, uses: Callable[[], Sequence[Use]] = tuple
    ) -> str:
        """As `PushedRequests.keep`: a name of 256 random bits, kept as its hash. Raises OwnKeyUnavailable too."""
        await self._room.enter()
        request_uri = PUSHED_PREFIX + secrets.token_urlsafe(32)
        key = _digest(request_uri)
        row = {
            "request_uri": key,
            "client_id": request.client_id,
            "sealed": self._seal.seal(_context(key), msgspec.json.encode(request)),
            "expires_at": to_micros(self._clock.now() + timedelta(seconds=life_s)),
        }
        shown = uses()  # not before: until here it may be refused, and whoever takes them has to use them up

        def steps(run: Run) -> Use | None:
            late = use_up(run, shown)
            if late is None:
                run(_KEEP, **row)
            return late

        late = await self._database.change(steps)
        if late is not None:
            self._room.leave()
            raise late.refusal
        return request_uri

    async def take(self, request_uri: str, client_id: str) -> AuthRequest | None:
        """As `PushedRequests.take`. Raises OwnRecordDamaged too."""
        key = _digest(request_uri)
        now = to_micros(self._clock.now())
        row = await self._database.change(
            lambda run: run(_TAKE, request_uri=key, client_id=client_id, now=now).row
        )
        return None if row is None else _DECODER.decode(self._seal.open(_context(key), row[0]))

    async def forget_expired(self) -> int:
        """Delete what has expired; how many. For a background loop."""
        now = to_micros(self._clock.now())
        async with self._database.writing() as connection:
            gone = await connection.execute(
                delete(PUSHED_REQUESTS).where(PUSHED_REQUESTS.c.expires_at <= now)
            )
            return gone.rowcount


def _context(key: bytes) -> str:
    return f"pushed_requests:{key.hex()}"


def _digest(request_uri: str) -> bytes:
    return hashlib.sha256(request_uri.encode("utf-8", "surrogatepass")).digest()
