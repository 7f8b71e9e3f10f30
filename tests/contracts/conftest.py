"""Each contract test runs on every store: SQLite in a file, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.tree import TreeStore
from tests.support.clock import FixedClock
from tests.support.journals import KEY, opened_store
from tests.support.log_rows import LOG_KEY, Log
from tests.support.postgres import PostgresServer, running_postgres
from trust.keys import SigningKey


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path / 'node.db'}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            yield stack.enter_context(server.new_store())


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    async with opened_store(store_url) as opened:
        yield opened


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def journal(database: Database, clock: FixedClock) -> AsyncIterator[StoreJournal]:
    opened = StoreJournal(database, lambda: KEY, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def replica(database: Database, clock: FixedClock) -> AsyncIterator[StoreJournal]:
    """A second journal on the same store, as another process would have it."""
    opened = StoreJournal(database, lambda: KEY, clock)
    yield opened
    await opened.close()


@pytest.fixture
def logs(database: Database, tmp_path: Path) -> Iterator[Callable[..., Log]]:
    with ExitStack() as stack:

        def made(folder: str = "a", key: SigningKey = LOG_KEY, leaves_per_turn: int = 8192) -> Log:
            place = tmp_path / folder
            place.mkdir(exist_ok=True)
            log = Log(database, place, key=key, leaves_per_turn=leaves_per_turn)
            stack.callback(log.close)
            return log

        yield made


@pytest.fixture
def log(logs: Callable[..., Log]) -> Log:
    return logs()


@pytest.fixture
def tree(database: Database) -> TreeStore:
    return TreeStore(database)
