"""The HTTP source: bounded, conditional, never redirected, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from federation.statements import Fetched, StatementUnavailable
from node.connectors.statements import HttpStatementSource


async def _statement(request: web.Request) -> web.Response:
    if request.headers.get("If-None-Match") == '"1"':
        return web.Response(status=304, headers={"ETag": '"1"'})
    return web.Response(text="token", headers={"ETag": '"1"'})


async def _always_304(_: web.Request) -> web.Response:
    return web.Response(status=304)


async def _without_end(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"x" * 1024)
    except (ConnectionError, aiohttp.ClientError):
        return response


async def _long(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * 101)


async def _packed(_: web.Request) -> web.Response:
    body = gzip.compress(b"x" * 100_000)
    assert len(body) > 100
    return web.Response(body=body[:90], headers={"Content-Encoding": "gzip"})


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound("/statement")


async def _failing(_: web.Request) -> web.Response:
    return web.Response(status=500)


async def _never(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    for handler in (_statement, _always_304, _without_end, _long, _packed, _elsewhere, _failing, _never):
        app.router.add_get("/" + handler.__name__.strip("_"), handler)
    running = TestServer(app, host="127.0.0.1", handler_cancellation=True)
    await running.start_server()
    yield running
    await running.close()


@pytest.fixture
async def source() -> AsyncIterator[HttpStatementSource]:
    async with aiohttp.ClientSession() as session:
        yield HttpStatementSource(session, allow_http_on_loopback=True)


async def _fetch(
    source: HttpStatementSource, server: TestServer, path: str, etag: str = "", timeout_s: float = 5
) -> Fetched:
    return await source.fetch(str(server.make_url(path)), etag=etag, max_bytes=100, timeout_s=timeout_s)


async def test_a_statement_comes_once(source: HttpStatementSource, server: TestServer) -> None:
    first = await _fetch(source, server, "/statement")
    assert first == Fetched(b"token", '"1"')
    assert await _fetch(source, server, "/statement", first.etag) == Fetched(None, '"1"')


async def test_nothing_is_unpacked(source: HttpStatementSource, server: TestServer) -> None:
    fetched = await _fetch(source, server, "/packed")
    assert fetched.body is not None
    assert len(fetched.body) == 90


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/always_304", "answers 304"),
        ("/without_end", "more than 100 bytes"),
        ("/long", "more than 100 bytes"),
        ("/elsewhere", "answers 302"),
        ("/failing", "answers 500"),
        ("/nothing", "answers 404"),
    ],
)
async def test_an_answer_that_is_none_is_refused(
    source: HttpStatementSource, server: TestServer, path: str, why: str
) -> None:
    with pytest.raises(StatementUnavailable, match=why):
        await _fetch(source, server, path)


async def test_a_source_that_never_answers_is_given_up(
    source: HttpStatementSource, server: TestServer
) -> None:
    with pytest.raises(StatementUnavailable, match="did not answer"):
        await _fetch(source, server, "/never", timeout_s=0.05)


async def test_a_source_that_is_down_is_unavailable(
    source: HttpStatementSource, unused_tcp_port: int
) -> None:
    with pytest.raises(StatementUnavailable, match="cannot be fetched"):
        await source.fetch(f"http://127.0.0.1:{unused_tcp_port}/", etag="", max_bytes=100, timeout_s=5)


@pytest.mark.parametrize(
    "url", ["http://node.example/", "ftp://127.0.0.1/", "file:///etc/passwd", "//127.0.0.1", ""]
)
async def test_another_scheme_is_not_fetched(source: HttpStatementSource, url: str) -> None:
    with pytest.raises(StatementUnavailable, match="https only"):
        await source.fetch(url, etag="", max_bytes=100, timeout_s=5)


async def test_plain_http_needs_the_setting(server: TestServer) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(StatementUnavailable, match="https only"):
            await _fetch(HttpStatementSource(session), server, "/statement")
