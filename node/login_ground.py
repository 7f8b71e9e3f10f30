"""What logins stand on at one node: their rows, and whom the node goes to as a relying party."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from federation.login.discovery import CALLBACK
from federation.login.id_tokens import TokenKeys
from federation.login.relying_party import ClientAuthentication, KeyAuthentication, RelyingPartySide
from federation.login.visited import HomeNodes
from node.config import LoginSection
from node.connectors.openid_provider import (
    DiscoveredProvider,
    HttpProviderCalls,
    ProviderSettings,
    SecretAuthentication,
)
from node.ground import Ground
from node.keystore import Purpose
from node.keystore.login_seal import LoginSeal
from node.keystore.releasing import releasing_signer
from node.store.login_agreements import AgreementRows
from node.store.login_interactions import InteractionRows
from node.store.login_logouts import LogoutRows
from node.store.login_sessions import SessionRows
from node.store.login_subjects import SubjectRows
from node.store.replay import ReplayRows

__all__ = ["LoginGround", "LoginRows", "Partners", "lay_login_ground"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRows:
    """What logins keep beside the provider's rows; all replicas share it."""

    seal: LoginSeal
    interactions: InteractionRows
    subjects: SubjectRows
    sessions: SessionRows
    agreements: AgreementRows
    logouts: LogoutRows
    replays: ReplayRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """Whom this node goes to: home nodes (`homes`, by `side`), and the identity provider (`own`, by `own_side`)."""

    homes: HomeNodes
    side: RelyingPartySide
    own: DiscoveredProvider
    own_side: RelyingPartySide


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginGround:
    """The node's ground, its ``[login]``, and what logins add. `session` keeps no cookies."""

    ground: Ground
    login: LoginSection
    session: aiohttp.ClientSession
    rows: LoginRows
    partners: Partners
    keys: TokenKeys


def lay_login_ground(
    ground: Ground, login: LoginSection, session: aiohttp.ClientSession, replays: ReplayRows
) -> LoginGround:
    """The ground of logins. Nothing is opened here."""
    return LoginGround(
        ground=ground,
        login=login,
        session=session,
        rows=_rows(ground, login, replays),
        partners=_partners(ground, login, session),
        keys=TokenKeys(
            signer=releasing_signer(ground.keystore, Purpose.OPENID),
            verifiers=lambda: ground.keystore.verification_keys(Purpose.OPENID),
        ),
    )


def _rows(ground: Ground, login: LoginSection, replays: ReplayRows) -> LoginRows:
    database, clock = ground.database, ground.clock
    seal = LoginSeal(ground.data_keys)
    issuer = login.identity_provider.issuer
    return LoginRows(
        seal=seal,
        interactions=InteractionRows(database, seal, clock),
        subjects=SubjectRows(database, clock),
        sessions=SessionRows(database, seal, clock, identity_provider=issuer, life_s=login.session_s),
        agreements=AgreementRows(database, clock, own_entity=ground.config.node.entity_id),
        logouts=LogoutRows(database, clock),
        replays=replays,
    )


def _partners(ground: Ground, login: LoginSection, session: aiohttp.ClientSession) -> Partners:
    config, said = ground.config, login.identity_provider
    entity_id = config.node.entity_id
    to_nodes = HttpProviderCalls(session, config.limits.deadline_s, config.node.allow_http_on_loopback)
    to_own = HttpProviderCalls(session, said.timeout_s, said.allow_http_on_loopback)
    return Partners(
        homes=HomeNodes(
            ground.directory, entity_id, lambda issuer: _by_key(ground, entity_id, issuer), ground.clock
        ),
        side=_side(ground, to_nodes),
        own=_own(ground, login, to_own),
        own_side=_side(ground, to_own),
    )


def _side(ground: Ground, calls: HttpProviderCalls) -> RelyingPartySide:
    return RelyingPartySide(
        calls=calls,
        dpop_signer=releasing_signer(ground.keystore, Purpose.DPOP),
        clock=ground.clock,
        redirect_uri=ground.config.node.entity_id + CALLBACK,
        skew_s=int(ground.config.limits.skew_s),
    )


def _by_key(ground: Ground, client_id: str, issuer: str) -> ClientAuthentication:
    return KeyAuthentication(
        client_id, issuer, releasing_signer(ground.keystore, Purpose.OPENID), ground.clock
    )


def _own(ground: Ground, login: LoginSection, calls: HttpProviderCalls) -> DiscoveredProvider:
    """The identity provider: by its secret where there is one, else by this node's key."""
    said = login.identity_provider
    secret_file = said.client_secret_file
    authentication: ClientAuthentication = (
        _by_key(ground, said.client_id, said.issuer)
        if secret_file is None
        else SecretAuthentication(said.client_id, lambda: secret_file.read_text("utf-8").strip())
    )
    settings = ProviderSettings(
        issuer=said.issuer,
        client_id=said.client_id,
        id_token_alg=said.id_token_alg,
        other_audiences=frozenset(said.other_audiences),
    )
    return DiscoveredProvider(settings, calls, authentication, ground.clock)
