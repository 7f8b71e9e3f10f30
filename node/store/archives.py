"""Archive files as rows, and the records that go into one: which exchanges of a time are whole and settled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import delete, insert, or_, select, update

from federation.ports import RecordKind, StoredRecord
from node.store.bodies import IN_CLEAR, Bodies
from node.store.database import Database
from node.store.pairing import answers_given
from node.store.records import RECORD_ROWS, RecordReader
from node.store.tables import ARCHIVES, BODIES, CHECKPOINTS, CLAIMS, LABELS, LOG_GENERATIONS, RECORDS
from node.store.times import from_micros, to_micros

__all__ = ["ArchiveRow", "ArchiveRows", "Group"]

_A, _R, _B, _C, _L = ARCHIVES.c, RECORDS.c, BODIES.c, CLAIMS.c, LABELS.c
_ASKED, _GOT, _HEARD, _ = (int(kind) for kind in RecordKind)
_REQUESTS: Final = (_ASKED, _HEARD)


class ArchiveRow(Struct, frozen=True):
    """One file. `operations` are those of which there is content in it."""

    name: str
    first_index: int
    last_index: int
    from_at: datetime
    until_at: datetime
    sha256: bytes
    written_at: datetime
    operations: tuple[str, ...]
    emptied_at: datetime | None = None
    forgotten_at: datetime | None = None


class Group(Struct, frozen=True):
    """One exchange as a file has it: its request and what was answered, by log index."""

    indices: tuple[int, ...]


class ArchiveRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, bodies: Bodies) -> None:
        self._database = database
        self._reader = RecordReader(bodies)

    # --- rows of files ---

    async def all(self) -> Sequence[ArchiveRow]:
        """Every file that is there, or was not emptied yet, oldest first."""
        query = select(ARCHIVES).where(_A.forgotten_at.is_(None)).order_by(_A.first_index)
        async with self._database.reading() as connection:
            return [_read(row) for row in (await connection.execute(query)).mappings()]

    async def covering(self, indices: Collection[int]) -> Sequence[ArchiveRow]:
        """The files that may hold one of these records."""
        wanted = sorted(indices)
        rows = [
            row for row in await self.all() if row.last_index >= wanted[0] and row.first_index <= wanted[-1]
        ]
        return [row for row in rows if any(row.first_index <= one <= row.last_index for one in wanted)]

    async def save(self, row: ArchiveRow) -> None:
        """Add or replace a file's row."""
        async with self._database.writing() as connection:
            await connection.execute(delete(ARCHIVES).where(_A.name == row.name))
            await connection.execute(insert(ARCHIVES).values(_written(row)))

    async def mark_emptied(self, name: str, at: datetime) -> None:
        """Its records have left the database."""
        change = update(ARCHIVES).where(_A.name == name).values(emptied_at=to_micros(at))
        async with self._database.writing() as connection:
            await connection.execute(change)

    # --- what goes into one ---

    async def settled_below(self) -> Mapping[int, int]:
        """By generation, the log index below which every record is settled."""
        query = select(LOG_GENERATIONS.c.generation, LOG_GENERATIONS.c.first_index)
        found = {}
        async with self._database.reading() as connection:
            for generation, first_index in await connection.execute(query):
                sizes = select(CHECKPOINTS.c.size).where(
                    CHECKPOINTS.c.generation == generation, CHECKPOINTS.c.settled_at.is_not(None)
                )
                size = await connection.execute(sizes.order_by(CHECKPOINTS.c.size.desc()).limit(1))
                found[generation] = first_index + (size.scalar() or 0)
        return found

    async def groups(
        self, start: int, before: int, settled_below: Mapping[int, int], *, limit: int
    ) -> tuple[Sequence[Group], int]:
        """Exchanges whose request lies between two log indices and that are settled as a whole, and where to go on.

        A second answer to one request, which no file has a place for, is in no group and stays in the database.
        """
        query = select(_R.log_index, _R.generation, _R.kind, _R.request_id)
        page = query.where(_R.log_index >= start, _R.log_index < before, _R.kind.in_(_REQUESTS))
        async with self._database.reading() as connection:
            rows = (await connection.execute(page.order_by(_R.log_index).limit(limit))).all()
            heard = [row.log_index for row in rows if row.kind == _HEARD]
            asked = {row.request_id for row in rows if row.kind == _ASKED}
            of = (
                {one.gave: one.heard for one in await connection.execute(answers_given(heard))}
                if heard
                else {}
            )
            gave = query.where(_R.log_index.in_(list(of)))
            got = query.where(_R.request_id.in_(asked), _R.kind == _GOT).order_by(_R.log_index.desc())
            gave_to = {of[row.log_index]: row for row in await connection.execute(gave)} if of else {}
            answers = {row.request_id: row for row in (await connection.execute(got)).all()} if asked else {}
        found = []
        for row in rows:
            is_heard = row.kind == _HEARD
            answer = gave_to.get(row.log_index) if is_heard else answers.get(row.request_id)
            pair = [row] if answer is None else [row, answer]
            if all(one.log_index < settled_below.get(one.generation, 0) for one in pair):
                found.append(Group(tuple(one.log_index for one in pair)))
        return found, rows[-1].log_index + 1 if len(rows) == limit else before

    async def read(self, indices: Sequence[int]) -> Sequence[StoredRecord]:
        """These records with their content. Raises OwnRecordDamaged."""
        query = RECORD_ROWS.where(_R.log_index.in_(indices)).order_by(_R.log_index)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [self._reader.read(row) for row in rows]

    async def forgotten_among(self, indices: Sequence[int]) -> Sequence[int]:
        """Those of these records that are in the database, but without content: neither body nor key."""
        query = select(_R.log_index).outerjoin(BODIES, _B.log_index == _R.log_index)
        async with self._database.reading() as connection:
            bare = _B.log_index.is_(None), _R.key_id == IN_CLEAR, _R.wrapped == b""
            found = query.where(_R.log_index.in_(indices), *bare)
            return (await connection.execute(found)).scalars().all()

    # --- leaving the database ---

    async def remove(self, indices: Sequence[int]) -> int:
        """Delete these records with bodies and claims; their holders stay, so that an archived exchange is found by
        them. How many there still were. Safe to repeat.
        """
        async with self._database.writing() as connection:
            if connection.dialect.name == "sqlite":
                await connection.exec_driver_sql("PRAGMA secure_delete = ON")
            keys = select(_L.asking, _R.request_id).join(LABELS, _L.label == _R.label)
            keys = keys.where(_R.log_index.in_(indices), _R.kind == _HEARD)
            for asking, request_id in (await connection.execute(keys)).all():
                claim = delete(CLAIMS).where(_C.asking == asking, _C.request_id == request_id)
                await connection.execute(claim.where(or_(_C.answer.in_(indices), _C.answer.is_(None))))
            await connection.execute(delete(BODIES).where(_B.log_index.in_(indices)))
            return (await connection.execute(delete(RECORDS).where(_R.log_index.in_(indices)))).rowcount


def _read(row: Mapping[Any, Any]) -> ArchiveRow:
    emptied, forgotten = row["emptied_at"], row["forgotten_at"]
    return ArchiveRow(
        name=row["name"],
        first_index=row["first_index"],
        last_index=row["last_index"],
        from_at=from_micros(row["from_at"]),
        until_at=from_micros(row["until_at"]),
        sha256=bytes(row["sha256"]),
        written_at=from_micros(row["written_at"]),
        operations=tuple(filter(None, row["operations"].split(","))),
        emptied_at=None if emptied is None else from_micros(emptied),
        forgotten_at=None if forgotten is None else from_micros(forgotten),
    )


def _written(row: ArchiveRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "first_index": row.first_index,
        "last_index": row.last_index,
        "from_at": to_micros(row.from_at),
        "until_at": to_micros(row.until_at),
        "sha256": row.sha256,
        "written_at": to_micros(row.written_at),
        "operations": ",".join(row.operations),
        "emptied_at": None if row.emptied_at is None else to_micros(row.emptied_at),
        "forgotten_at": None if row.forgotten_at is None else to_micros(row.forgotten_at),
    }
