"""Old months out of the database, into sealed files that `yrd verify` reads.

A file is written in these steps; broken off after any of them, the next run ends the work or begins it anew:

1. Exchanges of a month that ended `after_days` ago, each whole and settled, become an evidence file (format 2, scope
   ``archive``) of about `split_bytes`, sealed under the newest data key and written beside its final name.
2. What was written is read back from disk, unsealed and verified like any evidence file, every exchange. One that does
   not verify is left out and stays in the database; nothing is removed that is not in a file that holds.
3. The file gets its name, and its row is stored.
4. Its records leave the database in batches. The tree's tiles stay, so every proof over them still can be made.
5. The row says that it is emptied.

Forgetting writes a file anew, with leaves and proofs only of what is to be forgotten; a file in which there is nothing
left to forget, because all is beyond its retention, goes. One process at a time works on the folder (`flock`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from msgspec import Struct

from federation.archive_files import archived_exchanges, operations_in
from federation.errors import OwnRecordDamaged
from federation.evidence import EvidenceVerifier
from federation.evidence_export import Exporter
from federation.evidence_ports import ExchangeRef
from federation.ports import StoredRecord
from node.archive_folder import ArchiveFolder
from node.archive_forgetting import ArchiveForgetting
from node.archive_parts import ArchiveParts
from node.keystore.sealed_files import SEALED_SUFFIX
from node.store.archives import ArchiveRow, ArchiveRows, Group
from node.store.keeping import BATCH_RECORDS
from trust.errors import EvidenceBroken

__all__ = ["Archived", "Archivist", "month_before", "month_of"]

_log = structlog.get_logger("yrd.archive")

_PAGE: Final = 500
_MOST_EXCHANGES: Final = 5000
_DAY: Final = timedelta(days=1)


class Archived(Struct, frozen=True):
    """What a run did: files that were written, and records that left the database."""

    files: int = 0
    records: int = 0
    left_out: int = 0


def month_of(moment: datetime) -> datetime:
    """The first moment of its month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_before(now: datetime, after_days: int) -> datetime:
    """The end of the newest month that ended so many days ago: what was recorded before it may be archived."""
    return month_of(now - timedelta(days=after_days))


class _Unfit(Exception):
    """These exchanges do not go into one file: it would be larger than the format allows."""


class _Chosen:
    """Records of one file, handed to the exporter under the place of each group: `evidence_ports.Records`."""

    def __init__(self, rows: ArchiveRows, groups: Sequence[Group]) -> None:
        self._rows, self._groups = rows, groups

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        return await self._rows.read(self._groups[int(request_id)].indices)


class Archivist:
    """Over one folder."""

    def __init__(self, parts: ArchiveParts) -> None:
        self._parts = parts
        self._folder = ArchiveFolder(parts.folder, parts.keys, parts.after)
        self._forgetting = ArchiveForgetting(parts)
        self._after = parts.after

    # --- archiving ---

    async def archive(
        self, before: datetime, progress: Callable[[ArchiveRow], None] = lambda _row: None
    ) -> Archived:
        """Everything that was recorded before that moment, the start of a month.

        Raises OwnBusy while another process is at the folder, OwnStoreUnavailable, OwnKeyUnavailable, OSError.
        """
        with self._folder.alone():
            await self._finish(progress)
            total = Archived()
            start, _ = await self._parts.keeping.span()
            end = await self._parts.keeping.first_index_at(before)
            while start < end:
                month_end = await self._month_end(start, end)
                done, start = await self._one_file(start, month_end, progress)
                total = Archived(*(a + b for a, b in zip(_counts(total), _counts(done), strict=True)))
            if total.records:
                await self._parts.keeping.flush()
            return total

    async def _month_end(self, start: int, end: int) -> int:
        """One behind the last record of the month of the record at `start`."""
        at = await self._parts.keeping.recorded_at(start)
        if at is None:
            return end
        return max(
            start + 1, min(end, await self._parts.keeping.first_index_at(month_of(month_of(at) + 31 * _DAY)))
        )

    async def _one_file(
        self, start: int, before: int, progress: Callable[[ArchiveRow], None]
    ) -> tuple[Archived, int]:
        groups, after = await self._choose(start, before)
        if not groups:
            return Archived(), after
        name = f"{await self._month_name(groups[0])}.{groups[0].indices[0]:012d}{SEALED_SUFFIX}"
        groups, kept, data, after = await self._fitting(name, groups, after)
        left_out = len(groups) - len(kept)
        if not kept:
            self._folder.remove_beside(name)
            return Archived(left_out=left_out), after
        await self._folder.put_in_place(name)
        row = await self._row(name, data)
        await self._parts.rows.save(row)
        self._after("stored")
        records = await self._empty(row, data)
        progress(row)
        _log.info("archive.written", name=name, records=records, left_out=left_out)
        return Archived(1, records, left_out), after

    async def _choose(self, start: int, before: int) -> tuple[list[Group], int]:
        """Exchanges for one file, by what their bodies weigh, and where the next one begins."""
        settled = await self._parts.rows.settled_below()
        groups: list[Group] = []
        size = 0
        while start < before and size < self._parts.split_bytes and len(groups) < _MOST_EXCHANGES:
            page, start = await self._parts.rows.groups(start, before, settled, limit=_PAGE)
            weights = await self._parts.keeping.body_bytes([one for group in page for one in group.indices])
            for group in page:
                if size >= self._parts.split_bytes:
                    return groups, group.indices[0]
                groups.append(group)
                size += sum(weights.get(one, 0) for one in group.indices)
        return groups, start

    async def _fitting(
        self, name: str, groups: list[Group], after: int
    ) -> tuple[list[Group], Sequence[Group], bytes, int]:
        """As many of the groups as go into one file, what `_written` says of them, and where the next one begins."""
        while True:
            try:
                return groups, *await self._written(name, groups), after
            except _Unfit as error:
                if len(groups) == 1:
                    _log.error("archive.unfit", log_index=groups[0].indices[0], detail=str(error))
                    return groups, (), b"", after
                half = len(groups) // 2
                groups, after = groups[:half], groups[half].indices[0]

    async def _written(self, name: str, groups: Sequence[Group]) -> tuple[Sequence[Group], bytes]:
        """The groups that verify, in a file that was read back; and the evidence file inside. Raises _Unfit."""
        kept = [group for group in groups if await self._is_readable(group)]
        for _ in range(2):
            if not kept:
                return (), b""
            try:
                data = await self._exported(kept)
            except EvidenceBroken as error:
                raise _Unfit(error.detail) from error
            if await self._folder.write_beside(name, data) != data:
                raise OSError(f"{name} is not what was written to it")
            broken = await asyncio.to_thread(self._broken, data)
            self._after("verified")
            if not broken:
                return kept, data
            kept = [group for number, group in enumerate(kept, start=1) if number not in broken]
        raise EvidenceBroken("archive", "exchanges that verified alone do not verify together")

    async def _is_readable(self, group: Group) -> bool:
        try:
            await self._parts.rows.read(group.indices)
        except OwnRecordDamaged as error:
            _log.error("archive.damaged", log_index=group.indices[0], detail=error.detail)
            return False
        return True

    def _broken(self, data: bytes) -> Collection[int]:
        """The numbers of the exchanges that do not verify."""
        verifier = EvidenceVerifier(self._parts.anchor_jwks, self._parts.codec)
        file, broken = verifier.open(data), set()
        for number in range(1, file.exchanges + 1):
            try:
                file.verify(number)
            except EvidenceBroken as error:
                _log.error("archive.broken", request_id=file.request_id(number), detail=error.detail)
                broken.add(number)
        return broken

    async def _exported(self, groups: Sequence[Group]) -> bytes:
        parts = self._parts
        exporter = Exporter(
            records=_Chosen(parts.rows, groups),
            archive=parts.statements,
            codec=parts.codec,
            signer=parts.signer,
            clock=parts.clock,
            entity_id=parts.entity_id,
            anchor=parts.anchor,
            tree=parts.tree,
            former_keys=parts.former_keys,
        )

        async def refs() -> AsyncIterator[ExchangeRef]:
            for place, group in enumerate(groups):
                request, *_ = await parts.rows.read(group.indices)
                yield ExchangeRef(str(place), request.meta.asking == parts.entity_id)

        files = exporter.export_many(
            refs(), "archive", split_bytes=1 << 62, split_exchanges=_MOST_EXCHANGES + _PAGE
        )
        return b"".join([file.data async for file in files])

    async def _month_name(self, group: Group) -> str:
        at = await self._parts.keeping.recorded_at(group.indices[0])
        return f"{at:%Y-%m}"

    async def _row(self, name: str, data: bytes) -> ArchiveRow:
        exchanges = list(archived_exchanges(data))
        indices = [index for one in exchanges for index in one.indices]
        times = [await self._parts.keeping.recorded_at(index) for index in (min(indices), max(indices))]
        from_at, until_at = (at or self._parts.clock.now() for at in times)
        return ArchiveRow(
            name=name,
            first_index=min(indices),
            last_index=max(indices),
            from_at=from_at,
            until_at=until_at,
            sha256=hashlib.sha256(data).digest(),
            written_at=self._parts.clock.now(),
            operations=operations_in(data),
        )

    async def _empty(self, row: ArchiveRow, data: bytes) -> int:
        """Steps 4 and 5: delete just the records that are in the file."""
        indices = sorted(index for one in archived_exchanges(data) for index in one.indices)
        forgotten = frozenset(await self._parts.rows.forgotten_among(indices))
        if forgotten:
            # While the file was written, or before.
            await self._forgetting.forget_in(row, lambda one: not forgotten.isdisjoint(one.indices))
        count = 0
        for start in range(0, len(indices), BATCH_RECORDS):
            count += await self._parts.rows.remove(indices[start : start + BATCH_RECORDS])
            self._after("removed")
            await asyncio.sleep(self._parts.pause_s)
        await self._parts.rows.mark_emptied(row.name, self._parts.clock.now())
        self._after("emptied")
        return count

    async def _finish(self, progress: Callable[[ArchiveRow], None]) -> None:
        """End what an earlier run did not."""
        for row in await self._parts.rows.all():
            if row.emptied_at is None:
                await self._empty(row, await self._folder.read(row))
                progress(row)
        self._folder.tidy()


def _counts(done: Archived) -> tuple[int, int, int]:
    return done.files, done.records, done.left_out
