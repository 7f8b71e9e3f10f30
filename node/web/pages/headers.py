"""What a browser is told with every answer of the public listener.

Nothing is loaded from elsewhere, nothing inline runs, and no page stands in another one's frame. A form of a page leads
on by redirects: to a home node, an identity provider, a platform, whose addresses this node does not know beforehand,
and Chromium holds each hop to ``form-action`` of the page that the form was on. So that names schemes rather than
hosts: https, and plain HTTP on the citizen's own machine, for native platforms (RFC 8252 §7.3) and demonstrations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

__all__ = ["content_policy", "security_headers", "with_headers"]

_HSTS: Final = "max-age=63072000"
"""Two years: what the browsers' own preload list asks for."""
_FORMS: Final = "'self' https: http://127.0.0.1:* http://localhost:*"


def content_policy(*, has_script: bool = False) -> str:
    """The Content-Security-Policy of a page."""
    directives = [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        f"form-action {_FORMS}",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    if has_script:
        directives.append("script-src 'self'")
    return "; ".join(directives)


def security_headers(entity_id: str) -> Mapping[str, str]:
    """What goes with every answer, pages or not. `same-origin` lets a form of this node's say its origin, and tells
    nobody else where the citizen comes from.
    """
    headers = {
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if urlsplit(entity_id).scheme == "https":
        headers["Strict-Transport-Security"] = _HSTS
    return headers


def with_headers(entity_id: str) -> Middleware:
    """The middleware of the public listener; what an answer says of its own accord stays."""
    headers = security_headers(entity_id)

    @web.middleware
    async def add(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            _add(error, headers)
            raise
        _add(response, headers)
        return response

    return add


def _add(response: web.StreamResponse, headers: Mapping[str, str]) -> None:
    if response.prepared:
        return
    for name, value in headers.items():
        response.headers.setdefault(name, value)
