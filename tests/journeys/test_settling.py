"""Four nodes cosign each other: checkpoints settle while a node is away, and a restored backup is found before it
writes anything, and the log then begun anew above every generation that was signed.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from federation.ports import CheckpointRow
from node.store.database import Database, open_database
from node.store.log_mark import MARK_FILE
from node.store.tree import TreeStore
from tests.support.delta import add_settings
from tests.support.federation import (
    RunningNode,
    allow_all,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from trust.cosignature import quorum_time, verify_cosignatures
from trust.entity import WELL_KNOWN
from trust.keys import VerificationKey, keys_from_jwks
from trust.note import read_note
from trust.profile import witness_name
from trust.tokens import read_token

pytestmark = pytest.mark.journey

SHANGHAI, JIANGSU, ZHEJIANG, ANHUI = PROVINCES = ("310000", "320000", "330000", "340000")
PAUSE_S = 0.05
CHECKPOINT_S = 0.2

Witnesses = Mapping[str, tuple[str, Mapping[str, VerificationKey]]]


async def four_nodes(folder: Path) -> Mapping[str, Path]:
    """Taken in by an anchor, letting everything through, with a checkpoint as soon as there is something new."""
    public, _ = await make_anchor(folder / "anchor")
    paths = {province: await make_node(public, folder / province, province) for province in PROVINCES}
    for path in paths.values():
        allow_all(path.with_name("access.toml"))
        add_settings(path, "evidence", f"checkpoint_s = {CHECKPOINT_S}")
    return paths


async def witness_of(node: RunningNode) -> tuple[str, Mapping[str, VerificationKey]]:
    """The name of a node as a witness, and its keys as it tells them."""
    entity_id = node.node.config.node.entity_id
    async with node.http.get(entity_id + WELL_KNOWN) as answer:
        told = read_token(await answer.text()).claims["metadata"]["yrd_node"]
    return witness_name(entity_id), keys_from_jwks(told["witness_jwks"])


class Asking:
    """Shanghai's node at work, and its store as others may read it."""

    def __init__(self, node: RunningNode, token: str, database: Database, witnesses: Witnesses) -> None:
        self.node, self._token, self._witnesses = node, token, witnesses
        self._tree = TreeStore(database)

    @classmethod
    async def of(cls, stack: AsyncExitStack, node: RunningNode, secret: str, witnesses: Witnesses) -> Asking:
        url = f"sqlite:///{node.config_path.with_name('node.db')}"
        database = await asyncio.to_thread(open_database, url)
        stack.push_async_callback(database.close)
        return cls(node, await node.log_in("portal", secret), database, witnesses)

    async def ask(self) -> tuple[int, dict[str, Any]]:
        """Jiangsu for what it offers: two records in each of the two logs."""
        return await self.node.get(f"/v1/certificates/types/{JIANGSU}?officer=1", self._token)

    async def begin_anew(self, *told: RunningNode) -> None:
        """As `yrd log restart` does; those who are told need not find out by themselves."""
        await self.node.node.handlers["log.restart"]({"reason": "for the test"})
        await know_anew(*told)

    async def settled_by(self, count: int, *, generation: int = 1) -> tuple[CheckpointRow, Collection[str]]:
        """Wait for the newest checkpoint to be cosigned by so many, and settled; it, and by whom."""
        for _ in range(600):
            latest = await self._tree.latest(generation)
            if latest is not None and latest.settled_at is not None:
                cosigned = await self._tree.cosignatures_of(generation, latest.size)
                if len(cosigned) == count:
                    return latest, self._verified(latest, [one.line for one in cosigned])
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"not settled by {count}: {latest}")

    def _verified(self, row: CheckpointRow, lines: Collection[str]) -> Collection[str]:
        """Whose cosignatures verify; the time of a quorum of two must be the row's."""
        note = read_note((row.note + "".join(f"{line}\n" for line in lines)).encode())
        times = verify_cosignatures(note, dict(self._witnesses.values()))
        assert row.settled_at == quorum_time(times, 2)
        return {province for province, (name, _) in self._witnesses.items() if name in times}


async def know_anew(*nodes: RunningNode) -> None:
    """Have nodes look at the configurations of the others now."""
    await asyncio.gather(*(node.node.trust_sync.refresh_once() for node in nodes))


async def readiness(node: RunningNode) -> tuple[int, set[str], set[str]]:
    """What /readyz says: status, the codes of its reasons, the codes of its warnings."""
    async with node.http.get(f"http://{node.at.operations}/readyz") as answer:
        body = await answer.json()
    reasons, warnings = ({entry["code"] for entry in body[name]} for name in ("reasons", "warnings"))
    return answer.status, reasons, warnings


def copy_of_store(config_path: Path, to: Path) -> None:
    """A backup of a running node's store."""
    with (
        closing(sqlite3.connect(config_path.with_name("node.db"))) as live,
        closing(sqlite3.connect(to)) as copy,
    ):
        live.backup(copy)


def restore(config_path: Path, backup: Path) -> None:
    """Put a backup in the store's place, as on a new machine: what was signed last is not known there."""
    for leftover in config_path.parent.glob("node.db*"):
        leftover.unlink()
    shutil.copy(backup, config_path.with_name("node.db"))
    (config_path.parent / MARK_FILE).unlink()


async def test_checkpoints_settle_with_one_away_and_a_restored_backup_is_found(tmp_path: Path) -> None:
    paths, backup = await four_nodes(tmp_path), tmp_path / "backup.db"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_anchor(tmp_path / "anchor"))
        jiangsu, zhejiang = await stack.enter_async_context(running(paths[JIANGSU], paths[ZHEJIANG]))
        others = await stack.enter_async_context(AsyncExitStack())
        (anhui,) = await others.enter_async_context(running(paths[ANHUI]))
        at_work = await stack.enter_async_context(AsyncExitStack())
        (shanghai,) = await at_work.enter_async_context(running(paths[SHANGHAI]))
        await know_anew(jiangsu, anhui)
        secret = await shanghai.add_client("portal")
        at = {JIANGSU: jiangsu, ZHEJIANG: zhejiang, ANHUI: anhui}
        witnesses = {province: await witness_of(node) for province, node in at.items()}
        asking = await Asking.of(at_work, shanghai, secret, witnesses)

        assert (await asking.ask())[0] == 200
        _, by = await asking.settled_by(3)
        assert by == {JIANGSU, ZHEJIANG, ANHUI}
        copy_of_store(paths[SHANGHAI], backup)

        await others.aclose()
        await asking.begin_anew()
        assert (await asking.ask())[0] == 200
        _, by = await asking.settled_by(2, generation=2)
        assert by == {JIANGSU, ZHEJIANG}

        await at_work.aclose()
        restore(paths[SHANGHAI], backup)
        (shanghai,) = await at_work.enter_async_context(running(paths[SHANGHAI]))
        asking = await Asking.of(at_work, shanghai, secret, witnesses)
        status, body = await asking.ask()
        assert (status, body["code"]) == (503, "own.log_closed")
        status, reasons, _ = await readiness(shanghai)
        assert (status, reasons) == (503, {"log_closed"})

        # Neither this store nor a mark knows of generation 2: the witnesses do.
        await asking.begin_anew(jiangsu, zhejiang)
        assert (await asking.ask())[0] == 200
        _, by = await asking.settled_by(2, generation=3)
        assert by == {JIANGSU, ZHEJIANG}
