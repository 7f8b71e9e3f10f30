"""The index by holder: whatever the segments, it finds what a look at every row would find."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, bindparam, create_engine, event, insert, select, text

from node.store import holder_index
from node.store.database import Database, open_database
from node.store.holder_index import any_under, drop_keys, keys_at, newest_about, oldest_about
from node.store.tables import HOLDERS, HOLDERS_SEGMENT
from tests.contracts.test_carried_over import upgrade_to

OFTEN, SELDOM, NEVER = (bytes([0, 1, kind]) + bytes(15) for kind in range(3))
OTHER_KEY = b"\x00\x02" + bytes(16)
SEGMENTS = 60


def row(holder: bytes, index: int) -> dict[str, Any]:
    return {"segment": index // HOLDERS_SEGMENT, "holder": holder, "log_index": index}


@pytest.fixture
async def indices(database: Database) -> dict[bytes, Sequence[int]]:
    """A holder who is in most segments, one who is in few, by their log indices."""
    picked, end = random.Random(11), SEGMENTS * HOLDERS_SEGMENT
    made: dict[bytes, Sequence[int]] = {
        OFTEN: sorted(picked.sample(range(end), 300)),
        SELDOM: sorted(picked.sample(range(end), 4)),
        # At the edges of segments.
        OTHER_KEY: [0, HOLDERS_SEGMENT - 1, HOLDERS_SEGMENT, end - 1],
    }
    async with database.writing() as connection:
        await connection.execute(
            insert(HOLDERS), [row(holder, index) for holder in made for index in made[holder]]
        )
    return made


async def newest(database: Database, holder: bytes, **bounds: int) -> Sequence[int]:
    async with database.reading() as connection:
        return await connection.run_sync(newest_about, holder, **bounds)


async def oldest(database: Database, holder: bytes, **bounds: int) -> Sequence[int]:
    async with database.reading() as connection:
        return await connection.run_sync(oldest_about, holder, **bounds)


async def test_the_newest_are_found_between_all_bounds(
    database: Database, indices: dict[bytes, Sequence[int]]
) -> None:
    picked, end = random.Random(5), SEGMENTS * HOLDERS_SEGMENT
    for _ in range(40):
        floor, below = sorted(picked.sample(range(end + 2), 2))
        for holder in (OFTEN, SELDOM, OTHER_KEY, NEVER):
            limit = picked.choice((1, 3, 50, 1000))
            within = [index for index in indices.get(holder, ()) if floor <= index < below]
            found = await newest(database, holder, floor=floor, below=below, limit=limit)
            assert found == sorted(within, reverse=True)[:limit]


async def test_the_oldest_are_found_after_any_place(
    database: Database, indices: dict[bytes, Sequence[int]]
) -> None:
    for after in (-1, 0, HOLDERS_SEGMENT - 1, 100_000, SEGMENTS * HOLDERS_SEGMENT):
        for holder in (OFTEN, SELDOM, OTHER_KEY, NEVER):
            within = [index for index in indices.get(holder, ()) if index > after]
            assert await oldest(database, holder, after=after, limit=7) == within[:7]


async def test_a_long_walk_is_taken_in_several_statements(
    database: Database, indices: dict[bytes, Sequence[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder_index, "_MOST_AT_ONCE", 7)
    assert await newest(database, SELDOM, limit=10) == sorted(indices[SELDOM], reverse=True)
    assert await oldest(database, SELDOM, after=-1, limit=10) == indices[SELDOM]


async def test_an_empty_log_has_nobody(database: Database) -> None:
    assert await newest(database, OFTEN, limit=5) == await oldest(database, OFTEN, after=-1, limit=5) == []


async def test_hashes_of_a_key_are_there_or_not(
    database: Database, indices: dict[bytes, Sequence[int]]
) -> None:
    async with database.reading() as connection:
        found = [
            await connection.run_sync(any_under, key.to_bytes(2), (key + 1).to_bytes(2)) for key in range(4)
        ]
    assert found == [False, True, True, False]


async def test_what_is_dropped_is_found_no_more_and_the_rest_is(
    database: Database, indices: dict[bytes, Sequence[int]]
) -> None:
    gone = {*indices[OFTEN][::2], *indices[SELDOM][:2]}
    async with database.writing() as connection:
        keys = await connection.run_sync(keys_at, sorted(gone))
        assert {key.log_index for key in keys} >= gone
        await connection.run_sync(drop_keys, keys)
        await connection.run_sync(drop_keys, ())
    for holder in (OFTEN, SELDOM):
        left = [index for index in indices[holder] if index not in gone]
        assert await oldest(database, holder, after=-1, limit=1000) == left


MANY = text(
    "INSERT INTO holders (segment, holder, log_index)"
    " WITH RECURSIVE places(i) AS (SELECT 1 UNION ALL SELECT i + 8 FROM places WHERE i < :end)"
    " SELECT i / :segment, :holder, i FROM places"
).bindparams(bindparam("holder", type_=LargeBinary()))


async def test_no_look_reads_the_index_as_a_whole(database: Database) -> None:
    async with database.writing() as connection:
        many = {"holder": OFTEN, "end": SEGMENTS * HOLDERS_SEGMENT, "segment": HOLDERS_SEGMENT}
        await connection.execute(MANY, many)
        await connection.execute(text("ANALYZE"))
    said: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        said.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await newest(database, SELDOM, limit=10)
    await oldest(database, SELDOM, after=-1, limit=10)
    async with database.reading() as connection:
        await connection.run_sync(any_under, b"\x00\x09", b"\x00\x0a")
    event.remove(engine, "before_cursor_execute", note)
    walks = [one for one in said if one[0].startswith("WITH")]
    assert len(walks) > 6
    explain, looks = ("EXPLAIN ", "(segment = walk.segment)")
    if database.dialect == "sqlite":
        explain, looks = ("EXPLAIN QUERY PLAN ", "SEARCH holders USING PRIMARY KEY (segment=? AND holder")
    async with database.reading() as connection:
        for statement, parameters in walks:
            rows = await connection.exec_driver_sql(explain + statement, parameters)
            plan = "\n".join(str(one[-1]) for one in rows)
            assert looks in plan, plan


async def test_the_index_of_the_release_before_is_carried_over(store_url: str) -> None:
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    old = [{"holder": OFTEN, "log_index": index} for index in (0, 4095, 4096, 999_999)]
    with engine.begin() as connection:
        upgrade_to(connection, "0004")
        connection.execute(text("INSERT INTO holders (holder, log_index) VALUES (:holder, :log_index)"), old)
    engine.dispose()

    database = open_database(store_url)
    async with database.reading() as connection:
        rows = await connection.execute(select(HOLDERS).order_by(HOLDERS.c.log_index))
        assert [tuple(one) for one in rows] == [
            (0, OFTEN, 0),
            (0, OFTEN, 4095),
            (1, OFTEN, 4096),
            (244, OFTEN, 999_999),
        ]
    assert await newest(database, OFTEN, limit=2) == [999_999, 4096]
    await database.close()


def test_nothing_of_the_index_before_stays_in_free_pages(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    engine = create_engine(f"sqlite:///{path}")
    holder = b"\x00\x01" + b"of-whom-nothing!"
    with engine.connect() as connection:
        connection.execute(text("PRAGMA secure_delete = OFF"))  # the default of many builds
        upgrade_to(connection, "0004")
        row = {"holder": holder, "log_index": 7}
        connection.execute(text("INSERT INTO holders (holder, log_index) VALUES (:holder, :log_index)"), row)
        connection.commit()
        upgrade_to(connection, "0005")
        drop_keys(connection, keys_at(connection, [7]))
        connection.commit()
    engine.dispose()
    assert holder not in path.read_bytes()
