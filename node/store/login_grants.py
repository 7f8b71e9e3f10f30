"""Grants of logins with their codes and refresh tokens: `federation.login.ports.Grants` as rows.

Codes and tokens are random and kept as SHA-256. Each is redeemed by one conditional update, so that of two who bring it
at once, on whatever replica, one gets the grant and the other ends it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec

from federation.login.model import Grant
from federation.login.ports import Seal
from federation.login.uses import Use
from federation.ports import Clock
from node.store.database import Database
from node.store.replay import use_up
from node.store.short import Run
from node.store.times import to_micros

__all__ = ["GrantRows"]

_DECODER = msgspec.json.Decoder(Grant)
_MICROS: Final = 1_000_000


class _Once(NamedTuple):
    """What is good once, and how that is made sure."""

    add: str
    use: str
    known: str


_SECRETS = _Once(
    add="INSERT INTO {table} ({key}, grant_id, client_id, expires_at) "
    "VALUES (:secret, :grant_id, :client_id, :expires_at)",
    use="UPDATE {table} SET used_at = :now WHERE {key} = :secret AND client_id = :client_id AND used_at IS NULL "
    "AND expires_at > :now RETURNING grant_id",
    known="SELECT grant_id, client_id, used_at FROM {table} WHERE {key} = :secret",
)


def _once(table: str, key: str) -> _Once:
    return _Once(*(sql.format(table=table, key=key) for sql in _SECRETS))


_CODE, _REFRESH = _once("login_codes", "code"), _once("refresh_tokens", "token")
_OPEN = (
    "INSERT INTO grants (grant_id, client_id, session_id, issuer, subject, offline, sealed, expires_at) "
    "VALUES (:grant_id, :client_id, :session_id, :issuer, :subject, :offline, :sealed, :expires_at)"
)
_FIND = "SELECT sealed FROM grants WHERE grant_id = :grant_id AND revoked_at IS NULL AND expires_at > :now"
_FIND_REFRESH = (
    "SELECT grants.grant_id, grants.sealed FROM refresh_tokens JOIN grants USING (grant_id) "
    "WHERE refresh_tokens.token = :secret AND refresh_tokens.client_id = :client_id "
    "AND refresh_tokens.used_at IS NULL AND refresh_tokens.expires_at > :now "
    "AND grants.revoked_at IS NULL AND grants.expires_at > :now"
)
_REVOKE = "UPDATE grants SET revoked_at = :now WHERE grant_id = :grant_id AND revoked_at IS NULL"
_REVOKE_SESSION = "UPDATE grants SET revoked_at = :now WHERE session_id = :session_id AND revoked_at IS NULL"
_FORGET = tuple(
    f"DELETE FROM {table} WHERE expires_at <= :now"  # noqa: S608 - names of ours
    for table in ("login_codes", "refresh_tokens", "grants")
)


class GrantRows:
    """Every method raises OwnStoreUnavailable; those that return a grant, OwnRecordDamaged too."""

    def __init__(self, database: Database, seal: Seal, clock: Clock) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock

    async def open(self, grant: Grant, *, code_life_s: int) -> str:
        """Keep a grant and make its code."""
        return await self._database.change(lambda run: self.open_in(run, grant, code_life_s=code_life_s))

    def open_in(self, run: Run, grant: Grant, *, code_life_s: int) -> str:
        """As `Writes.open_grant`."""
        code = secrets.token_urlsafe(32)
        row = {
            "grant_id": grant.grant_id,
            "client_id": grant.client_id,
            "session_id": grant.session_id,
            "issuer": grant.agreed.identity.issuer,
            "subject": grant.agreed.identity.subject,
            "offline": int("offline_access" in grant.request.scopes),
            "sealed": self._seal.seal(_context(grant.grant_id), msgspec.json.encode(grant)),
            "expires_at": grant.expires_at * _MICROS,
        }

        run(_OPEN, **row)
        self._add(run, _CODE, code, grant, code_life_s)
        return code

    async def redeem(self, code: str, client_id: str, uses: Sequence[Use] = ()) -> Grant | None:
        """As `Grants.redeem`."""
        return await self._redeem(_CODE, code, client_id, uses)

    async def redeem_refresh(self, token: str, client_id: str, *, rotates: bool) -> Grant | None:
        """As `Grants.redeem_refresh`."""
        if not rotates:
            return await self.find_refresh(token, client_id)
        return await self._redeem(_REFRESH, token, client_id)

    async def find_refresh(self, token: str, client_id: str) -> Grant | None:
        """The grant of a refresh token that would be redeemed; nothing changes."""
        rows = await self._database.look(
            _FIND_REFRESH, secret=_digest(token), client_id=client_id, now=self._now()
        )
        return self._opened(*rows[0]) if rows else None

    async def find(self, grant_id: str) -> Grant | None:
        """A grant that holds."""
        rows = await self._database.look(_FIND, grant_id=grant_id, now=self._now())
        return self._opened(grant_id, *rows[0]) if rows else None

    async def issue_refresh(self, grant: Grant, *, life_s: int) -> str:
        """A refresh token of this grant."""
        token = secrets.token_urlsafe(32)
        await self._database.change(lambda run: self._add(run, _REFRESH, token, grant, life_s))
        return token

    async def revoke(self, grant_id: str) -> bool:
        """End a grant with all that belongs to it."""
        now = self._now()
        return await self._database.change(lambda run: run(_REVOKE, grant_id=grant_id, now=now).changed == 1)

    async def revoke_session(self, session_id: str, *, keep_offline: bool) -> int:
        """End the grants of a session; those with offline_access stay when `keep_offline`. How many ended."""
        sql = f"{_REVOKE_SESSION} AND offline = 0" if keep_offline else _REVOKE_SESSION
        now = self._now()
        return await self._database.change(lambda run: run(sql, session_id=session_id, now=now).changed)

    async def forget_expired(self) -> int:
        """Delete what has expired; how many rows. For a background loop."""
        now = self._now()
        return await self._database.change(lambda run: sum(run(sql, now=now).changed for sql in _FORGET))

    async def _redeem(
        self, once: _Once, secret: str, client_id: str, uses: Sequence[Use] = ()
    ) -> Grant | None:
        """Use it and read its grant; one that was used, or is another client's, ends its grant. Whatever comes of it
        is committed: a transaction that raised would forget what was used.
        """
        digest, now = _digest(secret), self._now()

        def steps(run: Run) -> tuple[str, bytes] | Use | None:
            if late := use_up(run, uses):
                return late
            used = run(once.use, secret=digest, client_id=client_id, now=now).row
            if used is not None:
                sealed = run(_FIND, grant_id=used[0], now=now).row
                return None if sealed is None else (used[0], sealed[0])
            known = run(once.known, secret=digest).row
            if known is not None and (known[2] is not None or known[1] != client_id):
                run(_REVOKE, grant_id=known[0], now=now)
            return None

        found = await self._database.change(steps)
        if isinstance(found, Use):
            raise found.refusal
        return None if found is None else self._opened(*found)

    def _add(self, run: Run, once: _Once, secret: str, grant: Grant, life_s: int) -> None:
        ends = to_micros(self._clock.now() + timedelta(seconds=life_s))
        said = {"grant_id": grant.grant_id, "client_id": grant.client_id, "expires_at": ends}
        run(once.add, secret=_digest(secret), **said)

    def _opened(self, grant_id: str, sealed: bytes) -> Grant:
        return _DECODER.decode(self._seal.open(_context(grant_id), sealed))

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _context(grant_id: str) -> str:
    return f"grants:{grant_id}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
