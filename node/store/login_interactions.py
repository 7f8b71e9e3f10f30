"""Logins at work, as rows: `federation.login.ports.Interactions`. All replicas share them.

Ids and browsers are kept as SHA-256 only; the rest is sealed. A row is replaced only by the state that follows the one
it has, so that of two steps that are taken at once one is taken.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec
from sqlalchemy import delete, insert, select, update

from federation.login.model import Interaction
from federation.login.ports import Seal
from federation.ports import Clock
from node.store.database import Database
from node.store.login_tables import INTERACTIONS
from node.store.times import to_micros

__all__ = ["InteractionRows"]

_ROW = INTERACTIONS.c
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Interaction)


class InteractionRows:
    """Every method raises OwnStoreUnavailable; those that read and write, OwnKeyUnavailable and OwnRecordDamaged."""

    def __init__(self, database: Database, seal: Seal, clock: Clock) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock

    async def create(self, interaction: Interaction, browser: str) -> None:
        """See `Interactions.create`."""
        key = _hash(interaction.interaction_id)
        row = {
            "interaction": key,
            "browser": _hash(browser) if browser else None,
            "version": interaction.version,
            "sealed": self._sealed(key, interaction),
            "expires_at": to_micros(datetime.fromtimestamp(interaction.expires_at, UTC)),
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(INTERACTIONS).values(**row))

    async def find(self, interaction_id: str, browser: str) -> Interaction | None:
        """See `Interactions.find`."""
        if not browser:
            return None
        key, by = _hash(interaction_id), _hash(browser)
        query = select(_ROW.browser, _ROW.sealed).where(
            _ROW.interaction == key, _ROW.expires_at > to_micros(self._clock.now())
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        if row.browser != by and not (row.browser is None and await self._bind(key, by)):
            return None
        return _DECODER.decode(self._seal.open(_context(key), row.sealed))

    async def _bind(self, key: bytes, browser: bytes) -> bool:
        """Whether this browser is the first that came."""
        bound = (
            update(INTERACTIONS)
            .where(_ROW.interaction == key, _ROW.browser.is_(None))
            .values(browser=browser)
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(bound)).rowcount == 1)

    async def replace(self, interaction: Interaction) -> bool:
        """See `Interactions.replace`."""
        key = _hash(interaction.interaction_id)
        changed = (
            update(INTERACTIONS)
            .where(_ROW.interaction == key, _ROW.version == interaction.version - 1)
            .values(version=interaction.version, sealed=self._sealed(key, interaction))
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(changed)).rowcount == 1)

    async def forget_expired(self) -> int:
        """See `Interactions.forget_expired`."""
        now = to_micros(self._clock.now())
        async with self._database.writing() as connection:
            return (await connection.execute(delete(INTERACTIONS).where(_ROW.expires_at <= now))).rowcount

    def _sealed(self, key: bytes, interaction: Interaction) -> bytes:
        return self._seal.seal(_context(key), _ENCODER.encode(interaction))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _context(key: bytes) -> str:
    return f"interactions:{key.hex()}"
