"""The platforms that may call this node (OAuth clients), and which of them may log people in (relying parties)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import delete, select, update

from federation.errors import OwnBadValue
from federation.ports import Clock
from node.store.client_secrets import hash_secret, new_secret
from node.store.database import Database
from node.store.tables import CLIENTS
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into

__all__ = ["AuthMethod", "ClientRow", "ClientRows", "LoginTerms"]


_COLUMNS = tuple(column.name for column in CLIENTS.c)
_ALL = f"SELECT {', '.join(_COLUMNS)} FROM clients ORDER BY client_id"  # noqa: S608 - names of ours


class AuthMethod(StrEnum):
    """How a client proves who it is at the token endpoint."""

    CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105 - the method's registered name
    PRIVATE_KEY_JWT = "private_key_jwt"


class LoginTerms(Struct, frozen=True, kw_only=True):
    """What a client is as a relying party: see `federation.login.model.RelyingParty`. Without `sector` its own."""

    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    profile: Literal["basic", "fapi2"] = "basic"
    scopes: frozenset[str] = frozenset({"openid"})
    claims: frozenset[str] = frozenset()
    sector: str = ""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client. `operations` are what it may ask for; ``*`` stands for all. Without `login` it logs nobody in."""

    client_id: str
    name: str
    auth_method: AuthMethod
    jwks: Mapping[str, Any] | None
    operations: frozenset[str]
    created_at: datetime
    disabled_at: datetime | None
    secret_hash: str = field(repr=False)
    login: LoginTerms | None = None


class ClientRows:
    """Clients as rows. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def all_clients(self) -> Sequence[ClientRow]:
        """Every client by id, also those that are disabled."""
        rows = await self._database.look(_ALL)
        return [_client(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    async def find(self, client_id: str) -> ClientRow | None:
        """One client, or None."""
        if "\0" in client_id:  # whoever calls says it, and PostgreSQL takes no such text
            return None
        async with self._database.reading() as connection:
            rows = await connection.execute(select(CLIENTS).where(CLIENTS.c.client_id == client_id))
            row = rows.mappings().one_or_none()
        return None if row is None else _client(row)

    async def add_with_secret(
        self, client_id: str, name: str, operations: Iterable[str], login: LoginTerms | None = None
    ) -> str:
        """Add a client that authenticates with a secret, and return the secret: it is not kept.

        Raises OwnBadValue when the id is taken.
        """
        secret = new_secret()
        method = AuthMethod.CLIENT_SECRET_BASIC
        credentials = {"auth_method": method.value, "secret_hash": hash_secret(secret), "jwks": ""}
        await self._add(client_id, name, operations, login, credentials)
        return secret

    async def add_with_keys(
        self,
        client_id: str,
        name: str,
        operations: Iterable[str],
        jwks: Mapping[str, Any],
        login: LoginTerms | None = None,
    ) -> None:
        """Add a client that authenticates with private_key_jwt. Raises OwnBadValue when the id is taken."""
        credentials = {
            "auth_method": AuthMethod.PRIVATE_KEY_JWT.value,
            "secret_hash": "",
            "jwks": json.dumps(dict(jwks)),
        }
        await self._add(client_id, name, operations, login, credentials)

    async def rotate_secret(self, client_id: str) -> str:
        """A new secret for an active client that has one, and return it: from now on the old one is refused.

        Raises OwnBadValue when there is no such client.
        """
        secret = new_secret()
        await self._rotate(client_id, AuthMethod.CLIENT_SECRET_BASIC, secret_hash=hash_secret(secret))
        return secret

    async def rotate_keys(self, client_id: str, jwks: Mapping[str, Any]) -> None:
        """Other keys for an active client that has keys: from now on those that are not among them are refused.

        Raises OwnBadValue when there is no such client.
        """
        await self._rotate(client_id, AuthMethod.PRIVATE_KEY_JWT, jwks=json.dumps(dict(jwks)))

    async def disable(self, client_id: str) -> bool:
        """From now on it may not call; what it asked stays its own. False when there is no such active
        client.
        """
        change = (
            update(CLIENTS)
            .where(CLIENTS.c.client_id == client_id, CLIENTS.c.disabled_at.is_(None))
            .values(disabled_at=to_micros(self._clock.now()))
        )
        async with self._database.writing() as connection:
            return (await connection.execute(change)).rowcount == 1

    async def remove(self, client_id: str) -> bool:
        """Forget a client; its id may be given again. False when there is none."""
        async with self._database.writing() as connection:
            result = await connection.execute(delete(CLIENTS).where(CLIENTS.c.client_id == client_id))
            return result.rowcount == 1

    async def _rotate(self, client_id: str, method: AuthMethod, **credentials: str) -> None:
        change = (
            update(CLIENTS)
            .where(
                CLIENTS.c.client_id == client_id,
                CLIENTS.c.auth_method == method.value,
                CLIENTS.c.disabled_at.is_(None),
            )
            .values(**credentials)
        )
        async with self._database.writing() as connection:
            changed = await connection.execute(change)
        if changed.rowcount != 1:
            raise OwnBadValue(
                f"there is no active client {client_id} that authenticates by {method.value}",
                field="client_id",
            )

    async def _add(
        self,
        client_id: str,
        name: str,
        operations: Iterable[str],
        login: LoginTerms | None,
        credentials: Mapping[str, str],
    ) -> None:
        row = insert_into(self._database, CLIENTS).values(
            client_id=client_id,
            name=name,
            operations=json.dumps(sorted(set(operations))),
            created_at=to_micros(self._clock.now()),
            login="" if login is None else msgspec.json.encode(login, order="sorted").decode(),
            **credentials,
        )
        async with self._database.writing() as connection:
            added = await connection.execute(row.on_conflict_do_nothing())
        if added.rowcount != 1:
            raise OwnBadValue(f"there is a client {client_id} already: remove it first", field="client_id")


def _client(row: Mapping[Any, Any]) -> ClientRow:
    return ClientRow(
        client_id=row["client_id"],
        name=row["name"],
        auth_method=AuthMethod(row["auth_method"]),
        jwks=json.loads(row["jwks"]) if row["jwks"] else None,
        operations=frozenset(json.loads(row["operations"])),
        created_at=from_micros(row["created_at"]),
        disabled_at=None if row["disabled_at"] is None else from_micros(row["disabled_at"]),
        secret_hash=row["secret_hash"],
        login=msgspec.json.decode(row["login"], type=LoginTerms) if row["login"] else None,
    )
