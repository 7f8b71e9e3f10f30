"""Sessions as rows: `federation.login.ports.Sessions`, and how others than their browser find and end them.

A cookie's token is 256 random bits, kept as its SHA-256; what is known about the citizen is sealed. A row outlives its
session by a day, so that a log-out that comes late is recognised, and its page can be looked at again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.login.model import Identity, RelyingParty, Session
from federation.login.ports import Seal
from federation.login.sessions import (
    MOST_PARTIES,
    NEVER_ENDED,
    EndedSession,
    Party,
    ShownSession,
    sid_of,
)
from federation.ports import Clock
from node.store.database import Database
from node.store.login_logouts import logouts_of
from node.store.login_tables import GRANTS, LOGIN_SESSIONS, LOGOUTS, SESSION_PARTIES, SUBJECTS
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into

__all__ = ["MOST_SHOWN", "SessionRows"]

MOST_SHOWN: Final = 50
"""Sessions of one person on a page."""

_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 24
_KEPT: Final = timedelta(days=1)
_S: Final = LOGIN_SESSIONS.c
_P: Final = SESSION_PARTIES.c


class _Sealed(msgspec.Struct, frozen=True):
    identity: Identity
    id_token: str = ""


class SessionRows:
    """`life_s` is how long a session lives; one that hangs on another issuer than the own `identity_provider` is a
    peer node's citizen's. Every method raises OwnStoreUnavailable.
    """

    def __init__(
        self, database: Database, seal: Seal, clock: Clock, *, identity_provider: str, life_s: float
    ) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock
        self._identity_provider = identity_provider
        self._life = timedelta(seconds=life_s)

    # --- the browser's ---

    async def begin(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        """As `Sessions.begin`."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock.now()
        async with self._database.writing() as connection:
            old = await self._at_work(connection, replaces)
            if old is not None and (old.issuer, old.subject) != (identity.issuer, identity.subject):
                await self._end(connection, old.session_id, upwards=False)
                old = None
            session = Session(
                session_id=secrets.token_urlsafe(_ID_BYTES) if old is None else old.session_id,
                identity=identity,
                created_at=_s(now if old is None else from_micros(old.created_at)),
                expires_at=_s(now + self._life),
                id_token=id_token,
            )
            values = self._values(session, token, now + self._life)
            if old is None:
                row = {**values, "session_id": session.session_id, "created_at": to_micros(now)}
                await connection.execute(insert(LOGIN_SESSIONS).values(row))
            else:
                change = update(LOGIN_SESSIONS).where(_S.session_id == old.session_id)
                await connection.execute(change.values(values))
        return token, session

    async def find(self, token: str) -> Session | None:
        """As `Sessions.find`. Raises OwnRecordDamaged."""
        found = await self.by_token(token)
        return None if found is None or found.has_ended else found.session

    async def add_party(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        """As `Sessions.add_party`."""
        now = to_micros(self._clock.now())
        subject = (
            select(SUBJECTS.c.subject)
            .where(
                SUBJECTS.c.issuer == _S.issuer,
                SUBJECTS.c.issuer_subject == _S.subject,
                SUBJECTS.c.audience == (party.sector or party.client_id),
            )
            .scalar_subquery()
        )
        going_on = (
            select(
                _S.session_id,
                literal(party.client_id),
                literal(sid),
                func.coalesce(subject, ""),
                literal(now),
            )
            .where(_S.session_id == session_id, *_goes_on(now))
            # Waits for a log-out that is at work on PostgreSQL, which then leaves nothing to take part in.
            .with_for_update(read=True, of=LOGIN_SESSIONS)
        )
        names = ["session_id", "client_id", "sid", "subject", "joined_at"]
        row = insert_into(self._database, SESSION_PARTIES).from_select(names, going_on)
        async with self._database.writing() as connection:
            if (await connection.execute(row.on_conflict_do_nothing())).rowcount == 1:
                return True
            still = select(_S.session_id).where(_S.session_id == session_id, *_goes_on(now))
            return (await connection.execute(still)).one_or_none() is not None

    async def sid_for(self, session_id: str, client_id: str) -> str:
        """As `Sessions.sid_for`: of no row, so that it is the same before and after somebody takes part."""
        return sid_of(session_id, client_id)

    # --- for ending ---

    async def by_token(self, token: str) -> EndedSession | None:
        """As `SessionEndings.by_token`. Raises OwnRecordDamaged."""
        if not token:
            return None
        return await self._one(_S.token == _hash(token), _S.expires_at > to_micros(self._clock.now()))

    async def by_id(self, session_id: str) -> EndedSession | None:
        """As `SessionEndings.by_id`. Raises OwnRecordDamaged."""
        return await self._one(_S.session_id == session_id)

    async def by_party(self, client_id: str, sid: str) -> EndedSession | None:
        """As `SessionEndings.by_party`. Raises OwnRecordDamaged."""
        session = select(_P.session_id).where(_P.sid == sid, _P.client_id == client_id)
        return await self._one(_S.session_id == session.scalar_subquery())

    async def by_issuer(self, issuer: str, *, sid: str = "", subject: str = "") -> Sequence[str]:
        """As `SessionEndings.by_issuer`."""
        if not sid and not subject:
            return ()
        query = select(_S.session_id).where(_S.issuer == issuer, *_goes_on(to_micros(self._clock.now())))
        if sid:
            query = query.where(_S.upstream_sid == sid)
        if subject:
            query = query.where(_S.subject == subject)
        async with self._database.reading() as connection:
            return [str(one) for one in (await connection.execute(query)).scalars()]

    async def parties(self, session_id: str) -> Sequence[Party]:
        """As `SessionEndings.parties`."""
        query = (
            select(SESSION_PARTIES).where(_P.session_id == session_id).order_by(_P.joined_at, _P.client_id)
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(query.limit(MOST_PARTIES))
            return [Party(client_id=row.client_id, sid=row.sid, subject=row.subject) for row in rows]

    async def of_person(self, issuer: str, subject: str) -> Sequence[ShownSession]:
        """As `SessionEndings.of_person`: `MOST_SHOWN` at most. Raises OwnRecordDamaged."""
        now = to_micros(self._clock.now())
        query = (
            select(LOGIN_SESSIONS)
            .where(_S.issuer == issuer, _S.subject == subject, *_goes_on(now))
            .order_by(_S.created_at.desc(), _S.session_id)
            .limit(MOST_SHOWN)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
            taking_part = select(_P.session_id, _P.client_id).where(
                _P.session_id.in_([row.session_id for row in rows])
            )
            found = (await connection.execute(taking_part.order_by(_P.joined_at, _P.client_id))).all()
        parties: dict[str, list[str]] = {row.session_id: [] for row in rows}
        for one in found:
            parties[one.session_id].append(one.client_id)
        return [
            ShownSession(session=self._session(row), parties=tuple(parties[row.session_id][:MOST_PARTIES]))
            for row in rows
        ]

    async def end(self, session_id: str, *, told_by: str = "") -> bool:
        """As `SessionEndings.end`: one transaction."""
        async with self._database.writing() as connection:
            return await self._end(connection, session_id, told_by=told_by, upwards=True)

    async def forget_expired(self) -> int:
        """Delete the sessions that expired a day ago, with who took part; how many. For a background loop."""
        before = to_micros(self._clock.now() - _KEPT)
        gone = select(_S.session_id).where(_S.expires_at <= before)
        async with self._database.writing() as connection:
            await connection.execute(delete(SESSION_PARTIES).where(_P.session_id.in_(gone)))
            return (await connection.execute(delete(LOGIN_SESSIONS).where(_S.expires_at <= before))).rowcount

    # --- inside ---

    async def _at_work(self, connection: AsyncConnection, token: str) -> Row[Any] | None:
        if not token:
            return None
        query = select(LOGIN_SESSIONS).where(
            _S.token == _hash(token), *_goes_on(to_micros(self._clock.now()))
        )
        return (await connection.execute(query.with_for_update())).one_or_none()

    async def _end(
        self, connection: AsyncConnection, session_id: str, *, upwards: bool, told_by: str = ""
    ) -> bool:
        now = self._clock.now()
        change = update(LOGIN_SESSIONS).where(_S.session_id == session_id, *_goes_on(to_micros(now)))
        ended = change.values(ended_at=to_micros(now)).returning(_S.issuer, _S.subject, _S.upstream_sid)
        row = (await connection.execute(ended)).one_or_none()
        if row is None:
            return False
        revoke = update(GRANTS).where(
            GRANTS.c.session_id == session_id, GRANTS.c.offline == 0, GRANTS.c.revoked_at.is_(None)
        )
        await connection.execute(revoke.values(revoked_at=to_micros(now)))
        taking_part = (
            await connection.execute(select(SESSION_PARTIES).where(_P.session_id == session_id))
        ).all()
        parties = [Party(client_id=one.client_id, sid=one.sid, subject=one.subject) for one in taking_part]
        if upwards and row.upstream_sid and row.issuer != self._identity_provider:
            parties.append(Party(client_id=row.issuer, sid=row.upstream_sid, subject=row.subject))
        if rows := logouts_of(session_id, parties, now, told_by=told_by):
            await connection.execute(insert(LOGOUTS), rows)
        return True

    async def _one(self, *conditions: Any) -> EndedSession | None:
        async with self._database.reading() as connection:
            row = (await connection.execute(select(LOGIN_SESSIONS).where(*conditions))).one_or_none()
        if row is None:
            return None
        ended_at = NEVER_ENDED if row.ended_at is None else _s(from_micros(row.ended_at))
        return EndedSession(session=self._session(row), ended_at=ended_at)

    def _values(self, session: Session, token: str, expires_at: datetime) -> dict[str, Any]:
        plain = msgspec.json.encode(_Sealed(session.identity, session.id_token))
        return {
            "token": _hash(token),
            "issuer": session.identity.issuer,
            "subject": session.identity.subject,
            "upstream_sid": session.identity.upstream_sid,
            "sealed": self._seal.seal(_context(session.session_id), plain),
            "expires_at": to_micros(expires_at),
        }

    def _session(self, row: Row[Any]) -> Session:
        plain = self._seal.open(_context(row.session_id), bytes(row.sealed))
        kept = msgspec.json.decode(plain, type=_Sealed)
        return Session(
            session_id=row.session_id,
            identity=kept.identity,
            created_at=_s(from_micros(row.created_at)),
            expires_at=_s(from_micros(row.expires_at)),
            id_token=kept.id_token,
        )


def _goes_on(now: int) -> tuple[Any, Any]:
    return _S.ended_at.is_(None), _S.expires_at > now


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _context(session_id: str) -> str:
    return f"login_sessions:{session_id}"


def _s(moment: datetime) -> int:
    """Whole seconds, as tokens and pages have them."""
    return int(moment.timestamp())
