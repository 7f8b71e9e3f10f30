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
from node.store.short import Run
from node.store.times import from_micros, to_micros

__all__ = ["ConflictRows", "WitnessRows", "hold", "lock_of"]

_LOCKS = 0x59524457
"""The first of the two numbers of this module's advisory locks (PostgreSQL)."""
_STALLED_MS: Final = 1500
"""After this long in the middle of a transaction a stalled process loses it (PostgreSQL)."""
_WAIT_MS: Final = 1800
"""How long one waits for another: longer than a stalled one holds up, shorter than a log waits for its answer
(`federation.settling.SettlingParts.request_s`).
"""
_LIMITS: Final = (
    f"SELECT set_config('idle_in_transaction_session_timeout', '{_STALLED_MS}', true),"
    f" set_config('lock_timeout', '{_WAIT_MS}', true)"
)
_LOCK: Final = "SELECT pg_advisory_xact_lock(CAST(:first AS integer), CAST(:second AS integer))"
_HOUR = timedelta(hours=1)

_WITNESSED = "origin, entity_id, generation, size, root, note, cosigned_at"
_NEWEST = (
    f"SELECT {_WITNESSED} FROM witnessed WHERE entity_id = :entity_id"  # noqa: S608 - names of ours
    " ORDER BY generation DESC LIMIT 1"
)
_SIZES = "SELECT origin, size FROM witnessed"
_KNOW = (
    f"INSERT INTO witnessed ({_WITNESSED})"  # noqa: S608 - names of ours
    " VALUES (:origin, :entity_id, :generation, :size, :root, :note, :at)"
    " ON CONFLICT (origin) DO UPDATE SET generation = excluded.generation, size = excluded.size,"
    " root = excluded.root, note = excluded.note, cosigned_at = excluded.cosigned_at"
    " WHERE witnessed.entity_id = excluded.entity_id"
)
_EXTENDED = (
    "UPDATE log_conflicts SET settled_at = :at"  # noqa: S608 - words of ours
    f" WHERE kind IN ({', '.join(repr(kind.value) for kind in sorted(UNTIL_EXTENDED))})"
    " AND settled_at IS NULL AND origin = :origin"
)

_CONFLICT = "id, kind, entity_id, origin, at, known, offered, detail, digest, settled_at"
_CONFLICTS = f"SELECT {_CONFLICT} FROM log_conflicts"  # noqa: S608 - names of ours
_OPEN = f"{_CONFLICTS} WHERE settled_at IS NULL"
_ANY_OPEN = "SELECT id FROM log_conflicts WHERE settled_at IS NULL LIMIT 1"
_HAS = "SELECT id FROM log_conflicts WHERE digest = :digest"
_RECENT = "SELECT count(*) FROM log_conflicts WHERE entity_id = :entity_id AND at > :since AND kind = :kind"
_KEEP = (
    "INSERT INTO log_conflicts (digest, at, entity_id, origin, kind, known, offered, detail)"
    " VALUES (:digest, :at, :entity_id, :origin, :kind, :known, :offered, :detail) ON CONFLICT DO NOTHING"
)
_NOTE_ONE = "UPDATE log_conflicts SET settled_at = :at WHERE id = :number AND settled_at IS NULL"
_NOTE_ALL = "UPDATE log_conflicts SET settled_at = :at WHERE kind = :kind AND settled_at IS NULL"


class WitnessRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def advance(self, entity_id: str, decide: Callable[[Witnessed | None], Witnessed]) -> Witnessed:
        """Write what `decide` makes of the newest generation that was cosigned; see `WitnessStore`."""

        def steps(run: Run) -> Witnessed:
            hold(run, self._database, entity_id)
            known = _newest(run, entity_id)
            after = decide(known)
            if after != known:
                _write(run, after)
            if known is not None and after.origin == known.origin and after.size > known.size:
                # What alarmed only until this log extends what was known needs nobody to take note any more.
                run(_EXTENDED, at=to_micros(after.cosigned_at), origin=after.origin)
            return after

        return await self._database.change(steps)

    async def newest(self, entity_id: str) -> Witnessed | None:
        """The newest generation that was cosigned for that entity."""
        return await self._database.read(lambda run: _newest(run, entity_id))

    async def sizes(self) -> Mapping[str, int]:
        """What was cosigned last, by origin."""
        return dict(await self._database.look(_SIZES))


def hold(run: Run, database: Database, name: str) -> None:
    """Let no other transaction come between that holds the same name. SQLite's already has the only write lock."""
    if database.dialect == "postgresql":
        first, second = lock_of(name)
        run(_LIMITS)
        run(_LOCK, first=first, second=second)


def lock_of(name: str) -> tuple[int, int]:
    """The advisory lock of an entity (PostgreSQL)."""
    return _LOCKS, int.from_bytes(sha256(name.encode()).digest()[:4], "big", signed=True)


def _newest(run: Run, entity_id: str) -> Witnessed | None:
    row = run(_NEWEST, entity_id=entity_id).row
    if row is None:
        return None
    origin, _, generation, size, root, note, cosigned_at = row
    return Witnessed(origin, entity_id, generation, size, bytes(root), note, from_micros(cosigned_at))


def _write(run: Run, known: Witnessed) -> None:
    written = run(
        _KNOW,
        origin=known.origin,
        entity_id=known.entity_id,
        generation=known.generation,
        size=known.size,
        root=known.root,
        note=known.note,
        at=to_micros(known.cosigned_at),
    )
    if written.changed != 1:
        raise SharedOrigin(known.origin, known.entity_id)


class ConflictRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, conflict: Conflict) -> bool:
        """Keep a conflict; False when it is kept already, or the entity has had this kind's share of the hour."""
        if await self._database.look(_HAS, digest=conflict.digest):  # a repeat writes nothing
            return False
        return await self._database.change(lambda run: self._keep(run, conflict))

    def _keep(self, run: Run, conflict: Conflict) -> bool:
        hold(run, self._database, conflict.entity_id)
        of = {"entity_id": conflict.entity_id, "kind": conflict.kind.value}
        most = MOST_PROVEN_AN_HOUR if conflict.kind in PROVEN_KINDS else MOST_CONFLICTS_AN_HOUR
        if run(_RECENT, since=to_micros(conflict.at - _HOUR), **of).rows[0][0] >= most:
            return False
        kept = run(
            _KEEP,
            digest=conflict.digest,
            at=to_micros(conflict.at),
            origin=conflict.origin,
            known=conflict.known,
            offered=conflict.offered,
            detail=conflict.detail,
            **of,
        )
        return kept.changed == 1

    async def unacknowledged(self, *, limit: int) -> Sequence[Conflict]:
        """Those of which no operator took note, newest first."""
        rows = await self._database.look(f"{_OPEN} ORDER BY id DESC LIMIT :most", most=limit)
        return [_conflict(row) for row in rows]

    async def open_of_each_kind(self, *, limit: int) -> Sequence[Conflict]:
        """Those of which no operator took note, at most `limit` of each kind: what one can do over and over hides
        nothing of another kind. First what the log itself must have brought about, then the newest.
        """

        def steps(run: Run) -> list[Conflict]:
            kinds = ConflictKind if run(_ANY_OPEN).row else ()
            sql = f"{_OPEN} AND kind = :kind ORDER BY id DESC LIMIT :most"
            return [_conflict(row) for kind in kinds for row in run(sql, kind=kind.value, most=limit).rows]

        found = await self._database.read(steps)
        return sorted(found, key=lambda one: (one.kind not in PROVEN_KINDS, -one.number))

    async def newest(self, *, limit: int) -> Sequence[Conflict]:
        """All of them, newest first."""
        rows = await self._database.look(f"{_CONFLICTS} ORDER BY id DESC LIMIT :most", most=limit)
        return [_conflict(row) for row in rows]

    async def acknowledge(self, number: int, at: datetime) -> Conflict | None:
        """Note that an operator took note; None when there is no such conflict. A second time changes nothing."""

        def steps(run: Run) -> Conflict | None:
            run(_NOTE_ONE, number=number, at=to_micros(at))
            row = run(f"{_CONFLICTS} WHERE id = :number", number=number).row
            return None if row is None else _conflict(row)

        return await self._database.change(steps)

    async def acknowledge_all(self, kind: ConflictKind, at: datetime) -> int:
        """Note that an operator took note of all of one kind; of how many."""
        return await self._database.change(
            lambda run: run(_NOTE_ALL, kind=kind.value, at=to_micros(at)).changed
        )


def _conflict(row: Sequence[Any]) -> Conflict:
    number, kind, entity_id, origin, at, known, offered, detail, digest, settled_at = row
    return Conflict(
        kind=ConflictKind(kind),
        entity_id=entity_id,
        origin=origin,
        at=from_micros(at),
        known=known,
        offered=offered,
        detail=detail,
        digest=bytes(digest),
        number=number,
        acknowledged_at=None if settled_at is None else from_micros(settled_at),
    )
