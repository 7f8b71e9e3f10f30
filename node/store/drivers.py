"""Which driver the journal's connection uses."""

from __future__ import annotations

from node.store.database import Database
from node.store.log_connection import LogConnection
from node.store.log_sqlite import SqliteLog

__all__ = ["connect_log"]


def connect_log(database: Database) -> LogConnection:
    """A new connection. Raises the driver's errors, and OwnStoreUnavailable when it would not be durable."""
    if database.dialect == "sqlite":
        return SqliteLog(database.location, database.busy_timeout_s)
    from node.store.log_postgres import PostgresLog

    return PostgresLog(database.location, database.busy_timeout_s)
