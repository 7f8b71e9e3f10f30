"""A PostgreSQL whose administrator chose another isolation level: a node's transactions are as it needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from federation.witness import Witnessed
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.tree import TreeStore
from node.store.witness import WitnessRows
from tests.support.clock import NOON, FixedClock
from tests.support.exchanges import OPERATION, meta_of, next_request_id
from tests.support.journals import opened_store
from tests.support.log_rows import Log
from tests.support.postgres import PostgresServer
from trust.keys import SigningKey

KEY = SigningKey.generate()
PEER = "https://node.zj.example"
LEVELS = {"repeatable read": r"repeatable%5C%20read", "serializable": "serializable"}


@pytest.fixture(params=LEVELS)
def store_url(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[str]:
    with postgres.new_store() as url:
        yield f"{url}%20-cdefault_transaction_isolation%3D{LEVELS[request.param]}"


@pytest.fixture
async def replica(store_url: str) -> AsyncIterator[Database]:
    async with opened_store(store_url) as opened:
        yield opened


async def test_every_connection_reads_what_is_committed(database: Database) -> None:
    show = text("SHOW transaction_isolation")
    async with database.reading() as reader, database.writing() as writer:
        assert [(await one.execute(show)).scalar() for one in (reader, writer)] == ["read committed"] * 2
    beside = database.beside()
    with beside.connect() as connection:
        assert connection.execute(show).scalar() == "read committed"
    beside.dispose()


async def test_two_journals_go_on_from_each_other(database: Database, replica: Database) -> None:
    """Each waits for the log's lock, and must see then what the other wrote meanwhile."""
    journals = [StoreJournal(one, lambda: KEY, FixedClock()) for one in (database, replica)]
    await asyncio.gather(
        *(
            journals[number % 2].store_request(
                meta_of(next_request_id()), OPERATION.request_type, b"question"
            )
            for number in range(40)
        )
    )
    async with database.reading() as connection:
        found = await connection.execute(text("SELECT log_index FROM records ORDER BY log_index"))
        assert list(found.scalars()) == list(range(40))
    for journal in journals:
        await journal.close()


async def test_the_tree_and_a_witness_go_on_from_each_other(
    database: Database, replica: Database, tmp_path: Path
) -> None:
    journal = StoreJournal(database, lambda: KEY, FixedClock())
    logs = []
    for one, name in ((database, "a"), (replica, "b")):
        (tmp_path / name).mkdir()
        logs.append(Log(one, tmp_path / name))
    for turn in range(6):
        await journal.store_request(meta_of(next_request_id()), OPERATION.request_type, b"question")
        await asyncio.gather(*(log.sequencer.turn() for log in logs))
        latest = await TreeStore(database).latest()
        assert latest is not None
        assert latest.size == turn + 1
    await journal.close()
    for log in logs:
        log.close()

    def one_more(before: Witnessed | None) -> Witnessed:
        size = (before.size if before else 0) + 1
        return Witnessed("node.zj.example/log/1", PEER, 1, size, bytes(32), "note", NOON)

    rows = [WitnessRows(one) for one in (database, replica)]
    sizes = await asyncio.gather(*(rows[number % 2].advance(PEER, one_more) for number in range(12)))
    assert sorted(one.size for one in sizes) == list(range(1, 13))
