"""Other people's readers make of a running node's log what is in its store (`make interop`).

Shanghai asks Zhejiang more often than a tile is wide, Jiangsu stands by, and both cosign. Keys are taken from what the
nodes say of themselves, as anyone would; the older checkpoint is the one that was served after the first query.
"""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.interop.log_readers import by_sumdb, by_tlog_scales
from tests.support.federation import RunningNode, make_node, running
from tests.support.two_nodes import CLIENT, found, good_question
from trust.checkpoint import Checkpoint, read_checkpoint
from trust.cosignature import COSIGNATURE
from trust.keys import keys_from_jwks
from trust.merkle import leaf_hash, verify_consistency, verify_inclusion
from trust.note import read_note, verifier_key
from trust.profile import log_origin, witness_name
from trust.tiles import TILE_WIDTH

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

QUERIES, AT_ONCE = TILE_WIDTH // 2 + 10, 16
INDEX = TILE_WIDTH - 1
_PATIENCE = 300
_LOOK_EVERY_S = 0.1
_LONGEST_S = 120


@dataclass(frozen=True)
class Scene:
    """Three nodes at work; the log is the asking one's."""

    asking: RunningNode
    witnesses: tuple[RunningNode, ...]
    token: str

    @property
    def prefix(self) -> str:
        return f"http://{self.asking.at.public}/log/1"

    async def ask(self, times: int) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        url, room = f"{self.asking.platform}/v1/certificates/query", asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with room, self.asking.http.post(url, json=good_question(), headers=headers) as answer:
                assert answer.status == 200, await answer.text()

        await asyncio.gather(*(one() for _ in range(times)))

    async def told(self, node: RunningNode) -> dict[str, Any]:
        """What a node says of itself as a node of this federation."""
        async with node.http.get(f"http://{node.at.public}/.well-known/openid-federation") as answer:
            claims = (await answer.text()).split(".")[1]
        body: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(f"{claims}=="))
        metadata: dict[str, Any] = body["metadata"]["yrd_node"]
        return metadata

    async def cosigned(self, size: int) -> Checkpoint:
        """The served checkpoint, once it holds so many leaves and both witnesses cosigned it."""
        for _ in range(_PATIENCE):
            async with self.asking.http.get(f"{self.prefix}/checkpoint") as answer:
                if answer.status == 200:
                    note = read_note(await answer.read())
                    checkpoint = read_checkpoint(note.text)
                    if checkpoint.size >= size and len(note.signatures) == 1 + len(self.witnesses):
                        return checkpoint
            await asyncio.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"not of {size} leaves, or not cosigned: {await answer.text()}")

    async def question(self, old: Checkpoint) -> dict[str, Any]:
        (log_key,) = keys_from_jwks((await self.told(self.asking))["log_jwks"]).values()
        witnesses = []
        for node in self.witnesses:
            (key,) = keys_from_jwks((await self.told(node))["witness_jwks"]).values()
            witnesses.append(verifier_key(witness_name(f"http://{node.at.public}"), key, COSIGNATURE))
        return {
            "prefix": self.prefix,
            "log": verifier_key(log_origin(f"http://{self.asking.at.public}", 1), log_key),
            "witnesses": witnesses,
            "index": INDEX,
            "entry": self.leaf(INDEX).hex(),
            "old_size": old.size,
            "old_root": old.root.hex(),
        }

    def leaf(self, index: int) -> bytes:
        """The leaf data of a record, from the store."""
        path = self.asking.config_path.with_name("node.db")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            ((leaf,),) = connection.execute("SELECT leaf FROM records WHERE log_index = ?", (index,))
        return bytes(leaf)


@asynccontextmanager
async def three_nodes(folder: Path) -> AsyncIterator[Scene]:
    country = await found(folder)
    third = await make_node(country.anchor / "anchor.public.json", folder / "320000", "320000")
    async with country.around(), running(country.asking, country.answering, third) as (asking, *others):
        for node in (asking, *others):
            await node.node.trust_sync.refresh_once()
        yield Scene(asking, tuple(others), await asking.token(CLIENT))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with three_nodes(tmp_path) as scene:
        yield scene


def assert_holds(read: dict[str, Any], scene: Scene, old: Checkpoint) -> None:
    """What others made of it is what we make of it; the log may have grown meanwhile."""
    origin, size, root = read["checkpoint"][0], read["checkpoint"][1], bytes.fromhex(read["checkpoint"][2])
    path, proof = ([bytes.fromhex(step) for step in read[name]] for name in ("path", "proof"))
    assert (origin, size >= 2 * QUERIES) == (old.origin, True)
    assert verify_inclusion(leaf_hash(scene.leaf(INDEX)), INDEX, size, path, root)
    assert verify_consistency(old.size, old.root, size, root, proof)


async def test_others_verify_the_log_of_a_running_node(scene: Scene) -> None:
    await scene.ask(1)
    old = await scene.cosigned(2)
    await scene.ask(QUERIES - 1)
    await scene.cosigned(2 * QUERIES)
    question = await scene.question(old)

    read = await by_tlog_scales(question)
    while len(read["cosigned"]) < len(scene.witnesses):  # it was read right after it grew
        read = await by_tlog_scales(question)
    assert_holds(read, scene, old)
    assert read["entry"] == scene.leaf(INDEX).hex()
    assert read["cosigned"].keys() == {witness_name(f"http://{node.at.public}") for node in scene.witnesses}
    now = time.time()
    assert all(now - _LONGEST_S < at <= now for at in read["cosigned"].values())

    assert_holds(await by_sumdb(question), scene, old)
