"""How the tree over the log grows, is signed and is read, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import update

from federation.errors import (
    OwnKeyUnavailable,
    OwnNotFound,
    OwnStoreUnavailable,
)
from node.sequencer import Sequencer
from node.store.database import Database
from node.store.log_mark import LogMark
from node.store.short import Run
from node.store.tables import CHECKPOINTS
from node.store.tree import TreeStore
from tests.support.clock import NOON
from tests.support.log_rows import (
    ENTITY,
    LOG_KEY,
    Log,
    add_records,
    change,
    root_over,
    sizes,
)
from trust.checkpoint import open_checkpoint
from trust.keys import SigningKey
from trust.merkle import (
    consistency_proof,
    inclusion_path,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from trust.profile import log_origin
from trust.tiles import ENTRIES, read_bundle

# --- growing ---


async def test_an_empty_log_has_a_generation_and_no_checkpoint(log: Log, tree: TreeStore) -> None:
    await log.sequencer.begin()
    assert not await log.sequencer.turn()
    (generation,) = await tree.generations()
    assert (generation.generation, generation.first_index, generation.closed_at) == (1, 0, None)
    assert await tree.latest() is None
    assert log.sequencer.generation == 1


async def test_each_turn_ends_in_a_signed_checkpoint_of_all_records(
    database: Database, log: Log, tree: TreeStore
) -> None:
    leaves: list[bytes] = []
    for count in (1, 1, 254, 1, 300, 7):
        leaves += await add_records(database, len(leaves), count)
        await log.sequencer.turn()
        row = await tree.latest()
        assert row is not None
        assert (row.size, row.root) == (len(leaves), root_over(leaves))
        origin = log_origin(ENTITY, 1)
        keys = {LOG_KEY.kid: LOG_KEY.verification_key}
        signed = open_checkpoint(row.note.encode(), origin=origin, keys=keys)
        assert (signed.size, signed.root) == (row.size, row.root)
    assert await sizes(database) == [1, 2, 256, 257, 557, 564]
    assert log.mark.read() == LogMark(1, 564, root_over(leaves))


async def test_no_new_record_makes_no_checkpoint(database: Database, log: Log) -> None:
    await add_records(database, 0, 3)
    await log.sequencer.turn()
    await log.sequencer.turn()
    assert await sizes(database) == [3]


async def test_a_long_log_is_caught_up_with_in_turns(
    database: Database, logs: Callable[..., Log], tree: TreeStore
) -> None:
    log = logs(leaves_per_turn=300)
    leaves = list(await add_records(database, 0, 1000))
    assert [await log.sequencer.turn() for _ in range(5)] == [True, True, True, False, False]
    assert await sizes(database) == [300, 600, 900, 1000]
    row = await tree.latest()
    assert row is not None
    assert row.root == root_over(leaves)
    assert log.sequencer.state.records == 1000


async def test_proofs_are_made_of_the_tiles(database: Database, log: Log, tree: TreeStore) -> None:
    leaves = list(await add_records(database, 0, 300))
    await log.sequencer.turn()
    old = root_over(leaves)
    leaves += await add_records(database, 300, 400)
    await log.sequencer.turn()
    new = root_over(leaves)
    for leaf in (0, 255, 256, 299, 699):
        path = await tree.inclusion(1, leaf, 700)
        assert path == inclusion_path([leaf_hash(one) for one in leaves], leaf)
        assert verify_inclusion(leaf_hash(leaves[leaf]), leaf, 700, path, new)
    proof = await tree.consistency(1, 300, 700)
    assert proof == consistency_proof([leaf_hash(one) for one in leaves], 300, 700)
    assert verify_consistency(300, old, 700, new, proof)
    assert await tree.consistency(1, 0, 700) == ()
    bundle = await tree.tile(1, ENTRIES, 1)
    assert bundle is not None
    assert read_bundle(bundle) == leaves[256:512]
    assert await tree.tile(1, 5, 0) is None


async def test_nothing_is_proven_of_what_is_not_signed(database: Database, log: Log, tree: TreeStore) -> None:
    await add_records(database, 0, 10)
    log.growth.advance(NOON)
    with pytest.raises(OwnNotFound):
        await tree.inclusion(1, 3, 10)
    await log.sequencer.turn()
    assert await tree.inclusion(1, 3, 10)
    for leaf, size in ((10, 10), (3, 11), (-1, 10)):
        with pytest.raises(OwnNotFound):
            await tree.inclusion(1, leaf, size)
    with pytest.raises(OwnNotFound):
        await tree.consistency(1, 11, 10)
    with pytest.raises(OwnNotFound):
        await tree.inclusion(2, 0, 1)


async def test_settled_checkpoints_give_the_evidence_time(
    database: Database, log: Log, tree: TreeStore
) -> None:
    for first in (0, 5, 10):
        await add_records(database, first, 5)
        await log.sequencer.turn()
    assert await tree.settled_for(1, 0) is None
    await change(database, update(CHECKPOINTS).where(CHECKPOINTS.c.size == 10).values(settled_at=77))
    found = [await tree.settled_for(1, leaf) for leaf in (0, 9, 10)]
    assert [row and row.size for row in found] == [10, 10, None]
    settled = await tree.latest_settled()
    assert settled is not None
    assert settled.size == 10
    await log.sequencer.turn()
    assert log.sequencer.state.unsettled == 5


# --- several processes, crashes ---


async def test_processes_that_advance_at_once_make_one_row_for_each_size(
    database: Database, logs: Callable[..., Log], tree: TreeStore
) -> None:
    both = logs("a"), logs("b")
    leaves: list[bytes] = []
    for _ in range(12):
        leaves += await add_records(database, len(leaves), 7)
        await asyncio.gather(*(one.sequencer.turn() for one in both))
    await both[0].sequencer.turn()
    made = await sizes(database)
    assert made == sorted(set(made))
    assert made[-1] == 84
    for size in made:
        row = await tree.checkpoint(1, size)
        assert row is not None
        assert row.root == root_over(leaves[:size])


async def test_a_row_that_was_committed_is_signed_by_whoever_comes(
    database: Database, logs: Callable[..., Log], tree: TreeStore
) -> None:
    crashed, other = logs("a"), logs("b")
    await add_records(database, 0, 4)
    grown = await asyncio.to_thread(crashed.growth.advance, NOON)
    assert grown is not None
    assert await tree.latest() is None
    await other.sequencer.turn()
    signed = await tree.latest()
    assert signed is not None
    assert (signed.size, signed.root) == (grown.row.size, grown.row.root)


async def test_a_note_is_kept_only_for_the_row_that_was_read(
    database: Database, log: Log, tree: TreeStore
) -> None:
    await add_records(database, 0, 4)
    grown = log.growth.advance(NOON)
    assert grown is not None
    await change(database, update(CHECKPOINTS).values(root=bytes(32)))
    assert not log.growth.keep_note(grown.row, "signed by a process that slept")
    assert await tree.latest() is None


async def test_without_a_key_records_wait_and_nothing_is_lost(
    database: Database, log: Log, tree: TreeStore
) -> None:
    def silent() -> SigningKey:
        raise OwnKeyUnavailable("the token is away")

    waiting = Sequencer(log.growth, log.mark, log.gate, silent, log.clock, entity_id=ENTITY)
    await add_records(database, 0, 4)
    with pytest.raises(OwnKeyUnavailable):
        await waiting.turn()
    await add_records(database, 4, 4)
    with pytest.raises(OwnKeyUnavailable):
        await waiting.turn()
    assert await sizes(database) == [4], "it does not go on before what is there is signed"
    await log.sequencer.turn()
    row = await tree.latest()
    assert row is not None
    assert row.size == 8


async def test_a_process_that_freezes_inside_its_transaction_loses_it(
    database: Database, logs: Callable[..., Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite is of one machine: its lock ends with the process")
    monkeypatch.setattr("node.store.tree_growth.STALLED_S", 1)
    frozen, other = logs("a").growth, logs("b").growth
    await add_records(database, 0, 4)
    woken, inside = threading.Event(), threading.Event()
    prepared = frozen._prepared

    def freeze(run: Run) -> object:
        work = prepared(run)
        inside.set()
        woken.wait(30)
        return work

    monkeypatch.setattr(frozen, "_prepared", freeze)
    advancing = asyncio.ensure_future(asyncio.to_thread(frozen.advance, NOON))
    assert await asyncio.to_thread(inside.wait, 30)
    await add_records(database, 4, 4)
    grown = None
    while grown is None:  # until PostgreSQL has ended the frozen one's transaction
        grown = await asyncio.to_thread(other.advance, NOON)
    woken.set()
    with pytest.raises(OwnStoreUnavailable):
        await advancing
    assert grown.row.size == 8
    assert await sizes(database) == [8]
