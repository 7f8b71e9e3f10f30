"""Short transactions: a few statements on indexed rows, as logins make dozens of, and the log every second.

On SQLite a whole transaction is one step of a thread of its own, on a connection that stays open: through the event
loop's engine each statement would go to a thread and back several times, which costs ten times what SQLite does. On
PostgreSQL it is a transaction of the engine's; and on both what reads long is, so that nobody waits behind it.
Statements are text that both databases speak, with ``:name`` for each parameter; values are numbers, texts, bytes and
None.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from federation.errors import OwnStoreUnavailable

__all__ = ["Found", "Run", "SqliteBeside", "SqliteThreads", "in_postgres", "in_sqlite"]

T = TypeVar("T")
_NAME: Final = re.compile(r"(?<!:):([a-z_][a-z_0-9]*)")
_CACHED_STATEMENTS: Final = 256
_MOST_TOGETHER: Final = 64
_CLOSED: Final = "the store is closed: the node stops"


class Found(NamedTuple):
    """What a statement came to: its rows, and how many rows it changed."""

    rows: Sequence[tuple[Any, ...]]
    changed: int

    @property
    def row(self) -> tuple[Any, ...] | None:
        """The one row, or None."""
        return self.rows[0] if self.rows else None


class Run(Protocol):
    """Runs a statement in a transaction."""

    def __call__(self, sql: str, /, **parameters: Any) -> Found:
        """What it came to."""
        ...


class SqliteThreads:
    """A thread that writes and one that reads, each with its connection; both are made when they are first needed."""

    def __init__(self, location: str, pragmas: Sequence[str], busy_timeout_s: float) -> None:
        self._writer = _Worker(_Connection(location, pragmas, busy_timeout_s), writes=True)
        self._reader = _Worker(_Connection(location, pragmas, busy_timeout_s), writes=False)

    async def write(self, steps: Callable[[Run], T]) -> T:
        """As `Database.change`."""
        return await self._writer.do(steps)

    async def read(self, steps: Callable[[Run], T]) -> T:
        """As `Database.read`."""
        return await self._reader.do(steps)

    async def close(self) -> None:
        """Finish what was begun, and close; what comes later raises OwnStoreUnavailable."""
        self._writer.end()
        self._reader.end()
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.join)


@dataclass(slots=True)
class _Job:
    """Steps to take, and who waits for them."""

    steps: Callable[[Run], Any]
    waiting: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """In the event loop. Whoever was cancelled waits no more."""
        if self.waiting.done():
            return
        if self.error is None:
            self.waiting.set_result(self.result)
        else:
            self.waiting.set_exception(self.error)


class _Worker:
    """What waits at the same time shares one transaction and its sync to disk, each part behind a savepoint."""

    def __init__(self, connection: _Connection, *, writes: bool) -> None:
        self._connection = connection
        self._writes = writes
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False
        self._order = Lock()
        """So that nothing is put behind what ends the thread: nobody would take it."""

    async def do(self, steps: Callable[[Run], T]) -> T:
        waiting: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._order:
            if self._closed:
                raise OwnStoreUnavailable(_CLOSED)
            if self._thread is None:
                self._thread = Thread(target=self._work, name="short", daemon=True)
                self._thread.start()
            self._jobs.put(_Job(steps, waiting))
        return await waiting

    def end(self) -> None:
        """Take what waits already; what comes later is refused."""
        with self._order:
            if self._thread is not None and not self._closed:
                self._jobs.put(None)
            self._closed = True

    def join(self) -> None:
        """Wait until the end, in another thread than the event loop's."""
        if self._thread is not None:
            self._thread.join()

    # --- in the thread ---

    def _work(self) -> None:
        goes_on = True
        while goes_on:
            batch: list[_Job] = []
            while goes_on and len(batch) < _MOST_TOGETHER and not (batch and self._jobs.empty()):
                job = self._jobs.get()
                if job is None:
                    goes_on = False
                else:
                    batch.append(job)
            if batch:
                self._take(batch)
        self._connection.close()

    def _take(self, batch: Sequence[_Job]) -> None:
        try:
            with _translated():
                self._transact(batch)
        except BaseException as error:  # whatever it is, somebody waits for it
            for job in batch:
                # Nothing was committed: what one refused may rest on what another was about to write.
                job.error = error if len(batch) == 1 else _unavailable(error)
        for job in batch:
            with suppress(RuntimeError):  # that loop is closed: nobody waits any more
                job.waiting.get_loop().call_soon_threadsafe(job.deliver)

    def _transact(self, batch: Sequence[_Job]) -> None:
        with self._connection.transaction(writes=self._writes) as run:
            if len(batch) == 1:
                batch[0].result = _taken(batch[0].steps, run)
                return
            for job in batch:
                run("SAVEPOINT part")
                try:
                    with _translated():
                        job.result = _taken(job.steps, run)
                except Exception as error:
                    job.error = error
                    run("ROLLBACK TO part")  # fails where SQLite gave up the whole transaction
                run("RELEASE part")


def _taken(steps: Callable[[Run], T], run: Run) -> T:
    try:
        return steps(run)
    except StopIteration as error:  # which no future takes: whoever waits would do so for ever
        raise RuntimeError("the steps of a transaction raised StopIteration") from error


class _Connection:
    """A connection to SQLite that one thread at a time uses. It is made when it is first needed, and stays open."""

    def __init__(self, location: str, pragmas: Sequence[str], busy_timeout_s: float) -> None:
        self._location = location
        self._pragmas = pragmas
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Run]:
        """Committed at the end, rolled back on any exception. Raises what the driver raises."""
        connection = self._connection or self._open()
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            yield _On(connection)
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise

    def close(self) -> None:
        """Close it; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._location,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
        try:
            for pragma in self._pragmas:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()


class SqliteBeside:
    """A connection for work that blocks, in one thread at a time."""

    def __init__(self, location: str, pragmas: Sequence[str], busy_timeout_s: float) -> None:
        self._connection = _Connection(location, pragmas, busy_timeout_s)
        self._in_use = Lock()
        self._closed = False

    @contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[Run]:
        """Committed at the end, rolled back on any exception. Raises OwnStoreUnavailable, after `close` at once."""
        try:
            with self._in_use, _translated():
                if self._closed:
                    raise OwnStoreUnavailable(_CLOSED)
                with self._connection.transaction(writes=writes) as run:
                    yield run
        finally:
            if self._closed:  # meanwhile, perhaps
                self._let_go()

    def close(self) -> None:
        """Close the connection; one that a thread is in a transaction of, when that ends."""
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._in_use.acquire(blocking=False):
            try:
                self._connection.close()
            finally:
                self._in_use.release()


class _On:
    """Runs statements on a connection of this thread's."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __call__(self, sql: str, /, **parameters: Any) -> Found:
        cursor = self._connection.execute(sql, parameters)
        return Found(cursor.fetchall(), cursor.rowcount)


def in_postgres(connection: Any) -> Run:
    """Runs statements in a transaction of SQLAlchemy's on PostgreSQL."""
    return _in_engine(connection, _pyformat)


def in_sqlite(connection: Any) -> Run:
    """Runs statements in a transaction of SQLAlchemy's on SQLite, whose driver knows parameters by these names."""
    return _in_engine(connection, str)


def _in_engine(connection: Any, said: Callable[[str], str]) -> Run:
    def run(sql: str, /, **parameters: Any) -> Found:
        result = connection.exec_driver_sql(said(sql), parameters)
        rows = [tuple(row) for row in result] if result.returns_rows else []
        return Found(rows, result.rowcount)

    return run


@lru_cache(maxsize=512)
def _pyformat(sql: str) -> str:
    return _NAME.sub(r"%(\1)s", sql)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except (sqlite3.Error, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: BaseException) -> OwnStoreUnavailable:
    unavailable = OwnStoreUnavailable("the store cannot be reached or written now; try again")
    unavailable.__cause__ = error
    return unavailable
