"""SM2 in tests: a machine without it, keys from their numbers, and the openssl command as the other side."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trust import sm2
from trust.keys import VerificationKey

__all__ = ["openssl", "private_pem_of", "without_sm2"]

_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")


@contextmanager
def without_sm2(library: str = "libcrypto-that-is-not-there.so.3") -> Iterator[None]:
    """As on a machine whose libcrypto is `library`. Key objects that were made before go on working."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sm2, "_LIBRARY", library)
        patch.setattr("ctypes.util.find_library", lambda _: None)
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    """The library, and the keys that are remembered with it."""
    sm2._crypto.cache_clear()
    VerificationKey._of.cache_clear()


def private_pem_of(number: int, x: int, y: int) -> bytes:
    """The PKCS#8 PEM (RFC 5958, RFC 5915) of these three numbers, whether or not they fit each other."""
    secret, *point = (value.to_bytes(32, "big") for value in (number, x, y))
    key = bytes.fromhex("306b0201010420") + secret + bytes.fromhex("a14403420004") + b"".join(point)
    der = bytes.fromhex("308187020100") + _ALGORITHM + b"\x04\x6d" + key
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n"


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """The openssl command, whatever comes of it."""
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False)
