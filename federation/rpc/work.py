"""Answers being made: each is a task of its own, which goes on when its caller is gone.

Checks 12 and 13 must finish once begun, and a stored answer can be fetched later; so nothing here is
cancelled by a call that ends. What bounds it is the number of answers at work (`in_flight`) and each
answer's own deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from federation.errors import PeerBusy
from federation.query import Operation
from federation.rpc.faults import Refusal, refusal_of
from federation.rpc.methods import Method

__all__ = ["AnswerHandler", "Call", "OpenWork"]

Done = Callable[[bytes | Refusal], None]


class AnswerHandler(Protocol):
    """The application behind the border: makes an answer envelope of a request envelope.

    Both methods raise a FederationError or TrustError for a refusal that is not signed. `tls_peer` is the
    entity id that the caller's TLS certificate proves. They are never cancelled by a caller that goes
    away.
    """

    async def answer(
        self, envelope: bytes, *, tls_peer: str, method_operation: Operation | None, timeout_s: float
    ) -> bytes:
        """Answer one request; `method_operation` is that of the method called, None where it names none."""
        ...

    async def fetch_answer(self, request_identity: bytes, request_id: str, *, tls_peer: str) -> bytes:
        """The finished answer to an earlier request of `tls_peer`; `request_id` is empty when it did not say. Raises
        PeerNoAnswer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call that passed the border: its row in the table and who calls."""

    method: Method
    tls_peer: str

    def refusal_of(self, error: Exception) -> Refusal:
        """What this caller is told about an error."""
        return refusal_of(error, method=self.method.name, tls_peer=self.tls_peer)


class OpenWork:
    """The answers at work: counted, bounded and drained."""

    def __init__(self, *, in_flight: int, max_bytes: int) -> None:
        self._in_flight = in_flight
        self._max_bytes = max_bytes
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, call: Call, make: Coroutine[Any, Any, bytes], done: Done) -> None:
        """Make an answer and hand it, or the refusal, to `done`; a refusal may come before this returns."""
        if len(self._tasks) >= self._in_flight:
            make.close()
            busy = PeerBusy(f"{self._in_flight} requests are at work; try again in a moment")
            done(call.refusal_of(busy))
            return
        task = asyncio.get_running_loop().create_task(self._finish(call, make, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, *, timeout_s: float) -> None:
        """Wait until all is finished; what is not by then is cancelled (its claim is taken up later)."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _finish(self, call: Call, make: Coroutine[Any, Any, bytes], done: Done) -> None:
        try:
            answer = await make
        except Exception as error:
            done(call.refusal_of(error))
            return
        if len(answer) > self._max_bytes:
            too_large = f"the answer has {len(answer)} bytes; at most {self._max_bytes} may leave"
            done(Refusal("peer.too_large", too_large))
        else:
            done(answer)
