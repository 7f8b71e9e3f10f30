"""What waits for the journal's writer: one small object per call, with the future its caller waits on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from federation.ports import Claim, ExchangeMeta
from trust.envelope import Sealed

__all__ = ["Job", "ReleaseClaim", "StoreAnswer", "StoreExchange", "StoreRequest", "TakeClaim"]


@dataclass(slots=True, eq=False)
class Job:
    """The writer sets `result` or `error`; the event loop then hands it to `future`."""

    future: asyncio.Future[Any]
    result: Any = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)

    @property
    def size_bytes(self) -> int:
        """What this job weighs in the bounded queue."""
        return 0


@dataclass(slots=True, eq=False)
class StoreRequest(Job):
    """Sign and store a request of this node. Its result is the Sealed."""

    meta: ExchangeMeta
    payload_type: str
    payload: bytes
    sealed: Sealed | None = field(default=None, init=False)

    @property
    def size_bytes(self) -> int:
        """The payload; the envelope around it is small."""
        return len(self.payload)


@dataclass(slots=True, eq=False)
class StoreAnswer(Job):
    """Store an answer that this node got. It has no result."""

    meta: ExchangeMeta
    identity: bytes
    envelope: bytes

    @property
    def size_bytes(self) -> int:
        """The envelope."""
        return len(self.envelope)


@dataclass(slots=True, eq=False)
class StoreExchange(Job):
    """Sign an answer of this node, store request and answer, finish the claim. Its result is the Sealed.

    `first_answer` is set when the claim turned out to be finished already: then this one is dropped.
    `finishes` is false when the claim belongs to other bytes (a signed `replayed`): then it is left alone.
    """

    meta: ExchangeMeta
    request: bytes
    request_identity: bytes
    payload_type: str
    payload: bytes
    sealed: Sealed | None = field(default=None, init=False)
    first_answer: Sealed | None = field(default=None, init=False)
    finishes: bool = field(default=True, init=False)

    @property
    def size_bytes(self) -> int:
        """Request and answer."""
        return len(self.request) + len(self.payload)


@dataclass(slots=True, eq=False)
class TakeClaim(Job):
    """Check 7. Its result is the ClaimVerdict. `owner` is unique to this take.

    `sole_process`: no other process works on this store, so what another one holds it left behind when it ended.
    """

    claim: Claim
    owner: str
    sole_process: bool = False

    def is_left_behind(self, owner: str) -> bool:
        """Whether a claim of `owner` is held by a process that is no more."""
        return self.sole_process and owner.partition(".")[0] != self.owner.partition(".")[0]


@dataclass(slots=True, eq=False)
class ReleaseClaim(Job):
    """Give up a claim. It has no result."""

    claim: Claim
