"""The anchor's desk over HTTP: one bounded POST, never redirected, over real sockets."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from node.connectors.renewal import HttpRenewalDesk, RenewalRefused
from trust.documents import TLS_PATH
from trust.renewal import RENEWAL_MEDIA

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _issued(request: web.Request) -> web.Response:
    assert request.content_type == RENEWAL_MEDIA
    return web.json_response({"tls_chain_pem": await request.text(), "tls_ca_pem": "never trusted"})


async def _revoked(_: web.Request) -> web.Response:
    said = {"error": "access_denied", "error_description": "revoked:\n" + "x" * 1000}
    return web.json_response(said, status=403)


async def _failing(_: web.Request) -> web.Response:
    return web.Response(status=500, text="no JSON")


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPTemporaryRedirect("/issued")


async def _text(_: web.Request) -> web.Response:
    return web.Response(text="no JSON")


async def _list(_: web.Request) -> web.Response:
    return web.json_response(["tls_chain_pem"])


async def _number(_: web.Request) -> web.Response:
    return web.json_response({"tls_chain_pem": 7})


async def _chinese(_: web.Request) -> web.Response:
    return web.json_response({"tls_chain_pem": "证书"})


async def _long(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * (64 * 1024 + 1))


async def _packed(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"})


async def _hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def renewed(session: aiohttp.ClientSession, answer: Answer) -> str:
    """What the desk makes of an anchor that answers so."""
    app = web.Application()
    app.router.add_post(TLS_PATH, answer)
    app.router.add_post("/issued", _issued)
    async with TestServer(app) as server:
        desk = HttpRenewalDesk(session, str(server.make_url("")).rstrip("/"), allow_http_on_loopback=True)
        return await desk.renew("a.b.c")


async def test_the_chain_comes_back_and_nothing_else(session: aiohttp.ClientSession) -> None:
    assert await renewed(session, _issued) == "a.b.c"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_revoked, "answers 403 revoked:x"),
        (_failing, "answers 500"),
        (_elsewhere, "answers 307"),
        (_text, "gives no chain"),
        (_list, "gives no chain"),
        (_number, "gives no chain"),
        (_chinese, "gives no chain"),
        (_long, "more than 65536 bytes"),
        (_packed, "gives no chain"),
        (_hang_up, "cannot be reached"),
    ],
)
async def test_everything_else_is_refused(session: aiohttp.ClientSession, answer: Answer, why: str) -> None:
    with pytest.raises(RenewalRefused, match=why) as refused:
        await renewed(session, answer)
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("header", "retry_after_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("٣", None),
        ("1.5", None),
    ],
)
async def test_when_the_anchor_wants_to_be_asked_again_is_told(
    session: aiohttp.ClientSession, header: str | None, retry_after_s: float | None
) -> None:
    async def too_soon(_: web.Request) -> web.Response:
        said = {"error_description": "asked too soon"}
        return web.json_response(said, status=429, headers={} if header is None else {"Retry-After": header})

    with pytest.raises(RenewalRefused, match="answers 429 asked too soon") as refused:
        await renewed(session, too_soon)
    assert refused.value.retry_after_s == retry_after_s


@pytest.mark.parametrize(
    ("anchor", "allowed"),
    [
        ("http://127.0.0.1:1", False),
        ("http://anchor.example", True),
        ("ftp://127.0.0.1", True),
        ("file:///etc", True),
    ],
)
async def test_only_https_is_asked(session: aiohttp.ClientSession, anchor: str, allowed: bool) -> None:
    desk = HttpRenewalDesk(session, anchor, allow_http_on_loopback=allowed)
    with pytest.raises(RenewalRefused, match="https only"):
        await desk.renew("a.b.c")
