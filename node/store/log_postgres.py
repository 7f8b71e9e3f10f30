"""The journal's connection to PostgreSQL. Imported only where there is one: the driver weighs 9 MiB."""

# ruff: noqa: D102 (the promises are those of `LogConnection`)

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import psycopg

from node.store.database import CONNECT_TIMEOUT_S, check_postgres
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

__all__ = ["LOG_LOCK", "PostgresLog"]

LOG_LOCK: Final = 0x59524402
"""Key of the PostgreSQL advisory lock under which log indices are assigned."""

_STALLED_MS: Final = 1500
"""After this long in the middle of a transaction a stalled process loses it, and with it the log's lock: less than
another waits for that lock (`database.BUSY_TIMEOUT_S`), so that a frozen replica fails no query of the others.
"""

_UNACKNOWLEDGED_MS: Final = 5000
"""After this long without an acknowledgement a TCP connection to the server counts as lost."""


@cache
def _for_psycopg(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


_TAKE_OVER, _RELEASE, _LOOK = _for_psycopg(TAKE_OVER), _for_psycopg(RELEASE), _for_psycopg(LOOK)
_HOLDER_LATER, _LABEL, _ADD_LABEL = _for_psycopg(HOLDER_LATER), _for_psycopg(LABEL), _for_psycopg(ADD_LABEL)
_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock({LOG_LOCK}); {NEXT}".encode()


class PostgresLog:
    """Durable transactions take the log's advisory lock; the others commit without waiting for the disk."""

    def __init__(self, conninfo: str, busy_timeout_s: float) -> None:
        self._connection = psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=_UNACKNOWLEDGED_MS,
        )
        try:
            self._set_up(busy_timeout_s)
        except BaseException:
            self._connection.close()
            raise

    def _set_up(self, busy_timeout_s: float) -> None:
        self._connection.prepared_max = STATEMENTS_KEPT
        self._cursor = self._connection.cursor()
        # Whatever the server's default is: what was read before the lock was had would not be the newest.
        self._cursor.execute("SET default_transaction_isolation = 'read committed'")
        self._cursor.execute(f"SET lock_timeout = {int(busy_timeout_s * 1000)}".encode())
        self._cursor.execute(f"SET idle_in_transaction_session_timeout = '{_STALLED_MS}ms'".encode())
        check_postgres(self._scalar)

    def _scalar(self, sql: str) -> Any:
        row = self._cursor.execute(sql.encode()).fetchone()
        return row[0] if row else None

    def is_unavailable(self, error: Exception) -> bool:
        # A deadlock with another replica and a value beyond the server's limits (SQLSTATE classes 40 and 54)
        # are about rows, although psycopg files them under operational errors.
        if isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in {"40", "54"}:
            return False
        kinds = psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError | OSError
        return isinstance(error, kinds)

    def begin(self, *, durable: bool) -> Place:
        if not durable:
            self._cursor.execute("BEGIN; SET LOCAL synchronous_commit TO off")
            return NOWHERE
        # READ COMMITTED: each statement sees what was committed before it, so the lock must be its own
        # statement.
        self._cursor.execute(_BEGIN)
        while self._cursor.nextset():
            pass
        return Place(*self._cursor.fetchone())  # type: ignore[misc]  # every log has a generation

    def label(self, label: Row) -> int:
        row = self._cursor.execute(_LABEL, label).fetchone()
        if row is None:
            row = self._cursor.execute(_ADD_LABEL, label).fetchone()
        return int(row[0])  # type: ignore[index]  # an insert that returns has a row

    def _insert(self, insert: Insert, rows: Sequence[Row]) -> int:
        pieces = insert.in_pieces(rows)
        return sum(self._cursor.execute(_for_psycopg(sql), values).rowcount for sql, values in pieces)

    def _one_by_one(self, sql: bytes, rows: Sequence[Row]) -> None:
        # Not executemany: after its pipeline PostgreSQL does not count the time that a transaction is idle.
        for row in rows:
            self._cursor.execute(sql, row)

    def add_records(self, records: Sequence[Row], bodies: Sequence[Row]) -> None:
        self._insert(RECORD, records)
        self._insert(BODY, bodies)

    def add_holders(self, rows: Sequence[Row], later: Sequence[Row]) -> None:
        self._insert(HOLDER, rows)
        if later:
            self._one_by_one(_HOLDER_LATER, later)

    def finish_claims(self, rows: Sequence[Row]) -> int:
        return self._insert(FINISH, rows)

    def take_claims(self, rows: Sequence[Row]) -> int:
        return self._insert(TAKE, rows)

    def take_over(self, row: Row) -> bool:
        return self._cursor.execute(_TAKE_OVER, row).rowcount == 1

    def release_claims(self, rows: Sequence[Row]) -> None:
        self._one_by_one(_RELEASE, rows)

    def look(self, asking: str, request_id: str) -> ClaimRow | None:
        row = self._cursor.execute(_LOOK, (asking, request_id)).fetchone()
        return ClaimRow(*row) if row else None

    def commit(self) -> None:
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        self._cursor.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()
