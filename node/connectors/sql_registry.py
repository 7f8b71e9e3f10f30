"""A registry that is a database: one SELECT per operation, from the config, over a read-only connection.

SQLite is opened with ``mode=ro`` (https://www.sqlite.org/uri.html), PostgreSQL with
``default_transaction_read_only``: whatever the config says, nothing can be changed in the registry from here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import aiosqlite
from sqlalchemy import TextClause, text
from sqlalchemy.engine import URL, RowMapping, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from federation.errors import FederationError, RegistryBadAnswer, RegistryTimeout, RegistryUnreachable
from federation.ports import LocalDocument, RegistryAnswer
from federation.query import Operation
from node.connectors.documents import parse_json
from node.connectors.settings import PARAMETERS, SqlOperation, SqlRegistrySettings, entry_for
from node.store.database import let_go_async

__all__ = ["SqlRegistry"]

_ROWS_AT_MOST = 1000
_QUERY_CANCELLED = "57014"
"""SQLSTATE query_canceled, https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_OF_THE_SQL = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY)
"""What SQLite calls operational too, though it is the statement's fault."""


class SqlRegistry:
    """Implements `federation.ports.LocalRegistry`. ``async with`` opens it and closes its connections."""

    def __init__(self, settings: SqlRegistrySettings) -> None:
        self._settings = settings
        self._statements: Mapping[str, tuple[TextClause, TextClause | None]] = MappingProxyType(
            {
                name: (text(entry.sql), text(entry.total_sql) if entry.total_sql else None)
                for name, entry in settings.operations.items()
            }
        )
        self._engine: AsyncEngine | None = None

    async def __aenter__(self) -> SqlRegistry:
        self._engine = _engine(self._settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            await let_go_async(self._engine)

    async def look_up(
        self, operation: Operation, parameters: Mapping[str, str], *, timeout_s: float
    ) -> RegistryAnswer:
        """See the port. The look-up ends within `timeout_s` and within the config's own time-out."""
        entry = entry_for(self._settings.operations, operation)
        sql, total_sql = entry_for(self._statements, operation)
        limit_s = min(timeout_s, self._settings.timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                rows, total = await self._select(sql, total_sql, parameters)
        except (TimeoutError, PoolTimeoutError):
            raise RegistryTimeout(f"the registry did not answer within {max(limit_s, 0):.1f} s") from None
        except SQLAlchemyError as error:
            raise _meaning(error, operation) from None
        documents = tuple(_document(entry, row) for row in rows)
        return RegistryAnswer(documents, len(documents) if total is None else total)

    async def _select(
        self, sql: TextClause, total_sql: TextClause | None, parameters: Mapping[str, str]
    ) -> tuple[Sequence[RowMapping], int | None]:
        if self._engine is None:
            raise RuntimeError("SqlRegistry is used outside of its async with")
        _require_file(self._engine.url)
        async with self._engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            work = asyncio.ensure_future(_run(connection, sql, total_sql, parameters))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await _stop(work, driver)
                raise


def _require_file(url: URL) -> None:
    """Say plainly that an SQLite file is not there, instead of starting a thread that finds out."""
    if url.get_backend_name() == "sqlite" and not Path((url.database or "").removeprefix("file:")).is_file():
        raise RegistryUnreachable("the registry's database file is not there")


async def _run(
    connection: AsyncConnection, sql: TextClause, total_sql: TextClause | None, parameters: Mapping[str, str]
) -> tuple[Sequence[RowMapping], int | None]:
    rows = (await connection.execute(sql, _bound(sql, parameters))).mappings().fetchmany(_ROWS_AT_MOST + 1)
    if len(rows) > _ROWS_AT_MOST:
        raise RegistryBadAnswer(f"the registry's answer has more than {_ROWS_AT_MOST} rows")
    if total_sql is None:
        return rows, None
    counted = await connection.execute(total_sql, _bound(total_sql, parameters))
    return rows, int(counted.scalar_one())


async def _stop(work: asyncio.Task[Any], driver: Any) -> None:
    """End a query whose time is up.

    SQLite computes in a thread of its own, and anything else asked of the connection would queue behind
    it: so it is interrupted. psycopg passes a cancellation on to the server by itself.
    """
    if isinstance(driver, aiosqlite.Connection):
        await driver.interrupt()
    else:
        work.cancel()
    await asyncio.wait([work])
    if not work.cancelled():
        work.exception()


def _engine(settings: SqlRegistrySettings) -> AsyncEngine:
    url = make_url(settings.url)
    options: dict[str, Any] = {
        "poolclass": AsyncAdaptedQueuePool,
        "pool_size": settings.connections,
        "max_overflow": 0,
        "pool_timeout": settings.timeout_s,
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        query = {"mode": "ro", "uri": "true"}
        return create_async_engine(
            URL.create("sqlite+aiosqlite", database=f"file:{url.database}", query=query), **options
        )
    limits = f"-c default_transaction_read_only=on -c statement_timeout={int(settings.timeout_s * 1000)}"
    own = url.query.get("options", "")
    options |= {"connect_args": {"options": f"{own} {limits}"}, "pool_pre_ping": True}
    plain = url.difference_update_query(["options"]).set(drivername="postgresql+psycopg")
    return create_async_engine(plain, **options)


def _bound(sql: TextClause, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Every parameter that the statement names; absent ones are NULL."""
    values: dict[str, Any] = {name: parameters.get(name) for name in PARAMETERS}
    page, size = int(parameters.get("page") or 1), int(parameters.get("page_size") or _ROWS_AT_MOST)
    values |= {"page": page, "page_size": size, "offset": (page - 1) * size}
    return {name: values[name] for name in sql._bindparams}


def _meaning(error: SQLAlchemyError, operation: Operation) -> FederationError:
    original = error.orig if isinstance(error, DBAPIError) else None
    if getattr(original, "sqlstate", None) == _QUERY_CANCELLED:
        return RegistryTimeout("the registry stopped the query at its time limit")
    of_the_sql = getattr(original, "sqlite_errorcode", None) in _OF_THE_SQL
    if isinstance(error, OperationalError | InterfaceError) and not of_the_sql:
        return RegistryUnreachable(f"no connection to the registry's database: {type(original).__name__}")
    return RegistryBadAnswer(f"the registry's database refused the SQL of {operation.value}")


def _document(entry: SqlOperation, row: RowMapping) -> LocalDocument:
    if not entry.json_column:
        return {name: _json_value(value) for name, value in row.items()}
    value = row.get(entry.json_column)
    if isinstance(value, str | bytes):
        value = parse_json(value, f"column {entry.json_column}")
    if not isinstance(value, dict):
        raise RegistryBadAnswer(f"the registry's column {entry.json_column} holds no JSON object")
    return value


def _json_value(value: Any) -> Any:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes | memoryview):
        raise RegistryBadAnswer("the registry's table has a binary column in the answer")
    return value
