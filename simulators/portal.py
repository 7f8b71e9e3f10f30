"""A province's portal: a plain OpenID relying party of the province's own node, and a client of its API.

It shows what it was told of who logs in, asks the citizen for leave to use a certificate that lies in another province,
fetches that with the consent, and logs out; a logout token of the node's ends its session, too. ``/_sessions`` is for
people who test: how many are logged in.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from mapping.codelists import SERVICE_ITEM, code_lists
from simulators.divisions import PROVINCES, province_name
from simulators.pages import page, see_other, style
from simulators.platform_client import PlatformClient, PlatformRefusedError
from simulators.relying.certificate_use import consent_question, said_of, wished
from simulators.relying.party import LoginFailedError, RelyingParty, Wish
from simulators.relying.sessions import PortalSession, PortalSessions

__all__ = ["PortalSettings", "make_portal"]

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_MOST_PENDING = 10
_Handler = Callable[[web.Request, PortalSession], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """Whose portal, where it is, and its node: `issuer` is the node's entity id, `platform_url` its API."""

    province: str
    origin: str
    issuer: str
    platform_url: str
    client_id: str
    client_secret: str

    @classmethod
    def read(cls, province: str, origin: str, issuer: str, platform_url: str, client: Path) -> PortalSettings:
        """With the client of ``client.json``. Raises OSError, ValueError and KeyError."""
        said = json.loads(client.read_text(encoding="utf-8"))
        return cls(province, origin, issuer, platform_url, said["client_id"], said["client_secret"])


def make_portal(settings: PortalSettings) -> web.Application:
    """The portal as an application, to be served at its origin."""
    portal = _Portal(settings)
    app = web.Application(client_max_size=64 * 1024)
    app.cleanup_ctx.append(portal.run)
    app.router.add_get("/", portal.front)
    app.router.add_get("/callback", portal.callback)
    for path, handler in (
        ("/login", portal.log_in),
        ("/ask", portal.ask),
        ("/fetch", portal.fetch),
        ("/logout", portal.log_out),
    ):
        app.router.add_post(path, portal.form(handler))
    app.router.add_get("/logged-out", portal.logged_out)
    app.router.add_post("/backchannel-logout", portal.hear_logout)
    app.router.add_get("/style.css", style)
    app.router.add_get("/_sessions", portal.count)
    return app


class _Portal:
    """The handlers, and what they remember."""

    def __init__(self, settings: PortalSettings) -> None:
        self._settings = settings
        self._sessions = PortalSessions()
        self._cookie = f"sim-portal-{settings.province}"
        self._place = f"{province_name(settings.province)}政务服务网"
        self._party: RelyingParty
        self._platform: PlatformClient

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Connections to the node, for as long as the application runs."""
        mine = self._settings
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=jar) as http:
            self._party = RelyingParty(mine.issuer, mine.client_id, mine.client_secret, mine.origin, http)
            self._platform = PlatformClient(http, mine.platform_url, mine.client_id, mine.client_secret)
            yield

    def form(self, handler: _Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler of a form of this portal's: it came from a page that this browser was shown."""

        async def handle(request: web.Request) -> web.Response:
            session = self._sessions.find(request.cookies.get(self._cookie, ""))
            if session is None or (await request.post()).get("csrf") != session.csrf:
                return self._refused("portal.form", "页面已过期，请返回首页 / the page is too old; go back")
            try:
                return await handler(request, session)
            except LoginFailedError as error:
                return self._refused(error.error, str(error))
            except PlatformRefusedError as error:
                return self._refused(error.code, f"{error.title} {error.detail}".strip())

        return handle

    async def front(self, request: web.Request) -> web.Response:
        """GET /."""
        cookie = request.cookies.get(self._cookie, "")
        session = self._sessions.find(cookie)
        if session is None:
            cookie, session = self._sessions.begin()
        answer = page(
            "portal",
            place=self._place,
            own=self._settings.province,
            csrf=session.csrf,
            provinces=[(code, province_name(code)) for code in PROVINCES],
            who=session.who,
            claims=_rows({**session.who.claims, **session.who.userinfo}) if session.who else (),
            types=[(code, kind.name) for code, kind in code_lists().kinds.items() if code != SERVICE_ITEM],
            case_number=f"SIM-{secrets.token_hex(4).upper()}",
            papers=[
                {"place": place, "said": _rows(said_of(paper))} for place, paper in enumerate(session.papers)
            ],
        )
        answer.set_cookie(self._cookie, cookie, httponly=True, samesite="Lax")
        return answer

    async def log_in(self, request: web.Request, session: PortalSession) -> web.Response:
        """POST /login."""
        form = await request.post()
        wish = Wish(province=str(form.get("province", "")), acr_values=str(form.get("acr_values", "")))
        return await self._send(session, wish)

    async def ask(self, request: web.Request, session: PortalSession) -> web.Response:
        """POST /ask: the citizen's consent, by a login that carries what it is for."""
        if session.who is None:
            return see_other("/")
        form = {name: str(value) for name, value in (await request.post()).items()}
        use = wished(form.get("answering", ""), form.get("certificate_type", ""), form.get("case_number", ""))
        return await self._send(session, Wish(authorization_details=json.dumps([use], ensure_ascii=False)))

    async def _send(self, session: PortalSession, wish: Wish) -> web.Response:
        pending, url = await self._party.begin(wish)
        session.pending[pending.state] = pending
        while len(session.pending) > _MOST_PENDING:
            session.pending.pop(next(iter(session.pending)))
        return see_other(url)

    async def callback(self, request: web.Request) -> web.Response:
        """GET /callback: back from the node."""
        cookie = request.cookies.get(self._cookie, "")
        session = self._sessions.find(cookie)
        pending = session.pending.pop(request.query.get("state", ""), None) if session else None
        if session is None or pending is None:
            return self._refused("portal.state", "没有这次登录 / this browser began no such login")
        try:
            session.who = await self._party.finish(pending, dict(request.query))
        except LoginFailedError as error:
            return self._refused(error.error, str(error))
        session.papers += [one for one in session.who.details if one.get("type") == "certificate_use"]
        self._sessions.end(cookie)
        fresh, _ = self._sessions.begin(session)
        answer = see_other("/")
        answer.set_cookie(self._cookie, fresh, httponly=True, samesite="Lax")
        return answer

    async def fetch(self, request: web.Request, session: PortalSession) -> web.Response:
        """POST /fetch: the certificate that a consent is for, through the node's API."""
        place = str((await request.post()).get("paper", ""))
        if session.who is None or not place.isdecimal() or int(place) >= len(session.papers):
            return see_other("/")
        question = consent_question(session.papers[int(place)], session.who.userinfo, self._settings.province)
        await self._platform.log_in()
        said = await self._platform.post("/v1/certificates/query", question)
        certificates = [
            {"name": one["certificate_type_name"], "fields": _rows(one["fields"])}
            for one in said["certificates"]
        ]
        return page("certificates", place=self._place, certificates=certificates)

    async def log_out(self, request: web.Request, session: PortalSession) -> web.Response:
        """POST /logout: here, then at the node."""
        self._sessions.end(request.cookies.get(self._cookie, ""))
        if session.who is None:
            return see_other("/")
        return see_other(await self._party.log_out_url(session.who, secrets.token_urlsafe(8)))

    async def logged_out(self, request: web.Request) -> web.Response:
        """GET /logged-out: back from the node, where the login ended."""
        return page("said", place=self._place, zh="已退出登录", en="You are logged out", link="/")

    async def hear_logout(self, request: web.Request) -> web.Response:
        """POST /backchannel-logout."""
        try:
            sid, sub = await self._party.read_logout_token(
                str((await request.post()).get("logout_token", ""))
            )
        except LoginFailedError as error:
            return web.json_response(
                {"error": "invalid_request", "error_description": str(error)}, status=400
            )
        self._sessions.end_named(sid, sub)
        return web.Response(headers={"Cache-Control": "no-store"})

    async def count(self, request: web.Request) -> web.Response:
        """GET /_sessions."""
        return web.json_response({"sessions": self._sessions.count()})

    def _refused(self, code: str, detail: str) -> web.Response:
        return page("refused", status=400, place=self._place, code=code, detail=detail)


def _rows(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in said.items()
    ]
