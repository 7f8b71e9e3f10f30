"""The key-encryption key: one file, readable by the node's user only, that wraps every private key in the
store.

The file holds 32 random bytes in base64. Wrapping is AES-256-GCM (NIST SP 800-38D) with a random 96-bit
nonce; purpose and key id are authenticated with it, so that a row cannot be passed off as another's. Nothing
here ever shows key material: not in repr, not in errors.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KeyEncryptionKey", "KeystoreError"]

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_MOST_FILE_BYTES: Final = 1024


class KeystoreError(Exception):
    """The node's keys cannot be used; the text says which, why, and what to do."""


class KeyEncryptionKey:
    """Wraps and unwraps private keys."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise KeystoreError(f"a key-encryption key has {_KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key in a new file with mode 0600. Raises KeystoreError when the file exists."""
        key = os.urandom(_KEY_BYTES)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise KeystoreError(f"{path} cannot be made: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(descriptor)
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises KeystoreError: missing, readable by others, not a file, not 32 bytes in
        base64.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KeystoreError(
                f"the key-encryption key {path} cannot be read: {error.strerror}; without it no key of this"
                " node can be used, so restore it from its backup"
            ) from error
        try:
            _check_mode(path, os.fstat(descriptor).st_mode)
            text = os.read(descriptor, _MOST_FILE_BYTES)
        finally:
            os.close(descriptor)
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise KeystoreError(f"the key-encryption key {path} is not {_KEY_BYTES} bytes in base64")
        return cls(key)

    def wrap(self, secret: bytes, *, purpose: str, kid: str) -> bytes:
        """Version ‖ nonce ‖ ciphertext and tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, _bound_to(purpose, kid))

    def unwrap(self, wrapped: bytes, *, purpose: str, kid: str) -> bytes:
        """The inverse. Raises KeystoreError for another key, another purpose or key id, or altered bytes."""
        if wrapped[:1] != _VERSION:
            raise KeystoreError(
                f"key {kid} ({purpose}) was wrapped by another release: run that one, or newer"
            )
        nonce, sealed = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, _bound_to(purpose, kid))
        except (InvalidTag, ValueError):
            raise KeystoreError(
                f"key {kid} ({purpose}) cannot be unwrapped: the key-encryption key is not the one it was "
                "wrapped with, or the row was altered"
            ) from None

    def __repr__(self) -> str:
        return "KeyEncryptionKey(…)"


def _check_mode(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise KeystoreError(f"the key-encryption key {path} is not a regular file")
    if mode & 0o077:
        raise KeystoreError(
            f"the key-encryption key {path} has mode {stat.S_IMODE(mode):04o}, so that others can reach it:"
            f" chmod 600 {path}"
        )


def _bound_to(purpose: str, kid: str) -> bytes:
    return f"yrd-key-v1\x1f{purpose}\x1f{kid}".encode()
