"""Closing a store closes every connection, those too that somebody was still using then."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest

from federation.errors import OwnStoreUnavailable
from node.store import log_postgres, log_sqlite
from node.store.database import Database, let_go, open_database
from node.store.drivers import connect_log
from node.store.tree_growth import TreeGrowth

CLOSED = (sqlite3.ProgrammingError, psycopg.OperationalError, ValueError)
"""What the drivers raise for a connection that is closed."""


@pytest.fixture
def opened(store_url: str) -> Database:
    """Closed by the test itself."""
    return open_database(store_url)


async def test_a_connection_that_is_given_back_after_the_store_was_closed(opened: Database) -> None:
    async with opened.reading() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        await opened.close()
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    assert driver is not None
    with pytest.raises(CLOSED, match=r"closed|no active"):
        await driver.execute("SELECT 1")


async def test_a_thread_that_works_on_after_its_engine_was_let_go_of(opened: Database) -> None:
    engine = opened.beside()
    for _ in range(2):  # also one that is made only afterwards
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            let_go(engine)
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert driver is not None
        with pytest.raises(CLOSED, match="closed"):
            driver.execute("SELECT 1")
    await opened.close()


async def test_the_tree_is_not_opened_again(opened: Database) -> None:
    growth = TreeGrowth(opened)
    growth.look(None)
    growth.close()
    with pytest.raises(OwnStoreUnavailable, match="the node stops"):
        growth.look(None)
    await opened.close()


async def test_a_connection_of_the_journal_that_would_not_be_durable(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    driver: Any = sqlite3 if opened.dialect == "sqlite" else psycopg
    connect = driver.connect

    def connected(*place: Any, **options: Any) -> Any:
        made.append(connect(*place, **options))
        return made[-1]

    def refused(_scalar: object) -> None:
        raise OwnStoreUnavailable("not durable")

    monkeypatch.setattr(driver, "connect", connected)
    monkeypatch.setattr(log_sqlite, "check_sqlite", refused)
    monkeypatch.setattr(log_postgres, "check_postgres", refused)
    with pytest.raises(OwnStoreUnavailable, match="not durable"):
        connect_log(opened)
    (connection,) = made
    with pytest.raises(CLOSED, match="closed"):
        connection.execute("SELECT 1")
    await opened.close()
