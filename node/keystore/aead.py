"""The ciphers that bodies and their keys are encrypted with, behind one interface.

AES-256-GCM (NIST SP 800-38D) by default; SM4-GCM (GB/T 32907-2016 in that mode, RFC 8998 §2) where it is asked for,
at about six times the processor time. Both: 12 bytes of nonce, 16 of tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "AES_256_GCM",
    "CIPHERS",
    "NONCE_BYTES",
    "SM4_GCM",
    "TAG_BYTES",
    "Aead",
    "CipherKind",
    "is_available",
]

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

AES_256_GCM: Final = "aes-256-gcm"
SM4_GCM: Final = "sm4-gcm"


class Aead(Protocol):
    """One key of one cipher."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Ciphertext and tag. A nonce is used once with a key."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The inverse. Raises InvalidTag for other bytes, another key, nonce or associated data."""
        ...


class _Sm4Gcm:
    """SM4 in Galois/Counter mode, as `AESGCM` has it for AES."""

    def __init__(self, key: bytes) -> None:
        self._cipher = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        encryptor = Cipher(self._cipher, modes.GCM(nonce)).encryptor()
        if associated_data:
            encryptor.authenticate_additional_data(associated_data)
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        if len(data) < TAG_BYTES:
            raise InvalidTag
        mode = modes.GCM(nonce, data[-TAG_BYTES:])
        decryptor = Cipher(self._cipher, mode).decryptor()
        if associated_data:
            decryptor.authenticate_additional_data(associated_data)
        return decryptor.update(data[:-TAG_BYTES]) + decryptor.finalize()


class CipherKind(NamedTuple):
    """A cipher by the length of its keys and how one becomes an `Aead`."""

    key_bytes: int
    keyed: Callable[[bytes], Aead]


CIPHERS: Final[Mapping[str, CipherKind]] = MappingProxyType(
    {AES_256_GCM: CipherKind(32, AESGCM), SM4_GCM: CipherKind(16, _Sm4Gcm)}
)
"""By the name that the configuration and the rows of data keys have for them."""


def is_available(name: str) -> bool:
    """Whether this machine's OpenSSL can encrypt with a cipher: one built without SM4 cannot."""
    key_bytes, keyed = CIPHERS[name]
    try:
        keyed(bytes(key_bytes)).encrypt(bytes(NONCE_BYTES), b"", None)
    except UnsupportedAlgorithm:
        return False
    return True
