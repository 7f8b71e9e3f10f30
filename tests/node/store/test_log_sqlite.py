"""The journal's connection to SQLite: how its transactions begin."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from node.store.database import open_database
from node.store.log_sqlite import SqliteLog

LABEL = (1, "asking", "answering", "operation", "outcome", "client")


@pytest.mark.parametrize("durable", [True, False])
def test_no_part_of_a_transaction_is_committed_by_the_next(tmp_path: Path, durable: bool) -> None:
    """Setting how it syncs would commit what is open, without a word."""
    path = tmp_path / "node.db"
    asyncio.run(open_database(f"sqlite:///{path}").close())
    with closing(SqliteLog(str(path), 1)) as log, closing(sqlite3.connect(path)) as other:
        log.begin(durable=True)
        log.label(LABEL)
        with pytest.raises(RuntimeError, match="begun before"):
            log.begin(durable=durable)
        labels = "SELECT count(*) FROM labels"
        assert other.execute(labels).fetchone() == (0,)
        log.rollback()
        log.begin(durable=durable)
        log.label(LABEL)
        log.commit()
        assert other.execute(labels).fetchone() == (1,)
