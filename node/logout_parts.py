"""The end of logins and my page, put together: what `node.login_parts` has, and what only this needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from federation.errors import FederationError
from federation.login.end_session import EndSession, Upstream
from federation.login.logout import Logout
from federation.login.logout_receiver import LogoutReceiver
from federation.login.my_page import Gather, MyPage
from federation.login.ports import Agreements, Papers, Replays, Seal
from federation.login.relying_party import Provider, ProviderAway, ProviderWrong
from federation.login.steps import LoginFlow
from federation.login.visited import HomeNodes
from federation.quota import TokenBuckets
from node.background import Loop, repeat
from node.config import Config
from node.connectors.logout_posts import HttpLogoutPosts
from node.connectors.openid_provider import DiscoveredProvider
from node.ground import Ground
from node.keystore import Purpose
from node.keystore.releasing import releasing_signer
from node.store.login_logouts import LogoutRows
from node.store.login_sessions import SessionRows
from node.web.login.backchannel import add_backchannel
from node.web.login.cookies import LoginCookies
from node.web.login.flow import LoginBorder
from node.web.login.my_page import MyPages, add_my_page
from node.web.login.steps import StepAnswers
from node.web.oidc.logout import LogoutPages, add_logout
from node.web.oidc.parts import ProviderParts
from node.web.pages import Pages

__all__ = ["LogoutGround", "LogoutParts", "logout_parts"]

FORGET_EVERY_S = 600.0
_LOOKS_PER_S, _LOOKS_AT_ONCE = 0.5, 20.0
"""How often one citizen may have all provinces asked who looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutGround:
    """What it stands on. `http` is the session for requests to others; `papers` None where no consents are issued."""

    ground: Ground
    identity_provider: str
    client_id: str
    http: aiohttp.ClientSession
    provider: ProviderParts
    sessions: SessionRows
    agreements: Agreements
    seal: Seal
    replays: Replays
    own: DiscoveredProvider
    homes: HomeNodes
    flow: LoginFlow
    answers: StepAnswers
    pages: Pages
    cookies: LoginCookies
    border: LoginBorder
    record: Gather
    type_names: Callable[[], Mapping[str, str]]
    papers: Papers | None = None

    @property
    def config(self) -> Config:
        """The node's."""
        return self.ground.config


@dataclass(frozen=True, slots=True)
class LogoutParts:
    """The parts of one node."""

    rows: LogoutRows
    logout: Logout
    receiver: LogoutReceiver
    pages: LogoutPages
    my_pages: MyPages

    def add_to(self, app: web.Application, *, path: str) -> None:
        """Serve them on the public listener. `path` is that of the entity id when it has one."""
        add_logout(app, self.pages)
        add_backchannel(app, self.receiver, path=path)
        add_my_page(app, self.my_pages)

    def loops(self) -> list[tuple[str, Loop]]:
        """What runs beside: telling who took part in what has ended, and forgetting it."""
        forget = self.rows.forget_expired
        return [
            ("logouts", self.logout.run),
            ("logouts_done", lambda: repeat(forget, every_s=FORGET_EVERY_S, name="logouts_done")),
        ]


@dataclass(frozen=True, slots=True)
class _Upstreams:
    """`federation.login.end_session.Upstreams`: the identity provider by discovery, home nodes by their chains."""

    identity_provider: str
    own: DiscoveredProvider
    homes: HomeNodes

    async def upstream(self, issuer: str) -> Upstream | None:
        """See `Upstreams.upstream`."""
        try:
            found = await self._provider(issuer)
        except (FederationError, ProviderAway, ProviderWrong):
            return None
        if not found.end_session_endpoint:
            return None
        return Upstream(
            end_session_endpoint=found.end_session_endpoint, client_id=found.client_id, is_node=found.is_node
        )

    async def _provider(self, issuer: str) -> Provider:
        return (
            await self.own.current()
            if issuer == self.identity_provider
            else self.homes.with_issuer(issuer)[1]
        )


def logout_parts(made: LogoutGround) -> LogoutParts:
    """The parts of a node with logins."""
    ground, config = made.ground, made.config
    rows = LogoutRows(ground.database, ground.clock)
    logout = Logout(
        config.node.entity_id,
        made.sessions,
        rows,
        made.provider.parties,
        HttpLogoutPosts(made.http, config.node.allow_http_on_loopback),
        made.replays,
        releasing_signer(ground.keystore, Purpose.OPENID),
        ground.clock,
    )
    rules = _end_session(made, logout)
    return LogoutParts(
        rows=rows,
        logout=logout,
        receiver=_receiver(made, logout),
        pages=LogoutPages(rules, made.pages, made.cookies, made.border, urlsplit(config.node.entity_id).path),
        my_pages=_my_pages(made, logout, rules),
    )


def _receiver(made: LogoutGround, logout: Logout) -> LogoutReceiver:
    return LogoutReceiver(
        entity_id=made.config.node.entity_id,
        identity_provider=made.identity_provider,
        client_id=made.client_id,
        own=made.own,
        directory=made.ground.directory,
        logout=logout,
        clock=made.ground.clock,
        skew_s=made.config.limits.skew_s,
    )


def _end_session(made: LogoutGround, logout: Logout) -> EndSession:
    return EndSession(
        entity_id=made.config.node.entity_id,
        sessions=made.sessions,
        logout=logout,
        parties=made.provider.parties,
        hints=made.provider.id_tokens,
        upstreams=_Upstreams(made.identity_provider, made.own, made.homes),
        seal=made.seal,
        clock=made.ground.clock,
    )


def _my_pages(made: LogoutGround, logout: Logout, rules: EndSession) -> MyPages:
    node = made.config.node
    page = MyPage(
        entity_id=node.entity_id,
        name=node.name,
        identity_provider=made.identity_provider,
        sessions=made.sessions,
        endings=made.sessions,
        agreements=made.agreements,
        papers=made.papers,
        logout=logout,
        record=made.record,
        directory=made.ground.directory,
        looks=TokenBuckets(_LOOKS_PER_S, _LOOKS_AT_ONCE, now_s=time.monotonic),
        now=made.ground.clock.now,
    )
    return MyPages(
        rules=page,
        end=rules,
        flow=made.flow,
        answers=made.answers,
        pages=made.pages,
        cookies=made.cookies,
        border=made.border,
        type_names=made.type_names,
        path=urlsplit(node.entity_id).path,
    )
