"""A SQLite whose files can lose power: a VFS that remembers what was synced, and nothing else.

SQLite reaches its files through a VFS (https://www.sqlite.org/vfs.html). `install` registers one, as the
default of this process, that passes everything to the real one and, when a file was synced, keeps a copy of
its content. What `PowerCut.image` gives is what a machine would find after a power cut at that moment: every
write since the last sync of its file is gone. The shared-memory index is left out, as it would be.

For a process of its own: the callbacks must outlive every connection.
"""

from __future__ import annotations

import _sqlite3
import ctypes as c
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["PowerCut", "install"]

_VFS_NAME = b"power-cut"
_SQLITE_OK = 0


class _Methods(c.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("iVersion", c.c_int),
        ("xClose", c.c_void_p),
        ("xRead", c.c_void_p),
        ("xWrite", c.c_void_p),
        ("xTruncate", c.c_void_p),
        ("xSync", c.c_void_p),
        ("rest", c.c_void_p * 13),
    )


class _File(c.Structure):
    """sqlite3_file; what follows belongs to the real VFS."""

    _fields_ = (("pMethods", c.POINTER(_Methods)),)


class _Vfs(c.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("iVersion", c.c_int),
        ("szOsFile", c.c_int),
        ("mxPathname", c.c_int),
        ("pNext", c.c_void_p),
        ("zName", c.c_char_p),
        ("pAppData", c.c_void_p),
        ("xOpen", c.c_void_p),
        ("rest", c.c_void_p * 14),
    )


# The name is passed on as the pointer that SQLite gave: the real VFS keeps it, and builds the name of the
# shared-memory index from it later.
_Open = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.POINTER(_File), c.c_int, c.c_void_p)
_Sync = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int)


class PowerCut:
    """What is on disk for certain, by file name."""

    def __init__(self) -> None:
        self._synced: dict[Path, bytes] = {}
        self._paths: dict[int, Path] = {}
        self._kept: list[Any] = []

    def image(self) -> dict[str, bytes]:
        """Every file as it was when it was last synced."""
        return {path.name: content for path, content in self._synced.items()}

    def restore(self, image: dict[str, bytes], directory: Path) -> None:
        """Lay an image out in an empty directory."""
        for name, content in image.items():
            (directory / name).write_bytes(content)

    def note_sync(self, address: int) -> None:
        """Called after the real sync has returned."""
        path = self._paths[address]
        self._synced[path] = path.read_bytes()
        # A file system's own journal keeps the order: an unlink before a sync is on disk after it.
        self._synced = {path: content for path, content in self._synced.items() if path.exists()}

    def wrap(self, file: Any, name: bytes) -> None:
        """Put our sync in front of the real one, for one open file."""
        path = Path(name.decode())
        self._paths[c.addressof(file.contents)] = path
        methods = _Methods.from_buffer_copy(file.contents.pMethods.contents)
        real = _Sync(methods.xSync)

        def sync(address: int, flags: int) -> int:
            result = int(real(address, flags))
            if result == _SQLITE_OK:
                self.note_sync(address)
            return result

        callback = _Sync(sync)
        methods.xSync = c.cast(callback, c.c_void_p).value
        self._kept += [methods, callback]
        file.contents.pMethods = c.pointer(methods)

    def keep(self, *objects: Any) -> None:
        """SQLite holds pointers to these for as long as the process lives."""
        self._kept += objects


def install() -> PowerCut:
    """Make every SQLite connection of this process from now on lose what is not synced.

    Raises RuntimeError when this Python's SQLite cannot be reached.
    """
    library = _library()
    find = library.sqlite3_vfs_find
    find.restype, find.argtypes = c.POINTER(_Vfs), [c.c_char_p]
    real = find(None)
    real_open: Callable[..., int] = _Open(real.contents.xOpen)
    cut = PowerCut()

    def open_file(_vfs: int, name: int | None, file: Any, flags: int, flags_out: int) -> int:
        result = int(real_open(c.addressof(real.contents), name, file, flags, flags_out))
        if result == _SQLITE_OK and name and file.contents.pMethods:
            cut.wrap(file, c.string_at(name))
        return result

    callback = _Open(open_file)
    ours = _Vfs.from_buffer_copy(real.contents)
    ours.zName, ours.pNext = _VFS_NAME, None
    ours.xOpen = c.cast(callback, c.c_void_p).value
    cut.keep(ours, callback, real_open)
    if library.sqlite3_vfs_register(c.byref(ours), 1) != _SQLITE_OK:
        raise RuntimeError("SQLite did not take the VFS")
    return cut


def _library() -> c.CDLL:
    """The SQLite that the sqlite3 module uses: linked to it, or built into the interpreter."""
    for path in (getattr(_sqlite3, "__file__", None), None):
        library = c.CDLL(path)
        if hasattr(library, "sqlite3_vfs_find"):
            return library
    raise RuntimeError("this Python's SQLite does not show sqlite3_vfs_find")
