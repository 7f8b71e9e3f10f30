"""Keeping and forgetting, as work that goes on beside a node: in batches, so that the journal never waits long.

1. What is beyond its retention is forgotten (`federation.keeping`).
2. Bodies from before there was encryption are sealed.
3. Keys of records that are under an older data key are wrapped by the newest; bodies are not touched. An older data key
   is retired when every replica has used the newest one for a while, and dropped when nothing is under it any more.
4. A key of holders' hashes cannot be replaced for what is there, since nobody has the numbers any more: it stays for
   searching until its last record was forgotten, and is dropped then.
5. A key of logins' rows is dropped when the last row under it is gone, since all of them are forgotten in their time.

Every step may be broken off at any point and begun again, by the same or another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from msgspec import Struct

from federation.errors import OwnBadValue, OwnRecordDamaged
from federation.keeping import Retention
from federation.ports import Clock
from node.keystore.data_keys import DataKey, DataKeys, DataPurpose
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.audit import AuditRows
from node.store.keeping import BATCH_RECORDS, KeepingRows, WrappedKey

__all__ = ["LOGIN_ROWS_LIFE", "Forgotten", "Keeping", "Progress", "Rewrapped"]

_log = structlog.get_logger("yrd.keeping")

REWRAP_SPAN: Final = 2_000
"""Log indices that are looked at for one batch of keys."""

LOGIN_ROWS_LIFE: Final = timedelta(days=400)
"""No row of a login is kept longer: refresh tokens and consents live for 30 days, and consents are shown for a year."""

_SEAL_BODIES: Final = 64

_NO_FOLDER: Final = (
    "there are archive files, and this process is not told where: set `archive` in [evidence] to their folder"
)

Progress = Callable[[int, int], None]
"""(done, of so many)"""


class Archives(Protocol):
    """The archive files, as far as forgetting and keys go (`node.archiving`)."""

    async def records_of(self, request_id: str, *, asking: str = "") -> Mapping[str, Sequence[int]]:
        """The log indices in files of what was asked under an id, by the node that asked; with `asking`, at least of
        that one. What was forgotten has an empty name.
        """
        ...

    def alone(self) -> AbstractContextManager[None]:
        """No other process works on the files meanwhile. Raises OwnBusy while one does."""
        ...

    async def forget(self, indices: Sequence[int]) -> int:
        """Write the files anew that hold these records, without their content; how many were in files. Whoever calls
        is `alone`.
        """
        ...

    async def forget_due(self, retention: Retention, now: datetime) -> int:
        """The same for all that is beyond its retention; whole files go."""
        ...

    async def rewrap(self, key_id: int) -> int:
        """Put the files' keys under this data key; how many were not."""
        ...


class Forgotten(Struct, frozen=True):
    """Records whose content was deleted: in the database, in archive files. `is_flushed` is false when SQLite's log
    may still hold what was deleted for a while.
    """

    in_database: int = 0
    in_archives: int = 0
    is_flushed: bool = True


class Rewrapped(Struct, frozen=True):
    """Keys of records and of archives that were wrapped anew, and the numbers of the data keys that were dropped: none
    while a key is `damaged`, and with it its record. `waits_s` is after how long an older data key may be retired,
    when it is too early now. `without_folder` is true when there are archive files, and this process is not told where:
    older data keys stay, since the files may be under them.
    """

    keys: int = 0
    archives: int = 0
    dropped: tuple[int, ...] = ()
    damaged: int = 0
    waits_s: float = 0.0
    without_folder: bool = False


class Keeping:
    """Over one store. `pause_s` is waited between batches; `publish_s` is that of the data keys."""

    def __init__(
        self,
        rows: KeepingRows,
        keys: DataKeys,
        audit: AuditRows,
        clock: Clock,
        retention: Retention,
        archives: Archives | None = None,
        *,
        publish_s: float = 180.0,
        pause_s: float = 0.0,
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._bodies = EncryptedBodies(keys)
        self._audit = audit
        self._clock = clock
        self._retention = retention
        self._archives = archives
        self._publish = timedelta(seconds=publish_s)
        self._pause_s = pause_s
        self._forgotten_to: dict[int, int] = {}

    async def turn(self) -> None:
        """All of it once. Raises OwnStoreUnavailable, KeystoreError."""
        await self.apply_retention()
        await self.seal_clear()
        await self.rewrap()
        await self.drop_holder_keys()
        await self.drop_login_keys()

    # --- forgetting ---

    async def records_of(self, request_id: str, *, asking: str = "") -> Sequence[int]:
        """The log indices of what one node asked under an id, also when it is in archive files only.

        Raises OwnBadValue when several nodes asked under that id and `asking` does not say which is meant.
        """
        here = await self._rows.records_of(request_id)
        archived = await self._archives.records_of(request_id, asking=asking) if self._archives else {}
        askers = sorted(({*here} | {*archived}) - {""})
        if not asking and len(askers) > 1:
            raise OwnBadValue(
                f"several nodes asked under that id, say which: {', '.join(askers)}", field="asking"
            )
        # Who asked for what was forgotten in a file, nobody can tell; it is forgotten again, to no harm.
        wanted = {asking or (askers[0] if askers else ""), ""}
        found = [index for one in wanted for index in (*here.get(one, ()), *archived.get(one, ()))]
        return sorted(set(found))

    async def forget(self, indices: Sequence[int]) -> Forgotten:
        """Delete the content of these records for good, wherever it is: first in archive files, so that a holder is
        found until nothing about them is left there. Safe to repeat when it was broken off.

        Raises OwnBusy while another process is at the folder, OwnBadValue when records may be in archive files and this
        process is not told where they are; nothing was forgotten then.
        """
        if self._archives is None:
            await self._require_not_archived(indices)
            return await self._forget(indices, 0)
        with self._archives.alone():
            return await self._forget(indices, await self._archives.forget(indices))

    async def _require_not_archived(self, indices: Sequence[int]) -> None:
        for first, last in await self._rows.archived():
            if any(first <= index <= last for index in indices):
                raise OwnBadValue(f"nothing was forgotten: {_NO_FOLDER}, then forget again")

    async def _forget(self, indices: Sequence[int], in_archives: int) -> Forgotten:
        in_database = 0
        for start in range(0, len(indices), BATCH_RECORDS):
            in_database += await self._rows.forget(indices[start : start + BATCH_RECORDS], self._clock.now())
            await asyncio.sleep(self._pause_s)
        return Forgotten(in_database, in_archives, await self._rows.flush())

    async def apply_retention(self) -> Forgotten:
        """Forget what is beyond its retention; audited when there was something."""
        now = self._clock.now()
        in_database = 0
        first = await self._rows.first_body()
        if first is not None:
            cutoffs: dict[datetime, int] = {}
            for label, operation in (await self._rows.labels()).items():
                moment = self._retention.kept_from(operation, now)
                if moment not in cutoffs:
                    cutoffs[moment] = await self._rows.first_index_at(moment)
                in_database += await self._forget_label(label, first, cutoffs[moment])
        in_archives = await self._archives.forget_due(self._retention, now) if self._archives else 0
        done = Forgotten(in_database, in_archives)
        if in_database or in_archives:
            await self._rows.flush()
            counts = {"in_database": in_database, "in_archives": in_archives}
            await self._audit.note("node", "evidence.retention", counts)
            _log.info("evidence.forgotten", **counts)
        return done

    async def _forget_label(self, label: int, first: int, before: int) -> int:
        # Remembered only to spare looking twice at what is forgotten: another process, or a start, looks again.
        start, count = max(first, self._forgotten_to.get(label, 0)), 0
        while start < before:
            due = await self._rows.due(label, start=start, before=before)
            if not due:
                break
            count += await self._rows.forget(due, self._clock.now())
            start = due[-1] + 1
            await asyncio.sleep(self._pause_s)
        self._forgotten_to[label] = max(start, before)
        return count

    # --- sealing and keys ---

    async def seal_clear(self) -> int:
        """Encrypt the bodies that are in clear; how many were."""
        count, below = 0, await self._rows.clear_below()
        while clear := await self._rows.clear_bodies(below, limit=_SEAL_BODIES):
            await self._rows.seal(clear, self._bodies.seal([one.body for one in clear]))
            below = clear[-1].log_index
            count += len(clear)
            await asyncio.sleep(self._pause_s)
        if count:
            await self._rows.flush()
            _log.info("evidence.sealed", bodies=count)
        return count

    async def rewrap(self, progress: Progress = lambda _done, _total: None) -> Rewrapped:
        """Wrap by the newest data key what is under older ones; retire those, then drop them."""
        await self._keys.reload()
        newest = self._keys.newest(DataPurpose.RECORDS)
        older = [row for row in self._keys.rows_of(DataPurpose.RECORDS) if row.key_id < newest.key_id]
        if not older:
            return Rewrapped()
        waits = self._in_use_everywhere_at(newest) - self._clock.now()
        if waits <= timedelta():
            for row in older:
                await self._keys.retire(row.key_id)
        keys, damaged = await self._rewrap_records(newest.key_id, progress)
        archives = await self._archives.rewrap(newest.key_id) if self._archives else 0
        without_folder = self._archives is None and bool(await self._rows.archived())
        if without_folder:
            _log.error("evidence.no_archive_folder", key_ids=[row.key_id for row in older], detail=_NO_FOLDER)
        dropped: tuple[int, ...] = ()
        if waits <= timedelta() and not damaged and not without_folder:
            # Retired before the first key was looked at, so nothing new can be under it.
            dropped = tuple(row.key_id for row in older)
            for key_id in dropped:
                await self._keys.drop(key_id)
            await self._audit.note("node", "evidence.data_keys_dropped", {"key_ids": list(dropped)})
        _log.info("evidence.rewrapped", keys=keys, archives=archives, dropped=list(dropped))
        return Rewrapped(keys, archives, dropped, damaged, max(0.0, waits.total_seconds()), without_folder)

    def _in_use_everywhere_at(self, newest: DataKey) -> datetime:
        """From when on no replica wraps with an older one: twice the time after which they use the newest."""
        return newest.row.created_at + 2 * self._publish

    async def _rewrap_records(self, key_id: int, progress: Progress) -> tuple[int, int]:
        """How many keys were wrapped anew, and how many are damaged."""
        first, end = await self._rows.span()
        count = damaged = 0
        for start in range(first, end, REWRAP_SPAN):
            before = min(start + REWRAP_SPAN, end)
            old = await self._rows.keys_not_under(key_id, start=start, before=before)
            pairs = [pair for one in old if (pair := self._pair(one)) is not None]
            damaged += len(old) - len(pairs)
            for place in range(0, len(pairs), BATCH_RECORDS):
                count += await self._rows.rewrap(pairs[place : place + BATCH_RECORDS])
                await asyncio.sleep(self._pause_s)
            progress(before - first, end - first)
        return count, damaged

    def _pair(self, one: WrappedKey) -> tuple[WrappedKey, WrappedKey] | None:
        """A key as it is and as it shall be; None when it was altered in the store."""
        try:
            return one, WrappedKey(one.log_index, *self._bodies.rewrap(one.key_id, one.wrapped))
        except OwnRecordDamaged as error:
            _log.error("evidence.damaged", log_index=one.log_index, detail=error.detail)
            return None

    async def drop_holder_keys(self) -> Sequence[int]:
        """Drop the older keys of holders' hashes by which nobody is found any more; their numbers."""
        newest = self._keys.newest(DataPurpose.HOLDERS)
        if self._in_use_everywhere_at(newest) > self._clock.now():
            return ()
        dropped = []
        for row in self._keys.rows_of(DataPurpose.HOLDERS):
            if row.key_id < newest.key_id and not await self._rows.has_holders(row.key_id):
                await self._keys.drop(row.key_id)
                dropped.append(row.key_id)
        if dropped:
            await self._audit.note("node", "evidence.data_keys_dropped", {"key_ids": dropped})
        return dropped

    async def drop_login_keys(self) -> Sequence[int]:
        """Drop the older keys for rows of logins, when the last row under them is long forgotten; their numbers."""
        newest = self._keys.newest(DataPurpose.LOGINS)
        if self._in_use_everywhere_at(newest) + LOGIN_ROWS_LIFE > self._clock.now():
            return ()
        dropped = [row.key_id for row in self._keys.rows_of(DataPurpose.LOGINS) if row.key_id < newest.key_id]
        for key_id in dropped:
            await self._keys.drop(key_id)
        if dropped:
            await self._audit.note("node", "evidence.data_keys_dropped", {"key_ids": dropped})
        return dropped
