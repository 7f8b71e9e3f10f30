"""Short transactions on both stores: all of one or nothing, from any task, until the store is closed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from federation.errors import OwnStoreUnavailable
from node.store.database import SQLITE_PRAGMAS, Database, open_database
from node.store.short import Run, SqliteBeside, in_postgres

ADD = "INSERT INTO replays (issuer, jti, expires_at) VALUES (:issuer, :jti, :expires_at)"
ADD_ONCE = f"{ADD} ON CONFLICT DO NOTHING"
ALL = "SELECT jti FROM replays WHERE issuer = :issuer ORDER BY jti"


async def known(database: Database) -> list[str]:
    return [jti for (jti,) in await database.look(ALL, issuer="i")]


async def test_what_is_done_and_found_is_told(database: Database) -> None:
    def steps(run: Run) -> tuple[int, int, list[str]]:
        first = run(ADD_ONCE, issuer="i", jti="a", expires_at=1).changed
        again = run(ADD_ONCE, issuer="i", jti="a", expires_at=1).changed
        return first, again, [row[0] for row in run(ALL, issuer="i").rows]

    assert await database.change(steps) == (1, 0, ["a"])
    taken = await database.change(
        lambda run: run("DELETE FROM replays WHERE jti = :jti RETURNING issuer", jti="a")
    )
    assert (taken.row, taken.rows) == (("i",), [("i",)])
    assert await known(database) == []
    nothing = await database.change(
        lambda run: run("DELETE FROM replays WHERE jti = :jti RETURNING issuer", jti="a")
    )
    assert nothing.row is None


@pytest.mark.parametrize("read", [Database.read, Database.read_long], ids=["short", "long"])
async def test_several_reads_are_one_transaction(database: Database, read: Callable[..., Any]) -> None:
    await database.change(lambda run: run(ADD, issuer="i", jti="a", expires_at=1))

    def steps(run: Run) -> tuple[list[tuple[str]], int]:
        return list(run(ALL, issuer="i").rows), run("SELECT count(*) FROM replays").rows[0][0]

    assert await read(database, steps) == ([("a",)], 1)
    with pytest.raises(ZeroDivisionError):
        await read(database, lambda run: len(run(ALL, issuer="i").rows) / 0)
    assert await read(database, steps) == ([("a",)], 1), "the connection is as good as before"


async def test_nobody_waits_behind_what_reads_long(tmp_path: Path) -> None:
    """Nor the other way around."""
    database = open_database(f"sqlite:///{tmp_path / 'long.db'}")
    may_go = Event()
    held = asyncio.create_task(database.read(lambda _run: may_go.wait(60)))
    try:
        async with asyncio.timeout(20):
            assert await database.read_long(lambda run: run("SELECT :a", a=1).rows) == [(1,)]
            with pytest.raises(OwnStoreUnavailable, match="cannot be reached"):
                await database.read_long(lambda run: run("SELECT * FROM nowhere"))
    finally:
        may_go.set()
        await held
        await database.close()


async def test_a_step_that_fails_takes_all_back(database: Database) -> None:
    def steps(run: Run) -> None:
        run(ADD, issuer="i", jti="a", expires_at=1)
        raise LookupError

    with pytest.raises(LookupError):
        await database.change(steps)
    assert await known(database) == []
    await database.change(lambda run: run(ADD, issuer="i", jti="b", expires_at=1))
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        await database.change(lambda run: run(ADD, issuer="i", jti="b", expires_at=1))
    assert await known(database) == ["b"], "the connection is as good as before"


async def test_steps_that_find_nothing_to_go_on_with_keep_nobody_waiting(database: Database) -> None:
    def steps(run: Run) -> tuple[str]:
        return next(iter(run(ALL, issuer="i").rows))

    async with asyncio.timeout(20):
        for act in (database.change, database.read, database.read_long):
            several = await asyncio.gather(*(act(steps) for _ in range(3)), return_exceptions=True)
            assert [type(one) for one in several] == [RuntimeError] * 3


async def test_many_at_once_from_two_replicas(database: Database, store_url: str) -> None:
    second = open_database(store_url)
    try:

        async def add(turn: int) -> None:
            one = (database, second)[turn % 2]
            await one.change(lambda run: run(ADD, issuer="i", jti=f"{turn:03}", expires_at=1))

        await asyncio.gather(*(add(turn) for turn in range(40)))
        assert await known(second) == [f"{turn:03}" for turn in range(40)]
    finally:
        await second.close()


async def test_one_that_fails_among_many_fails_alone(database: Database) -> None:
    def steps(turn: int) -> Callable[[Run], int]:
        def run_it(run: Run) -> int:
            run(ADD, issuer="i", jti=f"{turn:03}", expires_at=1)
            if turn % 3 == 0:
                raise LookupError
            return turn

        return run_it

    turns = [database.change(steps(turn)) for turn in range(30)]
    results = await asyncio.gather(*turns, return_exceptions=True)
    assert [isinstance(result, LookupError) for result in results] == [turn % 3 == 0 for turn in range(30)]
    assert await known(database) == [f"{turn:03}" for turn in range(30) if turn % 3]


async def test_nothing_is_concluded_from_what_was_never_committed(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'lost.db'}")
    begun, may_go = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()

    def hold(_run: Run) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_go.wait(60)

    def add(run: Run) -> None:
        run(ADD, issuer="i", jti="a", expires_at=1)

    def refuse(run: Run) -> None:
        if run(ALL, issuer="i").rows:
            raise LookupError

    def give_up(run: Run) -> None:
        """As SQLite does by itself when the disk is full."""
        run("ROLLBACK")

    try:
        held = asyncio.create_task(database.change(hold))
        await begun.wait()
        turns = [asyncio.create_task(database.change(steps)) for steps in (add, refuse, give_up, add)]
        await asyncio.sleep(0)
        may_go.set()
        await held
        others = await asyncio.gather(*turns, return_exceptions=True)
        assert [type(one) for one in others] == [OwnStoreUnavailable] * 4
        assert len({id(one) for one in others}) == 4, "each may be raised, with its own traceback"
        assert all(isinstance(one, OwnStoreUnavailable) and one.__cause__ is not None for one in others)
        assert await known(database) == []
    finally:
        may_go.set()
        await database.close()


async def test_who_is_cancelled_leaves_all_or_nothing(database: Database) -> None:
    def steps(run: Run) -> None:
        run(ADD, issuer="i", jti="a", expires_at=1)
        run(ADD, issuer="i", jti="b", expires_at=1)

    task = asyncio.create_task(database.change(steps))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.change(lambda run: run(ADD, issuer="i", jti="c", expires_at=1))
    assert await known(database) in (["c"], ["a", "b", "c"])


async def test_a_store_that_another_holds_is_unavailable_for_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    database = open_database(f"sqlite:///{path}", busy_timeout_s=0.02)
    try:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OwnStoreUnavailable):
                await database.change(lambda run: run(ADD, issuer="i", jti="a", expires_at=1))
            assert await known(database) == [], "reading goes on"
            other.execute("ROLLBACK")
        other.close()
        await database.change(lambda run: run(ADD, issuer="i", jti="a", expires_at=1))
        assert await known(database) == ["a"]
    finally:
        await database.close()


async def test_what_was_written_is_durable_and_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    first = open_database(url)
    modes = await first.look("PRAGMA synchronous")
    await first.change(lambda run: run(ADD, issuer="i", jti="a", expires_at=1))
    await first.close()
    await first.close()
    second = open_database(url)
    try:
        assert (modes, await known(second)) == ([(2,)], ["a"])
    finally:
        await second.close()


async def test_what_comes_while_the_store_closes_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'closing.db'}"
    database = open_database(url)
    begun, may_end = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()

    def steps(run: Run) -> None:
        run(ADD, issuer="i", jti="a", expires_at=1)
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(60)
        run(ADD, issuer="i", jti="b", expires_at=1)

    async def refused() -> None:
        with pytest.raises(OwnStoreUnavailable, match="the node stops"):
            await database.change(lambda run: run(ADD, issuer="i", jti="late", expires_at=1))

    first = asyncio.create_task(database.change(steps))
    await begun.wait()
    waiting = asyncio.create_task(database.change(lambda run: run(ADD, issuer="i", jti="c", expires_at=1)))
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(20):
            await refused()
            may_end.set()
            await asyncio.gather(first, waiting, closing)
            await refused()
    finally:
        may_end.set()
    again = open_database(url)
    try:
        assert await known(again) == ["a", "b", "c"]
    finally:
        await again.close()


def test_work_beside_ends_though_the_node_stops(tmp_path: Path) -> None:
    path = tmp_path / "beside.db"
    beside = SqliteBeside(str(path), SQLITE_PRAGMAS, 0.02)
    with beside.transaction(writes=True) as run:
        run("CREATE TABLE t (a)")
        assert run("PRAGMA synchronous").rows == [(2,)]
    with pytest.raises(ZeroDivisionError), beside.transaction(writes=True) as run:
        _ = run("INSERT INTO t VALUES (:a0)", a0=1).changed / 0
    with beside.transaction(writes=True) as run:
        beside.close()
        assert run("INSERT INTO t VALUES (:a0)", a0=2).changed == 1
    assert not path.with_name("beside.db-wal").exists(), "the last connection was closed"
    for _ in range(2):
        with pytest.raises(OwnStoreUnavailable, match="the node stops"), beside.transaction():
            pass
    again = SqliteBeside(str(path), SQLITE_PRAGMAS, 0.02)
    with again.transaction() as run:
        assert run("SELECT a FROM t").rows == [(2,)]
    again.close()
    again.close()


def test_who_works_beside_waits_no_longer_than_the_others(tmp_path: Path) -> None:
    beside, other = (SqliteBeside(str(tmp_path / "held.db"), SQLITE_PRAGMAS, 0.02) for _ in range(2))
    with other.transaction(writes=True):
        with pytest.raises(OwnStoreUnavailable, match="cannot be reached"), beside.transaction(writes=True):
            pass
        with beside.transaction():
            pass
    beside.close()
    other.close()


def test_parameters_are_named_as_the_driver_wants() -> None:
    said: list[tuple[str, object]] = []

    class Connection:
        def exec_driver_sql(self, sql: str, parameters: object) -> Connection:
            said.append((sql, parameters))
            return self

        returns_rows = False
        rowcount = 3

    found = in_postgres(Connection())("UPDATE t SET a = :a WHERE b = :b_2 AND c = x::text", a=1, b_2=2)
    assert said == [("UPDATE t SET a = %(a)s WHERE b = %(b_2)s AND c = x::text", {"a": 1, "b_2": 2})]
    assert (found.rows, found.changed) == ([], 3)
