"""The rows of the node's own keys: public part, state, and the private part as the key-encryption key wrapped
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select, update

from node.store.database import Database
from node.store.tables import KEYS
from node.store.times import from_micros, to_micros

__all__ = ["KeyRow", "KeyRows", "KeyState"]


class KeyState(StrEnum):
    """The life of a key, in this order."""

    PUBLISHED = "published"
    """Peers may learn it; nothing is signed with it yet."""
    ACTIVE = "active"
    """What is signed now is signed with it."""
    RETIRED = "retired"
    """Nothing is signed with it any more; what was stays verifiable."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key. `generation` counts the keys of a purpose from 1; `wrapped` means nothing without its wrapping
    key.
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


class KeyRows:
    """Keys that all replicas share. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[KeyRow]:
        """All keys, oldest generation first."""
        query = select(KEYS).order_by(KEYS.c.purpose, KEYS.c.generation)
        async with self._database.reading() as connection:
            return [_key(row) for row in (await connection.execute(query)).mappings()]

    async def add(self, row: KeyRow) -> None:
        """Add one key with the next generation of its purpose, whatever `row.generation` says.

        An ACTIVE one retires the one that was active, in the same transaction.
        """
        async with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # One numbering for all replicas; on SQLite the transaction has the only write lock already.
                await connection.exec_driver_sql("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE")
            newest = select(func.coalesce(func.max(KEYS.c.generation), 0)).where(
                KEYS.c.purpose == row.purpose
            )
            generation = int((await connection.execute(newest)).scalar_one()) + 1
            if row.state is KeyState.ACTIVE:
                await connection.execute(_retire_active(row.purpose, row.created_at, "replaced"))
            await connection.execute(insert(KEYS).values(**_values(row), generation=generation))

    async def activate(self, kid: str, purpose: str, at: datetime) -> bool:
        """Make a published key the active one and retire the one before it, in one transaction.

        False, with nothing changed, when it is not a published key any more.
        """
        retired = _retire_active(purpose, at, "replaced").where(KEYS.c.kid != kid)
        change = (
            update(KEYS)
            .where(KEYS.c.kid == kid, KEYS.c.state == KeyState.PUBLISHED.value)
            .values(state=KeyState.ACTIVE.value, activated_at=to_micros(at))
        )
        async with self._database.writing() as connection:
            if (await connection.execute(change)).rowcount != 1:
                return False
            await connection.execute(retired)
        return True

    async def retire(self, kid: str, at: datetime, reason: str) -> None:
        """Retire a key; one that is retired keeps its first time and reason."""
        change = (
            update(KEYS)
            .where(KEYS.c.kid == kid, KEYS.c.state != KeyState.RETIRED.value)
            .values(state=KeyState.RETIRED.value, retired_at=to_micros(at), retired_reason=reason)
        )
        async with self._database.writing() as connection:
            await connection.execute(change)


def _retire_active(purpose: str, at: datetime, reason: str) -> Any:
    return (
        update(KEYS)
        .where(KEYS.c.purpose == purpose, KEYS.c.state == KeyState.ACTIVE.value)
        .values(state=KeyState.RETIRED.value, retired_at=to_micros(at), retired_reason=reason)
    )


def _values(row: KeyRow) -> dict[str, Any]:
    return {
        "kid": row.kid,
        "purpose": row.purpose,
        "alg": row.alg,
        "state": row.state.value,
        "public_jwk": json.dumps(dict(row.public_jwk)),
        "wrapped": row.wrapped,
        "created_at": to_micros(row.created_at),
        "activated_at": None if row.activated_at is None else to_micros(row.activated_at),
        "retired_at": None if row.retired_at is None else to_micros(row.retired_at),
        "retired_reason": row.retired_reason,
    }


def _key(row: Mapping[Any, Any]) -> KeyRow:
    return KeyRow(
        kid=row["kid"],
        purpose=row["purpose"],
        alg=row["alg"],
        state=KeyState(row["state"]),
        generation=row["generation"],
        public_jwk=json.loads(row["public_jwk"]),
        wrapped=bytes(row["wrapped"]),
        created_at=from_micros(row["created_at"]),
        activated_at=None if row["activated_at"] is None else from_micros(row["activated_at"]),
        retired_at=None if row["retired_at"] is None else from_micros(row["retired_at"]),
        retired_reason=row["retired_reason"],
    )
