"""Opening the store: what is made, what is refused."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from federation.errors import OwnStoreUnavailable
from node.store.database import Database, check_postgres, check_sqlite, open_database


async def test_a_sqlite_store_is_private_and_opens_twice(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    first, second = (open_database(f"sqlite:///{path}") for _ in range(2))
    assert path.stat().st_mode & 0o777 == 0o600
    async with second.reading() as connection:
        settings = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
        ]
    assert settings == ["wal", 2, 4000]
    await first.close()
    await second.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"store\.url"):
        open_database(url)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OwnStoreUnavailable, match="cannot be made"):
        open_database(f"sqlite:///{tmp_path / 'missing' / 'node.db'}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_text("not a database " * 100)
    with pytest.raises(OwnStoreUnavailable):
        open_database(f"sqlite:///{tmp_path / 'node.db'}")


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    open_database(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(OwnStoreUnavailable, match="newer"):
        open_database(f"sqlite:///{path}")


@pytest.mark.parametrize(("mode", "level"), [("delete", 2), ("wal", 1), ("wal", 0), ("memory", 2)])
def test_sqlite_that_would_not_be_durable_is_refused(mode: str, level: int) -> None:
    answers = {"PRAGMA journal_mode": mode, "PRAGMA synchronous": level}
    with pytest.raises(OwnStoreUnavailable, match=mode):
        check_sqlite(answers.__getitem__)


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit"])
def test_postgresql_that_would_not_be_durable_is_refused(setting: str) -> None:
    answers = {"SHOW fsync": "on", "SHOW synchronous_commit": "on"}
    check_postgres(answers.__getitem__)
    with pytest.raises(OwnStoreUnavailable, match=setting):
        check_postgres({**answers, f"SHOW {setting}": "off"}.__getitem__)


async def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    insert = "INSERT INTO audit (at, actor, action, detail) VALUES (1, 'a', 'b', 'c')"

    async def write_and_fail() -> None:
        async with database.writing() as connection:
            await connection.execute(text(insert))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM audit"))).scalar() == 0
    await database.close()


async def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")

    async def add_one(_: int) -> None:
        async with database.writing() as connection:
            count = (await connection.execute(text("SELECT count(*) FROM audit"))).scalar_one()
            row = "INSERT INTO audit (at, actor, action, detail) VALUES (:at, 'a', 'b', 'c')"
            await connection.execute(text(row), {"at": count})

    await asyncio.gather(*map(add_one, range(10)))
    async with database.reading() as connection:
        found = (await connection.execute(text("SELECT at FROM audit ORDER BY id"))).scalars().all()
    assert found == list(range(10))
    await database.close()


def test_a_password_is_not_shown() -> None:
    database = Database("postgresql", "postgresql://node:secret@host/db", engine=None)  # type: ignore[arg-type]
    assert "secret" not in repr(database)
