"""When the store cannot take it: nothing is released, the error is clear, and it recovers by itself."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from federation.errors import OwnStoreUnavailable
from federation.ports import Cosignature
from node.store import database as database_module
from node.store.database import POOL_SIZE, Database, open_database
from node.store.journal import StoreJournal
from node.store.log_postgres import LOG_LOCK
from node.store.login_tables import METADATA
from node.store.settling import SettlingRows
from node.store.tables import HEAD
from tests.support.clock import NOON, FixedClock
from tests.support.exchanges import ASKING, OPERATION, claim_of, meta_of, next_request_id, request_of
from tests.support.journals import KEY, opened_journal, opened_store
from tests.support.postgres import PostgresServer

HALF_DONE = text(
    "INSERT INTO cosignatures (generation, size, witness, cosigned_at, line)"
    " VALUES (1, 8, 'https://node.zj.example', 0, '')"
)


class Failures:
    def __init__(self) -> None:
        self.jobs = 0

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        assert records + claims >= 0

    def failed(self, *, jobs: int) -> None:
        self.jobs += jobs

    def unsigned(self, *, jobs: int) -> None:
        raise AssertionError("the key is in memory")


async def store_one(journal: StoreJournal) -> str:
    request_id = next_request_id()
    await journal.store_request(meta_of(request_id), OPERATION.request_type, b"question" * 500)
    return request_id


def size_of(path: str) -> int:
    return Path(path).stat().st_size


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_store(f"sqlite:///{tmp_path / 'node.db'}", busy_timeout_s=0.05) as opened:
        yield opened


@pytest.fixture
async def sqlite_journal(sqlite: Database, failures: Failures) -> AsyncIterator[StoreJournal]:
    opened = StoreJournal(sqlite, lambda: KEY, FixedClock(), failures)
    yield opened
    await opened.close()


async def test_a_full_disk_on_sqlite(
    sqlite: Database, sqlite_journal: StoreJournal, failures: Failures
) -> None:
    before = await store_one(sqlite_journal)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file cannot grow beyond this size, in this whole process: the log has no room for one more page.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_of(sqlite.location + "-wal"), limits[1]))
    try:
        results = await asyncio.gather(*(store_one(sqlite_journal) for _ in range(3)), return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [type(result) for result in results] == [OwnStoreUnavailable] * 3
    assert failures.jobs == 3
    after = await store_one(sqlite_journal)
    stored = [record for one in (before, after) for record in await sqlite_journal.find_records(one)]
    assert [record.log_index for record in stored] == [0, 1]


async def test_a_locked_sqlite(sqlite: Database, sqlite_journal: StoreJournal) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    async with sqlite.writing():
        with pytest.raises(OwnStoreUnavailable):
            await sqlite_journal.claim(claim_of(request, request_id))
        with pytest.raises(OwnStoreUnavailable):
            await store_one(sqlite_journal)
    assert (await sqlite_journal.claim(claim_of(request, request_id))).state == "new"
    await store_one(sqlite_journal)


async def test_a_full_disk_on_postgresql(postgres: PostgresServer, failures: Failures) -> None:
    with postgres.new_store() as url:
        async with opened_journal(url, failures) as (_, journal):
            before = await store_one(journal)
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$"
                )
                admin.execute(
                    "CREATE TRIGGER full_disk BEFORE INSERT ON records EXECUTE FUNCTION full_disk()"
                )
                results = await asyncio.gather(
                    *(store_one(journal) for _ in range(3)), return_exceptions=True
                )
                admin.execute("DROP TRIGGER full_disk ON records")
            assert [type(result) for result in results] == [OwnStoreUnavailable] * 3
            after = await store_one(journal)
            stored = [record for one in (before, after) for record in await journal.find_records(one)]
            assert [record.log_index for record in stored] == [0, 1]


async def test_a_lost_connection_to_postgresql(postgres: PostgresServer, failures: Failures) -> None:
    with postgres.new_store() as url:
        async with opened_journal(url, failures) as (database, journal):
            await store_one(journal)
            async with database.reading() as connection:
                assert (await connection.execute(text("SELECT 1"))).scalar() == 1
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            with pytest.raises(OwnStoreUnavailable):
                await store_one(journal)
            found = await store_one(journal)
            assert len(await journal.find_records(found)) == 1


async def test_a_replica_that_stalls_with_the_log_locked(
    postgres: PostgresServer, failures: Failures
) -> None:
    with postgres.new_store() as url:
        async with opened_journal(url, failures, busy_timeout_s=0.05) as (_, journal):
            with psycopg.connect(url) as stalled:
                stalled.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
                with pytest.raises(OwnStoreUnavailable):
                    await store_one(journal)
            assert len(await journal.find_records(await store_one(journal))) == 1


def test_a_postgresql_that_acknowledges_early_is_refused(postgres: PostgresServer) -> None:
    with postgres.new_store() as url, pytest.raises(OwnStoreUnavailable, match="synchronous_commit"):
        open_database(f"{url}%20-csynchronous_commit%3Doff")


async def test_waiting_outlives_a_store_that_is_away(sqlite: Database, sqlite_journal: StoreJournal) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    claim = claim_of(request, request_id)
    await sqlite_journal.claim(claim)
    async with AsyncExitStack() as all_connections:
        for _ in range(POOL_SIZE):
            await all_connections.enter_async_context(sqlite.reading())
        with pytest.raises(OwnStoreUnavailable):
            await sqlite_journal.find_records(request_id)
        assert await sqlite_journal.await_answer(claim, timeout_s=0.0) is None
        waiting = asyncio.ensure_future(sqlite_journal.await_answer(claim, timeout_s=30))
        await asyncio.sleep(0)
        answer = await sqlite_journal.store_exchange(
            meta_of(request_id), request, request.identity, OPERATION.answer_type, b"answer"
        )
        assert await waiting == answer.envelope
    assert await sqlite_journal.find_answer(ASKING, request.identity) == answer.envelope


# --- the schema ---


def sync_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def test_the_migrations_make_the_schema_that_the_code_is_written_for(store_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    open_database(store_url)
    engine = create_engine(sync_url(store_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


async def test_replicas_that_start_together_migrate_once(store_url: str) -> None:
    opened = await asyncio.gather(*(asyncio.to_thread(open_database, store_url) for _ in range(3)))
    engine = create_engine(sync_url(store_url), poolclass=NullPool)
    assert {table.name for table in METADATA.sorted_tables} <= set(inspect(engine).get_table_names())
    for database in opened:
        await database.close()


async def test_who_waits_for_a_frozen_replicas_row_is_told_in_time(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LONGEST_WAIT_S", 1)
    with postgres.new_store() as url:
        async with opened_store(url) as frozen, opened_store(url) as other:
            line = Cosignature("https://node.zj.example", NOON, "— line")
            async with frozen.writing() as connection:
                # As a replica leaves it that is stopped before its commit.
                await connection.execute(HALF_DONE)
                rows = SettlingRows(other)
                with pytest.raises(OwnStoreUnavailable):
                    await rows.add_cosignature(1, 8, line)
                await rows.add_cosignature(1, 9, line)  # another checkpoint goes on
            async with other.reading() as connection:
                shown = (await connection.execute(text("SHOW idle_in_transaction_session_timeout"))).scalar()
            assert shown == "10s"
