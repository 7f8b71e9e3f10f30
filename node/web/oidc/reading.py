"""Parameters as they come: from a query or a form, bounded and strictly decoded. Empty ones count as left out (RFC 6749
§3.1)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from federation.login.parameters import MOST_PARAMETERS
from federation.login.refusals import OAuthRefusal
from federation.login.texts import UNSTORABLE, is_storable

__all__ = ["MOST_FORM_BYTES", "one_header", "read_form", "read_pairs", "read_query"]

MOST_FORM_BYTES = 65_536


def read_query(request: web.Request) -> list[tuple[str, str]]:
    """The parameters of a query. Raises OAuthRefusal."""
    return _pairs(request.rel_url.raw_query_string)


async def read_pairs(request: web.Request) -> list[tuple[str, str]]:
    """The parameters of a form, which may repeat. Raises OAuthRefusal."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise OAuthRefusal("invalid_request", "send application/x-www-form-urlencoded")
    data = bytearray()
    if (request.content_length or 0) <= MOST_FORM_BYTES:
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > MOST_FORM_BYTES:
                break
    if len(data) > MOST_FORM_BYTES or (request.content_length or 0) > MOST_FORM_BYTES:
        raise OAuthRefusal("invalid_request", f"at most {MOST_FORM_BYTES} bytes are taken", status=413)
    try:
        return _pairs(data.decode("ascii"))
    except UnicodeDecodeError:
        raise OAuthRefusal("invalid_request", "the parameters cannot be read") from None


async def read_form(request: web.Request) -> dict[str, str]:
    """The parameters of a form, each once. Raises OAuthRefusal."""
    pairs = await read_pairs(request)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthRefusal("invalid_request", "a parameter is given twice")
    return form


def one_header(request: web.Request, name: str) -> str | None:
    """A header that must not come twice; None without. Raises OAuthRefusal."""
    found = request.headers.getall(name, [])
    if len(found) > 1:
        raise OAuthRefusal("invalid_request", f"the header {name} is given twice")
    return found[0] if found else None


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(text, max_num_fields=2 * MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise OAuthRefusal("invalid_request", "the parameters cannot be read") from None
    if not is_storable(*(value for _name, value in pairs)):
        raise OAuthRefusal("invalid_request", UNSTORABLE)
    return pairs
