"""Citizens, sessions and relying parties of logins, for tests of their rows and of the end of logins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from sqlalchemy import insert

from federation.login.model import Identity, OnBehalf, RelyingParty
from node.keystore import KeyEncryptionKey
from node.keystore.data_keys import DataKeys
from node.keystore.login_seal import LoginSeal
from node.store.database import Database
from node.store.login_agreements import AgreementRows
from node.store.login_logouts import LogoutRows
from node.store.login_sessions import SessionRows
from node.store.login_subjects import SubjectRows
from node.store.login_tables import GRANTS
from node.store.replay import ReplayRows
from tests.support.clock import FixedClock

__all__ = [
    "HOME",
    "IDENTITY_PROVIDER",
    "PORTAL",
    "VISITED",
    "LoginRows",
    "identity",
    "open_login_rows",
    "party",
    "peer_party",
]

IDENTITY_PROVIDER = "https://id.js.example"
HOME = "https://node.js.example"
VISITED = "https://node.ah.example"
PORTAL = OnBehalf("portal", "安徽政务服务网")
SESSION_S = 28_800


def identity(subject: str = "citizen-1", **changes: Any) -> Identity:
    """A citizen as the own identity provider verified them."""
    plain = Identity(
        issuer=IDENTITY_PROVIDER,
        subject=subject,
        acr="yrd.l2",
        amr=("pwd",),
        auth_time=1_793_620_800,
        origin=IDENTITY_PROVIDER,
        claims={"name": "王小明", "citizen_number": "32010119900307123X", "holder_id_type": "111"},
        upstream_sid=f"sid-of-{subject}",
    )
    return replace(plain, **changes)


def party(client_id: str = "portal", **changes: Any) -> RelyingParty:
    """A platform of the own province."""
    plain = RelyingParty(
        client_id=client_id,
        name=f"{client_id} 平台",
        sector="https://portal.example",
        redirect_uris=(f"https://{client_id}.example/callback",),
        post_logout_redirect_uris=(f"https://{client_id}.example/out",),
        backchannel_logout_uri=f"https://{client_id}.example/logout",
    )
    return replace(plain, **changes)


def peer_party(entity_id: str = VISITED, name: str = "安徽省节点") -> RelyingParty:
    """Another node."""
    return RelyingParty(
        client_id=entity_id,
        name=name,
        is_peer=True,
        sector=entity_id,
        post_logout_redirect_uris=(f"{entity_id}/login/signed-out",),
        backchannel_logout_uri=f"{entity_id}/login/backchannel-logout",
    )


@dataclass(frozen=True, slots=True)
class LoginRows:
    """The rows of one node, on one store."""

    database: Database
    clock: FixedClock
    seal: LoginSeal
    sessions: SessionRows
    subjects: SubjectRows
    agreements: AgreementRows
    logouts: LogoutRows
    replays: ReplayRows

    async def add_grant(
        self,
        grant_id: str,
        session_id: str,
        client_id: str = "portal",
        *,
        offline: bool = False,
        whose: Identity | None = None,
    ) -> None:
        """A grant of a session, as far as its end is concerned."""
        citizen = whose or identity()
        row = {
            "grant_id": grant_id,
            "client_id": client_id,
            "session_id": session_id,
            "issuer": citizen.issuer,
            "subject": citizen.subject,
            "offline": int(offline),
            "sealed": b"",
            "expires_at": 2**62,
        }
        async with self.database.writing() as connection:
            await connection.execute(insert(GRANTS).values(**row))

    async def live_grants(self) -> list[str]:
        """The grants that hold, by id."""
        query = GRANTS.select().where(GRANTS.c.revoked_at.is_(None)).order_by(GRANTS.c.grant_id)
        async with self.database.reading() as connection:
            return [row.grant_id for row in (await connection.execute(query)).all()]


async def open_login_rows(database: Database, clock: FixedClock, *, own: str = HOME) -> LoginRows:
    """The rows of logins of the node `own`, with keys of their own."""
    seal = LoginSeal(await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock))
    return LoginRows(
        database=database,
        clock=clock,
        seal=seal,
        sessions=SessionRows(database, seal, clock, identity_provider=IDENTITY_PROVIDER, life_s=SESSION_S),
        subjects=SubjectRows(database, clock),
        agreements=AgreementRows(database, clock, own_entity=own),
        logouts=LogoutRows(database, clock),
        replays=ReplayRows(database, clock),
    )
