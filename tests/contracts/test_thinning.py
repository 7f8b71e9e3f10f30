"""Old checkpoints made fewer, on SQLite and on PostgreSQL: every leaf keeps a settled one, at most a minute later."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert

from node.store import thinning
from node.store.database import Database
from node.store.tables import CHECKPOINTS, COSIGNATURES
from node.store.thinning import Thinning
from node.store.times import to_micros
from node.store.tree import TreeStore
from tests.support.clock import NOON
from tests.support.exchange_rows import rows_of


async def fill(database: Database, seconds: int, *, unsettled: frozenset[int] = frozenset()) -> None:
    """A checkpoint a second from noon on, of ten records more each."""
    checkpoints, cosignatures = [], []
    for number in range(1, seconds + 1):
        at = to_micros(NOON + timedelta(seconds=number))
        settled = None if number in unsettled else at
        row = {"generation": 1, "size": 10 * number, "root": bytes(32), "made_at": at, "note": "note"}
        checkpoints.append({**row, "settled_at": settled})
        if settled:
            cosigned = {"generation": 1, "size": 10 * number, "witness": "w", "cosigned_at": at, "line": ""}
            cosignatures.append(cosigned)
    async with database.writing() as connection:
        await connection.execute(insert(CHECKPOINTS), checkpoints)
        if cosignatures:
            await connection.execute(insert(COSIGNATURES), cosignatures)


async def test_the_first_settled_one_of_each_minute_stays(database: Database) -> None:
    await fill(database, 200, unsettled=frozenset({5, 60, 61, 62}))
    tree = TreeStore(database)
    before = [await tree.settled_for(1, leaf) for leaf in range(0, 2000, 37)]
    done = await Thinning(database).batch(NOON + timedelta(seconds=190))
    assert done == (185, False)
    left = [row["size"] // 10 for row in await rows_of(database, CHECKPOINTS)]
    assert left == [1, 63, 120, 180, *range(190, 201)]
    assert [row["size"] // 10 for row in await rows_of(database, COSIGNATURES)] == left
    after = [await tree.settled_for(1, leaf) for leaf in range(0, 2000, 37)]
    for was, now in zip(before, after, strict=True):
        assert was is not None
        assert now is not None
        assert was.settled_at is not None
        assert now.settled_at is not None
        assert timedelta() <= now.settled_at - was.settled_at <= timedelta(seconds=63)


async def test_a_repeat_and_another_process_find_nothing_more(database: Database) -> None:
    await fill(database, 100)
    first = Thinning(database)
    assert (await first.batch(NOON + timedelta(days=1)))[0] == 97
    assert (await first.batch(NOON + timedelta(days=1)))[0] == 0
    assert (await Thinning(database).batch(NOON + timedelta(days=1)))[0] == 0
    assert [row["size"] // 10 for row in await rows_of(database, CHECKPOINTS)] == [1, 60, 100]


async def test_what_never_settled_stays_until_a_later_one_is(database: Database) -> None:
    await fill(database, 10, unsettled=frozenset(range(1, 11)))
    assert (await Thinning(database).batch(NOON + timedelta(days=1)))[0] == 0


async def test_many_are_looked_at_in_batches(database: Database) -> None:
    await fill(database, thinning.BATCH_CHECKPOINTS + 100)
    one = Thinning(database)
    first, goes_on = await one.batch(NOON + timedelta(days=1))
    assert goes_on
    second, goes_on = await one.batch(NOON + timedelta(days=1))
    assert not goes_on
    assert first + second == thinning.BATCH_CHECKPOINTS + 100 - 11
