"""Who is still to be told that a session has ended, as rows: any replica takes them up, at most one at a time.

A row is due from `next_try_at` on. Whoever takes it up moves that on first, so that a replica that dies meanwhile
leaves it to another. A row that is done is due no more, and stays for the page that says what was ended.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, select, update

from federation.login.logout import LIFE_S, TOLD_US, DueLogout, LogoutShown
from federation.login.sessions import MOST_PARTIES, Party
from federation.ports import Clock
from node.store.database import Database
from node.store.login_tables import LOGOUTS
from node.store.times import to_micros

__all__ = ["TELL", "LogoutRows", "logouts_of"]

_NEVER: Final = 2**63 - 1
_KEPT: Final = timedelta(days=1)
_ID_BYTES: Final = 24
_T: Final = LOGOUTS.c

TELL: Final = (
    "INSERT INTO logouts (logout_id, session_id, client_id, sid, subject, attempts, next_try_at, expires_at, done_at, "
    "outcome) VALUES (:logout_id, :session_id, :client_id, :sid, :subject, :attempts, :next_try_at, :expires_at, "
    ":done_at, :outcome)"
)
"""Keeps one of `logouts_of`, in the words of `node.store.short`."""


def logouts_of(
    session_id: str, parties: Sequence[Party], now: datetime, *, told_by: str = "", life_s: float = LIFE_S
) -> list[dict[str, Any]]:
    """The rows for those who took part in a session that ends now. `told_by` knows already; `life_s` is how long the
    others are told again.
    """
    at = to_micros(now)
    return [
        {
            "logout_id": secrets.token_urlsafe(_ID_BYTES),
            "session_id": session_id,
            "client_id": party.client_id,
            "sid": party.sid,
            "subject": party.subject,
            "attempts": 0,
            "next_try_at": _NEVER if party.client_id == told_by else at,
            "expires_at": to_micros(now + timedelta(seconds=life_s)),
            "done_at": at if party.client_id == told_by else None,
            "outcome": TOLD_US if party.client_id == told_by else "",
        }
        for party in parties
    ]


class LogoutRows:
    """`federation.login.logout.LogoutQueue`. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take_due(self, *, lease_s: float, limit: int) -> Sequence[DueLogout]:
        """As `LogoutQueue.take_due`."""
        now = self._clock.now()
        due = (
            select(_T.logout_id).where(_T.next_try_at <= to_micros(now)).order_by(_T.next_try_at).limit(limit)
        )
        async with self._database.reading() as connection:
            ids = [str(one) for one in (await connection.execute(due)).scalars()]
        return await self._take(ids, now, lease_s) if ids else ()

    async def take_of(self, session_id: str, *, lease_s: float) -> Sequence[DueLogout]:
        """As `LogoutQueue.take_of`."""
        now = self._clock.now()
        due = select(_T.logout_id).where(_T.session_id == session_id, _T.next_try_at <= to_micros(now))
        async with self._database.reading() as connection:
            ids = [str(one) for one in (await connection.execute(due.limit(MOST_PARTIES))).scalars()]
        return await self._take(ids, now, lease_s) if ids else ()

    async def settle(self, logout_id: str, outcome: str) -> None:
        """As `LogoutQueue.settle`."""
        async with self._database.writing() as connection:
            await connection.execute(
                self._done(outcome).where(_T.logout_id == logout_id, _T.done_at.is_(None))
            )

    async def postpone(self, logout_id: str, *, until: datetime, outcome: str) -> None:
        """As `LogoutQueue.postpone`."""
        change = update(LOGOUTS).where(_T.logout_id == logout_id, _T.done_at.is_(None))
        async with self._database.writing() as connection:
            await connection.execute(change.values(next_try_at=to_micros(until), outcome=outcome))

    async def of_session(self, session_id: str) -> Sequence[LogoutShown]:
        """As `LogoutQueue.of_session`."""
        query = select(_T.client_id, _T.outcome, _T.done_at, _T.attempts).where(_T.session_id == session_id)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(_T.client_id).limit(MOST_PARTIES))
            return [
                LogoutShown(client_id=row.client_id, is_done=row.done_at is not None, outcome=row.outcome)
                for row in rows
            ]

    async def forget_expired(self) -> int:
        """Delete those whose time was over a day ago; how many. For a background loop."""
        before = to_micros(self._clock.now() - _KEPT)
        async with self._database.writing() as connection:
            return (await connection.execute(delete(LOGOUTS).where(_T.expires_at <= before))).rowcount

    # --- inside ---

    async def _take(self, ids: Sequence[str], now: datetime, lease_s: float) -> Sequence[DueLogout]:
        """Those of `ids` that nobody else took meanwhile."""
        mine = (
            update(LOGOUTS)
            .where(_T.logout_id.in_(ids), _T.next_try_at <= to_micros(now))
            .values(attempts=_T.attempts + 1, next_try_at=to_micros(now + timedelta(seconds=lease_s)))
            .returning(LOGOUTS)
        )
        async with self._database.writing() as connection:
            return [_due(row) for row in (await connection.execute(mine)).all()]

    def _done(self, outcome: str) -> Any:
        now = to_micros(self._clock.now())
        return update(LOGOUTS).values(done_at=now, next_try_at=_NEVER, outcome=outcome)


def _due(row: Row[Any]) -> DueLogout:
    return DueLogout(
        logout_id=row.logout_id,
        party=Party(client_id=row.client_id, sid=row.sid, subject=row.subject),
        attempts=row.attempts,
        expires_at=row.expires_at // 1_000_000,
    )
