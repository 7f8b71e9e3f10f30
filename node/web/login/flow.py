"""The way of a login over HTTP, below the entity id:

    GET, POST /login/i/<interaction id>    the page at which a login stands, and its form
    GET       /login/callback              the answers of home nodes and of the identity provider

What is wrong becomes a page with a number; the same number is in the log line. Nothing that a browser sends here is
taken for more than it is: parameters come once each, are few and short.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from msgspec.structs import replace

from federation.errors import FederationError, code_of
from federation.login.attempt import new_number
from federation.login.refusals import PageRefusal, Turn
from federation.login.steps import LoginFlow, Visitor
from federation.login.texts import UNSTORABLE, is_storable
from node.web.login.cookies import LoginCookies, new_secret
from node.web.login.steps import StepAnswers
from node.web.pages import Pages

__all__ = ["CALLBACK_PATH", "INTERACTION_PATH", "LoginBorder", "LoginPages", "add_login_flow"]

CALLBACK_PATH: Final = "/login/callback"
INTERACTION_PATH: Final = "/login/i"
MOST_PARAMETERS: Final = 32
MOST_FORM_BYTES: Final = 16 * 1024
_log = structlog.get_logger("yrd.login")

_Handle = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class LoginBorder:
    """Where whatever goes wrong on the way becomes a page, and a line in the log."""

    pages: Pages
    cookies: LoginCookies

    def guarded(self, handle: _Handle) -> _Handle:
        """The same handler; what it raises is shown and never leaves the node otherwise."""

        @functools.wraps(handle)
        async def guarded(request: web.Request) -> web.Response:
            try:
                return await handle(request)
            except web.HTTPException:
                raise
            except Exception as error:
                return self.refused(request, error)

        return guarded

    def refused(self, request: web.Request, error: Exception) -> web.Response:
        """The page of what went wrong."""
        refusal = _as_refusal(error)
        number = refusal.number or new_number()
        facts = {"number": number, "code": refusal.code, "detail": refusal.detail, "path": request.path[:200]}
        if refusal.code == "login.internal":
            _log.error("login.failed", exc_info=error, **facts)
        else:
            _log.warning("login.refused", **facts)
        response = self.pages.refuse(request, refusal, number=number)
        if refusal.browser and self.cookies.browser(request) != refusal.browser:
            self.cookies.keep_browser(response, refusal.browser)
        return response


def _as_refusal(error: Exception) -> PageRefusal:
    if isinstance(error, PageRefusal):
        return error
    if isinstance(error, FederationError):
        return PageRefusal("login.unavailable", turn=Turn.OWN_NODE, detail=code_of(error), status=503)
    return PageRefusal("login.internal", turn=Turn.OWN_NODE, status=500)


@dataclass(frozen=True, slots=True)
class LoginPages:
    """The handlers."""

    flow: LoginFlow
    cookies: LoginCookies
    answers: StepAnswers
    border: LoginBorder

    async def show(self, request: web.Request) -> web.Response:
        """GET /login/i/<id>. A login that was begun without cookies is bound to the browser that comes first."""
        visitor = self._visitor(request)
        step = await self.flow.show(request.match_info["interaction"], visitor)
        return self.answers.answer(request, step, visitor)

    async def act(self, request: web.Request) -> web.Response:
        """POST /login/i/<id>."""
        form = await read_form(request)
        visitor = self._visitor(request)
        step = await self.flow.act(request.match_info["interaction"], form, visitor)
        return self.answers.answer(request, step, visitor)

    async def callback(self, request: web.Request) -> web.Response:
        """GET /login/callback."""
        parameters = read_pairs(request.query_string)
        visitor = self.cookies.visitor(request)
        return self.answers.answer(request, await self.flow.callback(parameters, visitor), visitor)

    def _visitor(self, request: web.Request) -> Visitor:
        visitor = self.cookies.visitor(request)
        return visitor if visitor.browser else replace(visitor, browser=new_secret())


async def read_form(request: web.Request) -> Mapping[str, str]:
    """The fields of a form. Raises PageRefusal: not a form, too large, a field that comes twice."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise _bad_request("the body is not a form")
    if (request.content_length or 0) > MOST_FORM_BYTES:
        raise _bad_request(f"the form has more than {MOST_FORM_BYTES} bytes")
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST_FORM_BYTES:
            raise _bad_request(f"the form has more than {MOST_FORM_BYTES} bytes")
    return read_pairs(body.decode("utf-8", "replace"))


def read_pairs(text: str) -> Mapping[str, str]:
    """``name=value&…``, each name once, and nothing that a store would not take. Raises PageRefusal."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise _bad_request(f"there are more than {MOST_PARAMETERS} parameters") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad_request("a parameter comes twice")
    if not is_storable(*found.values()):
        raise _bad_request(UNSTORABLE)
    return found


def _bad_request(detail: str) -> PageRefusal:
    return PageRefusal("login.bad_request", turn=Turn.CITIZEN, detail=detail)


def add_login_flow(app: web.Application, pages: LoginPages, *, path: str = "") -> None:
    """Serve it. `path` is the path of the entity id when it has one."""
    guarded = pages.border.guarded
    page = f"{path}{INTERACTION_PATH}/{{interaction}}"
    app.router.add_get(page, guarded(pages.show))
    app.router.add_post(page, guarded(pages.act))
    app.router.add_get(path + CALLBACK_PATH, guarded(pages.callback))
