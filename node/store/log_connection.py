"""What the journal's own connection does, and the statements that both drivers speak, with tuples.

Straight on the driver: SQLAlchemy's expression layer costs a tenth there (design §9). Each driver says what follows
from its errors: when the store as a whole cannot take anything, the batch fails and the next one starts over with a
new connection; everything else is about a row, and the batch is taken apart to find which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

__all__ = [
    "FINISH",
    "LOOK",
    "NEXT",
    "RECORD",
    "RELEASE",
    "TAKE",
    "TAKE_OVER",
    "ClaimRow",
    "LogConnection",
    "Row",
]

Row = tuple[Any, ...]
ClaimRow = tuple[bytes, int, str, bytes | None]
"""identity, state, owner, and the first answer's envelope when finished."""

RECORD: Final = (
    "INSERT INTO records (log_index, generation, kind, request_id, asking, answering, operation,"
    " outcome, client, case_number, recorded_at, identity, envelope, salt, leaf)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
# In `state`, 1 is CLAIM_WORKING and 2 CLAIM_FINISHED.
FINISH: Final = (
    "INSERT INTO claims (asking, request_id, identity, state, lease_until, owner, answer)"
    " VALUES (?,?,?,2,0,?,?) ON CONFLICT (asking, request_id) DO UPDATE"
    " SET state = 2, answer = excluded.answer"
    " WHERE claims.state = 1 AND claims.identity = excluded.identity"
)
TAKE: Final = (
    "INSERT INTO claims (asking, request_id, identity, state, lease_until, owner) VALUES (?,?,?,1,?,?)"
    " ON CONFLICT (asking, request_id) DO NOTHING"
)
TAKE_OVER: Final = (
    "UPDATE claims SET lease_until = ?, owner = ?"
    " WHERE asking = ? AND request_id = ? AND state = 1 AND lease_until <= ?"
)
RELEASE: Final = "DELETE FROM claims WHERE asking = ? AND request_id = ? AND state = 1 AND owner LIKE ?"
LOOK: Final = (
    "SELECT c.identity, c.state, c.owner, r.envelope FROM claims c"
    " LEFT JOIN records r ON r.log_index = c.answer WHERE c.asking = ? AND c.request_id = ?"
)
NEXT: Final = "SELECT coalesce(max(log_index) + 1, 0) FROM records"


class LogConnection(Protocol):
    """One synchronous connection, used by one thread."""

    def is_unavailable(self, error: Exception) -> bool:
        """Whether the store as a whole cannot take anything now, rather than one row of the batch."""
        ...

    def begin(self, *, durable: bool) -> int:
        """Begin a transaction; a durable one is on disk when it commits, and gets the next log index (else
        0).
        """
        ...

    def add_records(self, rows: Sequence[Row]) -> None:
        """Rows in the order of the columns of `records`."""
        ...

    def finish_claims(self, rows: Sequence[Row]) -> int:
        """(asking, request_id, identity, owner, answer); how many claims are finished by it."""
        ...

    def take_claims(self, rows: Sequence[Row]) -> int:
        """(asking, request_id, identity, lease_until, owner); how many were free."""
        ...

    def take_over(self, row: Row) -> bool:
        """(lease_until, owner, asking, request_id, now): whether the lease had run out and is ours now."""
        ...

    def release_claims(self, rows: Sequence[Row]) -> None:
        """(asking, request_id, owner pattern)."""
        ...

    def look(self, asking: str, request_id: str) -> ClaimRow | None:
        """The claim as it is inside this transaction."""
        ...

    def commit(self) -> None:
        """On return of a durable transaction all of it is on disk."""
        ...

    def rollback(self) -> None:
        """Undo."""
        ...

    def close(self) -> None:
        """Never raises."""
        ...
