"""A step of a login as an HTTP answer, with the cookies that it sets. What every endpoint that goes on with a login
ends in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from federation.login.steps import GoTo, Respond, Show, Step, Visitor
from node.web.login.cookies import LoginCookies
from node.web.pages import Pages

__all__ = ["StepAnswers", "with_parameters"]

_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class StepAnswers:
    """Makes answers of steps."""

    cookies: LoginCookies
    pages: Pages

    def answer(self, request: web.Request, step: Step, visitor: Visitor) -> web.Response:
        """The answer; `visitor.browser` is set as the browser's cookie when it came without one.

        After a POST a redirect is 303, so that the form is not sent on (RFC 9700 §4.12).
        """
        if isinstance(step, Show):
            response = self.pages.show(request, step)
        elif isinstance(step, GoTo):
            response = _see_other(step.url)
        elif step.response.mode == "form_post":
            response = self.pages.form_post(request, step.response)
        else:
            response = _see_other(with_parameters(step.response.redirect_uri, step.response.parameters))
        self._set_cookies(request, response, step, visitor)
        return response

    def _set_cookies(
        self, request: web.Request, response: web.Response, step: Step, visitor: Visitor
    ) -> None:
        if visitor.browser and self.cookies.browser(request) != visitor.browser:
            self.cookies.keep_browser(response, visitor.browser)
        if isinstance(step, GoTo | Respond) and step.session:
            self.cookies.keep_session(response, step.session)
        if isinstance(step, GoTo) and step.province:
            self.cookies.keep_province(response, step.province)


def with_parameters(uri: str, parameters: Sequence[tuple[str, str]]) -> str:
    """A URI with parameters after those that it has (RFC 6749 §4.1.2)."""
    parts = urlsplit(uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *parameters])
    return urlunsplit(parts._replace(query=query))


def _see_other(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url, **_NO_STORE})
