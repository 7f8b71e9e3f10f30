"""The mark: what this machine signed last of the log, in a file outside the database.

A database that is restored from a backup, or a replica that lags, knows nothing of what was signed after it. The mark
does: with it the node notices before it writes or signs anything, and refuses to go on under the old generation.
It is written, and on disk, before the signature exists; so it never knows less than the world does.
"""

from __future__ import annotations

import os
import secrets
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
        self._path = path

    def read(self) -> LogMark | None:
        """The mark. A file that is there and says nothing is an error: nobody knows what was signed."""
        try:
            with self._path.open("rb") as file:
                data = file.read(_LARGEST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OwnStoreUnavailable(self._unusable("read", error)) from error
        try:
            mark = msgspec.json.decode(data, type=LogMark)
        except msgspec.MsgspecError:
            mark = None
        if mark is None or len(mark.root) != HASH_BYTES:
            raise LogBrokenError(f"the log's mark {self._path} is damaged, so nobody knows what was signed")
        return mark

    def write(self, mark: LogMark) -> None:
        """Replace the mark and wait for the disk."""
        # Replicas that share a folder must not write into each other's file.
        aside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            try:
                with open(aside, "xb", opener=_private) as file:
                    file.write(msgspec.json.encode(mark))
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(self._path)
                _sync_folder(self._path.parent)
            finally:
                aside.unlink(missing_ok=True)
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


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
