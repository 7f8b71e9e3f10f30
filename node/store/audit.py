"""What operators did, as rows that are never changed, and that all replicas can follow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from federation.ports import Clock
from node.store.database import Database
from node.store.tables import AUDIT
from node.store.times import from_micros, to_micros

__all__ = ["AuditEntry", "AuditRows"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action. `actor` is who did it (a user of the control socket), `detail` never holds a secret."""

    number: int
    at: datetime
    actor: str
    action: str
    detail: Mapping[str, Any]


class AuditRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def note(self, actor: str, action: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add an entry. Durable on return."""
        values = {
            "at": to_micros(self._clock.now()),
            "actor": actor,
            "action": action,
            "detail": json.dumps(dict(detail or {}), ensure_ascii=False),
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(AUDIT).values(**values))

    async def after(self, number: int, *, limit: int = 100) -> Sequence[AuditEntry]:
        """The entries after that number, oldest first: how a replica follows commands."""
        query = select(AUDIT).where(AUDIT.c.id > number).order_by(AUDIT.c.id).limit(limit)
        async with self._database.reading() as connection:
            return [_entry(row) for row in (await connection.execute(query)).mappings()]

    async def latest(self, *, limit: int = 100) -> Sequence[AuditEntry]:
        """The newest entries, newest first."""
        query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_entry(row) for row in (await connection.execute(query)).mappings()]


def _entry(row: Mapping[Any, Any]) -> AuditEntry:
    return AuditEntry(
        row["id"], from_micros(row["at"]), row["actor"], row["action"], json.loads(row["detail"])
    )
