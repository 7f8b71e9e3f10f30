"""Subjects as rows: `federation.login.ports.Subjects`. They are random, so neither a rotation of keys nor another
algorithm ever touches them (design §8).
"""

from __future__ import annotations

import secrets

from sqlalchemy import select

from federation.ports import Clock
from node.store.database import Database
from node.store.login_tables import SUBJECTS
from node.store.times import to_micros
from node.store.upsert import insert_into

__all__ = ["SubjectRows"]

_SUBJECT_BYTES = 24
_T = SUBJECTS.c


class SubjectRows:
    """Every method raises OwnStoreUnavailable, and is safe to repeat."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        """As `Subjects.subject_for`."""
        known = select(_T.subject).where(
            _T.issuer == issuer, _T.issuer_subject == subject, _T.audience == audience
        )
        async with self._database.reading() as connection:
            found = (await connection.execute(known)).scalar_one_or_none()
        if found is not None:
            return str(found)
        row = insert_into(self._database, SUBJECTS).values(
            subject=secrets.token_urlsafe(_SUBJECT_BYTES),
            issuer=issuer,
            issuer_subject=subject,
            audience=audience,
            created_at=to_micros(self._clock.now()),
        )
        async with self._database.writing() as connection:
            # Of replicas that ask at once one inserts; the others wait for it and read what it made.
            await connection.execute(row.on_conflict_do_nothing())
            return str((await connection.execute(known)).scalar_one())

    async def person_of(self, subject: str, audience: str) -> tuple[str, str] | None:
        """As `Subjects.person_of`."""
        query = select(_T.issuer, _T.issuer_subject).where(_T.subject == subject, _T.audience == audience)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).one_or_none()
        return None if found is None else (str(found.issuer), str(found.issuer_subject))
