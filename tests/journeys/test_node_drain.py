"""A node that is told to stop finishes what it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.federation import (
    RunningNode,
    allow_all,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)

pytestmark = pytest.mark.journey

REGISTRY = """\
[registry]
kind = "http"
base_url = "http://127.0.0.1:{port}"

[registry.operations."services.search"]
path = "/search"
parameters = {{ words = "words" }}
documents = "items"
total = "total"
"""


@dataclass
class SlowRegistry:
    """A registry that says when it was asked and answers when it is let."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def search(self, _request: web.Request) -> web.Response:
        self.asked.set()
        await self.may_answer.wait()
        return web.json_response({"items": [], "total": 0})


@asynccontextmanager
async def serving(registry: SlowRegistry, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/search", registry.search)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def search(node: RunningNode, token: str) -> tuple[int, dict[str, Any]]:
    body = {"province": "310000", "words": "户籍", "officer": "x"}
    headers = {"Authorization": f"Bearer {token}"}
    async with node.http.post(f"{node.platform}/v1/services/query", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("stopping", ["asking", "answering"])
async def test_what_is_at_work_is_answered_before_the_end(tmp_path: Path, stopping: str) -> None:
    public, _ = await make_anchor(tmp_path / "anchor")
    port = free_ports(1)
    (tmp_path / "registry.toml").write_text(REGISTRY.format(port=port))
    zhejiang = await make_node(public, tmp_path / "zj", "330000")
    shanghai = await make_node(
        public, tmp_path / "sh", "310000", "--registry", str(tmp_path / "registry.toml")
    )
    for path in (zhejiang, shanghai):
        allow_all(path.parent / "access.toml")
    registry = SlowRegistry()
    async with serving_anchor(tmp_path / "anchor"), serving(registry, port), AsyncExitStack() as others:
        ends = {"asking": AsyncExitStack(), "answering": AsyncExitStack()}
        (answering,) = await ends["answering"].enter_async_context(running(shanghai))
        (asking,) = await ends["asking"].enter_async_context(running(zhejiang))
        await answering.node.trust_sync.refresh_once()
        token = await asking.token("portal")

        question = asyncio.create_task(search(asking, token))
        await registry.asked.wait()
        end = asyncio.create_task(ends.pop(stopping).aclose())
        for stack in ends.values():
            others.push_async_exit(stack)
        while not (answering if stopping == "answering" else asking).node.health.reasons():  # noqa: ASYNC110  a node tells by being asked
            await asyncio.sleep(0)
        registry.may_answer.set()
        status, body = await question
        assert status == 200, body
        assert body["total"] == 0
        await end
