"""What a witness's store promises, on SQLite and on PostgreSQL: never two histories, whoever asks at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from msgspec import structs
from sqlalchemy import insert, select

from federation.errors import OwnStoreUnavailable
from federation.log_conflicts import (
    MOST_CONFLICTS_AN_HOUR,
    MOST_PROVEN_AN_HOUR,
    PROVEN_KINDS,
    Conflict,
    ConflictKind,
    conflict_of,
)
from federation.ports import Cosignature
from federation.witness import SharedOrigin, Witnessed
from node.store.database import Database, open_database
from node.store.settling import SettlingRows, Unsettled
from node.store.short import in_postgres
from node.store.tables import CHECKPOINTS, LOG_GENERATIONS
from node.store.times import to_micros
from node.store.tree import TreeStore
from node.store.witness import ConflictRows, WitnessRows, hold, lock_of
from tests.support.clock import NOON
from tests.support.postgres import PostgresServer

PEER, ORIGIN = "https://node.zj.example", "node.zj.example/log/1"


def known(size: int, *, generation: int = 1, root: int = 0, entity_id: str = PEER) -> Witnessed:
    origin = f"{entity_id[8:]}/log/{generation}"
    return Witnessed(origin, entity_id, generation, size, bytes([root]) * 32, f"note {size}", NOON)


async def test_nothing_is_known_at_first(database: Database) -> None:
    rows = WitnessRows(database)
    assert await rows.newest(PEER) is None
    assert await rows.sizes() == {}


async def test_what_was_cosigned_is_read_back(database: Database) -> None:
    rows, seen = WitnessRows(database), []

    def decide(before: Witnessed | None) -> Witnessed:
        seen.append(before)
        return known(len(seen))

    assert [await rows.advance(PEER, decide) for _ in range(3)] == [known(1), known(2), known(3)]
    assert seen == [None, known(1), known(2)]
    assert await rows.newest(PEER) == known(3)
    assert await rows.sizes() == {ORIGIN: 3}


async def test_generations_are_kept_apart_and_the_newest_counts(database: Database) -> None:
    rows = WitnessRows(database)
    await rows.advance(PEER, lambda _: known(9))
    await rows.advance(PEER, lambda _: known(4, generation=2))
    other = known(7, entity_id="https://node.ah.example")
    await rows.advance(other.entity_id, lambda _: other)
    assert await rows.newest(PEER) == known(4, generation=2)
    assert await rows.sizes() == {ORIGIN: 9, "node.zj.example/log/2": 4, other.origin: 7}


async def test_what_is_refused_changes_nothing(database: Database) -> None:
    rows = WitnessRows(database)
    await rows.advance(PEER, lambda _: known(5))

    def refuse(_: Witnessed | None) -> Witnessed:
        raise LookupError

    with pytest.raises(LookupError):
        await rows.advance(PEER, refuse)
    assert await rows.newest(PEER) == known(5)


@pytest.mark.parametrize("first", [0, 5])
async def test_two_replicas_never_both_pass_from_the_same_tree(
    database: Database, store_url: str, first: int
) -> None:
    """Sixteen forks of one tree at once, through two stores: each sees what the one before it wrote."""
    replica = open_database(store_url)
    if first:
        await WitnessRows(database).advance(PEER, lambda _: known(first))
    passed = []

    async def fork(number: int) -> None:
        def decide(before: Witnessed | None) -> Witnessed:
            if (before.size if before else 0) != first:
                raise LookupError
            return known(first + 1, root=number)

        try:
            passed.append(await WitnessRows((database, replica)[number % 2]).advance(PEER, decide))
        except LookupError:
            return

    await asyncio.gather(*(fork(number) for number in range(1, 17)))
    assert len(passed) == 1
    assert await WitnessRows(replica).newest(PEER) == passed[0]
    await replica.close()


async def test_an_origin_belongs_to_the_entity_that_was_cosigned_first(database: Database) -> None:
    rows = WitnessRows(database)
    await rows.advance(PEER, lambda _: known(5))
    twin = structs.replace(known(7), entity_id=PEER.replace("https", "http"))
    with pytest.raises(SharedOrigin):
        await rows.advance(twin.entity_id, lambda _: twin)
    assert await rows.newest(PEER) == known(5)
    assert await rows.newest(twin.entity_id) is None


async def test_a_witness_that_is_frozen_in_the_middle_loses_its_turn(postgres: PostgresServer) -> None:
    """Its connection stays open and says nothing, as that of a stopped process would."""
    with postgres.new_store() as url:
        one, other = open_database(url), open_database(url)
        held, go_on = asyncio.Event(), asyncio.Event()

        async def freeze() -> None:
            async with one.writing() as connection:
                await connection.run_sync(lambda sync: hold(in_postgres(sync), one, PEER))
                held.set()
                await go_on.wait()

        frozen = asyncio.create_task(freeze())
        await held.wait()
        assert await WitnessRows(other).advance(PEER, lambda _: known(1)) == known(1)
        go_on.set()
        with pytest.raises(OwnStoreUnavailable):
            await frozen
        await one.close()
        await other.close()


async def test_who_waits_for_another_gives_up_before_the_log_does(postgres: PostgresServer) -> None:
    """Somebody holds the lock and is at work all the while, so that nobody takes it from him."""
    with postgres.new_store() as url:
        waiting = open_database(url)
        with psycopg.connect(url) as holder:
            holder.execute("SELECT pg_advisory_lock(%s, %s)", lock_of(PEER))
            with pytest.raises(OwnStoreUnavailable):
                await WitnessRows(waiting).advance(PEER, lambda _: known(1))
        assert await WitnessRows(waiting).advance(PEER, lambda _: known(1)) == known(1)
        await waiting.close()


# --- conflicts ---


def conflict(number: int = 0, *, entity_id: str = PEER, kind: ConflictKind = ConflictKind.FORK) -> Conflict:
    at = NOON + timedelta(minutes=number)
    return conflict_of(kind, entity_id, ORIGIN, at, known="known", offered=f"offered {number}", detail="why")


async def test_a_conflict_is_kept_once_until_somebody_takes_note(database: Database) -> None:
    rows = ConflictRows(database)
    assert [await rows.keep(conflict()) for _ in range(2)] == [True, False]
    assert await rows.keep(conflict(1))
    second, first = await rows.unacknowledged(limit=10)
    assert (first.offered, second.offered, first.kind, first.at) == ("offered 0", "offered 1", "fork", NOON)
    assert [one.number for one in await rows.unacknowledged(limit=1)] == [second.number]
    noted = await rows.acknowledge(first.number, NOON + timedelta(hours=1))
    again = await rows.acknowledge(first.number, NOON + timedelta(hours=2))
    assert noted is not None
    assert noted == again
    assert noted.acknowledged_at == NOON + timedelta(hours=1)
    assert [one.number for one in await rows.unacknowledged(limit=10)] == [second.number]
    assert [one.number for one in await rows.newest(limit=10)] == [second.number, first.number]
    assert await rows.acknowledge(4711, NOON) is None


def claimed(number: int) -> Conflict:
    at = NOON + timedelta(minutes=number)
    return conflict_of(
        ConflictKind.OWN_CLAIMED, PEER, ORIGIN, at, known="known", offered=f"offered {number}", detail="why"
    )


async def test_what_anyone_can_bring_about_is_bounded_by_entity_kind_and_hour(database: Database) -> None:
    rows = ConflictRows(database)
    kept = [await rows.keep(claimed(number)) for number in range(MOST_CONFLICTS_AN_HOUR + 3)]
    assert kept == [True] * MOST_CONFLICTS_AN_HOUR + [False] * 3
    assert await rows.keep(claimed(61 + MOST_CONFLICTS_AN_HOUR))
    assert MOST_PROVEN_AN_HOUR > 2 * MOST_CONFLICTS_AN_HOUR
    forks = [await rows.keep(conflict(number)) for number in range(2 * MOST_CONFLICTS_AN_HOUR)]
    assert all(forks), "what the log itself did is kept beside all that, and more of it"


async def test_the_open_ones_are_read_kind_by_kind(database: Database) -> None:
    rows = ConflictRows(database)
    assert await rows.keep(conflict())
    for number in range(5):
        assert await rows.keep(claimed(number))
    found = [(one.kind, one.offered) for one in await rows.open_of_each_kind(limit=2)]
    claims = [(ConflictKind.OWN_CLAIMED, f"offered {number}") for number in (4, 3)]
    assert found == [(ConflictKind.FORK, "offered 0"), *claims]


@pytest.mark.parametrize("kind", PROVEN_KINDS)
def test_other_signatures_below_the_same_text_make_no_other_conflict(kind: ConflictKind) -> None:
    first, second = (
        conflict_of(
            kind, PEER, ORIGIN, NOON, known="old\n\n\u2014 a", offered=f"new\n\n\u2014 {line}", detail="why"
        )
        for line in "ab"
    )
    assert first.digest == second.digest


# --- cosignatures ---


async def add_checkpoint(database: Database, size: int, *, generation: int = 1) -> None:
    row = {"generation": generation, "size": size, "root": bytes(32), "made_at": to_micros(NOON) + size}
    async with database.writing() as connection:
        await connection.execute(insert(CHECKPOINTS).values(**row, note=f"note {size}"))


async def test_the_first_cosignature_of_a_witness_stays(database: Database) -> None:
    rows, tree = SettlingRows(database), TreeStore(database)
    await add_checkpoint(database, 3)
    first = Cosignature(PEER, NOON, "— first")
    for one in (first, Cosignature(PEER, NOON + timedelta(seconds=1), "— second")):
        await rows.add_cosignature(1, 3, one)
    assert list(await tree.cosignatures_of(1, 3)) == [first]


async def test_what_is_not_settled_is_counted(database: Database) -> None:
    rows, tree = SettlingRows(database), TreeStore(database)
    assert await rows.unsettled() == Unsettled()
    for size in (3, 5, 8):
        await add_checkpoint(database, size)
    assert await rows.unsettled() == Unsettled(3, NOON + timedelta(microseconds=3))
    await rows.settle(1, 5, NOON)
    assert await rows.unsettled() == Unsettled(1, NOON + timedelta(microseconds=8), NOON)
    settled = await tree.latest_settled(1)
    assert settled is not None
    assert (settled.size, settled.settled_at) == (5, NOON)
    await rows.settle(1, 8, NOON + timedelta(seconds=2))
    assert await rows.unsettled() == Unsettled(0, None, NOON + timedelta(seconds=2))


async def test_only_the_open_generation_waits_to_be_settled(database: Database) -> None:
    rows = SettlingRows(database)
    await add_checkpoint(database, 3)
    async with database.writing() as connection:
        await connection.execute(
            insert(LOG_GENERATIONS).values(generation=2, first_index=3, opened_at=0, reason="why", halted="")
        )
        assert len((await connection.execute(select(LOG_GENERATIONS))).all()) == 2
    assert await rows.unsettled() == Unsettled()
