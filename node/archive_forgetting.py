"""Forgetting in archive files, and new keys for them: `node.keeping.Archives`.

A file is written anew, with leaves and proofs only of what is to be forgotten; one in which there is nothing left to
keep goes. Its row stays, since log indices are never given again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from federation.archive_files import ArchivedExchange, archived_exchanges, operations_in, rewritten
from federation.evidence_chains import ChainArchive
from federation.keeping import Retention
from federation.query import Operation
from federation.request_ids import time_of_request_id
from node.archive_folder import ArchiveFolder
from node.archive_parts import ArchiveParts
from node.store.archives import ArchiveRow
from node.store.keeping import BATCH_RECORDS
from trust.envelope import parse

__all__ = ["ArchiveForgetting"]

_DAY: Final = timedelta(days=1)
_REQUESTS: Final = frozenset(one.request_type for one in Operation)


class ArchiveForgetting:
    """Implements `node.keeping.Archives`. Methods raise OwnBusy, EvidenceBroken, OwnStoreUnavailable, OSError."""

    def __init__(self, parts: ArchiveParts) -> None:
        self._parts = parts
        self._folder = ArchiveFolder(parts.folder, parts.keys, parts.after)

    async def records_of(self, request_id: str, *, asking: str = "") -> Mapping[str, Sequence[int]]:
        """By the node that asked, the log indices in files under an id: of all files of the time that the id says, and
        of others only until one has it; with `asking`, until one has what that node asked.
        """
        found: dict[str, list[int]] = {}
        for row in sorted(await self._parts.rows.all(), key=lambda one: not _may_have(one, request_id)):
            if (asking in found if asking else found) and not _may_have(row, request_id):
                break
            for one in archived_exchanges(await self._folder.read(row)):
                if one.request_id == request_id:
                    found.setdefault(self._asking(one), []).extend(one.indices)
        return found

    def _asking(self, one: ArchivedExchange) -> str:
        """Who asked; empty when it was forgotten."""
        if not one.envelope:
            return ""
        sealed, codec = parse(one.envelope, max_bytes=len(one.envelope)), self._parts.codec
        if sealed.payload_type in _REQUESTS:
            return codec.decode_request(sealed.payload_type, sealed.payload).header.asking
        return codec.decode_answer(sealed.payload_type, sealed.payload).header.asking

    def alone(self) -> AbstractContextManager[None]:
        """As `ArchiveFolder.alone`."""
        return self._folder.alone()

    async def forget(self, indices: Sequence[int]) -> int:
        """Write the files anew that hold these records, without the content of their exchanges."""
        wanted = frozenset(indices)
        count = 0
        for row in await self._parts.rows.covering(wanted) if wanted else ():
            count += await self.forget_in(row, lambda one: not wanted.isdisjoint(one.indices))
        return count

    async def forget_due(self, retention: Retention, now: datetime) -> int:
        """The same for what is beyond its retention; a file without any other content goes."""
        count = 0
        for row in await self._parts.rows.all():
            due = frozenset(one for one in row.operations if row.until_at < retention.kept_from(one, now))
            is_over = not row.operations and row.until_at < retention.kept_from("", now)
            if row.emptied_at is None or not (due or is_over):
                continue
            with self._folder.alone():
                if due < frozenset(row.operations):
                    count += await self.forget_in(row, _of_operations(due), holders_first=True)
                else:
                    count += await self._drop(row)
        return count

    async def rewrap(self, key_id: int) -> int:
        """Put the files' keys under this data key; how many were not."""
        rows = await self._parts.rows.all()
        if not rows:
            return 0
        with self._folder.alone():
            return sum([await self._folder.rewrap(row.name, key_id) for row in rows])

    async def forget_in(
        self,
        row: ArchiveRow,
        is_forgotten: Callable[[ArchivedExchange], bool],
        *,
        holders_first: bool = False,
    ) -> int:
        """One file. Whoever calls is alone at the folder.

        Holders go last, and also those of what was forgotten before: until then whoever repeats it finds them. With
        `holders_first` they do not: retention looks at a row's operations only, so it would not come back for them.
        """
        data = await self._folder.read(row)
        wanted = [one for one in archived_exchanges(data) if is_forgotten(one)]
        hit = [one for one in wanted if one.operation]
        if holders_first:
            await self._drop_holders(wanted)
        if hit:
            await self._write_anew(row, data, is_forgotten)
        if not holders_first:
            await self._drop_holders(wanted)
        return sum(len(one.indices) for one in hit)

    async def _write_anew(
        self, row: ArchiveRow, data: bytes, is_forgotten: Callable[[ArchivedExchange], bool]
    ) -> None:
        parts = self._parts
        file = await asyncio.to_thread(rewritten, data, is_forgotten)
        signer, now = parts.signer(), parts.clock.now()
        own = await ChainArchive(parts.statements, parts.anchor).of(parts.entity_id, now, kid=signer.kid)
        anew = await asyncio.to_thread(
            lambda: file.sealed(
                exporter=own.statements, entity_id=parts.entity_id, now=now, scope="archive", signer=signer
            )
        )
        await self._folder.write_beside(row.name, anew)
        digest = hashlib.sha256(anew).digest()
        await parts.rows.save(replace(row, sha256=digest, operations=operations_in(anew)))
        parts.after("row replaced")
        await self._folder.put_in_place(row.name)

    async def _drop(self, row: ArchiveRow) -> int:
        """Delete a whole file."""
        count = await self._drop_holders(list(archived_exchanges(await self._folder.read(row))))
        await self._parts.rows.save(replace(row, operations=(), forgotten_at=self._parts.clock.now()))
        self._parts.after("row closed")
        self._folder.remove(row.name)
        return count

    async def _drop_holders(self, exchanges: Sequence[ArchivedExchange]) -> int:
        """Nobody is found by them any more."""
        indices = [index for one in exchanges for index in one.indices]
        for start in range(0, len(indices), BATCH_RECORDS):
            await self._parts.keeping.forget(indices[start : start + BATCH_RECORDS], self._parts.clock.now())
        return len(indices)


def _may_have(row: ArchiveRow, request_id: str) -> bool:
    try:
        at = time_of_request_id(request_id)
    except ValueError:
        return False
    return row.from_at - _DAY <= at <= row.until_at + _DAY


def _of_operations(due: frozenset[str]) -> Callable[[ArchivedExchange], bool]:
    return lambda one: one.operation in due
