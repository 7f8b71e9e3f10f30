"""The rows of the store's own secret keys: which there are, wrapped by the key-encryption key.

What becomes of them is decided in `node.keystore.data_keys`: a decision sees the rows and writes them in one
transaction, so that of replicas that decide at the same time the second one sees what the first one wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from node.store.database import Database, let_go, translated
from node.store.tables import DATA_KEYS
from node.store.times import from_micros, to_micros

__all__ = ["DataKeyRow", "DataKeyRows", "Decide"]

_ALL: Final = select(DATA_KEYS).order_by(DATA_KEYS.c.key_id)


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """One key. One that is retired only opens what is left under it; nothing new is made with it."""

    key_id: int
    purpose: str
    algorithm: str
    wrapped: bytes = field(repr=False)
    created_at: datetime
    retired_at: datetime | None = None


Decide = Callable[[Sequence[DataKeyRow]], Sequence[DataKeyRow]]
"""From the rows as they are to the rows as they should be; it may raise, and then nothing changes."""


class DataKeyRows:
    """Data keys that all replicas share. Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[DataKeyRow]:
        """All keys, oldest first."""
        async with self._database.reading() as connection:
            return await _all_of(connection)

    def load_beside(self) -> Sequence[DataKeyRow]:
        """The same for a thread of its own, or rarely: it waits for the store."""
        engine = self._database.beside()
        try:
            with translated(), engine.connect() as connection:
                return [_row(row) for row in connection.execute(_ALL).mappings()]
        finally:
            let_go(engine)

    async def change(self, decide: Decide) -> Sequence[DataKeyRow]:
        """Have `decide` look at the rows and write what it changed, with no other replica's change between.

        Returns the rows as they are then; a row that `decide` leaves out is deleted. What it raises comes through.
        """
        async with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # On SQLite the transaction has the only write lock already.
                await connection.exec_driver_sql("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE")
            before = {row.key_id: row for row in await _all_of(connection)}
            after = {row.key_id: row for row in decide(list(before.values()))}
            for key_id, row in after.items():
                if key_id not in before:
                    await connection.execute(insert(DATA_KEYS).values(_values(row)))
                elif row != before[key_id]:
                    changed = update(DATA_KEYS).where(DATA_KEYS.c.key_id == key_id)
                    await connection.execute(changed.values(_values(row)))
            for key_id in before.keys() - after.keys():
                await connection.execute(delete(DATA_KEYS).where(DATA_KEYS.c.key_id == key_id))
        return list(after.values())


async def _all_of(connection: AsyncConnection) -> list[DataKeyRow]:
    return [_row(row) for row in (await connection.execute(_ALL)).mappings()]


def _values(row: DataKeyRow) -> dict[str, Any]:
    return {
        "key_id": row.key_id,
        "purpose": row.purpose,
        "algorithm": row.algorithm,
        "wrapped": row.wrapped,
        "created_at": to_micros(row.created_at),
        "retired_at": None if row.retired_at is None else to_micros(row.retired_at),
    }


def _row(row: Mapping[Any, Any]) -> DataKeyRow:
    retired_at = row["retired_at"]
    return DataKeyRow(
        key_id=row["key_id"],
        purpose=row["purpose"],
        algorithm=row["algorithm"],
        wrapped=bytes(row["wrapped"]),
        created_at=from_micros(row["created_at"]),
        retired_at=None if retired_at is None else from_micros(retired_at),
    )
