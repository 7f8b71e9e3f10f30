"""The generations of the log, as rows (design §6).

The highest one is open. A generation that is halted takes no more records, checkpoints or signatures; nothing but the
opening of the next one ends that. The functions work inside a transaction of their caller, in the words of
`node.store.short`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from federation.ports import CheckpointRow, LogGeneration
from node.store.short import Run
from node.store.times import from_micros, to_micros
from trust.merkle import EMPTY_ROOT

__all__ = [
    "CHECKPOINT",
    "LogBrokenError",
    "all_generations",
    "halt",
    "newest_checkpoint",
    "open_generation",
    "open_next",
    "read_checkpoint_row",
]

CHECKPOINT: Final = "generation, size, root, made_at, note, settled_at"
"""What is selected of `checkpoints`, for `read_checkpoint_row`."""

_GENERATION = "generation, first_index, opened_at, reason, halted, closed_at, closed_size, closed_root"
_ALL = f"SELECT {_GENERATION} FROM log_generations ORDER BY generation"  # noqa: S608 - names of ours
_NEWEST = f"{_ALL} DESC LIMIT 1"
_LAST = f"SELECT {CHECKPOINT} FROM checkpoints WHERE generation = :g ORDER BY size DESC LIMIT 1"  # noqa: S608
_HALT = "UPDATE log_generations SET halted = :reason WHERE generation = :g AND halted = ''"
_CLOSE = "UPDATE log_generations SET closed_at = :at, closed_size = :size, closed_root = :root WHERE generation = :g"
_OPEN = (
    "INSERT INTO log_generations (generation, first_index, opened_at, reason, halted)"
    " VALUES (:g, :first_index, :at, :reason, '')"
)
_NEWEST_RECORD = "SELECT max(log_index) FROM records"
_NEWEST_ARCHIVED = "SELECT max(last_index) FROM archives"


class LogBrokenError(Exception):
    """What is stored is not the log that was signed; the text says why, in English, for operators."""


def read_checkpoint_row(row: Sequence[Any]) -> CheckpointRow:
    """A row of `checkpoints`, its columns in the order of the table."""
    generation, size, root, made_at, note, settled_at = row
    settled = None if settled_at is None else from_micros(settled_at)
    return CheckpointRow(generation, size, bytes(root), from_micros(made_at), note or "", settled)


def all_generations(run: Run) -> Sequence[LogGeneration]:
    """All of them, oldest first."""
    return [_generation(row) for row in run(_ALL).rows]


def open_generation(run: Run) -> LogGeneration:
    """The highest one."""
    return _generation(run(_NEWEST).rows[0])


def newest_checkpoint(run: Run, generation: int) -> CheckpointRow | None:
    """The largest size that a generation is committed to, signed or not."""
    row = run(_LAST, g=generation).row
    return None if row is None else read_checkpoint_row(row)


def halt(run: Run, generation: int, reason: str) -> None:
    """Keep why a generation goes no further; the first reason stays."""
    run(_HALT, g=generation, reason=reason)


def open_next(run: Run, *, reason: str, now: datetime, above: int) -> tuple[LogGeneration, LogGeneration]:
    """Close the open generation with its last checkpoint, and open the next; both, as they are then.

    Its number is also above `above`, since a generation that was ever signed is not begun anew. The caller holds the
    locks of tree and log, so that no record is written meanwhile.
    """
    before = open_generation(run)
    last = newest_checkpoint(run, before.generation)
    size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
    run(_CLOSE, g=before.generation, at=to_micros(now), size=size, root=root)
    number = max(before.generation, above) + 1
    newest = [run(sql).rows[0][0] for sql in (_NEWEST_RECORD, _NEWEST_ARCHIVED)]
    first_index = max([before.first_index, *(index + 1 for index in newest if index is not None)])
    run(_OPEN, g=number, first_index=first_index, at=to_micros(now), reason=reason)
    closed = structs.replace(before, closed_at=now, closed_size=size, closed_root=root)
    return closed, LogGeneration(number, first_index, now, reason)


def _generation(row: Sequence[Any]) -> LogGeneration:
    generation, first_index, opened_at, reason, halted, closed_at, closed_size, closed_root = row
    return LogGeneration(
        generation=generation,
        first_index=first_index,
        opened_at=from_micros(opened_at),
        reason=reason,
        halted=halted,
        closed_at=None if closed_at is None else from_micros(closed_at),
        closed_size=closed_size,
        closed_root=None if closed_root is None else bytes(closed_root),
    )
