"""The end_session endpoint and the page after it, below the entity id:

    GET, POST /oidc/logout        a relying party, or the citizen, ends a login (RP-Initiated Logout §2)
    GET       /login/signed-out   what ended, and the way back

The page that asks whether to log out posts to the same path, with ``csrf`` and ``decision``. A relying party's own form
comes from another site, without this node's cookies: where it proves nothing by itself, the browser is sent here once
more, so that they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from federation.login.discovery import SIGNED_OUT
from federation.login.end_session import Asked, EndSession, Leave
from federation.login.logout import EndedWith
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn
from node.web.login.cookies import LoginCookies
from node.web.login.flow import LoginBorder
from node.web.oidc.reading import read_form, read_query
from node.web.pages import EndedAt, Form, LogoutConfirmPage, Pages, SignedOutPage

__all__ = ["LOGOUT_PATH", "LogoutPages", "add_logout", "see_other"]

LOGOUT_PATH: Final = "/oidc/logout"
_PROVING: Final = ("id_token_hint", "logout_hint")


@dataclass(frozen=True, slots=True)
class LogoutPages:
    """The handlers. `path` is the path of the entity id when it has one."""

    rules: EndSession
    pages: Pages
    cookies: LoginCookies
    border: LoginBorder
    path: str = ""

    async def get(self, request: web.Request) -> web.Response:
        """GET /oidc/logout."""
        return await self._ask(request, _query(request))

    async def post(self, request: web.Request) -> web.Response:
        """POST /oidc/logout: the form of a relying party, or the one of our own page."""
        form = await _form(request)
        if "decision" in form:
            return await self._decide(request, form)
        if not self._session(request) and not any(form.get(name) for name in _PROVING):
            return see_other(f"{self.path}{LOGOUT_PATH}?{urlencode(form)}")
        return await self._ask(request, form)

    async def signed_out(self, request: web.Request) -> web.Response:
        """GET /login/signed-out."""
        found = await self.rules.signed_out(_query(request).get("state", ""), self._session(request))
        if isinstance(found, Leave):
            return self._leave(found)
        page = SignedOutPage(
            ended=[_shown(one) for one in found.ended],
            onward=found.onward,
            platform_name=found.platform_name,
        )
        return self.pages.render(page, request)

    async def _ask(self, request: web.Request, parameters: Mapping[str, str]) -> web.Response:
        found = await self.rules.request(parameters, self._session(request))
        if isinstance(found, Asked):
            page = LogoutConfirmPage(
                form=Form(found.action, found.csrf),
                platform_name=found.platform_name,
                parties=found.parties,
            )
            return self.pages.render(page, request, ui_locales=found.ui_locales)
        return self._leave(found)

    async def _decide(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        if form["decision"] != "logout":
            return see_other(f"{self.path}/me")
        parameters = _query(request)
        return self._leave(
            await self.rules.confirm(parameters, self._session(request), csrf=form.get("csrf", ""))
        )

    def _leave(self, leave: Leave) -> web.Response:
        response = see_other(leave.url)
        if leave.is_last:
            self.cookies.drop_session(response)
        return response

    def _session(self, request: web.Request) -> str:
        return self.cookies.visitor(request).session


def add_logout(app: web.Application, pages: LogoutPages) -> None:
    """Serve it."""
    guarded = pages.border.guarded
    app.router.add_get(pages.path + LOGOUT_PATH, guarded(pages.get), allow_head=False)
    app.router.add_post(pages.path + LOGOUT_PATH, guarded(pages.post))
    app.router.add_get(pages.path + SIGNED_OUT, guarded(pages.signed_out), allow_head=False)


def see_other(url: str) -> web.Response:
    """303, so that no form is sent on (RFC 9700 §4.12)."""
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})


async def _form(request: web.Request) -> Mapping[str, str]:
    try:
        return await read_form(request)
    except OAuthRefusal as error:
        raise _bad_request(error.description) from None


def _query(request: web.Request) -> Mapping[str, str]:
    try:
        pairs = read_query(request)
    except OAuthRefusal as error:
        raise _bad_request(error.description) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad_request("a parameter is given twice")
    return found


def _bad_request(detail: str) -> PageRefusal:
    return PageRefusal("login.bad_request", turn=Turn.PLATFORM, detail=detail)


def _shown(one: EndedWith) -> EndedAt:
    return EndedAt(one.name, one.is_told, one.is_given_up)
