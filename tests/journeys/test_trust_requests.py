"""No query makes a trust request on its way: what is asked over HTTP during a thousand queries, counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.support.two_nodes import TwoNodes, found

pytestmark = pytest.mark.journey

QUERIES, AT_ONCE = 1000, 32
COSIGNING = "/witness/"
"""Below it checkpoints are cosigned, once in a while beside the queries and on the way of none."""


class HttpCounts:
    """Every request that leaves by any session of this process, and every one that any application here gets."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sent: Counter[int | None] = Counter()
        """By port."""
        self._taken: Counter[int] = Counter()
        send, take = aiohttp.ClientSession._request, web.UrlDispatcher.resolve

        async def sending(session: Any, method: str, url: Any, **options: Any) -> Any:
            if not URL(url).path.startswith(COSIGNING):
                self.sent[URL(url).port] += 1
            return await send(session, method, url, **options)

        async def taking(router: web.UrlDispatcher, request: web.Request) -> Any:
            if not request.path.startswith(COSIGNING):
                self._taken[id(router)] += 1
            return await take(router, request)

        patch.setattr(aiohttp.ClientSession, "_request", sending)
        patch.setattr(web.UrlDispatcher, "resolve", taking)

    def taken(self, application: web.Application) -> int:
        """How many requests that application got."""
        return self._taken[id(application.router)]

    @property
    def all_taken(self) -> int:
        """How many requests all applications here got."""
        return self._taken.total()

    def clear(self) -> None:
        """Begin again."""
        self.sent.clear()
        self._taken.clear()


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    country = await found(tmp_path)
    async with country.running() as both:
        yield both


async def test_a_thousand_queries_make_no_trust_request(
    nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = HttpCounts(monkeypatch)
    await nodes.refresh()
    anchor_port = int(nodes.asking.node.config.trust.anchor.rpartition(":")[2])
    assert counts.sent[anchor_port] > 0, "the counting sees what a refresh asks"
    await nodes.query_until_answered()
    await nodes.pause_refreshes()
    counts.clear()

    left = iter(range(QUERIES))

    async def ask_in_turn() -> None:
        for _ in left:
            status, body = await nodes.query()
            assert status == 200, body

    await asyncio.gather(*(ask_in_turn() for _ in range(AT_ONCE)))

    asking, answering = nodes.asking.node, nodes.answering.node
    registry_port = nodes.country.registry_port
    assert counts.sent == {nodes.asking.at.platform.port: QUERIES, registry_port: QUERIES}
    assert counts.taken(asking.platform) == QUERIES
    assert {counts.taken(app) for app in (asking.public, answering.public, answering.platform)} == {0}
    assert counts.all_taken == 2 * QUERIES, "platform and registry; the anchor was asked nothing"
