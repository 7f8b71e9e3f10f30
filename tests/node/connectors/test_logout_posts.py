"""Logout tokens on their way, over real sockets."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from federation.login.logout import PartyAway
from node.connectors.logout_posts import HttpLogoutPosts
from tests.support.federation import free_ports


async def test_a_token_is_brought_and_only_the_status_counts() -> None:
    got: list[dict[str, str]] = []
    forever = asyncio.Event()

    async def take(request: web.Request) -> web.StreamResponse:
        got.append({**await request.post(), "type": request.content_type})  # type: ignore[dict-item]
        return web.Response(status=int(request.match_info["status"]), text="x" * 1000)

    async def lead_away(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/take/200")

    async def hold(_request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/take/{status}", take)
    app.router.add_post("/away", lead_away)
    app.router.add_post("/hold", hold)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        posts = HttpLogoutPosts(session, allow_http_on_loopback=True)
        for status in (200, 204, 400, 503):
            assert await posts.post(str(server.make_url(f"/take/{status}")), "a.b.c", timeout_s=5) == status
        assert got == [{"logout_token": "a.b.c", "type": "application/x-www-form-urlencoded"}] * 4
        assert await posts.post(str(server.make_url("/away")), "a.b.c", timeout_s=5) == 307
        assert len(got) == 4, "a token goes where its party registered"
        with pytest.raises(PartyAway, match=r"no answer within 0\.05 s"):
            await posts.post(str(server.make_url("/hold")), "a.b.c", timeout_s=0.05)
        forever.set()


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("http://127.0.0.1:{port}/", False),
        ("http://portal.example/", True),
        ("ftp://127.0.0.1:{port}/", True),
        ("no address", True),
        ("", True),
        ("http://127.0.0.1:{port}/", True),
        ("https://127.0.0.1:{port}/", False),
    ],
)
async def test_who_cannot_be_reached_or_is_not_to_be_is_away(uri: str, allowed: bool) -> None:
    async with aiohttp.ClientSession() as session:
        posts = HttpLogoutPosts(session, allow_http_on_loopback=allowed)
        with pytest.raises(PartyAway):
            await posts.post(uri.format(port=free_ports(1)), "a.b.c", timeout_s=5)
