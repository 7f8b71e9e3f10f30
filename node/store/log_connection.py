"""What the journal's own connection does, and the statements that both drivers speak, with tuples.

Straight on the driver: SQLAlchemy's expression layer costs a tenth there (design §9). Each driver says what follows
from its errors: when the store as a whole cannot take anything, the batch fails and the next one starts over with a
new connection; everything else is about a row, and the batch is taken apart to find which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol

__all__ = [
    "ADD_LABEL",
    "BODY",
    "FINISH",
    "HOLDER",
    "HOLDER_LATER",
    "LABEL",
    "LOOK",
    "NEXT",
    "NOWHERE",
    "RECORD",
    "RELEASE",
    "STATEMENTS_KEPT",
    "TAKE",
    "TAKE_OVER",
    "ClaimRow",
    "Insert",
    "LogConnection",
    "Place",
    "Row",
]

STATEMENTS_KEPT: Final = 256
"""How many of the journal's statements stay compiled: its five inserts in all their lengths, and some others."""

Row = tuple[Any, ...]


class ClaimRow(NamedTuple):
    """A claim, and with it the first answer's body as it is stored, when it is finished and not forgotten."""

    identity: bytes
    state: int
    owner: str
    key_id: int | None
    wrapped: bytes | None
    sealed: bytes | None


class Place(NamedTuple):
    """Where the next record goes: the open generation and the log index; `halted` says why nowhere. Under data keys
    older than `oldest_key` nothing new may lie: they are retired, and dropped any time.
    """

    generation: int
    log_index: int
    halted: str
    oldest_key: int = 0


NOWHERE: Final = Place(0, 0, "")
"""The place in a transaction that stores no record."""


class Insert(NamedTuple):
    """An insert of many rows in one statement, since each statement is a way to the database and back: to a server, or
    into SQLite, where the other thread waits for it twice.
    """

    head: str
    width: int
    tail: str = ""

    def in_pieces(self, rows: Sequence[Row]) -> Iterator[tuple[str, list[Any]]]:
        """Statements with their parameters, of not too many lengths, so that they stay compiled."""
        done = 0
        for size in _SIZES:
            while len(rows) - done >= size:
                yield _statement(self, size), list(chain.from_iterable(rows[done : done + size]))
                done += size


@lru_cache(maxsize=STATEMENTS_KEPT)
def _statement(insert: Insert, size: int) -> str:
    row = "(" + ",".join("?" * insert.width) + ")"
    return f"{insert.head} VALUES {','.join([row] * size)}{insert.tail}"


_SIZES: Final = (128, 64, 48, 40, *range(32, 0, -1))
"""Every usual length of a batch is one statement: each further one is a way into the database and back."""

RECORD: Final = Insert(
    "INSERT INTO records (log_index, generation, kind, label, request_id, case_number, recorded_at,"
    " identity, leaf, key_id, wrapped)",
    11,
)
BODY: Final = Insert("INSERT INTO bodies (log_index, sealed)", 2)
HOLDER: Final = Insert("INSERT INTO holders (segment, holder, log_index)", 3, " ON CONFLICT DO NOTHING")
# In `kind`, 1 is ASKED_REQUEST: an answer's holders belong to the request that was stored before it.
HOLDER_LATER: Final = (
    "INSERT INTO holders (segment, holder, log_index) SELECT log_index / ?, ?, log_index FROM records"
    " WHERE request_id = ? AND kind = 1 ON CONFLICT DO NOTHING"
)
LABEL: Final = (
    "SELECT label FROM labels WHERE kind = ? AND asking = ? AND answering = ? AND operation = ?"
    " AND outcome = ? AND client = ?"
)
ADD_LABEL: Final = (
    "INSERT INTO labels (kind, asking, answering, operation, outcome, client) VALUES (?,?,?,?,?,?)"
    " RETURNING label"
)
# In `state`, 1 is CLAIM_WORKING and 2 CLAIM_FINISHED.
FINISH: Final = Insert(
    "INSERT INTO claims (state, lease_until, asking, request_id, identity, owner, answer)",
    7,
    " ON CONFLICT (asking, request_id) DO UPDATE SET state = 2, answer = excluded.answer"
    " WHERE claims.state = 1 AND claims.identity = excluded.identity",
)
TAKE: Final = Insert(
    "INSERT INTO claims (state, asking, request_id, identity, lease_until, owner)",
    6,
    " ON CONFLICT (asking, request_id) DO NOTHING",
)
TAKE_OVER: Final = (
    "UPDATE claims SET lease_until = ?, owner = ?"
    " WHERE asking = ? AND request_id = ? AND state = 1 AND lease_until <= ?"
)
RELEASE: Final = "DELETE FROM claims WHERE asking = ? AND request_id = ? AND state = 1 AND owner LIKE ?"
LOOK: Final = (
    "SELECT c.identity, c.state, c.owner, r.key_id, r.wrapped, b.sealed FROM claims c"
    " LEFT JOIN records r ON r.log_index = c.answer LEFT JOIN bodies b ON b.log_index = c.answer"
    " WHERE c.asking = ? AND c.request_id = ?"
)


# An index is never given twice, also when the newest records are in an archive only.
NEXT: Final = (
    "SELECT generation, GREATEST(first_index,"
    " (SELECT coalesce(max(log_index) + 1, 0) FROM records),"
    " (SELECT coalesce(max(last_index) + 1, 0) FROM archives)), halted,"
    " (SELECT coalesce(min(key_id), 0) FROM data_keys WHERE purpose = 'records' AND retired_at IS NULL)"
    " FROM log_generations ORDER BY generation DESC LIMIT 1"
)
"""The `Place` of the next record. `GREATEST` is PostgreSQL's word; SQLite's is ``max``."""


class LogConnection(Protocol):
    """One synchronous connection, used by one thread."""

    def is_unavailable(self, error: Exception) -> bool:
        """Whether the store as a whole cannot take anything now, rather than one row of the batch."""
        ...

    def begin(self, *, durable: bool) -> Place:
        """Begin a transaction; a durable one is on disk when it commits, and gets the next place (else NOWHERE)."""
        ...

    def label(self, label: Row) -> int:
        """The number of a label, which is made when there is none; in a durable transaction only."""
        ...

    def add_records(self, records: Sequence[Row], bodies: Sequence[Row]) -> None:
        """Rows in the order of the columns of `records` and of `bodies`."""
        ...

    def add_holders(self, rows: Sequence[Row], later: Sequence[Row]) -> None:
        """(segment, hash, log index); (size of a segment, hash, request id) for those that came with an answer."""
        ...

    def finish_claims(self, rows: Sequence[Row]) -> int:
        """(2, 0, asking, request_id, identity, owner, answer); how many claims are finished by it."""
        ...

    def take_claims(self, rows: Sequence[Row]) -> int:
        """(1, asking, request_id, identity, lease_until, owner); how many were free."""
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
