"""The mark: what this machine signed last of the log, in a file outside the database.

A database that is restored from a backup, or a replica that lags, knows nothing of what was signed after it. The mark
does: with it the node notices before it writes or signs anything, and refuses to go on under the old generation.
It is written, and on disk, before the signature exists; so it never knows less than the world does.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec

from federation.errors import OwnStoreUnavailable
from node.store.generations import LogBrokenError
from trust.merkle import HASH_BYTES

__all__ = ["MARK_FILE", "FileMark", "LogMark", "MarkFile", "NoMark"]

MARK_FILE: Final = "log.mark"
"""Its name, beside the node's configuration."""

_LARGEST_BYTES = 1000


class LogMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Generation, size and root of the last checkpoint that was signed here."""

    generation: int
    size: int
    root: bytes


_READ: Final = msgspec.json.Decoder(LogMark)


class MarkFile(Protocol):
    """Where the mark is kept."""

    def read(self) -> LogMark | None:
        """The mark; None when nothing was signed here yet.

        Raises OwnStoreUnavailable when it cannot be read, LogBrokenError when it says nothing.
        """
        ...

    def write(self, mark: LogMark) -> None:
        """Replace the mark. On disk on return; raises OwnStoreUnavailable, with the old one in place."""
        ...


class FileMark:
    """A file of mode 0600 that is replaced in one step."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._folder = str(path.parent)

    def read(self) -> LogMark | None:
        """The mark. A file that is there and says nothing is an error: nobody knows what was signed."""
        try:
            data = _read(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OwnStoreUnavailable(self._unusable("read", error)) from error
        try:
            mark = _READ.decode(data)
        except msgspec.MsgspecError:
            mark = None
        if mark is None or len(mark.root) != HASH_BYTES:
            raise LogBrokenError(f"the log's mark {self._path} is damaged, so nobody knows what was signed")
        return mark

    def write(self, mark: LogMark) -> None:
        """Replace the mark and wait for the disk."""
        # Replicas that share a folder must not write into each other's file.
        aside = f"{self._path}.{secrets.token_hex(4)}"
        try:
            try:
                _write(aside, msgspec.json.encode(mark))
                Path(aside).replace(self._path)
            except BaseException:
                with suppress(OSError):
                    Path(aside).unlink()
                raise
            _sync(self._folder)
        except OSError as error:
            raise OwnStoreUnavailable(self._unusable("written", error)) from error

    def _unusable(self, what: str, error: OSError) -> str:
        return f"the log's mark {self._path} cannot be {what} ({error.strerror}), so nothing is signed"


class NoMark:
    """No mark: for a store that is looked at from elsewhere than the node's folder."""

    def read(self) -> LogMark | None:
        """None."""
        return None

    def write(self, mark: LogMark) -> None:
        """Nothing."""


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _LARGEST_BYTES)
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes) -> None:
    """A new file, on disk on return."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
