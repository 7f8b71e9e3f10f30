"""What citizens agreed to give at each login, as rows: `federation.login.ports.Agreements`.

Names of claims are kept, never their values. Agreeing to more adds to what was agreed to before. Two replicas may each
insert a row for the same recipient at once; all that hold count together, and are withdrawn together.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.login.model import Agreement, Identity, OnBehalf
from federation.ports import Clock
from node.store.database import Database
from node.store.login_tables import AGREEMENTS, GRANTS
from node.store.times import from_micros, to_micros

__all__ = ["MOST_SHOWN", "AgreementRows"]

MOST_SHOWN: Final = 200
"""Agreements of one citizen on a page."""

_ID_BYTES: Final = 18
_T: Final = AGREEMENTS.c


class AgreementRows:
    """Of the node `own_entity`. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock, *, own_entity: str) -> None:
        self._database = database
        self._clock = clock
        self._own_entity = own_entity

    async def find(self, identity: Identity, recipient: str, platform: str) -> Agreement | None:
        """As `Agreements.find`."""
        async with self._database.reading() as connection:
            rows = await _holding(connection, identity, recipient, platform)
        return _agreement(rows) if rows else None

    async def remember(
        self, identity: Identity, recipient: str, platform: OnBehalf, claims: frozenset[str]
    ) -> Agreement:
        """As `Agreements.remember`."""
        now = to_micros(self._clock.now())
        async with self._database.writing() as connection:
            before = await _holding(connection, identity, recipient, platform.client_id)
            together = _claims(before) | claims
            said = {"claims": orjson.dumps(sorted(together)).decode(), "platform_name": platform.name}
            if before:
                newest = update(AGREEMENTS).where(_T.agreement_id == before[0].agreement_id)
                await connection.execute(newest.values(said))
            else:
                row = {
                    **said,
                    "agreement_id": secrets.token_urlsafe(_ID_BYTES),
                    "issuer": identity.issuer,
                    "subject": identity.subject,
                    "recipient": recipient,
                    "platform": platform.client_id,
                    "given_at": now,
                }
                await connection.execute(insert(AGREEMENTS).values(row))
            return _agreement(await _holding(connection, identity, recipient, platform.client_id))

    async def of(self, identity: Identity) -> Sequence[Agreement]:
        """As `Agreements.of`: `MOST_SHOWN` at most."""
        query = (
            select(AGREEMENTS)
            .where(_T.issuer == identity.issuer, _T.subject == identity.subject)
            .order_by(_T.given_at.desc(), _T.agreement_id)
            .limit(MOST_SHOWN)
        )
        async with self._database.reading() as connection:
            return [_agreement([row]) for row in (await connection.execute(query)).all()]

    async def withdraw(self, identity: Identity, agreement_id: str) -> bool:
        """As `Agreements.withdraw`: in one transaction with the grants to whoever received."""
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
        return True


async def _holding(
    connection: AsyncConnection, identity: Identity, recipient: str, platform: str
) -> Sequence[Row[Any]]:
    query = select(AGREEMENTS).where(
        _T.issuer == identity.issuer,
        _T.subject == identity.subject,
        _T.recipient == recipient,
        _T.platform == platform,
        _T.withdrawn_at.is_(None),
    )
    return (await connection.execute(query.order_by(_T.given_at.desc(), _T.agreement_id))).all()


def _claims(rows: Iterable[Row[Any]]) -> frozenset[str]:
    return frozenset(name for row in rows for name in orjson.loads(row.claims))


def _agreement(rows: Sequence[Row[Any]]) -> Agreement:
    newest = rows[0]
    return Agreement(
        agreement_id=newest.agreement_id,
        recipient=newest.recipient,
        platform=newest.platform,
        platform_name=newest.platform_name,
        claims=_claims(rows),
        given_at=int(from_micros(newest.given_at).timestamp()),
        withdrawn_at=None
        if newest.withdrawn_at is None
        else int(from_micros(newest.withdrawn_at).timestamp()),
    )
