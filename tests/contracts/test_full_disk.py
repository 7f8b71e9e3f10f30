"""A full or failing disk: nothing is released, the error says so, and the node goes on by itself once there is room."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from federation.errors import OwnStoreUnavailable
from node.store.journal import StoreJournal
from node.store.log_sqlite import SqliteLog
from tests.support.exchanges import OPERATION, meta_of, next_request_id
from tests.support.journals import opened_journal
from tests.support.postgres import PostgresServer

LARGE = b"x" * 20_000


async def store(journal: StoreJournal, payload: bytes = b"question") -> str:
    request_id = next_request_id()
    await journal.store_request(meta_of(request_id), OPERATION.request_type, payload)
    return request_id


async def refused(journal: StoreJournal, payload: bytes) -> None:
    with pytest.raises(OwnStoreUnavailable, match="nothing was released"):
        await store(journal, payload)


class Limited:
    """A SQLite file that may have so many pages: what a full disk is to it (SQLITE_FULL)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages = 2**30
        opening = SqliteLog.__init__

        def limited(log: SqliteLog, path: str, busy_timeout_s: float) -> None:
            opening(log, path, busy_timeout_s)
            log._cursor.execute(f"PRAGMA max_page_count = {self.pages}")

        monkeypatch.setattr(SqliteLog, "__init__", limited)


async def test_a_full_sqlite_file_refuses_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, path = Limited(monkeypatch), tmp_path / "node.db"
    async with opened_journal(f"sqlite:///{path}") as (_, journal):
        with sqlite3.connect(path) as connection:
            disk.pages = connection.execute("PRAGMA page_count").fetchone()[0] + 20
        connection.close()
        kept = [await store(journal) for _ in range(5)]
        outcomes = await asyncio.gather(
            *(store(journal, LARGE) for _ in range(10)),
            *(store(journal) for _ in range(2)),
            return_exceptions=True,
        )
        kept += [one for one in outcomes if isinstance(one, str)]
        refusals = [one for one in outcomes if not isinstance(one, str)]
        assert refusals
        assert {type(one) for one in refusals} == {OwnStoreUnavailable}
        assert "no room left" in str(refusals[0])
        for _ in range(3):
            await refused(journal, LARGE * 10)

        disk.pages = 2**30
        kept += [await store(journal, LARGE) for _ in range(3)]
        records = [record for one in kept for record in await journal.find_records(one)]
        assert sorted(record.log_index for record in records) == list(range(len(kept)))


async def test_a_postgresql_that_takes_no_writes_is_tried_again_without_a_restart(
    postgres: PostgresServer,
) -> None:
    with postgres.new_store() as url:
        async with opened_journal(url) as (_, journal):
            kept = [await store(journal)]
            # What a standby, or a server whose disk is full, says to every write of a table.
            schema = url.rpartition("%3D")[2]
            postgres.execute(
                f"ALTER TABLE {schema}.bodies ADD CONSTRAINT full_disk CHECK (log_index < 1) NOT VALID"
            )
            for _ in range(2):
                await refused(journal, b"question")
            postgres.execute(f"ALTER TABLE {schema}.bodies DROP CONSTRAINT full_disk")
            kept += await asyncio.gather(*(store(journal) for _ in range(8)))
            records = [record for one in kept for record in await journal.find_records(one)]
            assert sorted(record.log_index for record in records) == list(range(9))


async def test_a_read_only_postgresql_refuses_and_recovers(postgres: PostgresServer) -> None:
    with postgres.new_store() as url:
        async with opened_journal(url) as (_, journal):
            kept = [await store(journal)]
            postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            postgres.execute("SELECT pg_reload_conf()")
            try:
                while True:  # until the setting has reached the journal's connection
                    try:
                        kept.append(await store(journal))
                    except OwnStoreUnavailable:
                        break
            finally:
                postgres.execute("BEGIN READ WRITE; COMMIT")
                postgres.execute("ALTER SYSTEM RESET default_transaction_read_only")
                postgres.execute("SELECT pg_reload_conf()")
            while True:
                try:
                    kept.append(await store(journal))
                    break
                except OwnStoreUnavailable:
                    continue
            records = [record for one in kept for record in await journal.find_records(one)]
            assert sorted(record.log_index for record in records) == list(range(len(kept)))
