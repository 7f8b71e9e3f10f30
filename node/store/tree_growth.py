"""How the tree over the log grows: in turns, each one transaction, each ending in a checkpoint's row (design §6).

 1. Under a lock of the tree's own (PostgreSQL: an advisory lock; SQLite: a write transaction), the leaves after the
    last checkpoint are read, at most `LEAVES_PER_TURN`.
 2. The partial tiles at the tree's right edge must make the last checkpoint's root: otherwise they were edited.
 3. The longer tiles and the row of the new checkpoint are committed. Only then may anyone sign it: there is one row
    for each size, so whoever signs, in whatever process and however late, signs the same.
 4. A row is signed when the stored tree has its root, and extends what this machine signed last (`log_mark`). The
    note is shown only if the row is still there as it was read.

A process that is frozen inside its transaction loses it: PostgreSQL ends it after `STALLED_S`, and with it the lock.
On SQLite the leaves are read and hashed before the write transaction begins, since that one would hold up the
journal; what it began from is checked again inside.

Everything here blocks and is called in threads, one call at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Engine

from federation.errors import OwnStoreUnavailable
from federation.ports import CheckpointRow, LogGeneration
from node.store.database import SQLITE_PRAGMAS, Database, let_go, translated
from node.store.generations import (
    CHECKPOINT,
    LogBrokenError,
    halt,
    newest_checkpoint,
    open_generation,
    open_next,
    read_checkpoint_row,
)
from node.store.log_mark import LogMark
from node.store.short import Run, SqliteBeside, in_postgres
from node.store.times import to_micros
from trust.errors import TileRejected
from trust.merkle import EMPTY_ROOT
from trust.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Extension,
    TileReader,
    edge_tiles,
    extend_tiles,
    read_bundle,
    root_of,
)

__all__ = ["LEAVES_PER_TURN", "STALLED_S", "TREE_LOCK", "Grown", "Look", "TreeGrowth", "tile_reader"]

LEAVES_PER_TURN: Final = 8192
"""Leaves that one turn takes at most: a few megabytes, and some thirty milliseconds."""

TREE_LOCK: Final = 0x59524403
"""Key of the PostgreSQL advisory lock under which the tree grows."""

STALLED_S: Final = 2
"""After this long in the middle of a transaction a stalled process loses it, and with it the tree's lock."""

_SIGNED_PER_TURN: Final = 16

_LEAVES = "SELECT log_index, leaf FROM records WHERE log_index >= :start ORDER BY log_index LIMIT :most"
_TILE = "SELECT hashes FROM tiles WHERE generation = :g AND level = :level AND position = :position"
_NEWEST_RECORD = "SELECT max(log_index) FROM records"
_SETTLED = (
    "SELECT size FROM checkpoints WHERE generation = :g AND settled_at IS NOT NULL ORDER BY size DESC LIMIT 1"
)
_UNSIGNED = (
    f"SELECT {CHECKPOINT} FROM checkpoints WHERE note IS NULL"  # noqa: S608 - names of ours
    " AND generation NOT IN (SELECT generation FROM log_generations WHERE halted <> '')"
    f" ORDER BY generation, size LIMIT {_SIGNED_PER_TURN}"
)
_ARCHIVED = "SELECT name FROM archives WHERE last_index >= :log_index AND emptied_at IS NOT NULL LIMIT 1"
_COMMIT_TO = "INSERT INTO checkpoints (generation, size, root, made_at) VALUES (:g, :size, :root, :at)"
_KEEP_NOTE = (
    "UPDATE checkpoints SET note = :note"
    " WHERE generation = :g AND size = :size AND root = :root AND note IS NULL"
)
_PUT_TILES = "INSERT INTO tiles (generation, level, position, hashes) VALUES"
_LONGER = "ON CONFLICT (generation, level, position) DO UPDATE SET hashes = excluded.hashes"


@lru_cache(maxsize=128)
def _put_tiles(count: int) -> str:
    """So many tiles, each new or longer than it was.

    One statement: after a pipeline of several PostgreSQL does not count the time that a transaction is idle.
    """
    each = [f"(:g, :l{one}, :p{one}, :h{one})" for one in range(count)]
    return f"{_PUT_TILES} {', '.join(each)} {_LONGER}"


class Look(NamedTuple):
    """The log as one transaction sees it: the open generation, its last checkpoint, how many records of it there are
    and how many are settled. `unsigned` are rows to sign, oldest first, none of a halted generation.
    """

    generation: LogGeneration
    last: CheckpointRow | None
    records: int
    settled: int
    unsigned: Sequence[CheckpointRow]

    @property
    def size(self) -> int:
        """How many records the last checkpoint holds."""
        return self.last.size if self.last else 0


class Grown(NamedTuple):
    """A checkpoint that was committed, and the size of the one that it was grown from."""

    before: int
    row: CheckpointRow


class _Work(NamedTuple):
    """A turn that only needs to be written."""

    generation: LogGeneration
    size: int
    extension: Extension


class _Beside(Protocol):
    """A connection of its own, used in one thread at a time."""

    def transaction(self, *, writes: bool = False) -> AbstractContextManager[Run]:
        """Committed at the end, rolled back on any exception. Raises OwnStoreUnavailable."""
        ...

    def close(self) -> None:
        """Close it, or have it closed when the transaction ends that a thread is in."""
        ...


class _PostgresBeside:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[Run]:
        with translated(), self._engine.connect() as connection:
            connection.execution_options(writes=writes, preserve_rowcount=True)
            with connection.begin():
                run = in_postgres(connection)
                run(f"SET LOCAL idle_in_transaction_session_timeout = '{STALLED_S}s'")
                yield run

    def close(self) -> None:
        let_go(self._engine)


def _beside(database: Database) -> _Beside:
    if database.dialect == "postgresql":
        return _PostgresBeside(database.beside())
    return SqliteBeside(database.location, SQLITE_PRAGMAS, database.busy_timeout_s)


class TreeGrowth:
    """The writing side of the tree. Every method raises OwnStoreUnavailable, most LogBrokenError."""

    def __init__(self, database: Database, *, leaves_per_turn: int = LEAVES_PER_TURN) -> None:
        self._database = database
        self._postgres = database.dialect == "postgresql"
        self._beside = _beside(database)
        self._leaves_per_turn = leaves_per_turn
        self._closed = False

    def close(self) -> None:
        """Let go of the connection. A transaction that another thread is in ends; the next is refused."""
        self._closed = True
        self._beside.close()

    def advance(self, now: datetime) -> Grown | None:
        """One turn: take what is new into the tree, and commit to its size. The row is not signed yet.

        None when there is nothing new, the generation is halted, or another process is at it.
        """
        if self._postgres:
            with self._transaction(writes=True) as run:
                if not run(f"SELECT pg_try_advisory_xact_lock({TREE_LOCK})").rows[0][0]:
                    return None
                work = self._prepared(run)
                return None if work is None else self._write(run, work, now)
        with self._transaction() as run:
            work = self._prepared(run)
        if work is None:
            return None
        with self._transaction(writes=True) as run:
            return self._write(run, work, now) if _still_holds(run, work) else None

    def look(self, mark: LogMark | None, *, deeply: bool = False) -> Look:
        """How the log stands. `mark` was read before, so the store must know at least as much.

        With `deeply` its root is computed from tiles. Raises LogBrokenError when the store is behind the mark, or has
        another history.
        """
        with self._transaction() as run:
            generation = open_generation(run)
            last = newest_checkpoint(run, generation.generation)
            if mark is not None and not generation.halted and mark.generation >= generation.generation:
                _check_mark(run, generation, last, mark, deeply=deeply)
            return Look(generation, last, *_counts(run, generation, last), _unsigned(run))

    def check_root(self, row: CheckpointRow, mark: LogMark | None) -> None:
        """Raises LogBrokenError unless the stored tiles make the row's root, and the mark's."""
        with self._transaction() as run:
            reader = tile_reader(run, row.generation)
            _check_root(reader, row.size, row.root, f"generation {row.generation}")
            if mark is not None and mark.generation == row.generation and mark.size <= row.size:
                _check_root(reader, mark.size, mark.root, "what was signed last")

    def keep_note(self, row: CheckpointRow, note: str) -> bool:
        """Show a signed checkpoint. False, with nothing changed: the row is not as it was, or has a note already."""
        with self._transaction(writes=True) as run:
            return run(_KEEP_NOTE, g=row.generation, size=row.size, root=row.root, note=note).changed == 1

    def halt(self, reason: str, *, generation: int | None = None) -> None:
        """Stop a generation (None: the open one) for every replica."""
        with self._transaction(writes=True) as run:
            if generation is None:
                generation = open_generation(run).generation
            halt(run, generation, reason)

    def restart(self, reason: str, now: datetime, *, above: int = 0) -> tuple[LogGeneration, LogGeneration]:
        """Take the rest into the tree unless the generation is halted, close it, open the next; both."""
        with self._transaction(writes=True) as run:
            if self._postgres:
                self._lock_all(run)
            try:
                while (work := self._prepared(run)) is not None:
                    self._write(run, work, now)
            except LogBrokenError as error:
                # It could not go on anyway: what is signed stays, what came after it was never in a checkpoint.
                halt(run, open_generation(run).generation, str(error))
            return open_next(run, reason=reason, now=now, above=above)

    # --- inside ---

    def _lock_all(self, run: Run) -> None:
        from node.store.log_postgres import LOG_LOCK

        wait_ms = int(max(self._database.busy_timeout_s, STALLED_S + 1) * 1000)
        run(f"SET LOCAL lock_timeout = {wait_ms}")
        for lock in (TREE_LOCK, LOG_LOCK):
            run(f"SELECT pg_advisory_xact_lock({lock})")

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Run]:
        if self._closed:  # a turn that was cancelled goes on in its thread
            raise OwnStoreUnavailable(
                "the node stops: what is not in the tree yet will be after the next start"
            )
        with self._beside.transaction(writes=writes) as run:
            yield run

    def _prepared(self, run: Run) -> _Work | None:
        generation = open_generation(run)
        if generation.halted:
            return None
        last = newest_checkpoint(run, generation.generation)
        size = last.size if last else 0
        leaves = _new_leaves(run, generation, size, self._leaves_per_turn)
        if not leaves:
            return None
        edge = _edge(run, generation.generation, size)
        try:
            if last is not None and extend_tiles(size, edge, ()).root != last.root:
                raise LogBrokenError(f"the stored tiles do not make the root of checkpoint {size}")
            return _Work(generation, size, extend_tiles(size, edge, leaves))
        except TileRejected as error:
            raise LogBrokenError(f"the stored tiles do not fit checkpoint {size}: {error.detail}") from error

    def _write(self, run: Run, work: _Work, now: datetime) -> Grown:
        generation, extension = work.generation.generation, work.extension
        tiles: dict[str, Any] = {"g": generation}
        for number, ((level, position), hashes) in enumerate(extension.tiles.items()):
            tiles |= {f"l{number}": level, f"p{number}": position, f"h{number}": hashes}
        run(_put_tiles(len(extension.tiles)), **tiles)
        row = CheckpointRow(generation, extension.size, extension.root, now)
        run(_COMMIT_TO, g=generation, size=row.size, root=row.root, at=to_micros(now))
        return Grown(work.size, row)


def _still_holds(run: Run, work: _Work) -> bool:
    """Whether nobody grew the tree, halted it or opened another since the work was prepared."""
    generation = open_generation(run)
    if generation != work.generation:
        return False
    last = newest_checkpoint(run, generation.generation)
    return (last.size if last else 0) == work.size


def _new_leaves(run: Run, generation: LogGeneration, size: int, most: int) -> list[bytes]:
    """The leaf data after the first `size`. Raises LogBrokenError when a record is missing, or the last was changed."""
    start = generation.first_index + size
    rows = list(run(_LEAVES, start=start - (size > 0), most=most + 1).rows)
    if size and rows and rows[0][0] == start - 1:
        before = rows.pop(0)
        if rows and bytes(before[1]) != _last_leaf(run, generation.generation, size):
            raise LogBrokenError(f"record {start - 1} was changed after it was taken into the tree")
    elif size and not rows:
        _require_archived(run, start - 1)
    # The key is unique and the rows are in order, so the last one tells whether one is missing.
    if rows and rows[-1][0] != start + len(rows) - 1:
        missing = next(index for index, row in enumerate(rows, start) if row[0] != index)
        raise LogBrokenError(f"record {missing} is missing from the log")
    return [bytes(leaf) for _, leaf in rows[:most]]


def _require_archived(run: Run, index: int) -> None:
    if run(_ARCHIVED, log_index=index).row is None:
        raise LogBrokenError(f"the log ends before record {index}, which a checkpoint holds")


def _last_leaf(run: Run, generation: int, size: int) -> bytes:
    position, at = divmod(size - 1, TILE_WIDTH)
    try:
        return read_bundle(tile_reader(run, generation)(ENTRIES, position, at + 1))[at]
    except (TileRejected, IndexError) as error:
        raise LogBrokenError(f"the stored entry bundle {position} does not fit checkpoint {size}") from error


def _edge(run: Run, generation: int, size: int) -> Mapping[tuple[int, int], bytes]:
    reader = tile_reader(run, generation)
    try:
        return {
            (level, position): reader(level, position, width) for level, position, width in edge_tiles(size)
        }
    except TileRejected as error:
        raise LogBrokenError(f"the stored tiles do not fit checkpoint {size}: {error.detail}") from error


def tile_reader(run: Run, generation: int) -> TileReader:
    """Reads stored tiles, each once."""
    read: dict[tuple[int, int], bytes] = {}

    def reader(level: int, position: int, width: int) -> bytes:
        if (level, position) not in read:
            found = run(_TILE, g=generation, level=level, position=position).row
            if found is None:
                raise TileRejected(f"the tile of level {level}, position {position} is missing")
            read[level, position] = bytes(found[0])
        return read[level, position]

    return reader


def _counts(run: Run, generation: LogGeneration, last: CheckpointRow | None) -> tuple[int, int]:
    """How many records the generation has, and how many are settled."""
    newest = run(_NEWEST_RECORD).rows[0][0]
    records = 0 if newest is None else newest + 1 - generation.first_index
    found = run(_SETTLED, g=generation.generation).row
    return max(records, last.size if last else 0), found[0] if found else 0


def _unsigned(run: Run) -> Sequence[CheckpointRow]:
    return [read_checkpoint_row(row) for row in run(_UNSIGNED).rows]


def _check_mark(
    run: Run,
    generation: LogGeneration,
    last: CheckpointRow | None,
    mark: LogMark,
    *,
    deeply: bool,
) -> None:
    size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
    if mark.generation > generation.generation or size < mark.size:
        raise LogBrokenError(
            f"the store knows generation {generation.generation} with {size} records, but generation"
            f" {mark.generation} was signed here with {mark.size}:"
            " it was restored from an older copy, or it lags behind"
        )
    if size == mark.size and root != mark.root:
        raise LogBrokenError(f"the store has another history than was signed here with {mark.size} records")
    if deeply:
        _check_root(tile_reader(run, mark.generation), mark.size, mark.root, "what was signed last")


def _check_root(reader: TileReader, size: int, root: bytes, what: str) -> None:
    try:
        found = root_of(reader, size)
    except TileRejected as error:
        raise LogBrokenError(f"the stored tiles do not fit {what}, size {size}: {error.detail}") from error
    if found != root:
        raise LogBrokenError(f"the stored tiles do not make the root of {what}, size {size}")
