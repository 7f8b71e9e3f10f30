"""Keyed hashes by which the log finds a holder again: HMAC-SHA-256 under a data key, cut to 16 bytes.

A hash begins with the number of its key, so that after a rotation a search tries the key of each. Without the key a
hash tells nothing, although citizen numbers could all be tried.
"""

from __future__ import annotations

import hmac
import unicodedata
from typing import Final

from node.keystore.data_keys import DataKey, DataKeys, DataPurpose

__all__ = ["HASH_BYTES", "HolderHashes"]

_KEY_ID_BYTES: Final = 2
_MAC_BYTES: Final = 16
HASH_BYTES: Final = _KEY_ID_BYTES + _MAC_BYTES


class HolderHashes:
    """Implements `federation.ports.HolderHash`."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    def __call__(self, id_type: str, number: str) -> bytes:
        """The hash under the key of now. Raises KeystoreError when there is none."""
        return _hash(self._keys.newest(DataPurpose.HOLDERS), id_type, number)

    def to_search(self, id_type: str, number: str) -> tuple[bytes, ...]:
        """The hashes under all live keys, for a search. Empty when there are none."""
        return tuple(_hash(key, id_type, number) for key in self._keys.live(DataPurpose.HOLDERS))


def _hash(key: DataKey, id_type: str, number: str) -> bytes:
    # One person however the number was typed: full-width digits, spaces, a small x at its end.
    normal = "".join(unicodedata.normalize("NFKC", number).upper().split())
    mac = hmac.digest(key.secret, f"yrd-holder-v1\x1f{id_type}\x1f{normal}".encode(), "sha256")
    return key.key_id.to_bytes(_KEY_ID_BYTES) + mac[:_MAC_BYTES]
