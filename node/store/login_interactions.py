"""Logins at work, as rows: `federation.login.ports.Interactions`. All replicas share them.

Ids and browsers are kept as SHA-256 only; the rest is sealed. A row is replaced only by the state that follows the one
it has, so that of two steps that are taken at once one is taken.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec

from federation.login.model import Interaction
from federation.login.ports import Seal
from federation.ports import Clock
from node.store.database import Database
from node.store.login_room import RowRoom
from node.store.short import Run
from node.store.times import to_micros

__all__ = ["InteractionRows"]

_CREATE = (
    "INSERT INTO interactions (interaction, browser, version, sealed, expires_at) "
    "VALUES (:interaction, :browser, :version, :sealed, :expires_at)"
)
_FIND = "SELECT browser, sealed FROM interactions WHERE interaction = :interaction AND expires_at > :now"
_BIND = "UPDATE interactions SET browser = :browser WHERE interaction = :interaction AND browser IS NULL"
_REPLACE = (
    "UPDATE interactions SET version = :version, sealed = :sealed "
    "WHERE interaction = :interaction AND version = :before"
)
_FORGET = "DELETE FROM interactions WHERE expires_at <= :now"
MOST = 200_000
"""How many logins are at work at once; a client with the usual `begin_per_minute` fills less than half of it."""
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Interaction)


class InteractionRows:
    """Every method raises OwnStoreUnavailable; those that read and write, OwnKeyUnavailable and OwnRecordDamaged."""

    def __init__(self, database: Database, seal: Seal, clock: Clock, *, most: int = MOST) -> None:
        self._room = RowRoom(database, clock, "interactions", most)
        self._database = database
        self._seal = seal
        self._clock = clock

    async def create(self, interaction: Interaction, browser: str) -> None:
        """See `Interactions.create`. Raises OwnBusy when too many are at work."""
        await self._room.enter()
        key = _hash(interaction.interaction_id)
        row = {
            "interaction": key,
            "browser": _hash(browser) if browser else None,
            "version": interaction.version,
            "sealed": self._sealed(key, interaction),
            "expires_at": to_micros(datetime.fromtimestamp(interaction.expires_at, UTC)),
        }
        await self._database.change(lambda run: run(_CREATE, **row))

    async def find(self, interaction_id: str, browser: str) -> Interaction | None:
        """See `Interactions.find`."""
        if not browser:
            return None
        key, by = _hash(interaction_id), _hash(browser)
        now = to_micros(self._clock.now())
        rows = await self._database.look(_FIND, interaction=key, now=now)
        if not rows:
            return None
        bound_to, sealed = rows[0]
        if bound_to != by and not (bound_to is None and await self._bind(key, by)):
            return None
        return _DECODER.decode(self._seal.open(_context(key), sealed))

    async def _bind(self, key: bytes, browser: bytes) -> bool:
        """Whether this browser is the first that came."""
        return await self._database.change(
            lambda run: run(_BIND, interaction=key, browser=browser).changed == 1
        )

    async def replace(self, interaction: Interaction) -> bool:
        """See `Interactions.replace`."""
        return await self._database.change(lambda run: self.replace_in(run, interaction))

    def replace_in(self, run: Run, interaction: Interaction) -> bool:
        """As `Writes.replace`."""
        key = _hash(interaction.interaction_id)
        row = {
            "interaction": key,
            "version": interaction.version,
            "before": interaction.version - 1,
            "sealed": self._sealed(key, interaction),
        }
        return run(_REPLACE, **row).changed == 1

    async def forget_expired(self) -> int:
        """See `Interactions.forget_expired`."""
        now = to_micros(self._clock.now())
        return await self._database.change(lambda run: run(_FORGET, now=now).changed)

    def _sealed(self, key: bytes, interaction: Interaction) -> bytes:
        return self._seal.seal(_context(key), _ENCODER.encode(interaction))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _context(key: bytes) -> str:
    return f"interactions:{key.hex()}"
