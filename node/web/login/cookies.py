"""The cookies of a login: one name per node, so that four provinces on one machine do not take each other's.

``yrd-<province>-browser`` binds logins at work to the browser that began them, ``-session`` is who is logged in,
``-home`` the home province that was remembered, ``-lang`` the language. All are HttpOnly and SameSite=Lax: they come
back with a link or a redirect from elsewhere and not with a form that another site posts. On https they are Secure and
carry the prefix ``__Host-`` (RFC 6265bis §4.1.3.2): no other host of the domain can set them. That prefix demands the
path ``/``, which they have everywhere.

What a cookie says is the browser's word; one of another form than this node sets is taken for none.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web

from federation.login.steps import Visitor
from node.web.senders import sender_of

__all__ = ["LANGUAGES", "LoginCookies", "new_secret"]

LANGUAGES = ("zh", "en")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PROVINCE = re.compile(r"[1-9][0-9]0000", re.ASCII)
_LANGUAGE_S = 400 * 86400
"""As long as browsers keep a cookie at most (RFC 6265bis §5.5)."""


def new_secret() -> str:
    """What a cookie, a code or an id is: 32 random bytes in base64url."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class LoginCookies:
    """The cookies of the node of one province at one entity id. `proxies` as `sender_of`."""

    province: str
    entity_id: str
    remember_province_s: int
    proxies: int = 0

    @property
    def is_secure(self) -> bool:
        """Whether the node is reached by https."""
        return _is_https(self.entity_id)

    def name(self, kind: str) -> str:
        """The name of one of them."""
        return f"{'__Host-' if self.is_secure else ''}yrd-{self.province}-{kind}"

    def visitor(self, request: web.Request) -> Visitor:
        """What a request's cookies say, and where it comes from."""
        return Visitor(
            browser=self.browser(request),
            session=self._read(request, "session", _SECRET),
            province=self._read(request, "home", _PROVINCE),
            sender=sender_of(request, proxies=self.proxies),
        )

    def browser(self, request: web.Request) -> str:
        """What a request's cookies call the browser; empty when it has no name yet."""
        return self._read(request, "browser", _SECRET)

    def language(self, request: web.Request) -> str:
        """The language that was switched to; empty when none was."""
        said = request.cookies.get(self.name("lang"), "")
        return said if said in LANGUAGES else ""

    def keep_browser(self, response: web.StreamResponse, browser: str) -> None:
        """Until the browser is closed."""
        self._set(response, "browser", browser, None)

    def keep_session(self, response: web.StreamResponse, token: str) -> None:
        """Until the browser is closed; how long the session lives is the node's to say."""
        self._set(response, "session", token, None)

    def drop_session(self, response: web.StreamResponse) -> None:
        """Nobody is logged in any more."""
        self._set(response, "session", "", 0)

    def keep_province(self, response: web.StreamResponse, province: str) -> None:
        """Remember the home province; empty: forget it."""
        self._set(response, "home", province, self.remember_province_s if province else 0)

    def keep_language(self, response: web.StreamResponse, language: str) -> None:
        """Remember the language."""
        self._set(response, "lang", language, _LANGUAGE_S)

    def _read(self, request: web.Request, kind: str, form: re.Pattern[str]) -> str:
        value = request.cookies.get(self.name(kind), "")
        return value if form.fullmatch(value) else ""

    def _set(self, response: web.StreamResponse, kind: str, value: str, max_age_s: int | None) -> None:
        response.set_cookie(
            self.name(kind),
            value,
            max_age=max_age_s,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="Lax",
        )


@lru_cache(maxsize=16)
def _is_https(url: str) -> bool:
    """Remembered: it is asked of the one entity id, for each cookie."""
    return urlsplit(url).scheme == "https"
