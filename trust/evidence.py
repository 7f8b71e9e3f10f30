"""What proves an exchange afterwards: the leaf of a record, and the deterministic file that anyone can
check.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["LEAF_VERSION", "leaf_data", "record_bytes"]

LEAF_VERSION: Final = b"\x01"


def record_bytes(kind: int, recorded_at: int, envelope: bytes) -> bytes:
    """A record as the log's leaf commits to it: kind (1 byte), time (8 bytes, big endian, µs), envelope
    bytes.
    """
    return b"%c%b%b" % (kind, recorded_at.to_bytes(8, "big", signed=True), envelope)


def leaf_data(kind: int, recorded_at: int, envelope: bytes, salt: bytes) -> bytes:
    """Version ‖ SHA-256(salt ‖ record), 33 bytes (design §6): with the salt gone it says nothing of the
    record.
    """
    digest = hashlib.sha256(salt + record_bytes(kind, recorded_at, envelope)).digest()
    return LEAF_VERSION + digest
