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
from sqlalchemy import delete, select

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
from node.store.login_logouts import TELL, logouts_of
from node.store.login_tables import LOGIN_SESSIONS, SESSION_PARTIES
from node.store.short import Run
from node.store.times import from_micros, to_micros

__all__ = ["MOST_SHOWN", "SessionRows"]

MOST_SHOWN: Final = 50
"""Sessions of one person on a page."""

_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 24
_KEPT: Final = timedelta(days=1)
_S: Final = LOGIN_SESSIONS.c
_P: Final = SESSION_PARTIES.c

_INSERT: Final = (
    "INSERT INTO login_sessions "
    "(session_id, token, issuer, subject, upstream_sid, sealed, created_at, expires_at) VALUES "
    "(:session_id, :token, :issuer, :subject, :upstream_sid, :sealed, :created_at, :expires_at)"
)
_GO_ON: Final = (
    "UPDATE login_sessions SET token = :token, issuer = :issuer, subject = :subject, upstream_sid = :upstream_sid, "
    "sealed = :sealed, expires_at = :expires_at WHERE session_id = :session_id"
)
_AT_WORK: Final = (
    "SELECT session_id, issuer, subject, created_at FROM login_sessions "
    "WHERE token = :token AND ended_at IS NULL AND expires_at > :now"
)
_GOES_ON: Final = (
    "SELECT issuer, subject FROM login_sessions "
    "WHERE session_id = :session_id AND ended_at IS NULL AND expires_at > :now"
)
_SUBJECT: Final = (
    "SELECT subject FROM subjects "
    "WHERE issuer = :issuer AND issuer_subject = :subject AND audience = :audience"
)
_TAKE_PART: Final = (
    "INSERT INTO session_parties (session_id, client_id, sid, subject, joined_at) "
    "VALUES (:session_id, :client_id, :sid, :subject, :now) ON CONFLICT DO NOTHING"
)
_BY_COOKIE: Final = (
    "SELECT session_id, sealed, created_at, expires_at, ended_at FROM login_sessions "
    "WHERE token = :token AND expires_at > :now"
)
_BY_ID: Final = (
    "SELECT session_id, sealed, created_at, expires_at, ended_at FROM login_sessions "
    "WHERE session_id = :session_id"
)
_BY_PARTY: Final = (
    "SELECT s.session_id, s.sealed, s.created_at, s.expires_at, s.ended_at FROM session_parties p "
    "JOIN login_sessions s ON s.session_id = p.session_id WHERE p.sid = :sid AND p.client_id = :client_id"
)
_END: Final = (
    "UPDATE login_sessions SET ended_at = :now WHERE session_id = :session_id AND ended_at IS NULL "
    "AND expires_at > :now RETURNING issuer, subject, upstream_sid"
)
_REVOKE: Final = (
    "UPDATE grants SET revoked_at = :now "
    "WHERE session_id = :session_id AND offline = 0 AND revoked_at IS NULL"
)
_REVOKE_ALL: Final = (
    "UPDATE grants SET revoked_at = :now WHERE issuer = :issuer AND subject = :subject AND revoked_at IS NULL"
)
_PARTIES: Final = "SELECT client_id, sid, subject FROM session_parties WHERE session_id = :session_id"


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
        # On SQLite a transaction that writes has the only write lock already.
        self._lock = " FOR UPDATE" if database.dialect == "postgresql" else ""

    # --- the browser's ---

    async def begin(
        self, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        """As `Sessions.begin`."""
        return await self._database.change(
            lambda run: self.begin_in(run, identity, id_token=id_token, replaces=replaces)
        )

    def begin_in(
        self, run: Run, identity: Identity, *, id_token: str = "", replaces: str = ""
    ) -> tuple[str, Session]:
        """As `Writes.begin_session`."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock.now()
        old = self._at_work(run, replaces, to_micros(now))
        if old is not None and old[1:3] != (identity.issuer, identity.subject):
            self._end(run, old[0], upwards=False)
            old = None
        created_at = to_micros(now) if old is None else old[3]
        session = Session(
            session_id=secrets.token_urlsafe(_ID_BYTES) if old is None else old[0],
            identity=identity,
            created_at=_s(from_micros(created_at)),
            expires_at=_s(now + self._life),
            id_token=id_token,
        )
        values = self._values(session, token, now + self._life)
        if old is None:
            run(_INSERT, **values, created_at=created_at)
        else:
            run(_GO_ON, **values)
        return token, session

    async def find(self, token: str) -> Session | None:
        """As `Sessions.find`. Raises OwnRecordDamaged."""
        found = await self.by_token(token)
        return None if found is None or found.has_ended else found.session

    async def add_party(self, session_id: str, party: RelyingParty, sid: str) -> bool:
        """As `Sessions.add_party`."""
        return await self._database.change(lambda run: self.add_party_in(run, session_id, party, sid))

    def goes_on_in(self, run: Run, session_id: str) -> bool:
        """As `Writes.goes_on`."""
        return self._person_of(run, session_id, to_micros(self._clock.now())) is not None

    def add_party_in(self, run: Run, session_id: str, party: RelyingParty, sid: str) -> bool:
        """As `Writes.take_part`."""
        now = to_micros(self._clock.now())
        person = self._person_of(run, session_id, now)
        if person is None:
            return False
        issuer, subject = person
        audience = party.sector or party.client_id
        told = run(_SUBJECT, issuer=issuer, subject=subject, audience=audience).row
        run(
            _TAKE_PART,
            session_id=session_id,
            client_id=party.client_id,
            sid=sid,
            subject="" if told is None else told[0],
            now=now,
        )
        return True

    async def sid_for(self, session_id: str, client_id: str) -> str:
        """As `Sessions.sid_for`: of no row, so that it is the same before and after somebody takes part."""
        return sid_of(session_id, client_id)

    # --- for ending ---

    async def by_token(self, token: str) -> EndedSession | None:
        """As `SessionEndings.by_token`. Raises OwnRecordDamaged."""
        if not token:
            return None
        now = to_micros(self._clock.now())
        return await self._one(_BY_COOKIE, token=_hash(token), now=now)

    async def by_id(self, session_id: str) -> EndedSession | None:
        """As `SessionEndings.by_id`. Raises OwnRecordDamaged."""
        return await self._one(_BY_ID, session_id=session_id)

    async def by_party(self, client_id: str, sid: str) -> EndedSession | None:
        """As `SessionEndings.by_party`. Raises OwnRecordDamaged."""
        return await self._one(_BY_PARTY, client_id=client_id, sid=sid)

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
            ShownSession(
                session=self._opened(row.session_id, bytes(row.sealed), row.created_at, row.expires_at),
                parties=tuple(parties[row.session_id][:MOST_PARTIES]),
            )
            for row in rows
        ]

    async def end(self, session_id: str, *, told_by: str = "") -> bool:
        """As `SessionEndings.end`: one transaction."""
        return await self._database.change(
            lambda run: self._end(run, session_id, told_by=told_by, upwards=True)
        )

    async def revoke_all(self, issuer: str, subject: str) -> int:
        """As `SessionEndings.revoke_all`."""
        now = to_micros(self._clock.now())
        return await self._database.change(
            lambda run: run(_REVOKE_ALL, issuer=issuer, subject=subject, now=now).changed
        )

    async def forget_expired(self) -> int:
        """Delete the sessions that expired a day ago, with who took part; how many. For a background loop."""
        before = to_micros(self._clock.now() - _KEPT)
        gone = select(_S.session_id).where(_S.expires_at <= before)
        async with self._database.writing() as connection:
            await connection.execute(delete(SESSION_PARTIES).where(_P.session_id.in_(gone)))
            return (await connection.execute(delete(LOGIN_SESSIONS).where(_S.expires_at <= before))).rowcount

    # --- inside ---

    def _person_of(self, run: Run, session_id: str, now: int) -> tuple[Any, ...] | None:
        """Issuer and subject of a session that goes on, and does so until the transaction is over."""
        return run(_GOES_ON + self._lock, session_id=session_id, now=now).row

    def _at_work(self, run: Run, token: str, now: int) -> tuple[Any, ...] | None:
        return run(_AT_WORK + self._lock, token=_hash(token), now=now).row if token else None

    def _end(self, run: Run, session_id: str, *, upwards: bool, told_by: str = "") -> bool:
        now = self._clock.now()
        ended = run(_END, session_id=session_id, now=to_micros(now)).row
        if ended is None:
            return False
        issuer, subject, upstream_sid = ended
        run(_REVOKE, session_id=session_id, now=to_micros(now))
        taking_part = run(_PARTIES, session_id=session_id).rows
        parties = [Party(client_id=one[0], sid=one[1], subject=one[2]) for one in taking_part]
        if upwards and upstream_sid and issuer != self._identity_provider:
            parties.append(Party(client_id=issuer, sid=upstream_sid, subject=subject))
        for row in logouts_of(session_id, parties, now, told_by=told_by):
            run(TELL, **row)
        return True

    async def _one(self, sql: str, **parameters: Any) -> EndedSession | None:
        rows = await self._database.look(sql, **parameters)
        if not rows:
            return None
        session_id, sealed, created_at, expires_at, ended_at = rows[0]
        return EndedSession(
            session=self._opened(session_id, bytes(sealed), created_at, expires_at),
            ended_at=NEVER_ENDED if ended_at is None else _s(from_micros(ended_at)),
        )

    def _values(self, session: Session, token: str, expires_at: datetime) -> dict[str, Any]:
        plain = msgspec.json.encode(_Sealed(session.identity, session.id_token))
        return {
            "session_id": session.session_id,
            "token": _hash(token),
            "issuer": session.identity.issuer,
            "subject": session.identity.subject,
            "upstream_sid": session.identity.upstream_sid,
            "sealed": self._seal.seal(_context(session.session_id), plain),
            "expires_at": to_micros(expires_at),
        }

    def _opened(self, session_id: str, sealed: bytes, created_at: int, expires_at: int) -> Session:
        kept = msgspec.json.decode(self._seal.open(_context(session_id), sealed), type=_Sealed)
        return Session(
            session_id=session_id,
            identity=kept.identity,
            created_at=_s(from_micros(created_at)),
            expires_at=_s(from_micros(expires_at)),
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
