"""Statements over HTTP: a node's own entity configuration, and how any statement is served.

OpenID Federation 1.1 §9: GET ``/.well-known/openid-federation`` under the entity id, as
``application/entity-statement+jwt``. Peers ask every minute, so a statement carries an entity tag (RFC 9110
§8.8.3) and an unchanged one costs a 304.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import ETag, web

from federation.errors import OwnKeyUnavailable
from federation.ports import Clock
from trust.entity import WELL_KNOWN, statement_digest

__all__ = [
    "JWK_SET_MEDIA",
    "STATEMENT_MEDIA",
    "STATUS_MEDIA",
    "RenewedDocument",
    "add_document",
    "add_entity_configuration",
    "statement_response",
]

STATEMENT_MEDIA = "application/entity-statement+jwt"
STATUS_MEDIA = "application/trust-status+jwt"
JWK_SET_MEDIA = "application/jwk-set+jwt"
_RENEW_AFTER_S = 3600


def statement_response(request: web.Request, token: str, *, media: str = STATEMENT_MEDIA) -> web.Response:
    """The statement, or 304 when the asker already has this one."""
    tag = ETag(statement_digest(token))
    known = request.if_none_match or ()
    if any(candidate.value in ("*", tag.value) for candidate in known):
        response = web.Response(status=304)
    else:
        response = web.Response(body=token.encode("ascii"), content_type=media)
    response.etag = tag
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def add_entity_configuration(app: web.Application, current: Callable[[], str], *, path: str = "") -> None:
    """Serve what `current` returns as this entity's configuration.

    `path` is the path of the entity id when it has one.
    """

    add_document(app, path + WELL_KNOWN, current, media=STATEMENT_MEDIA)


def add_document(app: web.Application, path: str, current: Callable[[], str], *, media: str) -> None:
    """Serve what `current` returns at a path."""

    async def serve(request: web.Request) -> web.Response:
        # Beside the loop: what must be signed anew may be signed in a token that takes its time.
        token = await asyncio.to_thread(current)
        return statement_response(request, token, media=media)

    app.router.add_get(path, serve)


class RenewedDocument:
    """What a node says about itself, signed anew each hour, so that what peers hold is never near its end.

    Between two signings it is the same bytes, so that peers get a 304. It is signed anew at once when `revision`
    gives something else than before, as it does when a key changed, and after `expire`. While the key that signs
    cannot be reached, what was signed before is shown. May be called in several threads.
    """

    def __init__(
        self,
        build: Callable[[datetime], str],
        clock: Clock,
        *,
        revision: Callable[[], object] = lambda: None,
        renew_after_s: int = _RENEW_AFTER_S,
    ) -> None:
        self._build = build
        self._clock = clock
        self._revision = revision
        self._renew_after = timedelta(seconds=renew_after_s)
        self._token = ""
        self._signed_at: datetime | None = None
        self._signed_for: object = None

    def __call__(self) -> str:
        """The current document."""
        now, revision = self._clock.now(), self._revision()
        if revision != self._signed_for:
            self.expire()
        # Signed by a clock that was ahead, peers would not take it: sign again.
        if self._signed_at is None or not timedelta() <= now - self._signed_at < self._renew_after:
            self._sign(now, revision)
        return self._token

    def _sign(self, now: datetime, revision: object) -> None:
        try:
            token = self._build(now)
        except OwnKeyUnavailable:
            if not self._token:
                raise
            return
        self._token, self._signed_at, self._signed_for = token, now, revision

    def expire(self) -> None:
        """Sign anew at the next look."""
        self._signed_at = None
