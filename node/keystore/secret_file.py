"""Reading a small file that holds a secret: only when nobody but its owner can reach it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from node.keystore.errors import KeystoreError

__all__ = ["read_secret_file"]


def read_secret_file(path: Path, what: str, *, most_bytes: int) -> bytes:
    """The bytes of the file. `what` names it in errors.

    Raises KeystoreError: missing or not readable, not a regular file, of a mode that lets others reach it, more
    than `most_bytes`.
    """
    try:
        # Not to wait for a writer when the path is a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeystoreError(f"the {what} {path} cannot be read: {error.strerror}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeystoreError(f"the {what} {path} is not a regular file")
        if mode & 0o077:
            raise KeystoreError(
                f"the {what} {path} has mode {stat.S_IMODE(mode):04o}, so that others can reach it:"
                f" chmod 600 {path}"
            )
        data = os.read(descriptor, most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        raise KeystoreError(f"the {what} {path} has more than {most_bytes} bytes")
    return data
