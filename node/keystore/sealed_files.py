"""Archive files, sealed as a whole: an evidence file under a key of its own, which a data key wraps.

``yrd-archive-1`` and a line feed ‖ number of the data key (4 bytes, big endian) ‖ length of the wrapped key (2) ‖
wrapped key ‖ AES-256-GCM ciphertext and tag. The key of the file seals nothing else, so its nonce may be constant; the
first line is authenticated with it. Rotation changes the header only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidTag

from node.keystore.aead import AES_256_GCM, CIPHERS, NONCE_BYTES
from node.keystore.data_keys import DataKey, DataKeys, DataPurpose
from trust.errors import EvidenceBroken

__all__ = ["SEALED", "SEALED_SUFFIX", "Unsealer", "is_sealed", "key_id_of", "rewrapped_file", "seal_file"]

SEALED: Final = "archive"
"""What an error names when the seal is wrong, rather than a part of the file inside."""
SEALED_SUFFIX: Final = ".zip.sealed"

_MAGIC: Final = b"yrd-archive-1\n"
_USE: Final = b"yrd-archive-key-v1"
_ONCE: Final = bytes(NONCE_BYTES)
_HEAD: Final = struct.Struct(">IH")


class _Parts(NamedTuple):
    """A sealed file, taken apart."""

    key_id: int
    wrapped: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Unsealer:
    """Opens sealed files, and can be handed to another process. `secrets`: algorithm and key by number."""

    secrets: Mapping[int, tuple[str, bytes]] = field(repr=False)

    @classmethod
    def of(cls, keys: DataKeys) -> Self:
        """With all keys for records and archives that are there now."""
        rows = keys.rows_of(DataPurpose.RECORDS)
        found: Iterable[DataKey | None] = (keys.get(row.key_id) for row in rows)
        return cls({one.key_id: (one.row.algorithm, one.secret) for one in found if one is not None})

    def __call__(self, data: bytes) -> bytes:
        """The evidence file inside. Raises EvidenceBroken: altered, cut off, or under a key that is not known here."""
        parts = _apart(data)
        secret = self.file_key(parts.key_id, parts.wrapped)
        try:
            return CIPHERS[AES_256_GCM].keyed(secret).decrypt(_ONCE, parts.sealed, _MAGIC)
        except (InvalidTag, ValueError):
            raise EvidenceBroken(SEALED, "the sealed file was altered or is cut off") from None

    def file_key(self, key_id: int, wrapped: bytes) -> bytes:
        """The key of one file. Raises EvidenceBroken."""
        if key_id not in self.secrets:
            raise EvidenceBroken(
                SEALED, f"it is under data key {key_id}, which this node's store does not have"
            )
        algorithm, secret = self.secrets[key_id]
        try:
            cipher = CIPHERS[algorithm].keyed(secret)
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _USE)
        except (InvalidTag, ValueError):
            raise EvidenceBroken(SEALED, f"its key was altered, or is not under data key {key_id}") from None


def seal_file(data: bytes, key: DataKey) -> bytes:
    """A sealed file under a new key."""
    secret = os.urandom(CIPHERS[AES_256_GCM].key_bytes)
    return _together(key, secret, CIPHERS[AES_256_GCM].keyed(secret).encrypt(_ONCE, data, _MAGIC))


def rewrapped_file(data: bytes, unsealer: Unsealer, key: DataKey) -> bytes:
    """The same file with its key under another data key; what is sealed stays byte for byte. Raises EvidenceBroken."""
    parts = _apart(data)
    return _together(key, unsealer.file_key(parts.key_id, parts.wrapped), parts.sealed)


def is_sealed(data: bytes) -> bool:
    """Whether it looks like a sealed file."""
    return data.startswith(_MAGIC)


def key_id_of(data: bytes) -> int:
    """The number of the data key that a file is under. Raises EvidenceBroken."""
    return _apart(data).key_id


def _together(key: DataKey, secret: bytes, sealed: bytes) -> bytes:
    assert key.cipher is not None
    nonce = os.urandom(NONCE_BYTES)
    wrapped = nonce + key.cipher.encrypt(nonce, secret, _USE)
    return _MAGIC + _HEAD.pack(key.key_id, len(wrapped)) + wrapped + sealed


def _apart(data: bytes) -> _Parts:
    start = len(_MAGIC) + _HEAD.size
    if not is_sealed(data) or len(data) < start:
        raise EvidenceBroken(SEALED, "it is no sealed archive file")
    key_id, length = _HEAD.unpack_from(data, len(_MAGIC))
    return _Parts(key_id, data[start : start + length], data[start + length :])
