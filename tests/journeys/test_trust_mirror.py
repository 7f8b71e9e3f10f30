"""The anchor is away: a node that was never started before begins from its peer's mirror, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

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
from trust.documents import MIRROR_PATH, STATUS_PATH

pytestmark = pytest.mark.journey

FIRST, LATE = "310000", "330000"


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Something that answers every GET on loopback; its base URL."""
    app = web.Application()
    app.router.add_get("/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"eyJ" * 4096)
    except ConnectionError:
        return response


async def elsewhere(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://169.254.169.254/latest/meta-data")


async def test_a_fresh_node_begins_from_its_peers_mirror(tmp_path: Path) -> None:
    public, _ = await make_anchor(tmp_path / "anchor")
    first, late = [await make_node(public, tmp_path / province, province) for province in (FIRST, LATE)]
    for path in (first, late):
        allow_all(path.with_name("access.toml"))
    bundle = json.loads(late.with_name("enrolled.json").read_bytes())
    assert len(bundle["mirrors"]) == 1, "enrolment tells who was there"
    async with AsyncExitStack() as stack:
        async with serving_anchor(tmp_path / "anchor"):
            (one,) = await stack.enter_async_context(running(first))
        (other,) = await stack.enter_async_context(running(late))
        entity_id = one.node.config.node.entity_id
        snapshot = other.node.asker.peers()
        assert list(snapshot.peers) == [entity_id]
        assert snapshot.mirror == entity_id + MIRROR_PATH
        assert snapshot.sequence == one.node.asker.peers().sequence
        async with one.http.get(snapshot.mirror + STATUS_PATH) as answer:
            assert (answer.status, answer.content_type) == (200, "application/trust-status+jwt")
        warned = await readiness(other)
        assert "trust_from_mirror" in warned


async def readiness(node: RunningNode) -> list[str]:
    async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
        assert answer.status == 200
        return [warning["code"] for warning in (await answer.json())["warnings"]]


async def test_hostile_mirrors_beside_it_change_nothing(tmp_path: Path) -> None:
    public, _ = await make_anchor(tmp_path / "anchor")
    first, late = [await make_node(public, tmp_path / province, province) for province in (FIRST, LATE)]
    async with AsyncExitStack() as stack:
        bases = [await stack.enter_async_context(serving(one)) for one in (endless, elsewhere)]
        async with serving_anchor(tmp_path / "anchor"):
            (one,) = await stack.enter_async_context(running(first))
        text = late.read_text("utf-8")
        late.write_text(text.replace("[trust]\n", f"[trust]\nmirrors = {json.dumps(bases)}\n"), "utf-8")
        (other,) = await stack.enter_async_context(running(late))
        snapshot = other.node.asker.peers()
        assert list(snapshot.peers) == [one.node.config.node.entity_id]
        assert snapshot.mirror == one.node.config.node.entity_id + MIRROR_PATH
