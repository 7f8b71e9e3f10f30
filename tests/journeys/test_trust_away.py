"""The anchor is away: restarts change nothing; after a month chains end, which is told; then all is right again."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.delta import found_delta
from tests.support.federation import (
    RunningNode,
    allow_all,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from tests.support.two_nodes import ShiftedClock

pytestmark = pytest.mark.journey

ASKING, ANSWERING = "310000", "330000"
DAY_S = 24 * 3600.0


class Platform:
    """Asks Shanghai's node; an access token is over long before the month is."""

    def __init__(self, node: RunningNode, secret: str) -> None:
        self._node = node
        self._secret = secret

    async def ask(self) -> tuple[int, dict[str, Any]]:
        token = await self._node.log_in("portal", self._secret)
        return await self._node.get(f"/v1/certificates/types/{ANSWERING}?officer=1", token)


async def readiness(node: RunningNode) -> tuple[int, set[str], set[str]]:
    """What /readyz says: status, the codes of its reasons, the codes of its warnings about trust.

    Of two nodes each has one witness, so a quorum of two is out of reach: left out.
    """
    async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
        body = await answer.json()
    reasons, warnings = ({entry["code"] for entry in body[name]} for name in ("reasons", "warnings"))
    return answer.status, reasons, warnings - {"quorum_out_of_reach"}


async def two_nodes(folder: Path) -> list[Path]:
    """Shanghai's and Zhejiang's, taken in by an anchor, letting everything through."""
    public, _ = await make_anchor(folder / "anchor")
    paths = [await make_node(public, folder / province, province) for province in (ASKING, ANSWERING)]
    for path in paths:
        allow_all(path.with_name("access.toml"))
    return paths


async def test_without_the_anchor_all_goes_on_until_chains_expire_and_that_is_told(tmp_path: Path) -> None:
    paths, clock = await two_nodes(tmp_path), ShiftedClock()
    async with AsyncExitStack() as stack:
        anchor = await stack.enter_async_context(AsyncExitStack())
        await anchor.enter_async_context(serving_anchor(tmp_path / "anchor", clock))
        nodes = await stack.enter_async_context(running(*paths, clocks=dict.fromkeys(paths, clock)))
        platform = Platform(nodes[0], await nodes[0].add_client("portal"))

        async def after(days: float) -> tuple[int, dict[str, Any]]:
            clock.ahead_s = days * DAY_S
            for node in nodes:
                await node.node.trust_sync.refresh_once()
            return await platform.ask()

        assert (await after(0))[0] == 200
        assert await readiness(nodes[0]) == (200, set(), set())
        await anchor.aclose()
        assert (await after(1))[0] == 200
        assert await readiness(nodes[0]) == (200, set(), {"trust_status_old"})
        assert (await after(25))[0] == 200
        assert await readiness(nodes[0]) == (200, set(), {"trust_status_old", "trust_chain_ending"})
        ends_at = nodes[0].node.asker.peers().peer_in(ANSWERING).expires_at

        status, problem = await after(31)
        assert (status, problem["code"]) == (502, "peer.chain_expired")
        assert ends_at.date().isoformat() in problem["detail"]
        status, reasons, warnings = await readiness(nodes[0])
        assert (status, reasons) == (503, {"trust_expired"})
        assert "trust_chain_expired" in warnings

        await anchor.enter_async_context(serving_anchor(tmp_path / "anchor", clock))
        status, problem = await after(31)
        assert status == 200, problem
        assert await readiness(nodes[0]) == (200, set(), set())


async def test_all_nodes_restart_without_the_anchor_and_answer_each_other(tmp_path: Path) -> None:
    delta = await found_delta(tmp_path)
    async with delta.running():
        pass
    async with delta.running(with_anchor=False) as at:
        for pair in at.load().pairs:
            status, body = await at.ask(pair)
            assert status == 200, body


async def test_a_node_that_restarts_all_alone_knows_whom_it_knew(tmp_path: Path) -> None:
    """With neither anchor nor peers nor their mirrors: only the store is there."""
    asking, answering = await two_nodes(tmp_path)
    async with serving_anchor(tmp_path / "anchor"), running(asking, answering) as (node, _):
        secret = await node.add_client("portal")
        assert (await Platform(node, secret).ask())[0] == 200
        knew = dict(node.node.asker.peers().peers)
    async with running(asking) as (node,):
        assert dict(node.node.asker.peers().peers) == knew
        assert (await readiness(node))[:2] == (200, set())
        status, problem = await Platform(node, secret).ask()
        assert (status, problem["code"]) == (502, "peer.unreachable")
