"""The journal's own connection, straight on the driver: SQLAlchemy's expression layer costs a tenth there
(design §9).

Both drivers speak the same statements with tuples. Each names its errors by what follows from them:
`UNAVAILABLE` (the store cannot take anything now: fail the batch, start over with a new connection);
everything else is about a row, and the batch is taken apart to find which.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Protocol

import psycopg

from node.store.database import CONNECT_TIMEOUT_S, SQLITE_PRAGMAS, Database, check_postgres, check_sqlite

__all__ = ["LOG_LOCK", "ClaimRow", "LogConnection", "connect_log", "is_unavailable"]

Row = tuple[Any, ...]
ClaimRow = tuple[bytes, int, str, bytes | None]
"""identity, state, owner, and the first answer's envelope when finished."""

_RECORD: Final = (
    "INSERT INTO records (log_index, generation, kind, request_id, asking, answering, operation,"
    " outcome, client, case_number, recorded_at, identity, envelope, salt, leaf)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
# In `state`, 1 is CLAIM_WORKING and 2 CLAIM_FINISHED.
_FINISH: Final = (
    "INSERT INTO claims (asking, request_id, identity, state, lease_until, owner, answer)"
    " VALUES (?,?,?,2,0,?,?) ON CONFLICT (asking, request_id) DO UPDATE"
    " SET state = 2, answer = excluded.answer"
    " WHERE claims.state = 1 AND claims.identity = excluded.identity"
)
_TAKE: Final = (
    "INSERT INTO claims (asking, request_id, identity, state, lease_until, owner) VALUES (?,?,?,1,?,?)"
    " ON CONFLICT (asking, request_id) DO NOTHING"
)
_TAKE_OVER: Final = (
    "UPDATE claims SET lease_until = ?, owner = ?"
    " WHERE asking = ? AND request_id = ? AND state = 1 AND lease_until <= ?"
)
_RELEASE: Final = "DELETE FROM claims WHERE asking = ? AND request_id = ? AND state = 1 AND owner LIKE ?"
_LOOK: Final = (
    "SELECT c.identity, c.state, c.owner, r.envelope FROM claims c"
    " LEFT JOIN records r ON r.log_index = c.answer WHERE c.asking = ? AND c.request_id = ?"
)
_NEXT: Final = "SELECT coalesce(max(log_index) + 1, 0) FROM records"

LOG_LOCK: Final = 0x59524402
"""Key of the PostgreSQL advisory lock under which log indices are assigned."""

_STALLED_S: Final = 10
"""After this long in the middle of a transaction a stalled process loses it, and with it the log's lock."""

_UNACKNOWLEDGED_MS: Final = 5000
"""After this long without an acknowledgement a TCP connection to the server counts as lost."""


class LogConnection(Protocol):
    """One synchronous connection, used by one thread."""

    UNAVAILABLE: tuple[type[Exception], ...]

    def begin(self, *, durable: bool) -> int:
        """Begin a transaction; a durable one is on disk when it commits, and gets the next log index (else
        0).
        """
        ...

    def add_records(self, rows: Sequence[Row]) -> None:
        """Rows in the order of the columns of `records`."""
        ...

    def finish_claims(self, rows: Sequence[Row]) -> int:
        """(asking, request_id, identity, owner, answer); how many claims are finished by it."""
        ...

    def take_claims(self, rows: Sequence[Row]) -> int:
        """(asking, request_id, identity, lease_until, owner); how many were free."""
        ...

    def take_over(self, row: Row) -> bool:
        """(lease_until, owner, asking, request_id, now): whether the lease had run out and is ours now."""
        ...

    def release_claims(self, rows: Sequence[Row]) -> None:
        """(asking, request_id, owner pattern)."""
        ...

    def look(self, asking: str, request_id: str) -> ClaimRow | None:
        """The claim as it is inside this transaction."""
        ...

    def commit(self) -> None:
        """On return of a durable transaction all of it is on disk."""
        ...

    def rollback(self) -> None:
        """Undo."""
        ...

    def close(self) -> None:
        """Never raises."""
        ...


class _SqliteLog:
    """WAL, synchronous=FULL; NORMAL for the length of a transaction that need not survive a power cut."""

    UNAVAILABLE: tuple[type[Exception], ...] = (sqlite3.OperationalError, sqlite3.InternalError, OSError)

    def __init__(self, path: str, busy_timeout_s: float) -> None:
        self._connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        self._cursor = self._connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            self._cursor.execute(pragma)
        check_sqlite(self._scalar)
        self._full = True
        self._switches = 0

    def _scalar(self, sql: str) -> Any:
        return self._cursor.execute(sql).fetchone()[0]

    def begin(self, *, durable: bool) -> int:
        if durable is not self._full:
            # The pragma takes effect when it is compiled, so the text must be new each time: the driver keeps
            # compiled statements by their text.
            self._switches += 1
            self._cursor.execute(
                f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'} -- {self._switches}"
            )
            self._full = durable
        self._cursor.execute("BEGIN IMMEDIATE")
        return int(self._scalar(_NEXT)) if durable else 0

    def add_records(self, rows: Sequence[Row]) -> None:
        self._cursor.executemany(_RECORD, rows)

    def finish_claims(self, rows: Sequence[Row]) -> int:
        return self._cursor.executemany(_FINISH, rows).rowcount

    def take_claims(self, rows: Sequence[Row]) -> int:
        return self._cursor.executemany(_TAKE, rows).rowcount

    def take_over(self, row: Row) -> bool:
        return self._cursor.execute(_TAKE_OVER, row).rowcount == 1

    def release_claims(self, rows: Sequence[Row]) -> None:
        self._cursor.executemany(_RELEASE, rows)

    def look(self, asking: str, request_id: str) -> ClaimRow | None:
        row: ClaimRow | None = self._cursor.execute(_LOOK, (asking, request_id)).fetchone()
        return row

    def commit(self) -> None:
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


class _PostgresLog:
    """Durable transactions take the log's advisory lock; the others commit without waiting for the disk."""

    UNAVAILABLE: tuple[type[Exception], ...] = (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.InternalError,
        OSError,
    )

    def __init__(self, conninfo: str, busy_timeout_s: float) -> None:
        self._connection = psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=_UNACKNOWLEDGED_MS,
        )
        self._cursor = self._connection.cursor()
        self._cursor.execute(f"SET lock_timeout = {int(busy_timeout_s * 1000)}".encode())
        self._cursor.execute(f"SET idle_in_transaction_session_timeout = '{_STALLED_S}s'".encode())
        check_postgres(self._scalar)

    def _scalar(self, sql: str) -> Any:
        row = self._cursor.execute(sql.encode()).fetchone()
        return row[0] if row else None

    def begin(self, *, durable: bool) -> int:
        if not durable:
            self._cursor.execute("BEGIN; SET LOCAL synchronous_commit TO off")
            return 0
        # READ COMMITTED: each statement sees what was committed before it, so the lock must be its own
        # statement.
        self._cursor.execute(f"BEGIN; SELECT pg_advisory_xact_lock({LOG_LOCK}); {_NEXT}".encode())
        while self._cursor.nextset():
            pass
        row = self._cursor.fetchone()
        return int(row[0]) if row else 0

    def add_records(self, rows: Sequence[Row]) -> None:
        self._cursor.executemany(_PG_RECORD, rows)

    def finish_claims(self, rows: Sequence[Row]) -> int:
        self._cursor.executemany(_PG_FINISH, rows)
        return self._cursor.rowcount

    def take_claims(self, rows: Sequence[Row]) -> int:
        self._cursor.executemany(_PG_TAKE, rows)
        return self._cursor.rowcount

    def take_over(self, row: Row) -> bool:
        return self._cursor.execute(_PG_TAKE_OVER, row).rowcount == 1

    def release_claims(self, rows: Sequence[Row]) -> None:
        self._cursor.executemany(_PG_RELEASE, rows)

    def look(self, asking: str, request_id: str) -> ClaimRow | None:
        row: ClaimRow | None = self._cursor.execute(_PG_LOOK, (asking, request_id)).fetchone()
        return row

    def commit(self) -> None:
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        self._cursor.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


def _for_psycopg(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


_PG_RECORD, _PG_FINISH, _PG_TAKE = _for_psycopg(_RECORD), _for_psycopg(_FINISH), _for_psycopg(_TAKE)
_PG_TAKE_OVER, _PG_RELEASE, _PG_LOOK = _for_psycopg(_TAKE_OVER), _for_psycopg(_RELEASE), _for_psycopg(_LOOK)


def connect_log(database: Database) -> LogConnection:
    """A new connection. Raises the driver's errors, and OwnStoreUnavailable when it would not be durable."""
    if database.dialect == "sqlite":
        return _SqliteLog(database.location, database.busy_timeout_s)
    return _PostgresLog(database.location, database.busy_timeout_s)


def is_unavailable(connection: LogConnection, error: Exception) -> bool:
    """Whether the store as a whole cannot take anything now, rather than one row of the batch.

    A deadlock with another replica and a value beyond the server's limits (SQLSTATE classes 40 and 54) are
    about rows, although psycopg files them under operational errors.
    """
    if isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in {"40", "54"}:
        return False
    # sqlite3 reports a damaged file as DatabaseError itself; its subclasses are about rows.
    return isinstance(error, connection.UNAVAILABLE) or type(error) is sqlite3.DatabaseError
