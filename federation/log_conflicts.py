"""What a log did that no log may do, and what is told of it.

A conflict keeps the two signed things that contradict each other, each once. What proves something is what the log
signed: a fork. A tree that shrank or a proof that does not hold proves nothing alone, since requests to a witness are
not signed and anyone may send an old checkpoint again; so such a conflict alarms until the same log has shown that it
extends what the witness knew, or until an operator takes note.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from trust.checkpoint import read_checkpoint
from trust.errors import NoteRejected
from trust.note import read_note

__all__ = [
    "MOST_CONFLICTS_AN_HOUR",
    "MOST_PROVEN_AN_HOUR",
    "PROVEN_KINDS",
    "RESTART_TOLD",
    "UNTIL_EXTENDED",
    "Conflict",
    "ConflictKind",
    "ConflictStore",
    "conflict_of",
    "is_alarming",
    "size_of",
]

MOST_CONFLICTS_AN_HOUR: Final = 20
"""Kept of one entity and one kind of what anyone can bring about; more tell nothing new."""
MOST_PROVEN_AN_HOUR: Final = 1000
"""Likewise of what only the log itself can bring about. Nobody else can use it up."""
RESTART_TOLD: Final = timedelta(days=7)
"""How long it is told that a peer began its log anew."""


class ConflictKind(StrEnum):
    """What a log did. `own_*` are about this node's own log, `*_claimed` what a witness says and does not prove."""

    FORK = "fork"
    """Two signed roots for one size."""
    SHRUNK = "shrunk"
    """A signed checkpoint of a smaller tree than was cosigned."""
    BAD_PROOF = "bad_proof"
    """A signed checkpoint that was not shown to extend what was cosigned."""
    GENERATION = "generation"
    """A node that claims an earlier generation of its log than one that was cosigned."""
    RESTART = "restart"
    """A node that began its log anew: no history leads from the one before to this one."""
    OWN_AHEAD = "own_ahead"
    """A witness holds a checkpoint, signed by this node, that this node does not have."""
    OWN_FORK = "own_fork"
    """A witness holds a checkpoint, signed by this node, with another root than this node's tree of that size."""
    OWN_CLAIMED = "own_claimed"
    """A witness says that it knows more of this node's log, and shows nothing that this node signed."""
    RECORD_ALTERED = "record_altered"
    """Stored bytes are not those that were logged, or two logs hold different messages of one exchange."""
    RECORD_MISSING = "record_missing"
    """An exchange is in one log and not in the other's."""


UNTIL_EXTENDED: Final = frozenset({ConflictKind.SHRUNK, ConflictKind.BAD_PROOF})
"""What anyone can bring about with an old checkpoint; over once the same log extends what the witness knew."""
PROVEN_KINDS: Final = (
    ConflictKind.FORK,
    ConflictKind.OWN_FORK,
    ConflictKind.OWN_AHEAD,
    ConflictKind.GENERATION,
    ConflictKind.RESTART,
)
"""What takes the log's own signature, or its own configuration."""


class Conflict(Struct, frozen=True):
    """`known` and `offered` are signed notes, or empty. `digest` keeps the same conflict from being kept twice."""

    kind: ConflictKind
    entity_id: str
    origin: str
    at: datetime
    known: str
    offered: str
    detail: str
    digest: bytes
    number: int = 0
    acknowledged_at: datetime | None = None


def conflict_of(
    kind: ConflictKind, entity_id: str, origin: str, at: datetime, *, known: str, offered: str, detail: str
) -> Conflict:
    """A new conflict. What anyone can make happen again and again counts once for each state of what is known."""
    if kind in PROVEN_KINDS:  # whatever else is signed below a text, it is the same text
        shown = [note.partition("\n\n")[0] for note in (known, offered)]
    else:
        shown = [known, "" if kind in UNTIL_EXTENDED else offered]
    parts = [kind.value, entity_id, origin, *shown]
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return Conflict(kind, entity_id, origin, at, known, offered, detail, digest)


def size_of(note: str) -> int:
    """The tree size that a stored note tells; 0 for none."""
    try:
        return read_checkpoint(read_note(note.encode()).text).size
    except NoteRejected:
        return 0


def is_alarming(conflict: Conflict, sizes: Mapping[str, int], now: datetime) -> bool:
    """Whether somebody must still look. `sizes` are those cosigned last, by origin."""
    if conflict.acknowledged_at is not None:
        return False
    if conflict.kind in UNTIL_EXTENDED:
        return sizes.get(conflict.origin, 0) <= size_of(conflict.known)
    if conflict.kind is ConflictKind.RESTART:
        return now - conflict.at < RESTART_TOLD
    return True


class ConflictStore(Protocol):
    """Keeps conflicts. Every method raises OwnStoreUnavailable."""

    async def keep(self, conflict: Conflict) -> bool:
        """Keep a conflict; False when it is kept already, or the entity has had this kind's share of the hour."""
        ...

    async def unacknowledged(self, *, limit: int) -> Sequence[Conflict]:
        """Those of which no operator took note, newest first."""
        ...
