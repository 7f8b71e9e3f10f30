"""The folder of sealed archive files: written beside and put in place, read back, one process at a time."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from federation.errors import OwnBusy
from node.keystore.data_keys import DataKeys, DataPurpose
from node.keystore.sealed_files import SEALED_SUFFIX, Unsealer, key_id_of, rewrapped_file, seal_file
from node.store.archives import ArchiveRow
from trust.errors import EvidenceBroken

__all__ = ["ArchiveFolder", "Step"]

Step = Callable[[str], None]
"""Told the name of each step when it is done; tests break off there."""


class ArchiveFolder:
    """Files by name. A file is replaced in two moves, its row first: what was broken off between the two is ended by
    the next `read`, since the row says what the file shall be. Methods raise OSError.
    """

    def __init__(self, path: Path, keys: DataKeys, after: Step = lambda _step: None) -> None:
        self.path = path
        self._keys = keys
        self._after = after

    async def write_beside(self, name: str, data: bytes) -> bytes:
        """Seal an evidence file and write it beside its place; what is read back from there, unsealed."""
        key, beside = self._keys.newest(DataPurpose.RECORDS), self._beside(name)
        sealed = await asyncio.to_thread(seal_file, data, key)
        await asyncio.to_thread(_write, beside, sealed)
        self._after("written")
        return await self._unsealed(beside)

    async def put_in_place(self, name: str) -> None:
        """Give what was written beside its name."""
        await asyncio.to_thread(_rename, self._beside(name), self.path / name)
        self._after("named")

    def remove_beside(self, name: str) -> None:
        """Give up what was written beside."""
        self._beside(name).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete a file. None is no error."""
        (self.path / name).unlink(missing_ok=True)
        self.remove_beside(name)

    def tidy(self) -> None:
        """Remove what was left beside."""
        for leftover in self.path.glob(f".*{SEALED_SUFFIX}.partial"):
            leftover.unlink()

    async def read(self, row: ArchiveRow) -> bytes:
        """The evidence file inside. Raises EvidenceBroken when it is not the one that the row says."""
        for ended in (False, True):
            if ended:
                await self.put_in_place(row.name)
            data = await self._unsealed(self.path / row.name)
            if hashlib.sha256(data).digest() == row.sha256:
                return data
            if not self._beside(row.name).exists():
                break
        raise EvidenceBroken(
            "archive", f"{self.path / row.name} is another file than the one that was written"
        )

    async def rewrap(self, name: str, key_id: int) -> bool:
        """Put a file's key under this data key; whether it was not."""
        key, path, beside = self._keys.get(key_id), self.path / name, self._beside(name)
        sealed = await asyncio.to_thread(path.read_bytes)
        if key is None or key_id_of(sealed) == key_id:
            return False
        anew = rewrapped_file(sealed, Unsealer.of(self._keys), key)
        await asyncio.to_thread(_write, beside, anew)
        await asyncio.to_thread(_rename, beside, path)
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Raises OwnBusy while another process works on the folder."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / ".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OwnBusy("another process works on the archive folder: try again later") from None
            yield

    async def _unsealed(self, path: Path) -> bytes:
        return await asyncio.to_thread(lambda: Unsealer.of(self._keys)(path.read_bytes()))

    def _beside(self, name: str) -> Path:
        return self.path / f".{name}.partial"


def _write(path: Path, data: bytes) -> None:
    """On disk on return, readable by its owner only."""
    path.touch(mode=0o600)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _rename(beside: Path, path: Path) -> None:
    """Also on disk on return."""
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
