"""Grants of logins with their codes and refresh tokens: `federation.login.ports.Grants` as rows.

Codes and tokens are random and kept as SHA-256. Each is redeemed by one conditional update, so that of two who bring it
at once, on whatever replica, one gets the grant and the other ends it.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

import msgspec
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.login.model import Grant
from federation.login.ports import Seal
from federation.ports import Clock
from node.store.database import Database
from node.store.login_tables import GRANTS, LOGIN_CODES, REFRESH_TOKENS
from node.store.times import to_micros

__all__ = ["GrantRows"]

_DECODER = msgspec.json.Decoder(Grant)
_MICROS = 1_000_000


class GrantRows:
    """Every method raises OwnStoreUnavailable; those that return a grant, OwnRecordDamaged too."""

    def __init__(self, database: Database, seal: Seal, clock: Clock) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock

    async def open(self, grant: Grant, *, code_life_s: int) -> str:
        """Keep a grant and make its code."""
        code = secrets.token_urlsafe(32)
        row = insert(GRANTS).values(
            grant_id=grant.grant_id,
            client_id=grant.client_id,
            session_id=grant.session_id,
            issuer=grant.agreed.identity.issuer,
            subject=grant.agreed.identity.subject,
            offline=int("offline_access" in grant.request.scopes),
            sealed=self._seal.seal(_context(grant.grant_id), msgspec.json.encode(grant)),
            expires_at=grant.expires_at * _MICROS,
        )
        of_code = insert(LOGIN_CODES).values(
            code=_digest(code),
            grant_id=grant.grant_id,
            client_id=grant.client_id,
            expires_at=self._in(code_life_s),
        )
        async with self._database.writing() as connection:
            await connection.execute(row)
            await connection.execute(of_code)
        return code

    async def redeem(self, code: str, client_id: str) -> Grant | None:
        """As `Grants.redeem`."""
        async with self._database.writing() as connection:
            return await self._redeem(connection, LOGIN_CODES, LOGIN_CODES.c.code == _digest(code), client_id)

    async def redeem_refresh(self, token: str, client_id: str, *, rotates: bool) -> Grant | None:
        """As `Grants.redeem_refresh`."""
        if not rotates:
            return await self.find_refresh(token, client_id)
        async with self._database.writing() as connection:
            return await self._redeem(
                connection, REFRESH_TOKENS, REFRESH_TOKENS.c.token == _digest(token), client_id
            )

    async def find_refresh(self, token: str, client_id: str) -> Grant | None:
        """The grant of a refresh token that would be redeemed; nothing changes."""
        row = select(REFRESH_TOKENS.c.grant_id).where(
            REFRESH_TOKENS.c.token == _digest(token),
            REFRESH_TOKENS.c.client_id == client_id,
            REFRESH_TOKENS.c.used_at.is_(None),
            REFRESH_TOKENS.c.expires_at > self._now(),
        )
        async with self._database.reading() as connection:
            grant_id = (await connection.execute(row)).scalar_one_or_none()
            return None if grant_id is None else await self._find(connection, grant_id)

    async def find(self, grant_id: str) -> Grant | None:
        """A grant that holds."""
        async with self._database.reading() as connection:
            return await self._find(connection, grant_id)

    async def issue_refresh(self, grant: Grant, *, life_s: int) -> str:
        """A refresh token of this grant."""
        token = secrets.token_urlsafe(32)
        row = insert(REFRESH_TOKENS).values(
            token=_digest(token),
            grant_id=grant.grant_id,
            client_id=grant.client_id,
            expires_at=self._in(life_s),
        )
        async with self._database.writing() as connection:
            await connection.execute(row)
        return token

    async def revoke(self, grant_id: str) -> bool:
        """End a grant with all that belongs to it."""
        async with self._database.writing() as connection:
            return await self._revoke(connection, grant_id)

    async def revoke_session(self, session_id: str, *, keep_offline: bool) -> int:
        """End the grants of a session; those with offline_access stay when `keep_offline`. How many ended."""
        change = (
            update(GRANTS)
            .where(GRANTS.c.session_id == session_id, GRANTS.c.revoked_at.is_(None))
            .values(revoked_at=self._now())
        )
        if keep_offline:
            change = change.where(GRANTS.c.offline == 0)
        async with self._database.writing() as connection:
            return (await connection.execute(change)).rowcount

    async def forget_expired(self) -> int:
        """Delete what has expired; how many rows. For a background loop."""
        now = self._now()
        gone = 0
        async with self._database.writing() as connection:
            for table in (LOGIN_CODES, REFRESH_TOKENS, GRANTS):
                gone += (await connection.execute(delete(table).where(table.c.expires_at <= now))).rowcount
        return gone

    async def _redeem(
        self, connection: AsyncConnection, table: Table, is_it: object, client_id: str
    ) -> Grant | None:
        now = self._now()
        use = (
            update(table)
            .where(
                is_it,  # type: ignore[arg-type]
                table.c.client_id == client_id,
                table.c.used_at.is_(None),
                table.c.expires_at > now,
            )
            .values(used_at=now)
            .returning(table.c.grant_id)
        )
        grant_id = (await connection.execute(use)).scalar_one_or_none()
        if grant_id is not None:
            return await self._find(connection, grant_id)
        known = select(table.c.grant_id, table.c.client_id, table.c.used_at).where(is_it)  # type: ignore[arg-type]
        row = (await connection.execute(known)).one_or_none()
        if row is not None and (row.used_at is not None or row.client_id != client_id):
            await self._revoke(connection, row.grant_id)
        return None

    async def _revoke(self, connection: AsyncConnection, grant_id: str) -> bool:
        change = (
            update(GRANTS)
            .where(GRANTS.c.grant_id == grant_id, GRANTS.c.revoked_at.is_(None))
            .values(revoked_at=self._now())
        )
        return (await connection.execute(change)).rowcount == 1

    async def _find(self, connection: AsyncConnection, grant_id: str) -> Grant | None:
        query = select(GRANTS.c.sealed).where(
            GRANTS.c.grant_id == grant_id, GRANTS.c.revoked_at.is_(None), GRANTS.c.expires_at > self._now()
        )
        sealed = (await connection.execute(query)).scalar_one_or_none()
        return None if sealed is None else _DECODER.decode(self._seal.open(_context(grant_id), sealed))

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _in(self, life_s: int) -> int:
        return to_micros(self._clock.now() + timedelta(seconds=life_s))


def _context(grant_id: str) -> str:
    return f"grants:{grant_id}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
