"""What citizens agreed to give at each login, as rows: `federation.login.ports.Agreements`.

Names of claims are kept, never their values. Agreeing to more adds to what was agreed to before. Two replicas may each
insert a row for the same recipient at once; all that hold count together, and are withdrawn together.

Another node that something is taken back from is told in the way of log-outs (`login_logouts`): what it granted on it
to its platforms ends as well, however long it was to live.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.login.model import Agreement, Identity, OnBehalf
from federation.login.sessions import Party
from federation.ports import Clock
from node.store.database import Database
from node.store.login_logouts import logouts_of
from node.store.login_tables import AGREEMENTS, GRANTS, LOGOUTS, SUBJECTS
from node.store.short import Run
from node.store.times import from_micros, to_micros

__all__ = ["MOST_SHOWN", "TOLD_FOR_S", "AgreementRows"]

MOST_SHOWN: Final = 200
"""Agreements of one citizen on a page."""

TOLD_FOR_S: Final = 90 * 86400
"""How long a node that is away is told again: no refresh token lives longer (`LoginSection.refresh_s`)."""

_ID_BYTES: Final = 18
_T: Final = AGREEMENTS.c
_COLUMNS: Final = (
    _T.agreement_id,
    _T.recipient,
    _T.platform,
    _T.platform_name,
    _T.claims,
    _T.given_at,
    _T.withdrawn_at,
)
_Row = tuple[Any, ...]
"""Of these columns."""

_HOLDING: Final = (
    "SELECT agreement_id, recipient, platform, platform_name, claims, given_at, withdrawn_at FROM agreements "
    "WHERE issuer = :issuer AND subject = :subject AND recipient = :recipient AND platform = :platform "
    "AND withdrawn_at IS NULL ORDER BY given_at DESC, agreement_id"
)
_ADD: Final = (
    "UPDATE agreements SET claims = :claims, platform_name = :platform_name "
    "WHERE agreement_id = :agreement_id AND withdrawn_at IS NULL"
)
_GIVE: Final = (
    "INSERT INTO agreements (agreement_id, issuer, subject, recipient, platform, platform_name, claims, given_at) "
    "VALUES (:agreement_id, :issuer, :subject, :recipient, :platform, :platform_name, :claims, :given_at)"
)


class AgreementRows:
    """Of the node `own_entity`. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock, *, own_entity: str) -> None:
        self._database = database
        self._clock = clock
        self._own_entity = own_entity

    async def find(self, identity: Identity, recipient: str, platform: str) -> Agreement | None:
        """As `Agreements.find`."""
        rows = await self._database.look(_HOLDING, **_key(identity, recipient, platform))
        return _agreement(rows) if rows else None

    async def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        """As `Agreements.remember`."""
        return await self._database.change(
            lambda run: self.remember_in(run, identity, recipient, platform, claims)
        )

    def remember_in(
        self, run: Run, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        """As `Writes.remember`."""
        of, now = _key(identity, recipient, platform.client_id), to_micros(self._clock.now())
        before = run(_HOLDING, **of).rows
        named = {"platform_name": platform.name}
        together = _written(_claims(before) | claims)
        # Where it is withdrawn just now (on PostgreSQL), it is as if that had come first.
        if not before or not run(_ADD, agreement_id=before[0][0], claims=together, **named).changed:
            new = {
                "agreement_id": secrets.token_urlsafe(_ID_BYTES),
                "claims": _written(claims),
                "given_at": now,
            }
            run(_GIVE, **new, **named, **of)
        return _agreement(run(_HOLDING, **of).rows)

    async def of(self, identity: Identity) -> Sequence[Agreement]:
        """As `Agreements.of`: `MOST_SHOWN` at most."""
        query = (
            select(*_COLUMNS)
            .where(_T.issuer == identity.issuer, _T.subject == identity.subject)
            .order_by(_T.given_at.desc(), _T.agreement_id)
            .limit(MOST_SHOWN)
        )
        async with self._database.reading() as connection:
            return [_agreement([tuple(row)]) for row in (await connection.execute(query)).all()]

    async def withdraw(self, identity: Identity, agreement_id: str) -> bool:
        """As `Agreements.withdraw`: in one transaction with the grants to whoever received, and with the row by which
        another node is told.
        """
        now = to_micros(self._clock.now())
        mine = (_T.issuer == identity.issuer, _T.subject == identity.subject)
        named = select(AGREEMENTS).where(_T.agreement_id == agreement_id, *mine, _T.withdrawn_at.is_(None))
        async with self._database.writing() as connection:
            row = (await connection.execute(named)).one_or_none()
            if row is None:
                return False
            of_this = (_T.recipient == row.recipient, _T.platform == row.platform, _T.withdrawn_at.is_(None))
            await connection.execute(update(AGREEMENTS).where(*mine, *of_this).values(withdrawn_at=now))
            client_id = row.platform if row.recipient == self._own_entity else row.recipient
            revoke = update(GRANTS).where(
                GRANTS.c.issuer == identity.issuer,
                GRANTS.c.subject == identity.subject,
                GRANTS.c.client_id == client_id,
                GRANTS.c.revoked_at.is_(None),
            )
            await connection.execute(revoke.values(revoked_at=now))
            if row.recipient != self._own_entity:
                await self._tell(connection, identity, row.recipient, agreement_id)
        return True

    async def _tell(
        self, connection: AsyncConnection, identity: Identity, recipient: str, agreement_id: str
    ) -> None:
        """Have the node told that knows the citizen by a subject; about no session (the row's is the agreement)."""
        subject = select(SUBJECTS.c.subject).where(
            SUBJECTS.c.issuer == identity.issuer,
            SUBJECTS.c.issuer_subject == identity.subject,
            SUBJECTS.c.audience == recipient,
        )
        known = (await connection.execute(subject)).scalar_one_or_none()
        if known is not None:
            told = Party(client_id=recipient, sid="", subject=known)
            rows = logouts_of(agreement_id, [told], self._clock.now(), life_s=TOLD_FOR_S)
            await connection.execute(insert(LOGOUTS), rows)


def _key(identity: Identity, recipient: str, platform: str) -> dict[str, str]:
    return {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "recipient": recipient,
        "platform": platform,
    }


def _written(claims: frozenset[str]) -> str:
    return orjson.dumps(sorted(claims)).decode()


def _claims(rows: Iterable[_Row]) -> frozenset[str]:
    return frozenset(name for row in rows for name in orjson.loads(row[4]))


def _agreement(rows: Sequence[_Row]) -> Agreement:
    """What the newest of the rows says, with the claims of all."""
    agreement_id, recipient, platform, platform_name, _, given_at, withdrawn_at = rows[0]
    return Agreement(
        agreement_id=agreement_id,
        recipient=recipient,
        platform=platform,
        platform_name=platform_name,
        claims=_claims(rows),
        given_at=int(from_micros(given_at).timestamp()),
        withdrawn_at=None if withdrawn_at is None else int(from_micros(withdrawn_at).timestamp()),
    )
