"""What leaves an endpoint: JSON that nobody stores, errors in the form of RFC 6749 §5.2, nothing else."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from aiohttp import web

from federation.errors import FederationError, OwnBusy, OwnKeyUnavailable, OwnStoreUnavailable
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn

__all__ = ["Handler", "Refuse", "as_json", "guarded", "on_page", "refusal_response"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refuse = Callable[[web.Request, PageRefusal], web.StreamResponse]
"""Shows a refusal to the citizen, with a number to quote, and logs it under that number."""

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_NOT_ALLOWED = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_log = structlog.get_logger(__name__)


def as_json(body: Any, *, status: int = 200) -> web.Response:
    """An answer that is for its asker alone."""
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/json", headers=_NO_STORE
    )


def refusal_response(refusal: OAuthRefusal) -> web.Response:
    """A refusal as it is sent; 401 says how to authenticate."""
    description = _NOT_ALLOWED.sub(" ", refusal.description)
    response = as_json({"error": refusal.error, "error_description": description}, status=refusal.status)
    if refusal.status == 401 and refusal.error == "invalid_client":
        response.headers["WWW-Authenticate"] = 'Basic realm="openid", charset="UTF-8"'
    return response


def guarded(handler: Handler) -> Handler:
    """The handler of an endpoint that clients call: whatever is raised in it leaves as an OAuth error."""

    async def guard(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except OAuthRefusal as refusal:
            _log.info(
                "login.refused", path=request.path, error=refusal.error, description=refusal.description
            )
            return refusal_response(refusal)
        except (OwnStoreUnavailable, OwnBusy, OwnKeyUnavailable) as error:
            _log.warning("login.unavailable", path=request.path, code=error.code)
            return refusal_response(OAuthRefusal("temporarily_unavailable", "try again shortly", status=503))
        except Exception as error:  # the border: nothing goes out that was not meant to
            incident = _incident(request, error)
            return refusal_response(OAuthRefusal("server_error", f"incident {incident}", status=500))

    return guard


def on_page(handler: Handler, refuse: Refuse) -> Handler:
    """The handler of an endpoint that browsers come to: whatever is raised in it becomes a page."""

    async def guard(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except PageRefusal as refusal:
            return refuse(request, refusal)
        except OAuthRefusal as refusal:
            detail = _NOT_ALLOWED.sub(" ", refusal.description)
            return refuse(
                request,
                PageRefusal("login.bad_request", turn=Turn.PLATFORM, detail=detail, status=refusal.status),
            )
        except FederationError as error:
            _log.warning("login.unavailable", path=request.path, code=error.code)
            return refuse(request, PageRefusal("login.unavailable", turn=Turn.OWN_NODE, status=503))
        except Exception as error:  # the border: nothing goes out that was not meant to
            detail = f"incident {_incident(request, error)}"
            return refuse(
                request, PageRefusal("login.internal", turn=Turn.OWN_NODE, detail=detail, status=500)
            )

    return guard


def _incident(request: web.Request, error: Exception) -> str:
    incident = secrets.token_hex(4)
    _log.error("login.failed", path=request.path, incident=incident, exc_info=error)
    return incident
