"""What becomes of records after their day: forgotten, their keys wrapped anew, bodies from before encryption sealed.

Forgetting deletes a record's body (salt and envelope), its key, its case number and its holders; a claim goes once no
repeat can come any more. What stays is what proofs and peers need: log index, generation, kind, time, leaf, request id,
message identity, and the label (who asked whom for what, with which outcome). So the tree holds, an export
has the record as leaf and proof, and reconciliation finds the exchange on both sides.

Each method is one short transaction over a named number of records, so that the journal never waits long. On SQLite
what is deleted is overwritten (``secure_delete``), and `flush` takes it out of the write-ahead log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Select, and_, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.ports import RecordKind
from node.store.bodies import IN_CLEAR, SealedBodies
from node.store.database import Database
from node.store.holder_index import any_under, drop_keys, keys_at, oldest_about
from node.store.pairing import answers_given
from node.store.search_queries import first_index_at
from node.store.tables import ARCHIVES, BODIES, CLAIMS, LABELS, RECORDS
from node.store.times import from_micros, to_micros

__all__ = ["BATCH_RECORDS", "CLAIM_KEPT", "ClearBody", "KeepingRows", "WrappedKey"]

BATCH_RECORDS: Final = 500
"""Records that one transaction changes at most."""

CLAIM_KEPT: Final = timedelta(days=1)
"""A claim of a forgotten exchange stays for so long, so that a repeat of it is not done anew."""

_R, _B, _L, _C = RECORDS.c, BODIES.c, LABELS.c, CLAIMS.c
_ASKED, _GOT, _HEARD, _ = (int(kind) for kind in RecordKind)


class WrappedKey(Struct, frozen=True):
    """The key of one record, wrapped by the data key `key_id`."""

    log_index: int
    key_id: int
    wrapped: bytes


class ClearBody(Struct, frozen=True):
    """A body that is not encrypted."""

    log_index: int
    body: bytes


class KeepingRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what there is ---

    async def span(self) -> tuple[int, int]:
        """The first log index in the database, and one behind the last; (0, 0) for none."""
        async with self._database.reading() as connection:
            first = (await connection.execute(select(func.min(_R.log_index)))).scalar()
            last = (await connection.execute(select(func.max(_R.log_index)))).scalar()
        return (0, 0) if first is None or last is None else (first, last + 1)

    async def first_body(self) -> int | None:
        """The log index of the oldest body in the database."""
        async with self._database.reading() as connection:
            found: int | None = (await connection.execute(select(func.min(_B.log_index)))).scalar()
        return found

    async def first_index_at(self, moment: datetime) -> int:
        """The first log index in the database of `moment` or later, one behind the last when there is none."""
        first, end = await self.span()
        async with self._database.reading() as connection:
            return await connection.run_sync(first_index_at, moment, first, end)

    async def recorded_at(self, index: int) -> datetime | None:
        """When the record of that log index, or the first one after it, was recorded."""
        query = select(_R.recorded_at).where(_R.log_index >= index).order_by(_R.log_index).limit(1)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).scalar()
        return None if found is None else from_micros(found)

    async def body_bytes(self, indices: Collection[int]) -> Mapping[int, int]:
        """By log index, what the bodies of these records weigh; forgotten ones are left out."""
        query = select(_B.log_index, func.length(_B.sealed).label("size")).where(_B.log_index.in_(indices))
        async with self._database.reading() as connection:
            return {row.log_index: row.size for row in await connection.execute(query)}

    async def exchange_of(self, indices: Collection[int]) -> Sequence[int]:
        """The log indices of these requests, those that are in the database, and of the answers to them; of no other
        exchange under the same id.
        """
        there = select(_R.log_index).where(_R.log_index.in_(indices))
        asked = select(_R.request_id).where(_R.log_index.in_(indices), _R.kind == _ASKED)
        got = select(_R.log_index).where(_R.request_id.in_(asked), _R.kind == _GOT)
        async with self._database.reading() as connection:
            found = {*(await connection.execute(there)).scalars(), *(await connection.execute(got)).scalars()}
            found.update(row.gave for row in await connection.execute(answers_given(indices)))
        return sorted(found)

    async def records_of(self, request_id: str) -> Mapping[str, Sequence[int]]:
        """The log indices of what was asked under an id, by the node that asked."""
        query = select(_R.log_index, _L.asking).join(LABELS, _L.label == _R.label)
        query = query.where(_R.request_id == request_id).order_by(_R.log_index)
        found: dict[str, list[int]] = {}
        async with self._database.reading() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.asking, []).append(row.log_index)
        return found

    async def requests_of(self, holders: Collection[bytes], *, after: int, limit: int) -> Sequence[int]:
        """The log indices of requests about a holder, by keyed hashes, from `after` on, rising; also archived ones."""
        found: set[int] = set()
        async with self._database.reading() as connection:
            for holder in holders:
                found.update(await connection.run_sync(oldest_about, holder, after=after, limit=limit))
        return sorted(found)[:limit]

    async def archived(self) -> Sequence[tuple[int, int]]:
        """From which log index to which there are records in archive files with content: one pair for each file."""
        query = select(ARCHIVES.c.first_index, ARCHIVES.c.last_index).where(ARCHIVES.c.forgotten_at.is_(None))
        async with self._database.reading() as connection:
            return [(row.first_index, row.last_index) for row in await connection.execute(query)]

    async def labels(self) -> Mapping[int, str]:
        """Every label with its operation."""
        async with self._database.reading() as connection:
            found = await connection.execute(select(_L.label, _L.operation))
            return {row.label: row.operation for row in found}

    async def due(self, label: int, *, start: int, before: int) -> Sequence[int]:
        """Records of a label that still have a body, between two log indices, rising: `BATCH_RECORDS` at most."""
        joined = RECORDS.join(BODIES, _B.log_index == _R.log_index)
        query = (
            select(_R.log_index)
            .select_from(joined)
            .where(_R.label == label, _R.log_index >= start, _R.log_index < before)
            .order_by(_R.log_index)
            .limit(BATCH_RECORDS)
        )
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().all()

    async def has_holders(self, key_id: int) -> bool:
        """Whether a holder is found by this data key."""
        low, high = key_id.to_bytes(2), (key_id + 1).to_bytes(2)
        async with self._database.reading() as connection:
            return await connection.run_sync(any_under, low, high)

    # --- forgetting ---

    async def forget(self, indices: Sequence[int], now: datetime) -> int:
        """Delete the content of these records, `BATCH_RECORDS` at most; how many of them still had some.

        Durable on return, apart from `flush`. Safe to repeat.
        """
        if not indices:
            return 0
        async with self._database.reading() as connection:
            about = await connection.run_sync(keys_at, indices)
        async with self._writing() as connection:
            gone = await connection.execute(delete(BODIES).where(_B.log_index.in_(indices)))
            await connection.run_sync(drop_keys, about)
            await self._drop_claims(connection, indices, now)
            bare = {"case_number": "", "key_id": IN_CLEAR, "wrapped": b""}
            await connection.execute(update(RECORDS).where(_R.log_index.in_(indices)).values(bare))
        return gone.rowcount

    async def flush(self) -> bool:
        """Empty SQLite's write-ahead log, which may still hold what was deleted. False: a reader is in the way, and
        it is emptied in the course of work. PostgreSQL has nothing to do here: see `docs/operating.md`.
        """
        if self._database.dialect != "sqlite":
            return True
        async with self._database.engine.connect() as connection:
            outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
            row = (await outside.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
        return int(row[0]) == 0

    async def _drop_claims(self, connection: AsyncConnection, indices: Sequence[int], now: datetime) -> None:
        old = to_micros(now - CLAIM_KEPT)
        mine = select(_L.asking, _R.request_id).join(LABELS, _L.label == _R.label)
        mine = mine.where(_R.log_index.in_(indices), _R.kind == _HEARD, _R.recorded_at < old)
        keys = [
            {"one_asking": row.asking, "one_id": row.request_id} for row in await connection.execute(mine)
        ]
        if keys:
            claim = delete(CLAIMS).where(
                _C.asking == bindparam("one_asking"), _C.request_id == bindparam("one_id")
            )
            await connection.execute(claim, keys)

    # --- keys and bodies ---

    async def keys_not_under(self, key_id: int, *, start: int, before: int) -> Sequence[WrappedKey]:
        """The keys of records between two log indices that are wrapped by another data key than this one."""
        query = select(_R.log_index, _R.key_id, _R.wrapped).where(
            _R.log_index >= start, _R.log_index < before, _R.key_id.not_in((IN_CLEAR, key_id))
        )
        async with self._database.reading() as connection:
            found = await connection.execute(query.order_by(_R.log_index))
            return [WrappedKey(row.log_index, row.key_id, bytes(row.wrapped)) for row in found]

    async def rewrap(self, pairs: Sequence[tuple[WrappedKey, WrappedKey]]) -> int:
        """Put new keys in the place of old ones; how many still were as they had been read."""
        if not pairs:
            return 0
        change = update(RECORDS).where(
            _R.log_index == bindparam("at"),
            _R.key_id == bindparam("old_id"),
            _R.wrapped == bindparam("old"),
        )
        change = change.values(key_id=bindparam("new_id"), wrapped=bindparam("new"))
        rows = [
            {
                "at": old.log_index,
                "old_id": old.key_id,
                "old": old.wrapped,
                "new_id": new.key_id,
                "new": new.wrapped,
            }
            for old, new in pairs
        ]
        async with self._writing() as connection:
            return (await connection.execute(change, rows)).rowcount

    async def clear_below(self) -> int:
        """One behind the last body in clear, 0 when there is none: bodies of before encryption are all before the first
        encrypted one, and stay so when they are sealed from the last one down.
        """
        async with self._database.reading() as connection:
            return await connection.run_sync(_clear_below)

    async def clear_bodies(self, below: int, *, limit: int) -> Sequence[ClearBody]:
        """The last bodies before a log index, falling; they are in clear when it is at most `clear_below`."""
        async with self._database.reading() as connection:
            found = await connection.execute(_body_from().where(_B.log_index < below).limit(limit))
            return [ClearBody(row.log_index, bytes(row.sealed)) for row in found if row.key_id == IN_CLEAR]

    async def seal(self, clear: Sequence[ClearBody], sealed: SealedBodies) -> None:
        """Put sealed bodies in the place of clear ones. A body that was forgotten meanwhile stays so."""
        body = update(BODIES).where(_B.log_index == bindparam("at")).values(sealed=bindparam("new"))
        key = update(RECORDS).where(
            and_(
                _R.log_index == bindparam("at"),
                select(_B.log_index).where(_B.log_index == _R.log_index).exists(),
            )
        )
        key = key.values(key_id=sealed.key_id, wrapped=bindparam("key"))
        async with self._writing() as connection:
            for one, wrapped, new in zip(clear, sealed.wrapped, sealed.sealed, strict=True):
                await connection.execute(key, {"at": one.log_index, "key": wrapped})
                await connection.execute(body, {"at": one.log_index, "new": new})

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction whose deletions are overwritten."""
        async with self._database.writing() as connection:
            if self._database.dialect == "sqlite":
                await connection.exec_driver_sql("PRAGMA secure_delete = ON")
            yield connection


def _body_from() -> Select[Any]:
    joined = BODIES.join(RECORDS, _R.log_index == _B.log_index)
    query = select(_B.log_index, _R.key_id, _B.sealed).select_from(joined)
    return query.order_by(_B.log_index.desc())


def _clear_below(connection: Connection) -> int:
    """By halving: the first body at or after the middle is in clear, or not."""
    low = connection.execute(select(func.min(_B.log_index))).scalar()
    high = connection.execute(select(func.max(_B.log_index))).scalar()
    if low is None or high is None:
        return 0
    query = select(_B.log_index, _R.key_id).join(RECORDS, _R.log_index == _B.log_index)
    query = query.where(_B.log_index >= bindparam("middle")).order_by(_B.log_index).limit(1)
    first, high = low, high + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(query, {"middle": middle}).one_or_none()
        if row is None or row.log_index >= high or row.key_id != IN_CLEAR:
            high = middle
        else:
            low = row.log_index + 1
    return low if low > first else 0
