"""The anchor is away for a month: all goes on, then refuses by its own name, and is all right again when it is back."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

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
    """What /readyz says: status, the codes of its reasons, the codes of its warnings."""
    async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
        body = await answer.json()
    reasons, warnings = ({entry["code"] for entry in body[name]} for name in ("reasons", "warnings"))
    return answer.status, reasons, warnings


async def test_without_the_anchor_all_goes_on_until_chains_expire_and_that_is_told(tmp_path: Path) -> None:
    public, _ = await make_anchor(tmp_path / "anchor")
    paths = [await make_node(public, tmp_path / province, province) for province in (ASKING, ANSWERING)]
    for path in paths:
        allow_all(path.with_name("access.toml"))
    clock = ShiftedClock()
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
