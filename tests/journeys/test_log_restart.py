"""The log of a running node: what strangers see of it, a restart while it serves, and a backup that is put back."""

from __future__ import annotations

import asyncio
import base64
import shutil
import sqlite3
from pathlib import Path

import orjson
import pytest

from tests.support.federation import (
    RunningNode,
    allow_all,
    command,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from trust.checkpoint import Checkpoint, read_checkpoint
from trust.note import read_note

pytestmark = pytest.mark.journey

TYPES = "/v1/certificates/types/310000?officer=x"


async def checkpoint(node: RunningNode, generation: int, *, at_least: int) -> Checkpoint:
    """What the public listener shows, as soon as it holds that much."""
    url = f"http://{node.at.public}/log/{generation}/checkpoint"
    while True:
        async with node.http.get(url) as answer:
            if answer.status == 200:
                shown = read_checkpoint(read_note(await answer.read()).text)
                if shown.size >= at_least:
                    return shown
        await asyncio.sleep(0.05)


async def told_generation(node: RunningNode) -> int:
    """The generation that the node's entity configuration names now."""
    async with node.http.get(f"http://{node.at.public}/.well-known/openid-federation") as answer:
        payload = (await answer.text()).split(".")[1]
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return int(claims["metadata"]["yrd_node"]["log_generation"])


def copy_of(store: Path, target: Path) -> None:
    """A backup, as the manual makes it: while the node runs."""
    with sqlite3.connect(store) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()


def put_back(copy: Path, store: Path) -> None:
    for left in store.parent.glob(f"{store.name}*"):
        left.unlink()
    shutil.copy(copy, store)


async def test_a_log_is_restarted_while_the_node_runs_and_after_a_backup_was_put_back(tmp_path: Path) -> None:
    public, _ = await make_anchor(tmp_path / "anchor")
    zhejiang = await make_node(public, tmp_path / "zj", "330000")
    shanghai = await make_node(public, tmp_path / "sh", "310000")
    for path in (zhejiang, shanghai):
        allow_all(path.parent / "access.toml")
    store, backup = zhejiang.with_name("node.db"), tmp_path / "backup.db"
    async with serving_anchor(tmp_path / "anchor"):
        async with running(zhejiang, shanghai) as (node, peer):
            token = await node.token("portal")
            assert (await node.get(TYPES, token))[0] == 200
            assert await told_generation(node) == 1
            first = await checkpoint(node, 1, at_least=2)
            assert first.origin == f"{node.at.public}/log/1"
            copy_of(store, backup)

            said = await command("log", "restart", "--reason", "for the test", "--config", zhejiang)
            assert "generation 2 begins with record" in said
            assert await told_generation(node) == 2, "peers learn it with their next look"
            report = await peer.node.trust_sync.refresh_once()
            assert not report.problems
            assert (await node.get(TYPES, token))[0] == 200
            await checkpoint(node, 2, at_least=2)
            assert (await checkpoint(node, 1, at_least=2)).origin == first.origin, "the closed one stays"
            assert "log.restart" in await command("audit", "--config", zhejiang)
            state = orjson.loads(await command("status", "--json", "--config", zhejiang))
            assert (state["log"]["generation"], state["log"]["closed"]) == (2, "")
            async with node.http.get(f"http://{node.at.operations}/metrics") as answer:
                assert "yrd_log_generation 2.0" in await answer.text()
        assert "0 forgotten" in await command("log", "verify", "--config", zhejiang)

        put_back(backup, store)
        async with running(zhejiang, shanghai) as (node, _):
            status, refused = await node.get(TYPES, token)
            assert (status, refused["code"]) == (503, "own.log_closed")
            async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
                told = await answer.json()
            assert answer.status == 503
            assert "log_closed" in [why["code"] for why in told["reasons"]]
            said = await command(
                "log", "restart", "--reason", "the backup was put back", "--config", zhejiang
            )
            assert "generation 3 begins with record" in said
            assert (await node.get(TYPES, token))[0] == 200
            await checkpoint(node, 3, at_least=2)
