"""One connection to one peer: what is open on it, and the frames that carry it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc
from yrd.exchange.v1 import exchange_pb2 as wire

from federation.errors import FederationError, OwnBusy, PeerInternal, PeerTimeout, PeerUnreachable
from federation.peers import Peer
from federation.query import Operation
from federation.rpc.faults import broken_connection, error_of_call, error_of_peer, identity_fault
from federation.rpc.frames import ITEM_OVERHEAD_BYTES, read_frame
from federation.rpc.limits import RpcLimits
from federation.rpc.methods import EXCHANGE, METHODS, unary_method

__all__ = ["Link", "pause_s"]

_PAUSES_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4)


def pause_s(attempt: int) -> float:
    """How long to wait before a broken call is made again; gRPC reconnects within 50 to 1000 ms meanwhile."""
    return _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]


class _Item:
    """One request that is open: its envelope, its deadline on the loop's clock, and where its answer goes."""

    __slots__ = ("deadline", "envelope", "future", "holder", "operation")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, operation: Operation, envelope: bytes, timeout_s: float
    ) -> None:
        self.operation = operation
        self.envelope = envelope
        self.future: asyncio.Future[bytes] = loop.create_future()
        self.deadline = loop.time() + timeout_s
        self.holder: set[_Item] = set()
        """Among what is open on which link."""

    def answer(self, envelope: bytes) -> None:
        """Hand over the answer, unless the caller has gone or was told something else."""
        if not self.future.done():
            self.future.set_result(envelope)

    def fail(self, error: FederationError) -> None:
        """Tell the caller, unless it was told or has gone; each gets an error object of its own."""
        if not self.future.done():
            self.future.set_exception(type(error)(error.detail))


class Link:
    """Requests queue up during one tick of the loop and leave together, in frames of bounded size.

    One that is alone in its tick leaves by the unary method of its operation, into the same handler.
    """

    def __init__(self, peer: Peer, channel: grpc.aio.Channel, limits: RpcLimits) -> None:
        self.peer = peer
        self._target = peer.grpc_target
        self._tls_name = peer.tls_name
        self._channel = channel
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._frames: Any = channel.unary_stream(EXCHANGE)
        self._unary: dict[str, Any] = {}
        self._queue: list[_Item] = []
        self._open: set[_Item] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._carriers: set[asyncio.Task[None]] = set()
        self._broken_since: float | None = None
        self._broken_last = 0.0
        self._successor: Link | None = None

    def leads_to(self, peer: Peer) -> bool:
        """Whether this connection is to that peer at its present address and name."""
        return peer.grpc_target == self._target and peer.tls_name == self._tls_name

    async def exchange(self, operation: Operation, envelope: bytes, timeout_s: float) -> bytes:
        """Send one envelope with the next frame; its answer. Errors as `GrpcPeerTransport.exchange` says."""
        if len(self._open) >= self._limits.in_flight:
            raise OwnBusy(f"{self._limits.in_flight} requests to this peer are open")
        item = _Item(self._loop, operation, envelope, timeout_s)
        self._hold(item)
        self._enqueue(item)
        try:
            return await item.future
        finally:
            item.holder.discard(item)

    def unary(self, method: str) -> Any:
        """The callable of a unary method."""
        found = self._unary.get(method)
        if found is None:
            found = self._unary[method] = self._channel.unary_unary(method)
        return found

    def replace_with(self, successor: Link) -> None:
        """What breaks here from now on is sent again over there."""
        self._successor = successor

    async def close(self, drain_s: float) -> None:
        """Let open calls finish for so long, then end. What waits to be sent again goes to the successor; without
        one, who still waits gets PeerUnreachable.
        """
        if drain_s and self._carriers:
            await asyncio.wait(set(self._carriers), timeout=drain_s)
        await self._channel.close(drain_s or None)
        newest = self._newest()
        for item in list(self._open):
            if newest is self:
                item.fail(PeerUnreachable(f"the connection to {self._target} was closed"))
            else:
                self._open.discard(item)
                newest._hold(item)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for carrier in list(self._carriers):
            carrier.cancel()
        if self._carriers:
            await asyncio.wait(set(self._carriers))

    # --- the state of the connection ----------------------------------------------------------------

    def note_alive(self) -> None:
        """The peer answered."""
        self._broken_since = None

    def note_broken(self, error: grpc.aio.AioRpcError) -> None:
        """A call broke. Returns when it may be made again.

        Raises PeerTlsIdentity when the handshake says that the other side is not this peer,
        PeerUnreachable when it has been broken for longer than `unreachable_after_s`.
        """
        if (fault := identity_fault(error, target=self._target, tls_name=self._tls_name)) is not None:
            raise fault
        now = self._loop.time()
        if self._broken_since is None or now - self._broken_last > max(1.0, self._limits.unreachable_after_s):
            self._broken_since = now
        self._broken_last = now
        broken_s = now - self._broken_since
        if broken_s >= self._limits.unreachable_after_s:
            raise PeerUnreachable(f"no connection to {self._target} for {broken_s:.1f} s")

    def explain(self, error: grpc.aio.AioRpcError) -> FederationError:
        """What a call that failed for good means."""
        return self._late() if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else error_of_call(error)

    def _newest(self) -> Link:
        """The connection that stands in for this one now: itself, or the last of those that replaced it."""
        link = self
        while link._successor is not None:
            link = link._successor
        return link

    def _hold(self, item: _Item) -> None:
        """Count an item among what is open here, until it is answered or its deadline is over."""
        item.holder = self._open
        self._open.add(item)
        self._expire_at(item.deadline)

    def _expire_at(self, deadline: float) -> None:
        """Have one timer for all that is open, at the earliest deadline: most are answered long before."""
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for item in self._open:
            if item.deadline <= now:
                item.fail(self._late())
        left = [item.deadline for item in self._open if not item.future.done()]
        if left:
            self._expire_at(min(left))

    def _late(self) -> FederationError:
        if self._channel.get_state() is not grpc.ChannelConnectivity.READY:
            return PeerUnreachable(f"no connection to {self._target} within the deadline")
        return PeerTimeout("the peer did not answer within the deadline; the answer can be fetched later")

    # --- frames -------------------------------------------------------------------------------------

    def _enqueue(self, item: _Item) -> None:
        if not self._queue:
            self._loop.call_soon(self._flush)
        self._queue.append(item)

    def _flush(self) -> None:
        """Send what was queued in this tick, in as few frames as its items and bytes allow."""
        queue, self._queue = self._queue, []
        frame: list[_Item] = []
        size = 0
        for item in queue:
            if item.future.done():
                continue
            length = len(item.envelope) + ITEM_OVERHEAD_BYTES
            if frame and (len(frame) >= self._limits.frame_items or size + length > self._limits.frame_bytes):
                self._send(frame)
                frame, size = [], 0
            frame.append(item)
            size += length
        if frame:
            self._send(frame)

    def _send(self, frame: Sequence[_Item], attempt: int = 0) -> None:
        task = self._loop.create_task(self._carry(frame, attempt))
        self._carriers.add(task)
        task.add_done_callback(self._carriers.discard)

    async def _carry(self, frame: Sequence[_Item], attempt: int) -> None:
        """One call. Each item of the frame is answered, failed, or sent again with the others still open."""
        now = self._loop.time()
        timeout_s = max(item.deadline for item in frame) - now
        try:
            if len(frame) == 1 and _fits_alone(frame[0]):
                await self._carry_alone(frame[0], timeout_s)
            else:
                await self._carry_together(frame, _write(frame, now), timeout_s)
        except grpc.aio.AioRpcError as error:
            self._broken(frame, error, attempt)
        except grpc.aio.UsageError:
            _fail(frame, PeerUnreachable(f"the connection to {self._target} was closed"))
        except FederationError as error:
            _fail(frame, error)
        else:
            self.note_alive()
            _fail(frame, PeerInternal("the peer ended the call without an answer to this request"))

    async def _carry_alone(self, item: _Item, timeout_s: float) -> None:
        call = self.unary(unary_method(item.operation))
        item.answer(await call(item.envelope, timeout=max(timeout_s, 0.001)))

    async def _carry_together(self, frame: Sequence[_Item], message: bytes, timeout_s: float) -> None:
        call = self._frames(message, timeout=max(timeout_s, 0.001))
        try:
            while (raw := await call.read()) is not grpc.aio.EOF:
                self._settle(frame, raw)
        finally:
            call.cancel()

    def _settle(self, frame: Sequence[_Item], raw: bytes) -> None:
        self._broken_since = None
        for answer in read_frame(raw).items:
            if not 0 < answer.call_id <= len(frame):
                continue
            item = frame[answer.call_id - 1]
            if answer.envelope:
                item.answer(answer.envelope)
            else:
                fault = answer.fault
                item.fail(error_of_peer(fault.code, fault.detail))

    def _broken(self, frame: Sequence[_Item], error: grpc.aio.AioRpcError, attempt: int) -> None:
        if not broken_connection(error):
            _fail(frame, self.explain(error))
            return
        try:
            self.note_broken(error)
        except FederationError as lost:
            _fail(frame, lost)
            return
        self._loop.call_later(pause_s(attempt), self._send_again, frame, attempt + 1)

    def _send_again(self, frame: Sequence[_Item], attempt: int) -> None:
        rest = [item for item in frame if not item.future.done()]
        if rest:
            self._newest()._send(rest, attempt)


def _fits_alone(item: _Item) -> bool:
    """Whether one item goes by its unary method: that costs half of a frame with one item in it."""
    most = METHODS[unary_method(item.operation)].max_bytes
    return most is None or len(item.envelope) <= most


def _write(frame: Sequence[_Item], now: float) -> bytes:
    """A frame of requests; the call id is the place in the frame, from 1."""
    message = wire.Frame()
    add = message.items.add
    for call_id, request in enumerate(frame, 1):
        item = add()
        item.call_id = call_id
        item.envelope = request.envelope
        item.timeout_ms = max(1, int((request.deadline - now) * 1000))
    return message.SerializeToString()


def _fail(frame: Sequence[_Item], error: FederationError) -> None:
    """Tell everyone in the frame who has no answer yet."""
    for item in frame:
        item.fail(error)
