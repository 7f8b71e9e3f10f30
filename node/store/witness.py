"""What this node cosigned as a witness, and the conflicts that it saw. Implements `federation.witness.WitnessStore` and
`federation.log_conflicts.ConflictStore`.

Reading what is known, deciding and writing it is one transaction per entity, one after the other: on SQLite by BEGIN
IMMEDIATE, on PostgreSQL by an advisory lock on the entity, which holds for its first row too. A process that is frozen
in the middle loses its transaction, and the lock with it, before those that wait give up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.log_conflicts import (
    MOST_CONFLICTS_AN_HOUR,
    MOST_PROVEN_AN_HOUR,
    PROVEN_KINDS,
    UNTIL_EXTENDED,
    Conflict,
    ConflictKind,
)
from federation.witness import SharedOrigin, Witnessed
from node.store.database import Database
from node.store.tables import LOG_CONFLICTS, WITNESSED
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into

__all__ = ["ConflictRows", "WitnessRows", "hold", "lock_of"]

_LOCKS = 0x59524457
"""The first of the two numbers of this module's advisory locks (PostgreSQL)."""
_STALLED_MS: Final = 1500
"""After this long in the middle of a transaction a stalled process loses it (PostgreSQL)."""
_WAIT_MS: Final = 1800
"""How long one waits for another: longer than a stalled one holds up, shorter than a log waits for its answer
(`federation.settling.SettlingParts.request_s`).
"""
_LIMITS: Final = select(
    func.set_config("idle_in_transaction_session_timeout", str(_STALLED_MS), True),
    func.set_config("lock_timeout", str(_WAIT_MS), True),
)
_HOUR = timedelta(hours=1)
_W = WITNESSED.c
_C = LOG_CONFLICTS.c


_ANY_OPEN: Final = select(_C.id).where(_C.settled_at.is_(None)).limit(1)


class WitnessRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def advance(self, entity_id: str, decide: Callable[[Witnessed | None], Witnessed]) -> Witnessed:
        """Write what `decide` makes of the newest generation that was cosigned; see `WitnessStore`."""
        async with self._database.writing() as connection:
            await hold(connection, entity_id)
            known = await _newest(connection, entity_id)
            after = decide(known)
            if after != known:
                await self._write(connection, after)
            if known is not None and after.origin == known.origin and after.size > known.size:
                await _close_extended(connection, after)
        return after

    async def newest(self, entity_id: str) -> Witnessed | None:
        """The newest generation that was cosigned for that entity."""
        async with self._database.reading() as connection:
            return await _newest(connection, entity_id)

    async def sizes(self) -> Mapping[str, int]:
        """What was cosigned last, by origin."""
        async with self._database.reading() as connection:
            return {row.origin: row.size for row in await connection.execute(select(_W.origin, _W.size))}

    async def _write(self, connection: AsyncConnection, known: Witnessed) -> None:
        values = {
            "entity_id": known.entity_id,
            "generation": known.generation,
            "size": known.size,
            "root": known.root,
            "note": known.note,
            "cosigned_at": to_micros(known.cosigned_at),
        }
        row = insert_into(self._database, WITNESSED).values(origin=known.origin, **values)
        upsert = row.on_conflict_do_update(
            index_elements=[_W.origin], set_=values, where=_W.entity_id == known.entity_id
        )
        if (await connection.execute(upsert)).rowcount != 1:
            raise SharedOrigin(known.origin, known.entity_id)


async def hold(connection: AsyncConnection, name: str) -> None:
    """Let no other transaction come between that holds the same name. SQLite's already has the only write lock."""
    if connection.dialect.name == "postgresql":
        await connection.execute(_LIMITS)
        await connection.execute(select(func.pg_advisory_xact_lock(*lock_of(name))))


def lock_of(name: str) -> tuple[int, int]:
    """The advisory lock of an entity (PostgreSQL)."""
    return _LOCKS, int.from_bytes(sha256(name.encode()).digest()[:4], "big", signed=True)


async def _newest(connection: AsyncConnection, entity_id: str) -> Witnessed | None:
    query = select(WITNESSED).where(_W.entity_id == entity_id).order_by(_W.generation.desc()).limit(1)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _witnessed(row)


async def _close_extended(connection: AsyncConnection, after: Witnessed) -> None:
    """What alarmed only until this log extends what was known needs nobody to take note any more."""
    over = (_C.kind.in_(UNTIL_EXTENDED), _C.settled_at.is_(None), _C.origin == after.origin)
    await connection.execute(
        update(LOG_CONFLICTS).where(*over).values(settled_at=to_micros(after.cosigned_at))
    )


def _witnessed(row: Mapping[Any, Any]) -> Witnessed:
    return Witnessed(
        origin=row["origin"],
        entity_id=row["entity_id"],
        generation=row["generation"],
        size=row["size"],
        root=bytes(row["root"]),
        note=row["note"],
        cosigned_at=from_micros(row["cosigned_at"]),
    )


class ConflictRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, conflict: Conflict) -> bool:
        """Keep a conflict; False when it is kept already, or the entity has had this kind's share of the hour."""
        if await self._has(conflict):  # a repeat writes nothing
            return False
        most = MOST_PROVEN_AN_HOUR if conflict.kind in PROVEN_KINDS else MOST_CONFLICTS_AN_HOUR
        async with self._database.writing() as connection:
            await hold(connection, conflict.entity_id)
            since = to_micros(conflict.at - _HOUR)
            recent = select(func.count()).where(
                _C.entity_id == conflict.entity_id, _C.at > since, _C.kind == conflict.kind.value
            )
            if (await connection.execute(recent)).scalar_one() >= most:
                return False
            row = insert_into(self._database, LOG_CONFLICTS).values(
                digest=conflict.digest,
                at=to_micros(conflict.at),
                entity_id=conflict.entity_id,
                origin=conflict.origin,
                kind=conflict.kind.value,
                known=conflict.known,
                offered=conflict.offered,
                detail=conflict.detail,
            )
            return bool((await connection.execute(row.on_conflict_do_nothing())).rowcount == 1)

    async def unacknowledged(self, *, limit: int) -> Sequence[Conflict]:
        """Those of which no operator took note, newest first."""
        return await self._all(limit, _C.settled_at.is_(None))

    async def open_of_each_kind(self, *, limit: int) -> Sequence[Conflict]:
        """Those of which no operator took note, at most `limit` of each kind: what one can do over and over hides
        nothing of another kind. First what the log itself must have brought about, then the newest.
        """
        found: list[Conflict] = []
        async with self._database.reading() as connection:
            if (await connection.execute(_ANY_OPEN)).first() is None:
                return found
            for kind in ConflictKind:
                query = select(LOG_CONFLICTS).where(_C.kind == kind.value, _C.settled_at.is_(None))
                rows = await connection.execute(query.order_by(_C.id.desc()).limit(limit))
                found += [_conflict(row) for row in rows.mappings()]
        return sorted(found, key=lambda one: (one.kind not in PROVEN_KINDS, -one.number))

    async def newest(self, *, limit: int) -> Sequence[Conflict]:
        """All of them, newest first."""
        return await self._all(limit)

    async def acknowledge(self, number: int, at: datetime) -> Conflict | None:
        """Note that an operator took note; None when there is no such conflict. A second time changes nothing."""
        async with self._database.writing() as connection:
            noted = update(LOG_CONFLICTS).where(_C.id == number, _C.settled_at.is_(None))
            await connection.execute(noted.values(settled_at=to_micros(at)))
            row = (
                (await connection.execute(select(LOG_CONFLICTS).where(_C.id == number)))
                .mappings()
                .one_or_none()
            )
        return None if row is None else _conflict(row)

    async def acknowledge_all(self, kind: ConflictKind, at: datetime) -> int:
        """Note that an operator took note of all of one kind; of how many."""
        noted = update(LOG_CONFLICTS).where(_C.kind == kind.value, _C.settled_at.is_(None))
        async with self._database.writing() as connection:
            return (await connection.execute(noted.values(settled_at=to_micros(at)))).rowcount

    async def _has(self, conflict: Conflict) -> bool:
        async with self._database.reading() as connection:
            known = select(_C.id).where(_C.digest == conflict.digest)
            return (await connection.execute(known)).scalar_one_or_none() is not None

    async def _all(self, limit: int, *conditions: Any) -> Sequence[Conflict]:
        query = select(LOG_CONFLICTS).where(*conditions).order_by(_C.id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_conflict(row) for row in (await connection.execute(query)).mappings()]


def _conflict(row: Mapping[Any, Any]) -> Conflict:
    return Conflict(
        kind=ConflictKind(row["kind"]),
        entity_id=row["entity_id"],
        origin=row["origin"],
        at=from_micros(row["at"]),
        known=row["known"],
        offered=row["offered"],
        detail=row["detail"],
        digest=bytes(row["digest"]),
        number=row["id"],
        acknowledged_at=None if row["settled_at"] is None else from_micros(row["settled_at"]),
    )
