"""Trust statements, their rollback marks and the operator's denials. Implements
`federation.statements.TrustStore`.

Everything but the status and the lists of former keys is also kept as it was, since an exchange must stay provable
after the statements of its day were replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.statements import Denial, StatementKind, StoredStatement
from node.store.database import Database
from node.store.tables import DENIES, STATEMENT_HISTORY, STATEMENTS
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into
from trust.errors import StatementRolledBack

__all__ = ["TrustRows"]

_S = STATEMENTS.c
_H = STATEMENT_HISTORY.c
_NEWEST_ONLY = frozenset({StatementKind.STATUS, StatementKind.HISTORICAL_KEYS})
"""What is signed every minute, and what is newer says all that the older one did."""


class TrustRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_statements(self) -> Sequence[StoredStatement]:
        """The newest of each (iss, sub, kind), also expired ones: their marks still count."""
        async with self._database.reading() as connection:
            return [_statement(row) for row in (await connection.execute(select(STATEMENTS))).mappings()]

    async def save_statement(self, statement: StoredStatement) -> None:
        """Insert or replace in one conditional statement. Raises StatementRolledBack for a lower mark."""
        kept = {
            "token": statement.token,
            "mark": statement.mark,
            "etag": statement.etag,
            "seen_at": to_micros(statement.seen_at),
        }
        row = insert_into(self._database, STATEMENTS).values(**_key(statement), **kept)
        row = row.on_conflict_do_update(
            index_elements=[_S.issuer, _S.subject, _S.kind], set_=kept, where=_may_follow(statement)
        )
        async with self._database.writing() as connection:
            saved = (await connection.execute(row)).rowcount == 1
            if saved and statement.kind not in _NEWEST_ONLY:
                await self._keep(connection, statement)
        if not saved:
            who = f"the {statement.kind.value} by {statement.iss} about {statement.sub}"
            raise StatementRolledBack(f"{who} is older than one seen before, or another under its number")

    async def drop_statement(self, statement: StoredStatement) -> None:
        """Remove the row if it still is this one; what it was stays in the history."""
        row = delete(STATEMENTS).where(
            _S.issuer == statement.iss,
            _S.subject == statement.sub,
            _S.kind == statement.kind.value,
            _S.mark == statement.mark,
            _S.token == statement.token,
        )
        async with self._database.writing() as connection:
            await connection.execute(row)

    async def find_statement(
        self, iss: str, sub: str, kind: StatementKind, *, at: datetime
    ) -> StoredStatement | None:
        """What this node knew at that time: the newest it had seen by then, else the first it saw afterwards.

        A status and a list of former keys have no history: it is the newest.
        """
        async with self._database.reading() as connection:
            if kind in _NEWEST_ONLY:
                query = select(STATEMENTS).where(_S.issuer == iss, _S.subject == sub, _S.kind == kind.value)
                row = (await connection.execute(query)).mappings().one_or_none()
                return None if row is None else _statement(row)
            one = select(STATEMENT_HISTORY).where(_H.issuer == iss, _H.subject == sub, _H.kind == kind.value)
            seen = one.where(_H.first_seen_at <= to_micros(at)).order_by(_H.mark.desc()).limit(1)
            found = (await connection.execute(seen)).mappings().one_or_none()
            if found is None:
                first = one.order_by(_H.mark).limit(1)
                found = (await connection.execute(first)).mappings().one_or_none()
        return None if found is None else _past_statement(found)

    async def load_denials(self) -> Sequence[Denial]:
        """All denials of now, by entity id."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(DENIES).order_by(DENIES.c.entity_id))
            return [
                Denial(row["entity_id"], row["reason"], from_micros(row["denied_at"]))
                for row in rows.mappings()
            ]

    async def deny(self, denial: Denial) -> None:
        """Add or replace the denial of an entity."""
        kept = {"reason": denial.reason, "denied_at": to_micros(denial.denied_at)}
        row = insert_into(self._database, DENIES).values(entity_id=denial.entity_id, **kept)
        row = row.on_conflict_do_update(index_elements=[DENIES.c.entity_id], set_=kept)
        async with self._database.writing() as connection:
            await connection.execute(row)

    async def allow(self, entity_id: str) -> None:
        """Take back the denial of an entity; none is no error."""
        async with self._database.writing() as connection:
            await connection.execute(delete(DENIES).where(DENIES.c.entity_id == entity_id))

    async def _keep(self, connection: AsyncConnection, statement: StoredStatement) -> None:
        row = insert_into(self._database, STATEMENT_HISTORY).values(
            **_key(statement),
            mark=statement.mark,
            token=statement.token,
            first_seen_at=to_micros(statement.seen_at),
        )
        # Two in the same second: the later one was in force for longer.
        key = [_H.issuer, _H.subject, _H.kind, _H.mark]
        await connection.execute(
            row.on_conflict_do_update(index_elements=key, set_={"token": statement.token})
        )


def _may_follow(statement: StoredStatement) -> ColumnElement[bool]:
    """Which stored rows may be replaced: see TrustStore.save_statement."""
    if statement.kind in (StatementKind.STATUS, StatementKind.ROLL_OVERS):
        return or_(_S.mark < statement.mark, and_(_S.mark == statement.mark, _S.token == statement.token))
    return _S.mark <= statement.mark


def _key(statement: StoredStatement) -> dict[str, Any]:
    return {"issuer": statement.iss, "subject": statement.sub, "kind": statement.kind.value}


def _statement(row: Mapping[Any, Any]) -> StoredStatement:
    return StoredStatement(
        iss=row["issuer"],
        sub=row["subject"],
        kind=StatementKind(row["kind"]),
        token=row["token"],
        mark=row["mark"],
        etag=row["etag"],
        seen_at=from_micros(row["seen_at"]),
    )


def _past_statement(row: Mapping[Any, Any]) -> StoredStatement:
    return StoredStatement(
        iss=row["issuer"],
        sub=row["subject"],
        kind=StatementKind(row["kind"]),
        token=row["token"],
        mark=row["mark"],
        etag="",
        seen_at=from_micros(row["first_seen_at"]),
    )
