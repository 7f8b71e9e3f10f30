"""Data keys: the secret keys of what the store keeps encrypted or finds by keyed hashes.

1. Each purpose has a newest key, which is used for what is new. The first ones are made when a node starts without;
   another cipher in the configuration makes a new one.
2. Older ones stay until nothing is left under them; then they are dropped. A retired one makes nothing new and is
   not searched with.
3. A key is used from `publish_s` after it was made, when all replicas have read its row; the first one at once. They
   are rows, wrapped by the key-encryption key and bound to their purpose and number. Replicas that start together
   agree, since each decides inside one transaction.
4. A key in use that does not open says whose fault that is, and the node does not start: bodies sealed under a
   second set of keys would hide that the first is lost. `begin_again` gives lost ones up for good.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self

import structlog

from federation.ports import Clock
from node.keystore.aead import AES_256_GCM, CIPHERS, Aead, is_available
from node.keystore.errors import KeystoreError
from node.keystore.wrapping import KeyEncryptionKey
from node.store.data_keys import DataKeyRow, DataKeyRows
from node.store.database import Database

__all__ = ["DataKey", "DataKeys", "DataPurpose"]

_log = structlog.get_logger("yrd.keys")


class DataPurpose(StrEnum):
    """What a data key is for."""

    RECORDS = "records"
    """Wraps the keys of single records, and seals archives."""
    HOLDERS = "holders"
    """Makes the keyed hashes by which holders are found."""
    LOGINS = "logins"
    """Seals what the rows of logins say about citizens."""


HMAC_SHA256: Final = "hmac-sha256"
_HMAC_KEY_BYTES: Final = 32
_MOST_LOOKED_FOR: Final = 1000


@dataclass(frozen=True, slots=True)
class DataKey:
    """One key, open. `cipher` is there for keys that encrypt."""

    row: DataKeyRow
    secret: bytes = field(repr=False)
    cipher: Aead | None = field(repr=False)

    @property
    def key_id(self) -> int:
        """Its number, from 1, never given twice."""
        return self.row.key_id


class DataKeys:
    """All data keys, open in memory; its repr and its errors show none."""

    def __init__(
        self,
        rows: DataKeyRows,
        wrapping: KeyEncryptionKey,
        clock: Clock,
        *,
        cipher: str = AES_256_GCM,
        publish_s: float = 180.0,
    ) -> None:
        self._rows = rows
        self._wrapping = wrapping
        self._clock = clock
        self._publish = timedelta(seconds=publish_s)
        self._algorithms = {
            DataPurpose.RECORDS: cipher,
            DataPurpose.HOLDERS: HMAC_SHA256,
            DataPurpose.LOGINS: cipher,
        }
        self._keys: Mapping[int, DataKey] = {}
        self._faults: Mapping[int, str] = {}
        self._given_up: frozenset[int] = frozenset()
        self._looked_for: set[int] = set()
        # So that rows that were read earlier never replace later ones.
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        database: Database,
        wrapping: KeyEncryptionKey,
        clock: Clock,
        *,
        cipher: str = AES_256_GCM,
        publish_s: float = 180.0,
    ) -> Self:
        """Open all, and make those that are missing.

        Raises KeystoreError naming the first one in use that cannot be opened, or when this machine has not the cipher;
        OwnStoreUnavailable.
        """
        if not is_available(cipher):
            raise KeystoreError(
                f"this machine's OpenSSL has no {cipher}, which evidence.cipher asks for: "
                f"use an OpenSSL that has it, or evidence.cipher = {AES_256_GCM!r}"
            )
        keys = cls(DataKeyRows(database), wrapping, clock, cipher=cipher, publish_s=publish_s)
        await keys.reload()
        for row in await keys._rows.load():
            if row.retired_at is None and row.key_id in keys._faults:
                raise KeystoreError(keys._faults[row.key_id])
        await keys._change(keys._with_first_ones)
        return keys

    # --- what they are ---

    def newest(self, purpose: DataPurpose) -> DataKey:
        """What is used for what is new. Raises KeystoreError when there is none."""
        live = self.live(purpose)
        if not live:
            raise KeystoreError(
                f"there is no data key for {purpose}: a node makes the first ones when it starts"
            )
        before = self._clock.now() - self._publish
        return next((one for one in live if one.row.created_at <= before), live[-1])

    def live(self, purpose: DataPurpose) -> Sequence[DataKey]:
        """Those that are not retired, newest first."""
        found = [one for one in self._keys.values() if one.row.purpose == purpose and not one.row.retired_at]
        return sorted(found, key=lambda one: -one.key_id)

    def rows_of(self, purpose: DataPurpose) -> Sequence[DataKeyRow]:
        """Every row of a purpose that opens, oldest first."""
        return [one.row for _, one in sorted(self._keys.items()) if one.row.purpose == purpose]

    def get(self, key_id: int) -> DataKey | None:
        """A key by its number, retired or not; None when it is not known here, or is one of the `faults`."""
        return self._keys.get(key_id)

    @property
    def faults(self) -> Mapping[int, str]:
        """By number, why a key that is in the store does not open."""
        return self._faults

    @property
    def given_up(self) -> frozenset[int]:
        """Those of the `faults` that an operator gave up (`begin_again`)."""
        return self._given_up

    # --- how they change ---

    async def reload(self) -> None:
        """Take the rows as they are now, as another replica may have changed them. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            self._take(await self._rows.load())

    def reload_beside(self) -> None:
        """As `reload`, for another thread."""
        self._take(self._rows.load_beside())

    def find(self, key_id: int) -> DataKey | None:
        """As `get`, but one that is not known here is looked for in the store: once for each number, since another
        replica's key may be a moment younger than what was read here. Raises OwnStoreUnavailable.
        """
        if key_id in self._keys or key_id in self._faults or key_id in self._looked_for:
            return self._keys.get(key_id)
        rows = self._rows.load_beside()
        if len(self._looked_for) >= _MOST_LOOKED_FOR:
            self._looked_for.clear()
        self._looked_for.add(key_id)
        if any(row.key_id == key_id for row in rows):
            self._take(rows)
        return self._keys.get(key_id)

    async def rotate(self, purpose: DataPurpose) -> DataKey:
        """Make a new key, for what is new from `publish_s` on; what is under the others stays readable.

        Raises KeystoreError when none of the purpose opens, OwnStoreUnavailable.
        """
        await self.reload()
        if not self.live(purpose) and self._faults:
            raise KeystoreError(next(iter(self._faults.values())))
        await self._change(lambda rows: [*rows, self._new_row(rows, purpose)])
        return self.live(purpose)[0]

    async def retire(self, key_id: int) -> None:
        """Make nothing new with it and search no more with it. Raises KeystoreError for the only one in use."""
        now = self._clock.now()

        def decide(rows: Sequence[DataKeyRow]) -> Sequence[DataKeyRow]:
            _require_another(rows, key_id)
            return [
                replace(row, retired_at=row.retired_at or now) if row.key_id == key_id else row
                for row in rows
            ]

        await self._change(decide)

    async def drop(self, key_id: int) -> None:
        """Delete it for good, when nothing is left under it: whoever calls has made sure. Raises as `retire`."""

        def decide(rows: Sequence[DataKeyRow]) -> Sequence[DataKeyRow]:
            _require_another(rows, key_id)
            return [row for row in rows if row.key_id != key_id]

        await self._change(decide)

    async def begin_again(self) -> Sequence[int]:
        """Give up every key that does not open, and make new ones; the numbers given up.

        What lies under them can be read by nobody any more; its leaves stay. Raises OwnStoreUnavailable.
        """
        await self.reload()
        lost, now = set(self._faults), self._clock.now()

        def decide(rows: Sequence[DataKeyRow]) -> Sequence[DataKeyRow]:
            given_up = [
                replace(row, retired_at=row.retired_at or now) if row.key_id in lost else row for row in rows
            ]
            return self._with_first_ones(given_up)

        await self._change(decide)
        return sorted(lost)

    # --- inside ---

    async def _change(self, decide: Callable[[Sequence[DataKeyRow]], Sequence[DataKeyRow]]) -> None:
        async with self._one_at_a_time:
            self._take(await self._rows.change(decide))

    def _take(self, rows: Iterable[DataKeyRow]) -> None:
        rows, keys, faults = list(rows), {}, {}
        for row in rows:
            known = self._keys.get(row.key_id)
            if known and known.row.wrapped == row.wrapped:
                keys[row.key_id] = replace(known, row=row)
                continue
            try:
                keys[row.key_id] = self._open(row)
            except KeystoreError as error:
                faults[row.key_id] = str(error)
                if row.key_id not in self._faults:
                    _log.error("data_keys.unusable", key_id=row.key_id, fault=str(error))
        self._keys, self._faults = keys, faults
        self._given_up = frozenset(row.key_id for row in rows if row.key_id in faults and row.retired_at)

    def _open(self, row: DataKeyRow) -> DataKey:
        kind = CIPHERS.get(row.algorithm)
        if kind is None and row.algorithm != HMAC_SHA256:
            raise KeystoreError(
                f"data key {row.key_id} is of {row.algorithm!r}, which this release does not know"
            )
        secret = self._wrapping.unwrap(row.wrapped, purpose=_bound(row), kid=str(row.key_id))
        return DataKey(row, secret, kind.keyed(secret) if kind else None)

    def _with_first_ones(self, rows: Sequence[DataKeyRow]) -> Sequence[DataKeyRow]:
        """With a newest key of each purpose that is of the algorithm that is configured."""
        rows = list(rows)
        for purpose, algorithm in self._algorithms.items():
            live = [row for row in rows if row.purpose == purpose and row.retired_at is None]
            if not live or live[-1].algorithm != algorithm:
                rows.append(self._new_row(rows, purpose))
        return rows

    def _new_row(self, rows: Sequence[DataKeyRow], purpose: DataPurpose) -> DataKeyRow:
        algorithm = self._algorithms[purpose]
        key_id = max((row.key_id for row in rows), default=0) + 1
        row = DataKeyRow(key_id, str(purpose), algorithm, b"", self._clock.now())
        length = CIPHERS[algorithm].key_bytes if algorithm in CIPHERS else _HMAC_KEY_BYTES
        wrapped = self._wrapping.wrap(os.urandom(length), purpose=_bound(row), kid=str(key_id))
        return replace(row, wrapped=wrapped)


def _bound(row: DataKeyRow) -> str:
    """What a wrapped key is bound to beside its number: none can be passed off as one of another use."""
    return f"data-{row.purpose}-{row.algorithm}"


def _require_another(rows: Sequence[DataKeyRow], key_id: int) -> None:
    row = next((row for row in rows if row.key_id == key_id), None)
    if row is None:
        raise KeystoreError(f"there is no data key {key_id}")
    others = [
        one for one in rows if one.purpose == row.purpose and one.key_id != key_id and one.retired_at is None
    ]
    if not row.retired_at and not others:
        raise KeystoreError(f"data key {key_id} is the only one for {row.purpose}: rotate it first")
