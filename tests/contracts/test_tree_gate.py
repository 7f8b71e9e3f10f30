"""What stops a log: a store that is not the one that was signed, edited tiles, lost records; and how it begins anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from federation.errors import (
    OwnLogClosed,
    OwnNotFound,
    OwnRecordDamaged,
)
from node.store.database import Database
from node.store.generations import LogBrokenError
from node.store.log_mark import LogMark, NoMark
from node.store.tables import CHECKPOINTS, LOG_GENERATIONS, RECORDS, TILES
from node.store.tree import TreeStore
from tests.support.clock import NOON
from tests.support.log_rows import (
    Log,
    add_archive,
    add_records,
    change,
    leaf_of,
    root_over,
    sizes,
)
from trust.merkle import (
    EMPTY_ROOT,
)
from trust.tiles import ENTRIES


async def broken(log: Log, *, match: str) -> None:
    """A turn finds it, nothing more can be written, and a new process finds it too."""
    await log.sequencer.turn()
    assert match in log.gate.reason
    with pytest.raises(OwnLogClosed, match="yrd log restart"):
        log.gate.require_open()


async def restored(database: Database, log: Log, records: int) -> None:
    """Put the store back to how it was with so many records, all signed."""
    async with database.writing() as connection:
        await connection.execute(delete(RECORDS))
        await connection.execute(delete(TILES))
        await connection.execute(delete(CHECKPOINTS))
        await connection.execute(update(LOG_GENERATIONS).values(halted=""))
    if records:
        await add_records(database, 0, records)
        grown = log.growth.advance(NOON)
        assert grown is not None
        assert log.growth.keep_note(grown.row, "signed then")


@pytest.mark.parametrize("left", [0, 5])
async def test_an_older_database_under_a_newer_mark_stops_at_once(
    database: Database, logs: Callable[..., Log], tree: TreeStore, left: int
) -> None:
    before = logs()
    await add_records(database, 0, 8)
    await before.sequencer.turn()
    await restored(database, before, left)
    after = logs()
    await after.sequencer.begin()
    assert "restored from an older copy" in after.gate.reason
    await broken(after, match="8")
    assert (await tree.generations())[0].halted == after.gate.reason
    replica = logs("elsewhere")  # another machine, without that mark
    await replica.sequencer.begin()
    assert replica.gate.reason == after.gate.reason
    await add_records(database, left, 3)
    await replica.sequencer.turn()
    assert await sizes(database) == ([left] if left else [])

    closed, opened = await after.sequencer.restart("the backup of Monday")
    assert (closed.generation, closed.closed_size) == (1, left)
    assert (opened.generation, opened.first_index) == (2, left + 3)
    await add_records(database, left + 3, 2, generation=2)
    await after.sequencer.turn()
    await replica.sequencer.turn()
    assert (after.gate.reason, replica.gate.reason) == ("", "")
    row = await tree.latest()
    assert row is not None
    assert (row.generation, row.size) == (2, 2)
    assert row.root == root_over([leaf_of(left + 3), leaf_of(left + 4)])


async def test_a_database_that_is_put_back_while_the_node_runs(
    database: Database, logs: Callable[..., Log]
) -> None:
    signing, looking = logs("a"), logs("b")
    await add_records(database, 0, 8)
    await signing.sequencer.turn()
    await looking.sequencer.turn()
    assert looking.mark.read() is None, "it never signed"
    await restored(database, signing, 5)
    await broken(looking, match="the store went back")
    await broken(signing, match="8")


async def test_a_generation_that_was_signed_is_never_begun_anew(
    database: Database, logs: Callable[..., Log]
) -> None:
    log = logs()
    await add_records(database, 0, 2)
    await log.sequencer.turn()
    await log.sequencer.restart("first")
    await add_records(database, 2, 2, generation=2)
    await log.sequencer.turn()
    assert log.mark.read() is not None
    await change(database, delete(LOG_GENERATIONS).where(LOG_GENERATIONS.c.generation == 2))
    await restored(database, log, 2)
    again = logs()
    await again.sequencer.begin()
    assert "generation 2 was signed here" in again.gate.reason
    _, opened = await again.sequencer.restart("the same backup again")
    assert opened.generation == 3


async def test_another_history_of_the_same_size_is_noticed(
    database: Database, logs: Callable[..., Log]
) -> None:
    log = logs()
    await add_records(database, 0, 8)
    await log.sequencer.turn()
    log.mark.write(LogMark(1, 8, bytes(32)))
    again = logs()
    await again.sequencer.begin()
    assert "another history" in again.gate.reason


async def test_a_longer_history_that_does_not_extend_the_mark_is_not_signed(
    database: Database, logs: Callable[..., Log], tree: TreeStore
) -> None:
    log = logs()
    await add_records(database, 0, 8)
    await log.sequencer.turn()
    log.mark.write(LogMark(1, 6, bytes(32)))
    await add_records(database, 8, 1)
    await broken(log, match="do not make the root of what was signed last")
    row = await tree.latest()
    assert row is not None
    assert row.size == 8


async def test_a_damaged_mark_stops_the_log(database: Database, log: Log, tmp_path: Path) -> None:
    await add_records(database, 0, 1)
    (tmp_path / "a" / "log.mark").write_bytes(b"{")
    await broken(log, match="is damaged")
    _, opened = await log.sequencer.restart("the mark was lost")
    assert opened.generation == 2
    await add_records(database, 1, 1, generation=2)
    await log.sequencer.turn()
    assert log.mark.read() == LogMark(2, 1, root_over([leaf_of(1)]))


TILE_CHANGES = {
    "edited": update(TILES).where(TILES.c.level == 0, TILES.c.position == 1).values(hashes=bytes(32 * 44)),
    "missing": delete(TILES).where(TILES.c.level == 0, TILES.c.position == 1),
    "cut off": update(TILES).where(TILES.c.level == 0, TILES.c.position == 1).values(hashes=bytes(32)),
    "upper": update(TILES).where(TILES.c.level == 1).values(hashes=bytes(32)),
    "entries": delete(TILES).where(TILES.c.level == ENTRIES),
}


@pytest.mark.parametrize("how", TILE_CHANGES)
async def test_tiles_that_were_edited_are_not_built_on(
    database: Database, log: Log, tree: TreeStore, how: str
) -> None:
    await add_records(database, 0, 300)
    await log.sequencer.turn()
    await change(database, TILE_CHANGES[how])
    await add_records(database, 300, 1)
    await broken(log, match="checkpoint 300")
    assert await sizes(database) == [300]
    assert (await tree.generations())[0].halted == log.gate.reason
    closed, opened = await log.sequencer.restart("tiles were edited")
    assert (closed.closed_size, opened.first_index) == (300, 301)
    await add_records(database, 301, 1, generation=2)
    await log.sequencer.turn()
    assert await sizes(database, 2) == [1]


async def test_a_proof_over_a_missing_tile_says_so(database: Database, log: Log, tree: TreeStore) -> None:
    await add_records(database, 0, 300)
    await log.sequencer.turn()
    await change(database, TILE_CHANGES["missing"])
    with pytest.raises(OwnRecordDamaged, match="yrd log verify"):
        await tree.inclusion(1, 299, 300)


async def test_a_record_that_is_changed_later_does_not_change_the_tree(
    database: Database, log: Log, tree: TreeStore
) -> None:
    leaves = list(await add_records(database, 0, 8))
    await log.sequencer.turn()
    await change(database, update(RECORDS).where(RECORDS.c.log_index == 3).values(leaf=leaf_of(99)))
    leaves += await add_records(database, 8, 1)
    await log.sequencer.turn()
    row = await tree.latest()
    assert row is not None
    assert row.root == root_over(leaves)


async def test_the_last_record_changed_is_noticed(database: Database, log: Log) -> None:
    await add_records(database, 0, 256)
    await log.sequencer.turn()
    await change(database, update(RECORDS).where(RECORDS.c.log_index == 255).values(leaf=leaf_of(99)))
    await add_records(database, 256, 1)
    await broken(log, match="record 255 was changed")


async def test_records_that_were_cut_off_are_noticed(database: Database, log: Log) -> None:
    await add_records(database, 0, 20)
    await log.sequencer.turn()
    await change(database, delete(RECORDS).where(RECORDS.c.log_index >= 10))
    await broken(log, match="ends before record 19")


async def test_records_cut_off_and_written_anew_are_noticed(database: Database, log: Log) -> None:
    await add_records(database, 0, 20)
    await log.sequencer.turn()
    await change(database, delete(RECORDS).where(RECORDS.c.log_index >= 10))
    await add_records(database, 10, 9)
    await broken(log, match="ends before record 19")


async def test_a_record_that_is_missing_is_noticed(database: Database, log: Log) -> None:
    await add_records(database, 0, 20)
    await change(database, delete(RECORDS).where(RECORDS.c.log_index == 7))
    await broken(log, match="record 7 is missing")


async def test_a_log_whose_records_are_archived_goes_on(database: Database, log: Log) -> None:
    await add_records(database, 0, 20)
    await log.sequencer.turn()
    await add_archive(database, 19)
    await change(database, delete(RECORDS))
    await log.sequencer.turn()
    assert log.gate.reason == ""
    await add_records(database, 20, 2)
    await log.sequencer.turn()
    assert await sizes(database) == [20, 22]


async def test_a_reason_from_elsewhere_is_kept_for_all(
    database: Database, logs: Callable[..., Log], tree: TreeStore
) -> None:
    told, other = logs("a"), logs("b")
    told.gate.close("a witness knows more of this log than this node")
    await told.sequencer.turn()
    await other.sequencer.turn()
    assert other.gate.reason == told.gate.reason == (await tree.generations())[0].halted
    await add_records(database, 0, 1)
    await told.sequencer.turn()
    assert await sizes(database) == []


# --- restart ---


async def test_a_restart_takes_the_rest_into_the_tree_first(
    database: Database, logs: Callable[..., Log], tree: TreeStore
) -> None:
    log = logs(leaves_per_turn=4)
    leaves = await add_records(database, 0, 10)
    closed, opened = await log.sequencer.restart("keys were replaced")
    assert (closed.closed_size, closed.closed_root) == (10, root_over(list(leaves)))
    assert (opened.generation, opened.first_index, opened.reason) == (2, 10, "keys were replaced")
    assert list(await tree.generations()) == [closed, opened]
    last = await tree.latest(1)
    assert last is not None
    assert last.size == 10, "what was committed is signed"
    assert await tree.latest() is None


async def test_a_closed_log_leaves_what_was_in_no_checkpoint_behind(
    database: Database, log: Log, tree: TreeStore
) -> None:
    await add_records(database, 0, 4)
    await log.sequencer.turn()
    log.gate.close("a fork")
    await add_records(database, 4, 3)
    closed, opened = await log.sequencer.restart("a fork was found")
    assert (closed.halted, closed.closed_size, opened.first_index) == ("a fork", 4, 7)
    with pytest.raises(OwnNotFound):
        await tree.inclusion(1, 4, 7)


async def test_an_empty_generation_can_be_closed(log: Log) -> None:
    closed, opened = await log.sequencer.restart("before anything")
    assert (closed.closed_size, closed.closed_root, opened.first_index) == (0, EMPTY_ROOT, 0)


async def test_without_a_mark_a_log_can_be_looked_at(database: Database, log: Log) -> None:
    assert NoMark().read() is None
    NoMark().write(LogMark(1, 1, bytes(32)))
    with pytest.raises(LogBrokenError, match="the store knows generation 1 with 0 records"):
        log.growth.look(LogMark(1, 1, bytes(32)))
