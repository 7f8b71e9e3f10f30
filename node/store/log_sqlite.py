"""The journal's connection to SQLite."""

# ruff: noqa: D102 (the promises are those of `LogConnection`)

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from node.store.database import SQLITE_PRAGMAS, check_sqlite
from node.store.log_connection import (
    ADD_LABEL,
    BODY,
    FINISH,
    HOLDER,
    HOLDER_LATER,
    LABEL,
    LOOK,
    NEXT,
    NOWHERE,
    RECORD,
    RELEASE,
    STATEMENTS_KEPT,
    TAKE,
    TAKE_OVER,
    ClaimRow,
    Insert,
    Place,
    Row,
)

__all__ = ["SqliteLog"]

_NEXT = NEXT.replace("GREATEST", "max")


class SqliteLog:
    """WAL, synchronous=FULL; NORMAL for the length of a transaction that need not survive a power cut."""

    def __init__(self, path: str, busy_timeout_s: float) -> None:
        self._connection = sqlite3.connect(
            path, timeout=busy_timeout_s, isolation_level=None, cached_statements=STATEMENTS_KEPT
        )
        try:
            self._set_up()
        except BaseException:
            self._connection.close()
            raise
        self._full = True

    def _set_up(self) -> None:
        self._cursor = self._connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            self._cursor.execute(pragma)
        check_sqlite(self._scalar)

    def _scalar(self, sql: str) -> Any:
        return self._cursor.execute(sql).fetchone()[0]

    def is_unavailable(self, error: Exception) -> bool:
        # A damaged file is reported as DatabaseError itself; its other subclasses are about rows.
        unavailable = isinstance(error, sqlite3.OperationalError | sqlite3.InternalError | OSError)
        return unavailable or type(error) is sqlite3.DatabaseError

    def begin(self, *, durable: bool) -> Place:
        if self._connection.in_transaction:  # which a script commits before it runs
            raise RuntimeError("a transaction that was begun before has not ended")
        if durable is not self._full:
            # The pragma takes effect when it is compiled, and a script is, each time: of what is executed the driver
            # keeps what it compiled.
            self._cursor.executescript(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._full = durable
        self._cursor.execute("BEGIN IMMEDIATE")
        return Place(*self._cursor.execute(_NEXT).fetchone()) if durable else NOWHERE

    def label(self, label: Row) -> int:
        row = self._cursor.execute(LABEL, label).fetchone()
        if row is None:
            row = self._cursor.execute(ADD_LABEL, label).fetchone()
        return int(row[0])

    def _insert(self, insert: Insert, rows: Sequence[Row]) -> int:
        return sum(self._cursor.execute(*piece).rowcount for piece in insert.in_pieces(rows))

    def add_records(self, records: Sequence[Row], bodies: Sequence[Row]) -> None:
        self._insert(RECORD, records)
        self._insert(BODY, bodies)

    def add_holders(self, rows: Sequence[Row], later: Sequence[Row]) -> None:
        self._insert(HOLDER, rows)
        if later:
            self._cursor.executemany(HOLDER_LATER, later)

    def finish_claims(self, rows: Sequence[Row]) -> int:
        return self._insert(FINISH, rows)

    def take_claims(self, rows: Sequence[Row]) -> int:
        return self._insert(TAKE, rows)

    def take_over(self, row: Row) -> bool:
        return self._cursor.execute(TAKE_OVER, row).rowcount == 1

    def release_claims(self, rows: Sequence[Row]) -> None:
        self._cursor.executemany(RELEASE, rows)

    def look(self, asking: str, request_id: str) -> ClaimRow | None:
        row = self._cursor.execute(LOOK, (asking, request_id)).fetchone()
        return ClaimRow(*row) if row else None

    def commit(self) -> None:
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def close(self) -> None:
        # A transaction ends with its last statement only, and whoever was refused may keep hold of the one that failed.
        with suppress(sqlite3.Error):
            self.rollback()
        self._cursor.close()
        self._connection.close()
