"""A full pass over the own log: bodies make leaves, leaves make tiles, tiles make the root of every checkpoint.

What is read is read in order and only once, `PAGE` records at a time, so memory does not grow with the log. Nothing is
changed, and the node may run meanwhile. A record that was forgotten or archived, or whose key is lost, is there
as a leaf only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select

from federation.errors import OwnRecordDamaged
from federation.ports import CheckpointRow, LogGeneration
from node.store.bodies import Bodies
from node.store.database import Database
from node.store.generations import all_generations, newest_checkpoint, read_checkpoint_row
from node.store.records import RECORD_ROWS, RecordReader
from node.store.tables import ARCHIVES, CHECKPOINTS, RECORDS, TILES
from trust.checkpoint import Checkpoint
from trust.errors import NoteRejected, TileRejected
from trust.evidence import leaf_data
from trust.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, leaf_hash, root
from trust.note import read_note
from trust.profile import log_origin
from trust.tiles import ENTRIES, TILE_WIDTH, read_bundle

__all__ = ["MOST_FAULTS", "PAGE", "LogCheck", "LogFindings"]

MOST_FAULTS: Final = 20
"""So many are named, the first ones; the others are counted."""

PAGE: Final = 4 * TILE_WIDTH
"""Records that are read at once."""

_CHECKPOINTS_READ: Final = 1000


@dataclass(slots=True)
class LogFindings:
    """What came of it. `faults` name the first things that are not as they should be, in the order of the log."""

    records: int = 0
    forgotten: int = 0
    archived: int = 0
    unsequenced: int = 0
    checkpoints: int = 0
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """One more fault."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)


class LogCheck:
    """`bodies` opens the bodies of records; `seen` is told how many more records were looked at."""

    def __init__(
        self, database: Database, bodies: Bodies, *, entity_id: str, seen: Callable[[int], None] | None = None
    ) -> None:
        self._database = database
        self._reader = RecordReader(bodies)
        self._entity_id = entity_id
        self._seen = seen or (lambda _count: None)
        self.findings = LogFindings()

    async def count(self) -> int:
        """About how many records a pass will look at."""
        async with self._database.reading() as connection:
            newest = (await connection.execute(select(func.max(RECORDS.c.log_index)))).scalar()
        return 0 if newest is None else newest + 1

    async def run(self) -> LogFindings:
        """All generations, oldest first. Raises OwnStoreUnavailable."""
        generations = await self._database.read(all_generations)
        async with self._database.reading() as connection:
            query = select(func.max(ARCHIVES.c.last_index)).where(ARCHIVES.c.emptied_at.is_not(None))
            archived_until = (await connection.execute(query)).scalar()
        for row, following in zip(generations, [*generations[1:], None], strict=True):
            end = None if following is None else following.first_index
            one = _GenerationCheck(self, row, end, -1 if archived_until is None else archived_until)
            await one.run()
        return self.findings

    # --- for one generation ---

    async def page(self, first: int, below: int) -> Mapping[int, Mapping[Any, Any]]:
        """Records by log index."""
        query = RECORD_ROWS.where(RECORDS.c.log_index >= first, RECORDS.c.log_index < below)
        async with self._database.reading() as connection:
            return {row["log_index"]: row for row in (await connection.execute(query)).mappings()}

    async def tiles(self, generation: int, level: int, position: int, count: int) -> Mapping[int, bytes]:
        """Neighbouring tiles by position."""
        where = TILES.c.generation == generation, TILES.c.level == level
        query = select(TILES.c.position, TILES.c.hashes).where(*where)
        query = query.where(TILES.c.position >= position, TILES.c.position < position + count)
        async with self._database.reading() as connection:
            return {at: bytes(hashes) for at, hashes in await connection.execute(query)}

    async def last(self, generation: int) -> CheckpointRow | None:
        """The last checkpoint of a generation."""
        return await self._database.read(lambda run: newest_checkpoint(run, generation))

    async def checkpoints(self, generation: int) -> AsyncIterator[CheckpointRow]:
        """All of a generation, by size."""
        size = -1
        while True:
            where = CHECKPOINTS.c.generation == generation, CHECKPOINTS.c.size > size
            query = select(CHECKPOINTS).where(*where).order_by(CHECKPOINTS.c.size).limit(_CHECKPOINTS_READ)
            async with self._database.reading() as connection:
                rows = [read_checkpoint_row(row) for row in await connection.execute(query)]
            for row in rows:
                yield row
            if len(rows) < _CHECKPOINTS_READ:
                return
            size = rows[-1].size

    def check_record(self, index: int, row: Mapping[Any, Any]) -> None:
        """Whether the body of a record makes its leaf."""
        try:
            body = self._reader.body(row)
        except OwnRecordDamaged as error:
            self.findings.add(f"record {index} ({row['request_id']}): {error.detail}")
            return
        if not body.salt:  # its key is lost
            self.findings.forgotten += 1
            return
        if leaf_data(row["kind"], row["recorded_at"], body.envelope, body.salt) != bytes(row["leaf"]):
            self.findings.add(
                f"record {index} ({row['request_id']}): its content is not what its leaf commits to"
            )

    def looked_at(self, count: int) -> None:
        """So many more records."""
        self.findings.records += count
        self._seen(count)

    def check_note(self, row: CheckpointRow) -> None:
        """Whether the signed text is that of the row."""
        text = Checkpoint(log_origin(self._entity_id, row.generation), row.size, row.root).text()
        try:
            same = not row.note or read_note(row.note.encode()).text == text
        except NoteRejected:
            same = False
        if not same:
            self.findings.add(
                f"checkpoint {row.size} of generation {row.generation}: its note says something else"
            )


class _GenerationCheck:
    """One generation: the frontier of its tree, and of each level of tiles what is not compared yet."""

    def __init__(
        self, check: LogCheck, generation: LogGeneration, end: int | None, archived_until: int
    ) -> None:
        self._check = check
        self._row = generation
        self._end = end
        self._archived_until = archived_until
        self._frontier = Frontier()
        self._levels: list[list[bytes]] = [[]]
        self._positions: list[int] = [0]

    async def run(self) -> None:
        """The records that checkpoints hold, then those that none holds."""
        checkpoints = self._check.checkpoints(self._row.generation)
        last = await self._check.last(self._row.generation)
        size = last.size if last else 0
        waiting = await anext(checkpoints, None)
        for start in range(0, size, PAGE):
            leaves = await self._leaves(start, min(start + PAGE, size))
            while waiting is not None and waiting.size <= start + len(leaves):
                self._grow(leaves[self._frontier.size - start : waiting.size - start])
                self._compare(waiting)
                waiting = await anext(checkpoints, None)
            self._grow(leaves[self._frontier.size - start :])
            await self._compare_tiles(leaves)
            self._check.looked_at(len(leaves))
        await self._compare_rest()
        self._check_closed(last)
        await self._unsequenced(size)

    async def _leaves(self, start: int, below: int) -> Sequence[bytes]:
        """The leaf hashes of a page, from the entry bundles; what records say otherwise is a fault."""
        first = self._row.first_index
        rows = await self._check.page(first + start, first + below)
        count = -(-(below - start) // TILE_WIDTH)
        bundles = await self._check.tiles(self._row.generation, ENTRIES, start // TILE_WIDTH, count)
        entries = self._entries(bundles, start, below)
        return [
            leaf_hash(self._entry(first + number, rows.get(first + number), entries.get(number)))
            for number in range(start, below)
        ]

    def _entries(self, bundles: Mapping[int, bytes], start: int, below: int) -> Mapping[int, bytes]:
        found: dict[int, bytes] = {}
        for position in range(start // TILE_WIDTH, -(-below // TILE_WIDTH)):
            try:
                bundle = read_bundle(bundles.get(position, b""))
            except TileRejected:
                bundle = []
            found.update(enumerate(bundle, position * TILE_WIDTH))
            if len(bundle) < min(TILE_WIDTH, below - position * TILE_WIDTH):
                self._fault(f"entry bundle {position}: missing, or cut off")
        return found

    def _entry(self, index: int, row: Mapping[Any, Any] | None, entry: bytes | None) -> bytes:
        """The leaf data of a record, as the tree has it."""
        if row is None:
            self._without_row(index)
            return entry or b""
        self._check.check_record(index, row)
        leaf = bytes(row["leaf"])
        if entry is not None and leaf != entry:
            self._check.findings.add(
                f"record {index} ({row['request_id']}): its leaf is not the one in the tree"
            )
        return leaf if entry is None else entry

    def _without_row(self, index: int) -> None:
        if index <= self._archived_until:
            self._check.findings.archived += 1
        else:
            self._check.findings.add(f"record {index}: missing")

    def _grow(self, hashes: Sequence[bytes]) -> None:
        self._frontier = self._frontier.extended(hashes)

    def _compare(self, row: CheckpointRow) -> None:
        self._check.findings.checkpoints += 1
        if self._frontier.size != row.size or self._frontier.root() != row.root:
            self._fault(f"checkpoint {row.size}: the records do not make its root")
        self._check.check_note(row)

    async def _compare_tiles(self, hashes: Sequence[bytes]) -> None:
        """Put hashes to the lowest level; compare what has become full, level by level."""
        self._levels[0].extend(hashes)
        level = 0
        while level < len(self._levels):
            waiting = self._levels[level]
            full = len(waiting) // TILE_WIDTH
            if full:
                stored = await self._check.tiles(self._row.generation, level, self._positions[level], full)
                if level + 1 == len(self._levels):
                    self._levels.append([])
                    self._positions.append(0)
                for number in range(full):
                    part = waiting[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
                    self._compare_tile(level, self._positions[level] + number, part, stored)
                    self._levels[level + 1].append(root(part))
                del waiting[: full * TILE_WIDTH]
                self._positions[level] += full
            level += 1

    async def _compare_rest(self) -> None:
        """The partial tiles; what is stored may be longer by now."""
        for level, waiting in enumerate(self._levels):
            if waiting:
                position = self._positions[level]
                stored = await self._check.tiles(self._row.generation, level, position, 1)
                self._compare_tile(level, position, waiting, stored)

    def _compare_tile(
        self, level: int, position: int, hashes: Sequence[bytes], stored: Mapping[int, bytes]
    ) -> None:
        if stored.get(position, b"")[: len(hashes) * HASH_BYTES] != b"".join(hashes):
            self._fault(f"tile of level {level}, position {position}: not what the records make")

    def _check_closed(self, last: CheckpointRow | None) -> None:
        if self._row.closed_at is None:
            return
        size, made = (last.size, last.root) if last else (0, EMPTY_ROOT)
        if (self._row.closed_size, self._row.closed_root) != (size, made):
            self._fault(
                f"it was closed with {self._row.closed_size} records, its last checkpoint holds {size}"
            )

    async def _unsequenced(self, size: int) -> None:
        """Records that no checkpoint holds: the newest ones, or the rest of a generation that was halted."""
        first = self._row.first_index + size
        while self._end is None or first < self._end:
            below = first + PAGE if self._end is None else min(first + PAGE, self._end)
            rows = await self._check.page(first, below)
            for index, row in rows.items():
                self._check.check_record(index, row)
            self._check.findings.unsequenced += len(rows)
            self._check.looked_at(len(rows))
            if not rows:
                return
            first = below

    def _fault(self, text: str) -> None:
        self._check.findings.add(f"generation {self._row.generation}, {text}")
