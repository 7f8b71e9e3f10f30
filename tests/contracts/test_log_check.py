"""A full pass over the log finds what was edited behind its back, and names it; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Executable, delete, select, update

from node.store.bodies import ClearBodies
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.log_check import MOST_FAULTS, LogCheck, LogFindings
from node.store.tables import BODIES, CHECKPOINTS, LOG_GENERATIONS, RECORDS, TILES
from tests.support.clock import FixedClock
from tests.support.exchanges import OPERATION, meta_of, next_request_id
from tests.support.log_rows import ENTITY, Log, add_archive, leaf_of
from trust.keys import SigningKey
from trust.tiles import ENTRIES

KEY = SigningKey.generate("EdDSA")
SIZE = 600


async def store(journal: StoreJournal, count: int) -> None:
    one = OPERATION.request_type
    await asyncio.gather(
        *(journal.store_request(meta_of(next_request_id()), one, b"x") for _ in range(count))
    )


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[StoreJournal]:
    opened = StoreJournal(database, lambda: KEY, FixedClock(), sign_batches=True)
    yield opened
    await opened.close()


@pytest.fixture
async def log(database: Database, journal: StoreJournal, tmp_path: Path) -> AsyncIterator[Log]:
    """A log with several checkpoints, and two records after the last."""
    with closing(Log(database, tmp_path)) as made:
        for count in (1, 299, SIZE - 300):
            await store(journal, count)
            await made.sequencer.turn()
        await store(journal, 2)
        yield made


async def check(database: Database) -> LogFindings:
    return await LogCheck(database, ClearBodies(), entity_id=ENTITY).run()


async def change(database: Database, *statements: Executable) -> None:
    async with database.writing() as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_a_log_that_nobody_touched(database: Database, log: Log) -> None:
    told: list[int] = []
    counted = LogCheck(database, ClearBodies(), entity_id=ENTITY, seen=told.append)
    assert await counted.count() == SIZE + 2
    found = await counted.run()
    assert (found.fault_count, found.faults) == (0, [])
    assert (found.records, found.checkpoints, found.unsequenced) == (SIZE + 2, 3, 2)
    assert sum(told) == SIZE + 2


async def test_an_empty_log(database: Database) -> None:
    found = await check(database)
    assert (found.records, found.checkpoints, found.faults) == (0, 0, [])


async def test_several_generations(database: Database, log: Log, journal: StoreJournal) -> None:
    log.gate.close("for the test")
    await log.sequencer.restart("for the test")
    await store(journal, 3)
    await log.sequencer.turn()
    found = await check(database)
    assert found.faults == []
    assert (found.records, found.checkpoints, found.unsequenced) == (SIZE + 5, 4, 2)


async def test_what_was_forgotten_or_archived_is_no_fault(database: Database, log: Log) -> None:
    await add_archive(database, 9)
    await change(database, delete(RECORDS).where(RECORDS.c.log_index < 10))
    await change(database, delete(BODIES).where(BODIES.c.log_index < 12))
    found = await check(database)
    assert found.faults == []
    assert (found.archived, found.forgotten) == (10, 2)


def body(index: int) -> Executable:
    other = select(BODIES.c.sealed).where(BODIES.c.log_index == index + 1).scalar_subquery()
    return update(BODIES).where(BODIES.c.log_index == index).values(sealed=other)


def leaf(index: int) -> Executable:
    return update(RECORDS).where(RECORDS.c.log_index == index).values(leaf=leaf_of(index))


EDITS: dict[str, tuple[list[Executable], list[str]]] = {
    "a body": ([body(17)], ["record 17 ("]),
    "a leaf and no body": ([leaf(300)], ["record 300 (", "record 300 ("]),
    "a body that no checkpoint holds": ([body(SIZE)], [f"record {SIZE} ("]),
    "one is missing": ([delete(RECORDS).where(RECORDS.c.log_index == 5)], ["record 5: missing"]),
    "a tile": (
        [update(TILES).where(TILES.c.level == 0, TILES.c.position == 1).values(hashes=bytes(32 * 256))],
        ["generation 1, tile of level 0, position 1"],
    ),
    "an upper tile": (
        [delete(TILES).where(TILES.c.level == 1)],
        ["generation 1, tile of level 1, position 0"],
    ),
    "an entry bundle": (
        [delete(TILES).where(TILES.c.level == ENTRIES, TILES.c.position == 2)],
        ["generation 1, entry bundle 2"],
    ),
    "a checkpoint": (
        [update(CHECKPOINTS).where(CHECKPOINTS.c.size == 300).values(root=bytes(32))],
        ["generation 1, checkpoint 300: the records", "checkpoint 300 of generation 1: its note"],
    ),
    "a note": (
        [update(CHECKPOINTS).where(CHECKPOINTS.c.size == 300).values(note="not a note")],
        ["checkpoint 300 of generation 1: its note"],
    ),
    "the size it was closed with": (
        [update(LOG_GENERATIONS).values(closed_at=1, closed_size=7, closed_root=bytes(32))],
        ["generation 1, it was closed with 7"],
    ),
}


@pytest.mark.parametrize("what", EDITS)
async def test_what_was_edited_is_named(database: Database, log: Log, what: str) -> None:
    statements, expected = EDITS[what]
    await change(database, *statements)
    found = await check(database)
    assert [fault[: len(start)] for fault, start in zip(found.faults, expected, strict=True)] == expected
    assert found.fault_count == len(expected)


async def test_many_faults_are_counted_and_the_first_are_named(database: Database, log: Log) -> None:
    await change(database, delete(RECORDS).where(RECORDS.c.log_index.between(100, 199)))
    found = await check(database)
    assert found.fault_count == 100
    assert found.faults == [f"record {index}: missing" for index in range(100, 100 + MOST_FAULTS)]
