"""The hostile peer, over real sockets: an enrolled node with real keys and one thing wrong each time.

What is shown is the refusal of a node made by the operator's commands; and, the other way round, that an asking node
does not believe a peer that lies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.clock import SystemClock
from node.config import read_config
from simulators.attacks import ATTACKS
from simulators.lies import LIES
from simulators.peer import HostilePeer, hostile_peer
from tests.support.federation import RunningNode, allow_all, make_anchor, make_node, running, serving_anchor

pytestmark = [
    pytest.mark.journey,
    pytest.mark.xdist_group("hostile-peer"),
    pytest.mark.asyncio(loop_scope="module"),
]

_ENROLLED_SLOT = "990000"
_QUESTION = {
    "province": _ENROLLED_SLOT,
    "holder": {"id_type": "公民身份号码", "id": "330323194808089446"},
    "basis": {
        "kind": "official_duty",
        "service_item_name": "户口迁移",
        "service_item_code": "1131000068735121X0231010032700001",
        "case_number": "1",
        "purpose": "test",
    },
    "officer": "officer",
}


@dataclass(frozen=True)
class Scene:
    """An honest node, a token at it, and the peer that misbehaves."""

    honest: RunningNode
    token: str
    peer: HostilePeer

    async def metric(self, part: str) -> list[str]:
        async with self.honest.http.get(f"http://{self.honest.at.operations}/metrics") as answer:
            return [line for line in (await answer.text()).splitlines() if part in line]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    public, _ = await make_anchor(folder / "anchor")
    honest = await make_node(public, folder / "honest", "310000")
    hostile = await make_node(public, folder / "hostile", _ENROLLED_SLOT, "--dialect", "330000")
    for path in (honest, hostile):
        allow_all(path.parent / "access.toml")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_anchor(folder / "anchor"))
        (node,) = await stack.enter_async_context(running(honest))
        config = await asyncio.to_thread(read_config, hostile)
        peer = await stack.enter_async_context(hostile_peer(config, SystemClock()))
        await node.node.trust_sync.refresh_once()
        yield Scene(node, await node.token("portal"), peer)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "over_quota"])
async def test_each_attack_gets_its_own_code(scene: Scene, name: str) -> None:
    attack = ATTACKS[name]

    codes = await scene.peer.attack(attack, "310000", wait_s=30)

    assert dict(codes) == {attack.code: 1}
    if (
        attack.code != "peer.too_large"
    ):  # what grpcio refuses unread has no code: it is a call that was not read
        assert await scene.metric(attack.code)


async def test_a_flood_meets_the_quota(scene: Scene) -> None:
    attack = ATTACKS["over_quota"]

    codes = await scene.peer.attack(attack, "310000", wait_s=30)

    assert codes[attack.code] > 0
    assert set(codes) <= {attack.code, "peer.unsupported_type"}


@pytest.mark.parametrize("name", [name for name in LIES if name != "silent"])
async def test_no_lie_is_believed(scene: Scene, name: str) -> None:
    lie = LIES[name]

    async with scene.peer.lying(lie):
        status, problem = await ask(scene)

    assert status == 502, problem
    assert problem["code"] == lie.code


async def test_a_peer_that_never_answers_is_a_timeout(scene: Scene) -> None:
    async with scene.peer.lying(LIES["silent"]):
        status, problem = await ask(scene)

    assert (status, problem["code"]) == (504, "peer.timeout")


async def ask(scene: Scene) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {scene.token}"}
    url = f"{scene.honest.platform}/v1/certificates/query"
    async with scene.honest.http.post(url, json=_QUESTION, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)
