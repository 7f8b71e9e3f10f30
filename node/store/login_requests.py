"""Pushed authorization requests: `federation.login.ports.PushedRequests` as rows. Taken by one DELETE … RETURNING."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

import msgspec
from sqlalchemy import delete, insert

from federation.login.model import AuthRequest
from federation.login.ports import Seal
from federation.login.requests import PUSHED_PREFIX
from federation.ports import Clock
from node.store.database import Database
from node.store.login_tables import PUSHED_REQUESTS
from node.store.times import to_micros

__all__ = ["PushedRequestRows"]

_DECODER = msgspec.json.Decoder(AuthRequest)


class PushedRequestRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, seal: Seal, clock: Clock) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock

    async def keep(self, request: AuthRequest, *, life_s: int) -> str:
        """The request_uri: a name of 256 random bits, kept as its hash."""
        request_uri = PUSHED_PREFIX + secrets.token_urlsafe(32)
        key = _digest(request_uri)
        row = insert(PUSHED_REQUESTS).values(
            request_uri=key,
            client_id=request.client_id,
            sealed=self._seal.seal(_context(key), msgspec.json.encode(request)),
            expires_at=to_micros(self._clock.now() + timedelta(seconds=life_s)),
        )
        async with self._database.writing() as connection:
            await connection.execute(row)
        return request_uri

    async def take(self, request_uri: str, client_id: str) -> AuthRequest | None:
        """As `PushedRequests.take`. Raises OwnRecordDamaged too."""
        key = _digest(request_uri)
        taken = (
            delete(PUSHED_REQUESTS)
            .where(
                PUSHED_REQUESTS.c.request_uri == key,
                PUSHED_REQUESTS.c.client_id == client_id,
                PUSHED_REQUESTS.c.expires_at > to_micros(self._clock.now()),
            )
            .returning(PUSHED_REQUESTS.c.sealed)
        )
        async with self._database.writing() as connection:
            sealed = (await connection.execute(taken)).scalar_one_or_none()
        return None if sealed is None else _DECODER.decode(self._seal.open(_context(key), sealed))

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
