"""What the platform API needs from the rest of the node, by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from federation.ask import AskCommand, AskResult
from federation.peers import TrustSnapshot
from federation.ports import StoredRecord

__all__ = [
    "Asker",
    "Clients",
    "EvidenceExporter",
    "IdempotencyKeys",
    "KeyState",
    "KeyVerdict",
    "PlatformClient",
    "Records",
    "Replays",
    "Secrets",
]


class Asker(Protocol):
    """Asks other provinces: `federation.ask.Asker`."""

    def new_request_id(self) -> str:
        """A fresh UUIDv7."""
        ...

    def peers(self) -> TrustSnapshot:
        """Who can be asked, and as of when."""
        ...

    async def ask(self, command: AskCommand) -> AskResult:
        """The verified and stored answer in the platform's own words. Raises the vocabulary's errors."""
        ...

    async def fetch(self, request_id: str, *, client: str, timeout_s: float = 5.0) -> AskResult:
        """The result of an earlier request of this client, from the log or from the peer that was asked.

        Raises OwnNotFound, PeerNoAnswer while the peer has none, and as `ask`.
        """
        ...


class Records(Protocol):
    """The log, to read: `federation.ports.Journal` is one."""

    async def find_records(self, request_id: str) -> Sequence[StoredRecord]:
        """All records under a request id in log order; empty when there is none."""
        ...


class EvidenceExporter(Protocol):
    """Makes the evidence file of one exchange."""

    async def export(self, request_id: str) -> bytes:
        """The container, complete in itself. Raises OwnNotFound when there is no such exchange."""
        ...


class PlatformClient(Protocol):
    """A platform that may call this node."""

    @property
    def client_id(self) -> str:
        """Its id, as tokens and rules name it."""
        ...

    @property
    def jwks(self) -> Mapping[str, Any] | None:
        """Its public keys when it authenticates with private_key_jwt."""
        ...

    @property
    def operations(self) -> frozenset[str]:
        """What it may call; ``*`` stands for everything."""
        ...

    @property
    def disabled_at(self) -> datetime | None:
        """Since when it may not call any more."""
        ...


class Clients(Protocol):
    """The rows of clients."""

    async def all_clients(self) -> Sequence[PlatformClient]:
        """Every client, also those that are disabled. Raises OwnStoreUnavailable."""
        ...


class Secrets(Protocol):
    """The secrets of clients."""

    async def accepts_secret(self, client_id: str, secret: str) -> bool:
        """Whether it is that client's now. A wrong one takes as long where there is no such client, or it has none.

        Raises OwnBusy, OwnStoreUnavailable.
        """
        ...


class Replays(Protocol):
    """Remembers token ids until they have expired."""

    async def use_once(self, issuer: str, jti: str, expires_at: datetime) -> bool:
        """True the first time, False each time after. Raises OwnStoreUnavailable."""
        ...


class KeyState(StrEnum):
    """What became of an idempotency key."""

    NEW = "new"
    """This call holds the key and must finish or release it."""
    WORKING = "working"
    """The same request is at work."""
    FINISHED = "finished"
    """The same request was answered; the verdict has the answer."""
    CONFLICT = "conflict"
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """The state of a key, with the id of the request that was answered when it is FINISHED."""

    state: KeyState
    request_id: str = ""


class IdempotencyKeys(Protocol):
    """Remembers which request a client's Idempotency-Key came with. All raise OwnStoreUnavailable."""

    async def claim(self, client: str, key: str, digest: bytes) -> KeyVerdict:
        """One insert: whoever gets NEW does the work. `digest` is of the request that the key came with."""
        ...

    async def finish(self, client: str, key: str, *, request_id: str) -> None:
        """Keep for every repeat which request was answered."""
        ...

    async def release(self, client: str, key: str) -> None:
        """Give the key up without an answer, so that a repeat does the work anew."""
        ...
