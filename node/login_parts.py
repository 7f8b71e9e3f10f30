"""What logins are made of at one node: rows, rules, listeners. Nothing of it is there without ``[login]``.

In this order, since each stands on the one before: the rows, the provider's half that ends logins, the flow, the
endpoints and pages.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from federation.exchange import ExchangeParts
from federation.login.discovery import CALLBACK
from federation.login.flow import Flow
from federation.login.home import HomeFlow, ProviderWords
from federation.login.id_tokens import TokenKeys
from federation.login.levels import ProviderLevels
from federation.login.my_page import Gather
from federation.login.ports import Papers
from federation.login.relying_party import ClientAuthentication, KeyAuthentication, RelyingPartySide
from federation.login.visited import HomeNodes, VisitedFlow
from federation.quota import TokenBuckets
from federation.translator import Translator
from node.background import Loop, repeat
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
from node.logout_parts import LogoutGround, LogoutParts, logout_parts
from node.store.login_agreements import AgreementRows
from node.store.login_interactions import InteractionRows
from node.store.login_sessions import SessionRows
from node.store.login_subjects import SubjectRows
from node.store.replay import ReplayRows
from node.web.login.cookies import LoginCookies
from node.web.login.flow import LoginBorder, LoginPages, add_login_flow
from node.web.login.steps import StepAnswers
from node.web.oidc.app import add_provider
from node.web.oidc.deps import ProviderDeps
from node.web.oidc.parts import ProviderGround, ProviderParts
from node.web.pages import Pages

__all__ = ["LoginParts", "open_logins"]

FORGET_EVERY_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRows:
    """What logins keep beside the provider's rows; all replicas share it."""

    seal: LoginSeal
    interactions: InteractionRows
    subjects: SubjectRows
    sessions: SessionRows
    agreements: AgreementRows
    replays: ReplayRows


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginParts:
    """The parts of logins at one node. `own` is the province's identity provider, as it was discovered."""

    rows: LoginRows
    provider: ProviderParts
    deps: ProviderDeps
    flow: Flow
    own: DiscoveredProvider
    homes: HomeNodes
    cookies: LoginCookies
    border: LoginBorder
    pages: LoginPages
    logout: LogoutParts
    papers: Papers | None = None

    def add_to(self, app: web.Application, *, path: str) -> None:
        """Serve them on the public listener. `path` is that of the entity id when it has one."""
        add_provider(app, self.deps, path=path)
        add_login_flow(app, self.pages, path=path)
        self.logout.add_to(app, path=path)

    def loops(self) -> Sequence[tuple[str, Loop]]:
        """What runs beside."""
        forgetting: dict[str, Callable[[], Awaitable[object]]] = {
            "interactions": self.rows.interactions.forget_expired,
            "pushed_requests": self.provider.pushed.forget_expired,
            "grants": self.provider.grants.forget_expired,
            "sessions": self.rows.sessions.forget_expired,
        }
        return [*(_forgetting(name, work) for name, work in forgetting.items()), *self.logout.loops()]


def _forgetting(name: str, work: Callable[[], Awaitable[object]]) -> tuple[str, Loop]:
    return name, lambda: repeat(work, every_s=FORGET_EVERY_S, name=name)


async def open_logins(
    stack: AsyncExitStack, ground: Ground, parts: ExchangeParts, replays: ReplayRows, holders: Gather
) -> LoginParts | None:
    """The parts of a node whose configuration has ``[login]``, else None; `stack` closes what was opened. `holders`
    gathers what all provinces know of who looked.
    """
    login = ground.config.login
    if login is None:
        return None
    # No cookies: what a provider sets in answers to this node is nobody's browser's.
    session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    return _Making(ground, parts, session, replays, login, holders).made()


@dataclass(frozen=True, slots=True)
class _Making:
    ground: Ground
    parts: ExchangeParts
    session: aiohttp.ClientSession
    replays: ReplayRows
    login: LoginSection
    holders: Gather

    def made(self) -> LoginParts:
        node = self.ground.config.node
        rows = self._rows()
        provider = ProviderParts(self._provider_ground(rows))
        cookies = LoginCookies(node.province, node.entity_id, self.login.remember_province_s)
        pages = Pages(node)
        border, answers = LoginBorder(pages, cookies), StepAnswers(cookies, pages)
        homes, own = self._homes(), self._own()
        flow = self._flow(rows, provider, homes, own)
        return LoginParts(
            rows=rows,
            provider=provider,
            deps=provider.deps(flow, answers, border.refused),
            flow=flow,
            own=own,
            homes=homes,
            cookies=cookies,
            border=border,
            pages=LoginPages(flow, cookies, answers, border),
            logout=logout_parts(
                LogoutGround(
                    ground=self.ground,
                    identity_provider=self.login.identity_provider.issuer,
                    client_id=self.login.identity_provider.client_id,
                    http=self.session,
                    provider=provider,
                    sessions=rows.sessions,
                    agreements=rows.agreements,
                    seal=rows.seal,
                    replays=self.replays,
                    own=own,
                    homes=homes,
                    flow=flow,
                    answers=answers,
                    pages=pages,
                    cookies=cookies,
                    border=border,
                    record=self.holders,
                    type_names=self._type_names,
                )
            ),
        )

    def _type_names(self) -> Mapping[str, str]:
        return {code: name for code, name, _ in self.parts.dialect.current.certificate_types}

    # --- rows and the provider ----------------------------------------------------------------------------------

    def _rows(self) -> LoginRows:
        database, clock = self.ground.database, self.ground.clock
        seal = LoginSeal(self.ground.data_keys)
        return LoginRows(
            seal=seal,
            interactions=InteractionRows(database, seal, clock),
            subjects=SubjectRows(database, clock),
            sessions=SessionRows(
                database,
                seal,
                clock,
                identity_provider=self.login.identity_provider.issuer,
                life_s=self.login.session_s,
            ),
            agreements=AgreementRows(database, clock, own_entity=self.ground.config.node.entity_id),
            replays=self.replays,
        )

    def _provider_ground(self, rows: LoginRows) -> ProviderGround:
        ground = self.ground
        return ProviderGround(
            issuer=ground.config.node.entity_id,
            login=self.login,
            database=ground.database,
            seal=rows.seal,
            directory=ground.directory,
            keys=TokenKeys(
                signer=releasing_signer(ground.keystore, Purpose.OPENID),
                verifiers=lambda: ground.keystore.verification_keys(Purpose.OPENID),
            ),
            replays=self.replays,
            subjects=rows.subjects,
            sessions=rows.sessions,
            clock=ground.clock,
            skew_s=ground.config.limits.skew_s,
        )

    # --- whom this node goes to ---------------------------------------------------------------------------------

    def _authentication(self, audience: str, client_id: str) -> ClientAuthentication:
        signer = releasing_signer(self.ground.keystore, Purpose.OPENID)
        return KeyAuthentication(client_id, audience, signer, self.ground.clock)

    def _homes(self) -> HomeNodes:
        entity_id = self.ground.config.node.entity_id
        return HomeNodes(
            self.ground.directory,
            entity_id,
            lambda issuer: self._authentication(issuer, entity_id),
            self.ground.clock,
        )

    def _own(self) -> DiscoveredProvider:
        said = self.login.identity_provider
        secret_file = said.client_secret_file
        authentication: ClientAuthentication = (
            self._authentication(said.issuer, said.client_id)
            if secret_file is None
            else SecretAuthentication(said.client_id, lambda: secret_file.read_text("utf-8").strip())
        )
        settings = ProviderSettings(
            issuer=said.issuer,
            client_id=said.client_id,
            id_token_alg=said.id_token_alg,
            other_audiences=frozenset(said.other_audiences),
        )
        return DiscoveredProvider(settings, self._own_calls(), authentication, self.ground.clock)

    def _own_calls(self) -> HttpProviderCalls:
        said = self.login.identity_provider
        return HttpProviderCalls(self.session, said.timeout_s, said.allow_http_on_loopback)

    def _side(self, calls: HttpProviderCalls) -> RelyingPartySide:
        config = self.ground.config
        return RelyingPartySide(
            calls=calls,
            dpop_signer=releasing_signer(self.ground.keystore, Purpose.DPOP),
            clock=self.ground.clock,
            redirect_uri=config.node.entity_id + CALLBACK,
            skew_s=int(config.limits.skew_s),
        )

    # --- the flow -----------------------------------------------------------------------------------------------

    def _flow(
        self, rows: LoginRows, provider: ProviderParts, homes: HomeNodes, own: DiscoveredProvider
    ) -> Flow:
        config, clock = self.ground.config, self.ground.clock
        per_minute = self.login.begin_per_minute
        calls = HttpProviderCalls(self.session, config.limits.deadline_s, config.node.allow_http_on_loopback)
        return Flow(
            rows=rows.interactions,
            answers=provider.granting,
            home=self._home(rows, provider, homes),
            visited=VisitedFlow(
                homes=homes,
                sessions=rows.sessions,
                subjects=rows.subjects,
                answers=provider.granting,
                translator=self.parts.translator,
                translated=self._count,
            ),
            homes=homes,
            own=own,
            side=self._side(calls),
            own_side=self._side(self._own_calls()),
            clock=clock,
            province=config.node.province,
            name=config.node.name,
            path=urlsplit(config.node.entity_id).path,
            interaction_s=self.login.interaction_s,
            begun=TokenBuckets(per_minute / 60, per_minute, now_s=time.monotonic),
        )

    def _home(self, rows: LoginRows, provider: ProviderParts, homes: HomeNodes) -> HomeFlow:
        node, said = self.ground.config.node, self.login.identity_provider
        return HomeFlow(
            entity_id=node.entity_id,
            province=node.province,
            name=node.name,
            words=ProviderWords(
                issuer=said.issuer,
                levels=ProviderLevels(said.acr, said.acr_when_absent or ""),
                claims=said.claims,
                scopes=said.scopes,
                session_s=self.login.session_s,
            ),
            calls=self._own_calls(),
            sessions=rows.sessions,
            subjects=rows.subjects,
            agreements=rows.agreements,
            answers=provider.granting,
            homes=homes,
            clock=self.ground.clock,
            translator=self.parts.translator,
            translated=self._count,
        )

    def _count(self, words: Translator) -> None:
        self.parts.translations.add(words, self.ground.clock)
