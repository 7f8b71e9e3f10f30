"""The rows of the node's own keys: public part, state, what is planned, and where the private part is.

What becomes of them is decided elsewhere (`node.keystore`): here a decision sees the rows and writes them in one
transaction, so that replicas that decide at the same time decide one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from node.store.database import Database
from node.store.tables import KEYS
from node.store.times import from_micros, to_micros

__all__ = ["Decide", "KeyRow", "KeyRows", "KeyState"]


class KeyState(StrEnum):
    """The life of a key, in this order."""

    PUBLISHED = "published"
    """Peers may learn it; nothing is signed with it yet."""
    ACTIVE = "active"
    """What is signed now is signed with it."""
    PASSIVE = "passive"
    """Nothing is signed with it any more; what was is still taken by everyone."""
    RETIRED = "retired"
    """Only history: what was signed with it before stays verifiable as evidence."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key. `generation` counts the keys of a purpose from 1.

    `backend` names the source of the private part, and `wrapped` means something to that source alone.
    `activates_at` and `retires_at` are planned, `activated_at` and `retired_at` have happened.
    """

    kid: str
    purpose: str
    alg: str
    state: KeyState
    generation: int
    public_jwk: Mapping[str, Any]
    wrapped: bytes = field(repr=False)
    created_at: datetime
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    retired_reason: str = ""
    backend: str = "store"
    activates_at: datetime | None = None
    retires_at: datetime | None = None


_TIMES = ("activated_at", "retired_at", "activates_at", "retires_at")


Decide = Callable[[Sequence[KeyRow]], Sequence[KeyRow]]
"""From the rows as they are to the rows as they should be; it may raise, and then nothing changes."""


class KeyRows:
    """Keys that all replicas share. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[KeyRow]:
        """All keys, oldest generation first."""
        async with self._database.reading() as connection:
            return await _all_of(connection)

    async def change(self, decide: Decide) -> Sequence[KeyRow]:
        """Have `decide` look at the rows and write what it changed, in one transaction that no other replica's
        change can come between. Returns the rows as they are then. What `decide` raises comes through.
        """
        async with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # On SQLite the transaction has the only write lock already.
                await connection.exec_driver_sql("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE")
            before = {row.kid: row for row in await _all_of(connection)}
            after = decide(list(before.values()))
            for row in after:
                if row.kid not in before:
                    await connection.execute(insert(KEYS).values(_values(row)))
                elif row != before[row.kid]:
                    await connection.execute(update(KEYS).where(KEYS.c.kid == row.kid).values(_values(row)))
        return after


async def _all_of(connection: AsyncConnection) -> list[KeyRow]:
    query = select(KEYS).order_by(KEYS.c.purpose, KEYS.c.generation)
    return [_key(row) for row in (await connection.execute(query)).mappings()]


def _times(row: KeyRow) -> dict[str, int | None]:
    found = {name: getattr(row, name) for name in _TIMES}
    return {name: None if at is None else to_micros(at) for name, at in found.items()}


def _values(row: KeyRow) -> dict[str, Any]:
    return {
        "kid": row.kid,
        "purpose": row.purpose,
        "alg": row.alg,
        "state": row.state.value,
        "generation": row.generation,
        "public_jwk": json.dumps(dict(row.public_jwk)),
        "wrapped": row.wrapped,
        "created_at": to_micros(row.created_at),
        "retired_reason": row.retired_reason,
        "backend": row.backend,
        **_times(row),
    }


def _key(row: Mapping[Any, Any]) -> KeyRow:
    times = {name: None if row[name] is None else from_micros(row[name]) for name in _TIMES}
    return KeyRow(
        kid=row["kid"],
        purpose=row["purpose"],
        alg=row["alg"],
        state=KeyState(row["state"]),
        generation=row["generation"],
        public_jwk=json.loads(row["public_jwk"]),
        wrapped=bytes(row["wrapped"]),
        created_at=from_micros(row["created_at"]),
        retired_reason=row["retired_reason"],
        backend=row["backend"],
        **times,
    )
