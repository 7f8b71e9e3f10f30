"""What health and metrics tell of logs: conflicts until somebody takes note, and what does not settle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import insert

from federation.log_conflicts import RESTART_TOLD, ConflictKind, conflict_of
from federation.witness import Witnessed
from node.log_watch import LogWatch, gate_probe
from node.store.database import Database, open_database
from node.store.log_gate import StoreLogGate
from node.store.settling import SettlingRows
from node.store.tables import CHECKPOINTS
from node.store.times import to_micros
from node.store.witness import ConflictRows, WitnessRows
from tests.support.clock import NOON, FixedClock
from tests.support.logs import OWN, PEERS, MadeUpLog, directory_of, keys_of, peer_of
from trust.keys import SigningKey

JIANGSU, *_ = PEERS
LOG = MadeUpLog(JIANGSU)


class Scene:
    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, FixedClock()
        key = SigningKey.generate("EdDSA")
        self.peers = [peer_of(entity_id, witness_keys=keys_of(key)) for entity_id in PEERS]
        self.directory = directory_of(self.peers)
        self.watch = LogWatch(database, self.directory, self.clock)

    async def keep(self, kind: ConflictKind, entity_id: str = JIANGSU) -> None:
        notes = {"known": LOG.note(8), "offered": LOG.note(9)}
        conflict = conflict_of(kind, entity_id, LOG.origin, NOON, **notes, detail="why it is one")
        assert await ConflictRows(self.database).keep(conflict)

    async def codes(self) -> list[str]:
        await self.watch.refresh()
        return [reason.code for reason in self.watch.warnings()]

    async def metrics(self) -> list[str]:
        await self.watch.refresh()
        registry = CollectorRegistry()
        registry.register(self.watch)
        lines = generate_latest(registry).decode().splitlines()
        return [line for line in lines if not line.startswith("#")]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield Scene(database)
    await database.close()


async def add_checkpoint(database: Database, size: int) -> None:
    row = {"generation": 1, "size": size, "root": bytes(32), "made_at": to_micros(NOON), "note": "note"}
    async with database.writing() as connection:
        await connection.execute(insert(CHECKPOINTS).values(**row))


async def test_nothing_is_wrong_at_first(scene: Scene) -> None:
    assert await scene.codes() == []
    assert await scene.metrics() == [
        "yrd_log_unsettled_checkpoints 0.0",
        "yrd_log_settled_age_seconds NaN",
    ]


@pytest.mark.parametrize("kind", ConflictKind)
async def test_every_kind_is_told_in_both_languages_until_somebody_takes_note(
    scene: Scene, kind: ConflictKind
) -> None:
    await scene.keep(kind)
    assert await scene.codes() == ["log_restarted" if kind is ConflictKind.RESTART else "log_conflict"]
    (reason,) = scene.watch.warnings()
    assert reason.zh.startswith(f"{JIANGSU} ")
    assert "why it is one" in reason.en
    assert "yrd log conflicts --acknowledge 1" in reason.zh
    await ConflictRows(scene.database).acknowledge(1, NOON)
    assert await scene.codes() == []


async def test_conflicts_are_counted_by_province_and_kind(scene: Scene) -> None:
    for kind, entity_id in (
        (ConflictKind.FORK, JIANGSU),
        (ConflictKind.OWN_AHEAD, OWN),
        (ConflictKind.BAD_PROOF, "https://node.xx.example"),
    ):
        await scene.keep(kind, entity_id)
    counted = [line for line in await scene.metrics() if line.startswith("yrd_log_conflicts")]
    assert sorted(counted) == [
        'yrd_log_conflicts{kind="bad_proof",province="unknown"} 1.0',
        'yrd_log_conflicts{kind="fork",province="320000"} 1.0',
        'yrd_log_conflicts{kind="own_ahead",province="310000"} 1.0',
    ]


async def test_a_shrunk_tree_alarms_until_the_log_has_extended_what_is_known(scene: Scene) -> None:
    await scene.keep(ConflictKind.SHRUNK)
    for size, told in ((8, ["log_conflict"]), (9, [])):
        known = Witnessed(LOG.origin, JIANGSU, 1, size, bytes(32), LOG.note(size), NOON)
        await WitnessRows(scene.database).advance(JIANGSU, lambda _, one=known: one)  # type: ignore[misc]
        assert await scene.codes() == told


async def test_a_restart_is_told_for_a_week(scene: Scene) -> None:
    await scene.keep(ConflictKind.RESTART)
    scene.clock.at += RESTART_TOLD - timedelta(seconds=1)
    assert await scene.codes() == ["log_restarted"]
    scene.clock.advance(seconds=1)
    assert await scene.codes() == []


async def test_what_does_not_settle_is_told_after_a_minute(scene: Scene) -> None:
    await add_checkpoint(scene.database, 5)
    scene.clock.advance(seconds=59)
    assert await scene.codes() == []
    scene.clock.advance(seconds=1)
    assert await scene.codes() == ["log_unsettled"]
    (reason,) = scene.watch.warnings()
    assert "the quorum is 2, 3 members cosign" in reason.en
    await SettlingRows(scene.database).settle(1, 5, NOON)
    assert await scene.codes() == []
    assert await scene.metrics() == [
        "yrd_log_unsettled_checkpoints 0.0",
        "yrd_log_settled_age_seconds 60.0",
    ]


@pytest.mark.parametrize(
    ("quorum", "cosigning", "code"),
    [
        (3, 3, None),
        (2, 3, None),
        (1, 1, None),
        (1, 3, "quorum_too_small"),
        (1, 2, "quorum_too_small"),
        (2, 1, "quorum_out_of_reach"),
        (4, 3, "quorum_out_of_reach"),
        (0, 3, None),
    ],
)
async def test_a_quorum_must_fit_those_who_cosign(
    scene: Scene, quorum: int, cosigning: int, code: str | None
) -> None:
    silent = [replace(peer, witness_keys={}) for peer in scene.peers[cosigning:]]
    known = directory_of([*scene.peers[:cosigning], *silent], quorum=quorum).current
    scene.directory.swap(known)
    assert scene.watch.warnings() == []  # who cosigns is not known yet
    scene.directory.swap(replace(known, refreshed_at=NOON))
    assert [reason.code for reason in scene.watch.warnings()] == ([code] if code else [])


async def test_a_settled_log_warns_only_of_what_came_after(scene: Scene) -> None:
    await add_checkpoint(scene.database, 5)
    await SettlingRows(scene.database).settle(1, 5, NOON)
    await add_checkpoint(scene.database, 6)
    scene.clock.advance(seconds=60)
    assert await scene.codes() == ["log_unsettled"]


def test_a_closed_log_makes_the_node_unready() -> None:
    gate = StoreLogGate()
    probe = gate_probe(gate)
    assert probe() is None
    gate.close("a witness knows more")
    reason = probe()
    assert reason is not None
    assert reason.code == "log_closed"
    assert "a witness knows more" in reason.en
    assert "yrd log restart" in reason.zh


async def test_what_anyone_can_bring_about_hides_no_fork(scene: Scene) -> None:
    await scene.keep(ConflictKind.FORK)
    for size in range(9, 220):
        at = NOON + timedelta(hours=size)
        replayed = conflict_of(
            ConflictKind.SHRUNK, JIANGSU, LOG.origin, at, known=f"{size}", offered="", detail="smaller"
        )
        assert await ConflictRows(scene.database).keep(replayed)
    await scene.watch.refresh()
    assert "two roots" in scene.watch.warnings()[0].en
    assert any('kind="fork"' in line for line in await scene.metrics())
