"""What rows of logins say about citizens, encrypted: `federation.login.ports.Seal` on the data keys.

Number of the data key (4 bytes, big endian) ‖ nonce ‖ ciphertext and tag. Each context (table and key of a row) has a
key of its own, made from the ``logins`` data key by HMAC-SHA-256: what is sealed for one row opens in no other, and
random nonces never come near the limit of one key (NIST SP 800-38D §8.3: 2^32), however many rows there are.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Final

from cryptography.exceptions import InvalidTag

from federation.errors import OwnKeyUnavailable, OwnRecordDamaged
from node.keystore.aead import CIPHERS, NONCE_BYTES, Aead
from node.keystore.data_keys import DataKey, DataKeys, DataPurpose
from node.keystore.errors import KeystoreError

__all__ = ["LoginSeal"]

_USE: Final = b"yrd-login-v1\0"
_HEAD: Final = struct.Struct(">I")


class LoginSeal:
    """Seals under the newest data key for logins and opens under whichever was used."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    def seal(self, context: str, plain: bytes) -> bytes:
        """As `Seal.seal`. Raises OwnKeyUnavailable when there is no key that opens."""
        try:
            key = self._keys.newest(DataPurpose.LOGINS)
        except KeystoreError as error:
            raise OwnKeyUnavailable(str(error)) from error
        nonce = os.urandom(NONCE_BYTES)
        return _HEAD.pack(key.key_id) + nonce + _cipher(key, context).encrypt(nonce, plain, None)

    def open(self, context: str, sealed: bytes) -> bytes:
        """As `Seal.open`. Raises OwnRecordDamaged: altered, of another row, or under a key that is not here;
        OwnStoreUnavailable when that key cannot be looked for.
        """
        start = _HEAD.size + NONCE_BYTES
        if len(sealed) < start:
            raise OwnRecordDamaged("a row of a login is cut off")
        key_id = _HEAD.unpack_from(sealed)[0]
        key = self._keys.find(key_id)
        if key is None or key.row.purpose != DataPurpose.LOGINS:
            fault = self._keys.faults.get(key_id)
            raise OwnRecordDamaged(
                fault or f"a row of a login names data key {key_id}, which the store does not have for logins"
            )
        try:
            return _cipher(key, context).decrypt(sealed[_HEAD.size : start], sealed[start:], None)
        except (InvalidTag, ValueError):
            raise OwnRecordDamaged(
                "a row of a login was altered in the store, or belongs to another one"
            ) from None


def _cipher(key: DataKey, context: str) -> Aead:
    kind = CIPHERS[key.row.algorithm]
    # Not `hmac.digest`: that lets go of the interpreter, for a text that is hashed sooner than it is had again.
    made = hmac.new(key.secret, _USE + context.encode(), "sha256").digest()
    return kind.keyed(made[: kind.key_bytes])
