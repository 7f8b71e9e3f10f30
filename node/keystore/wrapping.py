"""The key-encryption key: one file, readable by the node's user only, that wraps every private key in the
store (`node.keystore.key_file` has its forms).

Wrapping is AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce; purpose and key id are authenticated with
it, so that a row cannot be passed off as another's. Nothing here ever shows key material: not in repr, not in
errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.keystore.errors import KeystoreError
from node.keystore.key_file import KEY_BYTES, Passphrase, new_key_file, read_key_file, read_passphrase

__all__ = ["KeyEncryptionKey", "KeystoreError"]

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12


class KeyEncryptionKey:
    """Wraps and unwraps private keys."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise KeystoreError(f"a key-encryption key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key in a new file with mode 0600, plain. Raises KeystoreError when the file exists."""
        return cls(new_key_file(path))

    @classmethod
    def load(cls, path: Path, passphrase: Passphrase = lambda: read_passphrase(None)) -> Self:
        """Read the file; `passphrase` is asked only when the file is protected by one, the environment's without.

        Raises KeystoreError: missing, readable by others, not a file, of no known form, a wrong passphrase.
        """
        return cls(read_key_file(path, passphrase))

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


def _bound_to(purpose: str, kid: str) -> bytes:
    return f"yrd-key-v1\x1f{purpose}\x1f{kid}".encode()
