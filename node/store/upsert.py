"""INSERT … ON CONFLICT as both databases spell it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert as insert_postgres
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from node.store.database import Database

__all__ = ["insert_into"]


def insert_into(database: Database, table: Table) -> Any:
    """An insert that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return (insert_sqlite if database.dialect == "sqlite" else insert_postgres)(table)
