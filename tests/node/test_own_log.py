"""What operators see of the own log: figures, warnings; and the loop that does turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from federation.errors import OwnKeyUnavailable, OwnLogClosed
from node.control import CommandRefused
from node.own_log import LATE_AFTER, LogMetrics, LogSteering, log_warner
from node.sequencer import Sequencer
from node.store.database import Database, open_database
from node.store.log_gate import StoreLogGate
from node.store.tree import TreeStore
from tests.support.log_rows import ENTITY, Log, add_records
from trust.keys import Signer


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield opened
    await opened.close()


@pytest.fixture
async def log(database: Database, tmp_path: Path) -> AsyncIterator[Log]:
    made = Log(database, tmp_path, leaves_per_turn=10)
    yield made
    made.close()


def test_a_gate_keeps_its_first_reason() -> None:
    gate = StoreLogGate()
    gate.require_open()
    gate.close("first\nreason")
    gate.close("second")
    with pytest.raises(OwnLogClosed, match=r"^first reason; find out why, then yrd log restart"):
        gate.require_open()
    gate.open()
    gate.require_open()


async def test_a_restart_begins_above_what_others_know(database: Database, log: Log) -> None:
    """As after a backup without the mark: this store has generation 1, and 2 and 3 were signed."""

    async def seen() -> int:
        return 3

    steering = LogSteering(log.sequencer, TreeStore(database), log.gate, seen)
    result = await steering.handlers()["log.restart"]({"reason": "restored"})
    assert (result["closed"]["generation"], result["opened"]["generation"]) == (1, 4)
    with pytest.raises(CommandRefused, match="say why"):
        await steering.handlers()["log.restart"]({"reason": " "})


def figures(log: Log) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(LogMetrics(log.sequencer, log.gate))
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if line[0] != "#")}


async def test_the_figures_are_those_of_the_last_turn(database: Database, log: Log) -> None:
    await add_records(database, 0, 12)
    await log.sequencer.turn()
    found = figures(log)
    assert found.pop("yrd_log_checkpoint_timestamp_seconds") == log.clock.now().timestamp()
    assert found == {
        "yrd_log_generation": 1,
        "yrd_log_records": 12,
        "yrd_log_size": 10,
        "yrd_log_unsettled_records": 12,
        "yrd_log_closed": 0,
    }
    log.gate.close("for the test")
    assert figures(log)["yrd_log_closed"] == 1


async def test_records_that_wait_for_a_signature_are_warned_of(database: Database, log: Log) -> None:
    def silent() -> Signer:
        raise OwnKeyUnavailable("the token is away")

    waiting = Sequencer(log.growth, log.mark, log.gate, silent, log.clock, entity_id=ENTITY)
    warn = log_warner(waiting, log.clock)
    await waiting.begin()
    assert warn() == []
    await add_records(database, 0, 3)
    for _ in range(3):
        with pytest.raises(OwnKeyUnavailable):
            await waiting.turn()
        assert warn() == []
    log.clock.advance(seconds=LATE_AFTER.total_seconds())
    assert [reason.code for reason in warn()] == ["log_checkpoint_late"]
    await log.sequencer.turn()
    await waiting.turn()
    assert warn() == []


async def test_the_loop_catches_up_and_says_failures_once(database: Database, log: Log) -> None:
    tries = 0

    def sometimes() -> Signer:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise OwnKeyUnavailable("the token is away")
        return log.key

    sequencer = Sequencer(log.growth, log.mark, log.gate, sometimes, log.clock, entity_id=ENTITY)
    tree = TreeStore(database)
    await add_records(database, 0, 45)
    with capture_logs() as told:
        running = asyncio.create_task(sequencer.run(0.001))
        while True:
            row = await tree.latest()
            if row is not None and row.size == 45:
                break
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [line["event"] for line in told] == ["log.waits"]
    assert told[0]["code"] == "own.key_unavailable"
