"""What of a record is kept apart from it: its body, salt and envelope in one, as `bodies` holds it.

A body is sealed under a key that no other record has, and that key is wrapped by a data key. So rotation wraps
keys anew and touches no body, and without its key a body says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from federation.errors import OwnRecordDamaged

__all__ = [
    "IN_CLEAR",
    "SALT_BYTES",
    "Bodies",
    "Body",
    "BodyLost",
    "ClearBodies",
    "SealedBodies",
    "split_body",
]

SALT_BYTES: Final = 16

IN_CLEAR: Final = 0
"""The `key_id` of a body that is not encrypted: no data key has it."""


class Body(NamedTuple):
    """What the leaf commits to, beside kind and time. Both are empty when the record was forgotten."""

    salt: bytes
    envelope: bytes


class SealedBodies(NamedTuple):
    """Bodies as they are stored, in the order they were given; `wrapped` are the keys of `sealed`."""

    key_id: int
    wrapped: Sequence[bytes]
    sealed: Sequence[bytes]


class BodyLost(OwnRecordDamaged):
    """The body lies under a data key that was given up: nobody can read it any more, and nothing says that it was
    altered. To readers it is as if it had been forgotten.
    """


class Bodies(Protocol):
    """Seals and opens bodies. Called in the writer's thread and on the event loop."""

    def seal(self, bodies: Sequence[bytes]) -> SealedBodies:
        """Each under a new key of its own. Raises OwnKeyUnavailable when there is no data key to wrap it with."""
        ...

    def renew(self) -> None:
        """Read the data keys anew, since one that was sealed with is retired. Waits for the store."""
        ...

    def open(self, key_id: int, wrapped: bytes, sealed: bytes) -> bytes:
        """The body. Raises OwnRecordDamaged when it, or its key, was altered or is not that of this data key; BodyLost
        when that data key was given up.
        """
        ...


class ClearBodies:
    """Bodies as they are: for a store without data keys, and for the rows from before there were any."""

    def seal(self, bodies: Sequence[bytes]) -> SealedBodies:
        """As they are, with no key."""
        return SealedBodies(IN_CLEAR, [b""] * len(bodies), bodies)

    def renew(self) -> None:
        """There is nothing to read anew."""

    def open(self, key_id: int, wrapped: bytes, sealed: bytes) -> bytes:
        """As it is. Raises OwnRecordDamaged for one that is encrypted."""
        if key_id != IN_CLEAR:
            raise OwnRecordDamaged(
                f"the body is encrypted under data key {key_id}, and no data keys are open"
            )
        return sealed


def split_body(body: bytes) -> Body:
    """A body's two parts. Raises OwnRecordDamaged when it is too short to have both."""
    if len(body) < SALT_BYTES:
        raise OwnRecordDamaged("a body in the store is shorter than its salt: the row was altered")
    return Body(body[:SALT_BYTES], body[SALT_BYTES:])
