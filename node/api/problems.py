"""Errors as RFC 9457 problem documents; the one place where an exception becomes an HTTP answer.

What is ours comes out with its code and its text from `federation.errors`. Everything else is `internal`
with an incident id, and its details stay in the log.
"""

from __future__ import annotations

import secrets

import msgspec
import structlog
from aiohttp import web

from federation.errors import (
    FederationError,
    OwnBadValue,
    OwnForbidden,
    OwnMalformedRequest,
    OwnMethodNotAllowed,
    OwnNotFound,
    OwnTokenExpired,
    OwnTooLarge,
    OwnUnauthenticated,
    OwnUnsupportedMedia,
    code_of,
    detail_of,
    row_of,
)
from node.api.models import Problem

__all__ = ["PROBLEM_TYPE", "from_http", "from_validation", "problem_response", "problem_type"]

PROBLEM_TYPE = "application/problem+json"

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode

_OF_STATUS: dict[int, tuple[type[FederationError], str]] = {
    401: (OwnUnauthenticated, "send an access token"),
    403: (OwnForbidden, "this is not allowed"),
    404: (OwnNotFound, "there is nothing at this path; see /docs"),
    405: (OwnMethodNotAllowed, "the path is right, the method is not; the Allow header names those that are"),
    413: (OwnTooLarge, "the request is longer than the limit"),
    415: (OwnUnsupportedMedia, "send application/json"),
}


def problem_type(code: str) -> str:
    """The URI that names this kind of problem (RFC 9457 §3.1.1)."""
    return f"urn:yrd:problem:{code}"


def problem_response(error: BaseException, request_id: str) -> web.Response:
    """The answer to a request that failed with `error`; what is not ours is logged with an incident id."""
    row = row_of(error)
    incident = ""
    if row.code == "internal":
        incident = secrets.token_hex(8)
        _log.error("api.internal", incident=incident, request_id=request_id, exc_info=error)
    body = Problem(
        type=problem_type(row.code),
        title=row.zh,
        title_en=row.en,
        status=row.http,
        code=code_of(error),
        detail=detail_of(error) if not incident else "",
        field=error.field if isinstance(error, FederationError) else "",
        request_id=request_id,
        incident=incident,
    )
    response = web.Response(
        body=_encode(body),
        status=row.http,
        headers={"Content-Type": PROBLEM_TYPE, "Cache-Control": "no-store"},
    )
    if row.http == 401:
        response.headers["WWW-Authenticate"] = _challenge(error)
    if row.http in (429, 503):
        response.headers["Retry-After"] = "1"
    return response


def _challenge(error: BaseException) -> str:
    """RFC 6750 §3: no error code for a request that brought no token at all."""
    if isinstance(error, OwnTokenExpired):
        return 'Bearer realm="platform", error="invalid_token", error_description="expired"'
    if isinstance(error, OwnUnauthenticated) and error.field == "authorization":
        return 'Bearer realm="platform", error="invalid_token"'
    return 'Bearer realm="platform"'


def from_http(error: web.HTTPException) -> FederationError | None:
    """aiohttp's own refusal as one of ours; None for what is no refusal."""
    if error.status < 400:
        return None
    kind, detail = _OF_STATUS.get(error.status, (OwnMalformedRequest, "the request cannot be understood"))
    return kind(detail)


def from_validation(error: msgspec.ValidationError) -> FederationError:
    """What msgspec says of a body that is JSON but not what was asked for, without any value that was sent.

    Its texts are ``Expected …, got … - at `$.path```, ``Object missing required field `name` - at …``,
    ``Object contains unknown field `name` - at …`` and ``Invalid enum value '…' - at …``; the last one
    is cut.
    """
    said, _, place = str(error).partition(" - at `")
    path = place.rstrip("`").removeprefix("$").removeprefix(".").replace("[...]", "")
    if said.startswith("Object missing required field"):
        name = _join(path, said.split("`")[1])
        return OwnMalformedRequest(f"{name} is missing", field=name)
    if said.startswith("Object contains unknown field"):
        name = _join(path, _plain(said.split("`")[1]))
        return OwnMalformedRequest(f"{name} is not a field of this request", field=name)
    if said.startswith("Invalid enum value"):
        return OwnBadValue(f"{path or 'the value'} is none of those allowed; see /docs", field=path)
    expected = said.replace("Expected", "expected").replace("`", "")
    kind = OwnMalformedRequest if ", got " in expected else OwnBadValue
    return kind(f"{path or 'the body'}: {expected}", field=path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _plain(name: str) -> str:
    """A field's name that came from outside: a slip is shown back, a number in its place is not."""
    return name if name.isidentifier() and len(name) <= 40 else "(another name)"
