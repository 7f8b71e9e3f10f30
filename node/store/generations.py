"""The generations of the log, as rows (design §6).

The highest one is open. A generation that is halted takes no more records, checkpoints or signatures; nothing but the
opening of the next one ends that. The functions work inside a transaction of their caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs
from sqlalchemy import Connection, bindparam, func, insert, select, update

from federation.ports import CheckpointRow, LogGeneration
from node.store.tables import ARCHIVES, CHECKPOINTS, LOG_GENERATIONS, RECORDS
from node.store.times import from_micros, to_micros
from trust.merkle import EMPTY_ROOT

__all__ = [
    "LogBrokenError",
    "all_generations",
    "halt",
    "newest_checkpoint",
    "open_generation",
    "open_next",
    "read_checkpoint_row",
    "read_generation",
]

_G = LOG_GENERATIONS.c
_C = CHECKPOINTS.c

# Made once: to put a query together costs more than to run it, and these run each second.
_ALL = select(LOG_GENERATIONS).order_by(_G.generation)
_NEWEST = select(LOG_GENERATIONS).order_by(_G.generation.desc()).limit(1)
_LAST = select(CHECKPOINTS).where(_C.generation == bindparam("g")).order_by(_C.size.desc()).limit(1)


class LogBrokenError(Exception):
    """What is stored is not the log that was signed; the text says why, in English, for operators."""


def read_generation(row: Mapping[Any, Any]) -> LogGeneration:
    """A row of `log_generations`."""
    root = row["closed_root"]
    return LogGeneration(
        generation=row["generation"],
        first_index=row["first_index"],
        opened_at=from_micros(row["opened_at"]),
        reason=row["reason"],
        halted=row["halted"],
        closed_at=None if row["closed_at"] is None else from_micros(row["closed_at"]),
        closed_size=row["closed_size"],
        closed_root=None if root is None else bytes(root),
    )


def read_checkpoint_row(row: Mapping[Any, Any]) -> CheckpointRow:
    """A row of `checkpoints`."""
    return CheckpointRow(
        generation=row["generation"],
        size=row["size"],
        root=bytes(row["root"]),
        made_at=from_micros(row["made_at"]),
        note=row["note"] or "",
        settled_at=None if row["settled_at"] is None else from_micros(row["settled_at"]),
    )


def all_generations(connection: Connection) -> Sequence[LogGeneration]:
    """All of them, oldest first."""
    return [read_generation(row) for row in connection.execute(_ALL).mappings()]


def open_generation(connection: Connection) -> LogGeneration:
    """The highest one."""
    return read_generation(connection.execute(_NEWEST).mappings().one())


def newest_checkpoint(connection: Connection, generation: int) -> CheckpointRow | None:
    """The largest size that a generation is committed to, signed or not."""
    row = connection.execute(_LAST, {"g": generation}).mappings().one_or_none()
    return None if row is None else read_checkpoint_row(row)


def halt(connection: Connection, generation: int, reason: str) -> None:
    """Keep why a generation goes no further; the first reason stays."""
    change = update(LOG_GENERATIONS).where(_G.generation == generation, _G.halted == "")
    connection.execute(change.values(halted=reason))


def open_next(
    connection: Connection, *, reason: str, now: datetime, above: int
) -> tuple[LogGeneration, LogGeneration]:
    """Close the open generation with its last checkpoint, and open the next; both, as they are then.

    Its number is also above `above`, since a generation that was ever signed is not begun anew. The caller holds the
    locks of tree and log, so that no record is written meanwhile.
    """
    before = open_generation(connection)
    last = newest_checkpoint(connection, before.generation)
    size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
    close = update(LOG_GENERATIONS).where(_G.generation == before.generation)
    connection.execute(close.values(closed_at=to_micros(now), closed_size=size, closed_root=root))
    number = max(before.generation, above) + 1
    first_index = max(before.first_index, _next_index(connection))
    row = {"generation": number, "first_index": first_index, "opened_at": to_micros(now)}
    connection.execute(insert(LOG_GENERATIONS).values(**row, reason=reason, halted=""))
    closed = structs.replace(before, closed_at=now, closed_size=size, closed_root=root)
    return closed, LogGeneration(number, first_index, now, reason)


def _next_index(connection: Connection) -> int:
    in_store = connection.execute(select(func.max(RECORDS.c.log_index))).scalar()
    archived = connection.execute(select(func.max(ARCHIVES.c.last_index))).scalar()
    return max(-1 if in_store is None else in_store, -1 if archived is None else archived) + 1
