"""The statements that this node's picture of the federation is made of: how they are fetched and kept.

Ports of `trust_sync`, which is their one user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

__all__ = [
    "Denial",
    "Fetched",
    "StatementKind",
    "StatementMissing",
    "StatementSource",
    "StatementUnavailable",
    "StoredStatement",
    "TrustStore",
]


class StatementKind(StrEnum):
    """The third part of a statement's key (iss, sub, kind)."""

    CONFIGURATION = "entity-configuration"
    SUBORDINATE = "subordinate-statement"
    STATUS = "trust-status"
    ROLL_OVERS = "roll-overs"
    """The anchor's, all in one document; `mark` is the number of the last."""
    HISTORICAL_KEYS = "historical-keys"
    """A node's list of its former keys, by itself; only the newest is kept."""


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """One verified statement as it lies in the store, one row per (iss, sub, kind).

    `mark` is the number that may never go down for this key: `iat` of a statement, `sequence` of a status, how
    many roll-overs there are.
    `etag` is what the source gave for a conditional GET, or empty. `seen_at` is when this token was first
    seen.
    """

    iss: str
    sub: str
    kind: StatementKind
    token: str
    mark: int
    etag: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Denial:
    """A peer that this node's operator does not trust, whatever the anchor says."""

    entity_id: str
    reason: str
    denied_at: datetime


class TrustStore(Protocol):
    """Where statements, their rollback marks and local denials are kept; replicas share it.

    Every method raises OwnStoreUnavailable when the store cannot be used.
    """

    async def load_statements(self) -> Sequence[StoredStatement]:
        """All statements, also expired ones and those of former members: their marks still count."""
        ...

    async def save_statement(self, statement: StoredStatement) -> None:
        """Insert or replace the row of (iss, sub, kind) unless that would lower its mark, in one statement.

        Raises trust.errors.StatementRolledBack when the stored mark is higher. An equal mark replaces the
        row of a statement; a status and roll-overs keep the token that was first. Safe to repeat.
        """
        ...

    async def drop_statement(self, statement: StoredStatement) -> None:
        """Remove the row of (iss, sub, kind) with its mark, if it still is this very one.

        Only for a row whose mark binds nobody: from the future, as a clock was wrong when it was taken in; of an
        anchor that was replaced; signed with a status key that was taken back.
        """
        ...

    async def load_denials(self) -> Sequence[Denial]:
        """All denials of now."""
        ...

    async def deny(self, denial: Denial) -> None:
        """Add or replace the denial of an entity."""
        ...

    async def allow(self, entity_id: str) -> None:
        """Take back the denial of an entity; none is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source gave. `body` is None when it said that nothing changed since `etag`."""

    body: bytes | None
    etag: str


class StatementUnavailable(Exception):
    """A statement could not be had: its source is away, too slow, or gives something else or too much."""


class StatementMissing(StatementUnavailable):
    """The source answers, and has no such document."""


class StatementSource(Protocol):
    """Gets statements from where they are served."""

    async def fetch(self, url: str, *, etag: str, max_bytes: int, timeout_s: float) -> Fetched:
        """One conditional GET; `etag` empty: unconditional.

        Raises StatementMissing for 404, else StatementUnavailable: not reachable, too slow, not 200 or 304,
        longer than `max_bytes` (never read whole).
        """
        ...
