"""Bodies of records encrypted: `node.store.bodies.Bodies` on the data keys.

Each body is sealed under a random key that seals nothing else, so its nonce may be constant; that key is wrapped by the
newest ``records`` data key under a random nonce, and bound to this use. One call for randomness serves a whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag

from federation.errors import OwnKeyUnavailable, OwnRecordDamaged
from node.keystore.aead import CIPHERS, NONCE_BYTES
from node.keystore.data_keys import DataKeys, DataPurpose
from node.keystore.errors import KeystoreError
from node.store.bodies import IN_CLEAR, BodyLost, SealedBodies

__all__ = ["EncryptedBodies"]

_ONCE: Final = bytes(NONCE_BYTES)
_USE: Final = b"yrd-record-key-v1"


class EncryptedBodies:
    """Seals with the newest data key and opens with whichever was used; a body in clear is read as it is."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    def seal(self, bodies: Sequence[bytes]) -> SealedBodies:
        """As `Bodies.seal`."""
        try:
            key = self._keys.newest(DataPurpose.RECORDS)
        except KeystoreError as error:
            raise OwnKeyUnavailable(str(error)) from error
        assert key.cipher is not None
        wrap, (key_bytes, keyed) = key.cipher.encrypt, CIPHERS[key.row.algorithm]
        each = key_bytes + NONCE_BYTES
        random = os.urandom(each * len(bodies))
        wrapped, sealed = [], []
        for place, body in zip(range(0, len(random), each), bodies, strict=True):
            secret = random[place : place + key_bytes]
            nonce = random[place + key_bytes : place + each]
            wrapped.append(nonce + wrap(nonce, secret, _USE))
            sealed.append(keyed(secret).encrypt(_ONCE, body, None))
        return SealedBodies(key.key_id, wrapped, sealed)

    def renew(self) -> None:
        """As `Bodies.renew`. Raises OwnStoreUnavailable."""
        self._keys.reload_beside()

    def open(self, key_id: int, wrapped: bytes, sealed: bytes) -> bytes:
        """As `Bodies.open`. Raises OwnRecordDamaged; OwnStoreUnavailable when a data key cannot be looked for."""
        if key_id == IN_CLEAR:
            return sealed
        secret = self._secret(key_id, wrapped)
        keyed = _BY_LENGTH.get(len(secret))
        try:
            if keyed is not None:
                return keyed(secret).decrypt(_ONCE, sealed, None)
        except (InvalidTag, ValueError):
            pass
        raise OwnRecordDamaged("a body in the store was altered, or is not the one of its key")

    def rewrap(self, key_id: int, wrapped: bytes) -> tuple[int, bytes]:
        """The same record's key under the newest data key, with its number; the body stays as it is, in its cipher.

        Raises as `open`, and KeystoreError when there is no newest key.
        """
        newest = self._keys.newest(DataPurpose.RECORDS)
        assert newest.cipher is not None
        nonce = os.urandom(NONCE_BYTES)
        return newest.key_id, nonce + newest.cipher.encrypt(nonce, self._secret(key_id, wrapped), _USE)

    def _secret(self, key_id: int, wrapped: bytes) -> bytes:
        key = self._keys.find(key_id)
        if key is None or key.cipher is None:
            if fault := self._keys.faults.get(key_id):
                raise (BodyLost if key_id in self._keys.given_up else OwnRecordDamaged)(fault)
            raise OwnRecordDamaged(f"it names data key {key_id}, which the store does not have for records")
        try:
            return key.cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _USE)
        except (InvalidTag, ValueError):
            raise OwnRecordDamaged(
                f"the key of a record was altered, or is not under data key {key_id}"
            ) from None


_BY_LENGTH: Final = {kind.key_bytes: kind.keyed for kind in CIPHERS.values()}
"""Which cipher a body is in follows from its key, so that data keys of another one can wrap it."""
