"""What logins are made of at one node: rules and listeners on their ground (`node.login_ground`). Without ``[login]``
there is nothing of it.

In this order, since each stands on the one before: the provider's half that ends logins, the flow, how logins end, the
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
from federation.holder_record import HolderRecords
from federation.login.end_session import EndSession
from federation.login.flow import Flow
from federation.login.home import HomeFlow, ProviderWords
from federation.login.levels import ProviderLevels
from federation.login.logout import Logout
from federation.login.logout_receiver import LogoutReceiver
from federation.login.my_page import MyPage
from federation.login.ports import Papers
from federation.login.upstreams import KnownUpstreams
from federation.login.visited import VisitedFlow
from federation.quota import TokenBuckets
from federation.translator import Translator
from node.background import Loop, repeat
from node.connectors.logout_posts import HttpLogoutPosts
from node.ground import Ground
from node.login_ground import LoginGround, lay_login_ground
from node.store.login_writes import LoginWrites
from node.store.replay import ReplayRows
from node.web.login.backchannel import add_backchannel
from node.web.login.cookies import LoginCookies
from node.web.login.flow import LoginBorder, LoginPages, add_login_flow
from node.web.login.my_page import MyPages, add_my_page
from node.web.login.steps import StepAnswers
from node.web.oidc.app import add_provider
from node.web.oidc.logout import LogoutPages, add_logout
from node.web.oidc.parts import ProviderGround, ProviderParts
from node.web.pages import Pages

__all__ = ["LoginParts", "open_logins"]

FORGET_EVERY_S = 600.0
_LOOKS_PER_S, _LOOKS_AT_ONCE = 0.2, 10.0
"""How often one citizen has the record gathered from all provinces."""
_MOST_SENDERS = 65_536
"""From how many networks logins are counted at once; some 10 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginParts:
    """Logins at one node, whole: the rules, to be served and run beside."""

    ground: LoginGround
    provider: ProviderParts
    flow: Flow
    logout: Logout
    ending: EndSession
    receiver: LogoutReceiver
    my_page: MyPage
    type_names: Callable[[], Mapping[str, str]]

    def add_to(self, app: web.Application, *, path: str) -> None:
        """Serve them on the public listener. `path` is that of the entity id when it has one."""
        node, login = self.ground.ground.config.node, self.ground.login
        proxies = self.ground.ground.config.public.proxies
        cookies = LoginCookies(node.province, node.entity_id, login.remember_province_s, proxies)
        pages = Pages(node)
        border, answers = LoginBorder(pages, cookies), StepAnswers(cookies, pages)
        add_provider(app, self.provider.deps(self.flow, answers, border.refused), path=path)
        add_login_flow(app, LoginPages(self.flow, cookies, answers, border), path=path)
        add_logout(app, LogoutPages(self.ending, pages, cookies, border, path))
        add_backchannel(app, self.receiver, path=path)
        mine = MyPages(
            rules=self.my_page,
            end=self.ending,
            flow=self.flow,
            answers=answers,
            pages=pages,
            cookies=cookies,
            border=border,
            type_names=self.type_names,
            path=path,
        )
        add_my_page(app, mine)

    def loops(self) -> Sequence[tuple[str, Loop]]:
        """What runs beside."""
        rows = self.ground.rows
        expired: dict[str, Callable[[], Awaitable[object]]] = {
            "interactions": rows.interactions.forget_expired,
            "pushed_requests": self.provider.pushed.forget_expired,
            "grants": self.provider.grants.forget_expired,
            "sessions": rows.sessions.forget_expired,
            "logouts": rows.logouts.forget_expired,
        }
        return [("logout", self.logout.run), *(_forgetting(*one) for one in expired.items())]


def _forgetting(name: str, work: Callable[[], Awaitable[object]]) -> tuple[str, Loop]:
    return name, lambda: repeat(work, every_s=FORGET_EVERY_S, name=name)


async def open_logins(
    stack: AsyncExitStack,
    ground: Ground,
    parts: ExchangeParts,
    replays: ReplayRows,
    holders: HolderRecords,
    papers: Papers | None = None,
) -> LoginParts | None:
    """The parts of a node whose configuration has ``[login]``, else None; `stack` closes what was opened. `papers` is
    None where no consents are issued.
    """
    login = ground.config.login
    if login is None:
        return None
    # No cookies: what a provider sets in answers to this node is nobody's browser's.
    session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    return _Making(lay_login_ground(ground, login, session, replays), parts, holders, papers).made()


@dataclass(frozen=True, slots=True)
class _Making:
    at: LoginGround
    parts: ExchangeParts
    holders: HolderRecords
    papers: Papers | None

    def made(self) -> LoginParts:
        provider = self._provider()
        logout = self._logout(provider)
        return LoginParts(
            ground=self.at,
            provider=provider,
            flow=self._flow(provider),
            logout=logout,
            ending=self._ending(provider, logout),
            receiver=self._receiver(logout),
            my_page=self._my_page(provider, logout),
            type_names=self._type_names,
        )

    def _provider(self) -> ProviderParts:
        ground, rows = self.at.ground, self.at.rows
        return ProviderParts(
            ProviderGround(
                issuer=ground.config.node.entity_id,
                login=self.at.login,
                database=ground.database,
                seal=rows.seal,
                directory=ground.directory,
                keys=self.at.keys,
                replays=rows.replays,
                clock=ground.clock,
                papers=self.papers,
                skew_s=ground.config.limits.skew_s,
            )
        )

    # --- the flow -----------------------------------------------------------------------------------------------

    def _flow(self, provider: ProviderParts) -> Flow:
        node, login = self.at.ground.config.node, self.at.login
        per_minute, per_sender = login.begin_per_minute, login.begin_per_sender
        rows, partners = self.at.rows, self.at.partners
        return Flow(
            rows=rows.interactions,
            together=self._together(provider),
            answers=provider.granting,
            home=self._home(provider),
            visited=VisitedFlow(
                homes=partners.homes,
                subjects=rows.subjects,
                answers=provider.granting,
                translator=self.parts.translator,
                translated=self._count,
                offline_days=self._offline_days(),
            ),
            homes=partners.homes,
            own=partners.own,
            side=partners.side,
            own_side=partners.own_side,
            clock=self.at.ground.clock,
            province=node.province,
            name=node.name,
            path=urlsplit(node.entity_id).path,
            interaction_s=login.interaction_s,
            begun=TokenBuckets(per_minute / 60, per_minute, now_s=time.monotonic),
            senders=TokenBuckets(per_sender / 60, per_sender, now_s=time.monotonic, most=_MOST_SENDERS),
            ended=self.at.ground.metrics.login_ended,
        )

    def _together(self, provider: ProviderParts) -> LoginWrites:
        rows = self.at.rows
        return LoginWrites(
            database=self.at.ground.database,
            sessions=rows.sessions,
            agreements=rows.agreements,
            subjects=rows.subjects,
            grants=provider.grants,
            interactions=rows.interactions,
        )

    def _home(self, provider: ProviderParts) -> HomeFlow:
        node, said = self.at.ground.config.node, self.at.login.identity_provider
        rows, partners = self.at.rows, self.at.partners
        return HomeFlow(
            entity_id=node.entity_id,
            province=node.province,
            name=node.name,
            words=ProviderWords(
                issuer=said.issuer,
                levels=ProviderLevels(said.acr, said.acr_when_absent or ""),
                claims=said.claims,
                scopes=said.scopes,
                session_s=self.at.login.session_s,
            ),
            calls=partners.own_side.calls,
            sessions=rows.sessions,
            subjects=rows.subjects,
            agreements=rows.agreements,
            answers=provider.granting,
            homes=partners.homes,
            clock=self.at.ground.clock,
            translator=self.parts.translator,
            translated=self._count,
            papers=self.papers,
            offline_days=self._offline_days(),
        )

    def _offline_days(self) -> int:
        return -(-self.at.login.refresh_s // 86400)

    def _count(self, words: Translator) -> None:
        self.parts.translations.add(words, self.at.ground.clock)

    # --- the end ------------------------------------------------------------------------------------------------

    def _logout(self, provider: ProviderParts) -> Logout:
        ground, rows = self.at.ground, self.at.rows
        node = ground.config.node
        return Logout(
            node.entity_id,
            rows.sessions,
            rows.logouts,
            provider.parties,
            HttpLogoutPosts(self.at.session, node.allow_http_on_loopback),
            rows.replays,
            self.at.keys.signer,
            ground.clock,
        )

    def _ending(self, provider: ProviderParts, logout: Logout) -> EndSession:
        ground, partners = self.at.ground, self.at.partners
        issuer = self.at.login.identity_provider.issuer
        return EndSession(
            entity_id=ground.config.node.entity_id,
            sessions=self.at.rows.sessions,
            logout=logout,
            parties=provider.parties,
            hints=provider.id_tokens,
            upstreams=KnownUpstreams(issuer, partners.own, partners.homes),
            seal=self.at.rows.seal,
            clock=ground.clock,
        )

    def _receiver(self, logout: Logout) -> LogoutReceiver:
        ground, said = self.at.ground, self.at.login.identity_provider
        return LogoutReceiver(
            entity_id=ground.config.node.entity_id,
            identity_provider=said.issuer,
            client_id=said.client_id,
            own=self.at.partners.own,
            directory=ground.directory,
            logout=logout,
            clock=ground.clock,
            skew_s=ground.config.limits.skew_s,
        )

    def _my_page(self, provider: ProviderParts, logout: Logout) -> MyPage:
        ground, rows = self.at.ground, self.at.rows
        node = ground.config.node
        return MyPage(
            entity_id=node.entity_id,
            name=node.name,
            identity_provider=self.at.login.identity_provider.issuer,
            sessions=rows.sessions,
            endings=rows.sessions,
            agreements=rows.agreements,
            papers=self.papers,
            parties=provider.parties,
            logout=logout,
            record=self.holders,
            directory=ground.directory,
            looks=TokenBuckets(_LOOKS_PER_S, _LOOKS_AT_ONCE, now_s=time.monotonic),
            now=ground.clock.now,
        )

    def _type_names(self) -> Mapping[str, str]:
        return {code: name for code, name, _ in self.parts.dialect.current.certificate_types}
