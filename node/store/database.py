"""Opening the store: SQLite out of the box, PostgreSQL in production, one schema.

What is refused, because evidence must be durable before anything is released (design §6): a SQLite database
that is not in WAL mode with ``synchronous=FULL``; a PostgreSQL with ``fsync`` or ``synchronous_commit`` off.

Readers and the small writers use SQLAlchemy's async engine, and those that are at work every second or in every login
`node.store.short`; the journal's writer thread has its own connection (`node.store.outbox`). A SQLite write
transaction begins with BEGIN IMMEDIATE, since a transaction that reads first and writes later cannot wait for another
writer (SQLITE_BUSY_SNAPSHOT). On PostgreSQL every transaction is READ COMMITTED, whatever the server's default is:
who waited for a lock must see what was committed meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from federation.errors import OwnStoreUnavailable
from node.store.migrate import upgrade
from node.store.short import Run, SqliteThreads, in_postgres, in_sqlite

__all__ = [
    "BUSY_TIMEOUT_S",
    "WAL_AUTOCHECKPOINT_PAGES",
    "Database",
    "check_postgres",
    "check_sqlite",
    "let_go",
    "let_go_async",
    "open_database",
    "translated",
]

T = TypeVar("T")

BUSY_TIMEOUT_S: Final = 2.0
"""How long one writer waits for another before the store counts as unavailable."""

CONNECT_TIMEOUT_S: Final = 2
"""How long a connection to PostgreSQL may take to be made."""

LONGEST_WAIT_S: Final = 5
"""How long a reader or a small writer on PostgreSQL waits for what another transaction holds: a replica that was frozen
in the middle of one must not hold up the others, in settling a checkpoint or in a login.
"""

LONGEST_IDLE_S: Final = 10
"""After this long in the middle of a transaction, without a statement, PostgreSQL ends it."""

WAL_AUTOCHECKPOINT_PAGES: Final = 4000
"""Pages in the write-ahead log after which SQLite copies them into the database: 16 MiB. With a thousand, the pages
that each transaction changes are copied four times as often, for 3 % more processor time of the writer.
"""

POOL_SIZE: Final = 5
"""Connections beside the journal's: reads, and the small writes of clients, tokens and trust."""

SQLITE_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}",
)
"""What every SQLite connection of a node is set to before its first use."""

_SQLITE_FULL = 2


@dataclass(frozen=True, slots=True)
class Database:
    """An open store. `dialect` is ``sqlite`` or ``postgresql``; `location` what the writer's driver connects
    to.

    `location` is a file path for SQLite and a libpq connection string for PostgreSQL; it may hold a password.
    """

    dialect: str
    location: str
    engine: AsyncEngine
    busy_timeout_s: float = BUSY_TIMEOUT_S
    threads: SqliteThreads | None = None
    """For short transactions on SQLite."""

    async def look(self, sql: str, /, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        """The rows of one statement in the words of `node.store.short`. Raises OwnStoreUnavailable."""
        return (await self.read(lambda run: run(sql, **parameters))).rows

    async def read(self, steps: Callable[[Run], T]) -> T:
        """What `steps` returns, which reads with statements in the words of `node.store.short`, in one transaction, and
        waits for nothing else. Raises OwnStoreUnavailable.
        """
        if self.threads is not None:
            return await self.threads.read(steps)
        return await self.read_long(steps)

    async def read_long(self, steps: Callable[[Run], T]) -> T:
        """The same for what may take long: nobody else's short transactions wait behind it. Raises
        OwnStoreUnavailable.
        """
        runs = in_sqlite if self.dialect == "sqlite" else in_postgres
        async with self.reading() as connection:
            return await connection.run_sync(lambda sync: steps(runs(sync)))

    async def change(self, steps: Callable[[Run], T]) -> T:
        """One short transaction: what `steps` returns, which runs statements in the words of `node.store.short` and
        waits for nothing else. Rolled back when it raises. Raises OwnStoreUnavailable.

        Whoever is cancelled meanwhile does not learn whether it was committed.
        """
        if self.threads is not None:
            return await self.threads.write(steps)
        async with self.writing() as connection:
            return await connection.run_sync(lambda sync: steps(in_postgres(sync)))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection with a snapshot to read from. Raises OwnStoreUnavailable."""
        with translated():
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction to write in: committed at the end, rolled back on any exception.

        Raises OwnStoreUnavailable. Cancellation rolls back.
        """
        with translated():
            async with self.engine.connect() as connection:
                # An upsert says by its row count whether it won; SQLAlchemy forgets an insert's by default.
                writer = await connection.execution_options(writes=True, preserve_rowcount=True)
                async with writer.begin():
                    yield writer

    def beside(self) -> Engine:
        """An engine with one connection, for work that one thread does beside the event loop.

        Whoever gets it uses it inside `translated`, and gives it to `let_go` in the end. A transaction that writes
        begins on a connection with ``execution_options(writes=True)``.
        """
        url = self.engine.url
        sqlite = self.dialect == "sqlite"
        engine = create_engine(
            url.set(drivername="sqlite") if sqlite else url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=self.busy_timeout_s,
            pool_pre_ping=not sqlite,
            **_options(sqlite=sqlite, busy_timeout_s=self.busy_timeout_s),
        )
        _listen(engine)
        return engine

    async def close(self) -> None:
        """Close all connections; one that is in use, as soon as it is given back."""
        if self.threads is not None:
            await self.threads.close()
        await let_go_async(self.engine)

    def __repr__(self) -> str:
        return f"Database({self.dialect})"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises when the store cannot be reached or written into OwnStoreUnavailable."""
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError) as error:
        if isinstance(error, DBAPIError) and not _is_unavailable(error):
            raise
        raise OwnStoreUnavailable("the store cannot be reached or written now; try again") from error


def let_go(engine: Engine) -> None:
    """Close an engine's connections; one that a thread has in use, as soon as it is given back."""
    _close_what_comes_back(engine)
    engine.dispose()


async def let_go_async(engine: AsyncEngine) -> None:
    """The same for an engine of the event loop's."""
    _close_what_comes_back(engine.sync_engine)
    await engine.dispose()


def _close_what_comes_back(engine: Engine) -> None:
    # `dispose` forgets the connections that are in use: a thread's that works on, or one that is rolled back after a
    # cancellation. They would return to a pool that nobody has any more.
    event.listen(engine, "checkin", _close_entry)


def _close_entry(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.close()


def _is_unavailable(error: DBAPIError) -> bool:
    # sqlite3 reports a damaged file as DatabaseError itself; its other subclasses are about a statement or a
    # row.
    return (
        isinstance(error, OperationalError | InterfaceError | InternalError) or type(error) is DatabaseError
    )


def open_database(url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
    """Open the store at `url` (``sqlite:///path`` or ``postgresql://…``), bring its schema up to date, check
    it.

    Blocks; meant for the start of a process. A SQLite file is made, readable by its owner only. Raises
    OwnStoreUnavailable when it cannot be reached, would not be durable, or belongs to a newer release;
    ValueError when `url` has another form.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        path = Path(parsed.database).absolute()
        with suppress(FileExistsError):
            _make_private(path)
        location = str(path)
        drivers = (URL.create("sqlite", database=location), URL.create("sqlite+aiosqlite", database=location))
    elif backend == "postgresql":
        location = _libpq(parsed)
        drivers = (parsed.set(drivername="postgresql+psycopg"), parsed.set(drivername="postgresql+psycopg"))
    else:
        raise ValueError("store.url must be sqlite:///path or postgresql://…")
    sqlite = backend == "sqlite"
    options = _options(sqlite=sqlite, busy_timeout_s=busy_timeout_s)
    _prepare(drivers[0], options)
    engine = create_async_engine(
        drivers[1],
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=busy_timeout_s,
        # A server that was restarted leaves dead connections in the pool.
        pool_pre_ping=not sqlite,
        **options,
    )
    _listen(engine.sync_engine)
    if not sqlite:
        event.listen(engine.sync_engine, "connect", _bound_waits)
    threads = SqliteThreads(location, SQLITE_PRAGMAS, busy_timeout_s) if sqlite else None
    return Database(backend, location, engine, busy_timeout_s, threads)


def _options(*, sqlite: bool, busy_timeout_s: float) -> dict[str, Any]:
    """What every engine is made with. Parameters may be personal data or secrets: they stay out of errors' texts."""
    if sqlite:
        return {"hide_parameters": True, "connect_args": {"timeout": busy_timeout_s}}
    connect_args = {"connect_timeout": CONNECT_TIMEOUT_S}
    return {"hide_parameters": True, "isolation_level": "READ COMMITTED", "connect_args": connect_args}


def _libpq(url: URL) -> str:
    """The URL as libpq reads it: it takes a plus sign for itself, where SQLAlchemy writes one for a space."""
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    place, mark, query = text.partition("?")
    return place + mark + query.replace("+", "%20")


def _make_private(path: Path) -> None:
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise
    except OSError as error:
        raise OwnStoreUnavailable(f"the database file cannot be made: {error.strerror}") from error


def _prepare(url: URL, options: dict[str, Any]) -> None:
    """Migrate and check with a connection of its own."""
    engine = create_engine(url, poolclass=NullPool, **options)
    _listen(engine)
    with translated(), engine.connect() as connection:
        writer = connection.execution_options(writes=True)
        with writer.begin():
            upgrade(writer)
        with connection.begin():
            _require_durable(connection)


def _listen(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)


def _bound_waits(connection: Any, _record: object) -> None:
    # Outside a transaction, whose end would undo it.
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{LONGEST_WAIT_S}s'")
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{LONGEST_IDLE_S}s'")
    cursor.close()
    connection.autocommit = False


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # None: the driver starts no transactions by itself; _begin_sqlite does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _require_durable(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        check_sqlite(lambda sql: connection.exec_driver_sql(sql).scalar())
    else:
        check_postgres(lambda sql: connection.exec_driver_sql(sql).scalar())


def check_sqlite(scalar: Callable[[str], Any]) -> None:
    """Raises OwnStoreUnavailable unless the connection writes ahead and syncs at every commit."""
    mode, level = scalar("PRAGMA journal_mode"), scalar("PRAGMA synchronous")
    if str(mode).lower() != "wal" or int(level) < _SQLITE_FULL:
        raise OwnStoreUnavailable(
            f"SQLite runs with journal_mode={mode} and synchronous={level}; evidence needs wal and 2 (FULL):"
            " put the database on a local file system"
        )


def check_postgres(scalar: Callable[[str], Any]) -> None:
    """Raises OwnStoreUnavailable when the server may acknowledge a commit before it is on disk."""
    for setting in ("fsync", "synchronous_commit"):
        if scalar(f"SHOW {setting}") == "off":
            raise OwnStoreUnavailable(
                f"PostgreSQL runs with {setting} = off, so evidence is not durable: turn it on"
            )
