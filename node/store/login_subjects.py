"""Subjects as rows: `federation.login.ports.Subjects`. They are random, so neither a rotation of keys nor another
algorithm ever touches them (design §8).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from federation.ports import Clock
from node.store.database import Database
from node.store.short import Run
from node.store.times import to_micros

__all__ = ["SubjectRows"]

_SUBJECT_BYTES = 24
_KNOWN = (
    "SELECT subject FROM subjects "
    "WHERE issuer = :issuer AND issuer_subject = :issuer_subject AND audience = :audience"
)
_ADD = (
    "INSERT INTO subjects (subject, issuer, issuer_subject, audience, created_at) "
    "VALUES (:subject, :issuer, :issuer_subject, :audience, :created_at) ON CONFLICT DO NOTHING"
)
_PERSON = "SELECT issuer, issuer_subject FROM subjects WHERE subject = :subject AND audience = :audience"


class SubjectRows:
    """Every method raises OwnStoreUnavailable, and is safe to repeat."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def subject_for(self, issuer: str, subject: str, audience: str) -> str:
        """As `Subjects.subject_for`."""
        of = {"issuer": issuer, "issuer_subject": subject, "audience": audience}
        if known := await self._database.look(_KNOWN, **of):
            return str(known[0][0])
        return await self._database.change(lambda run: self._made(run, of))

    def subject_in(self, run: Run, issuer: str, subject: str, audience: str) -> str:
        """As `Writes.subject_for`."""
        of = {"issuer": issuer, "issuer_subject": subject, "audience": audience}
        known = run(_KNOWN, **of).row
        return self._made(run, of) if known is None else str(known[0])

    def _made(self, run: Run, of: Mapping[str, str]) -> str:
        """Of replicas that ask at once one inserts; the others wait for it and read what it made."""
        made, now = secrets.token_urlsafe(_SUBJECT_BYTES), to_micros(self._clock.now())
        run(_ADD, subject=made, created_at=now, **of)
        return str(run(_KNOWN, **of).rows[0][0])

    async def person_of(self, subject: str, audience: str) -> tuple[str, str] | None:
        """As `Subjects.person_of`."""
        found = await self._database.look(_PERSON, subject=subject, audience=audience)
        return (str(found[0][0]), str(found[0][1])) if found else None
