"""The answering side of `Exchange`: answers leave as they become ready, those of one tick together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from federation.rpc.faults import Refusal
from federation.rpc.frames import Answered, read_request_frame, write_answers
from federation.rpc.limits import RpcLimits
from federation.rpc.work import AnswerHandler, Call, OpenWork

__all__ = ["LATE", "FrameAnswerer"]

LATE: Final = Refusal("peer.timeout", "no answer within the deadline; it can be fetched later")


class FrameAnswerer:
    """Answers frames: every item is its own work, whatever becomes of the others and of the caller."""

    def __init__(self, handler: AnswerHandler, work: OpenWork, limits: RpcLimits) -> None:
        self._handler = handler
        self._work = work
        self._limits = limits

    async def answer(self, raw: bytes, call: Call) -> AsyncIterator[bytes]:
        """Frames with the answers to a frame of requests, until each item has an answer or a fault.

        Raises PeerMalformed and PeerTooLarge for the frame as a whole. Cancelled, the answers are still made.
        """
        frame = read_request_frame(raw, max_items=self._limits.frame_items_in)
        cap_s = min(call.method.deadline_s, self._limits.deadline_s)
        waiting = _Waiting()
        for item in frame.items:
            timeout_s = min(item.timeout_ms / 1000, cap_s) if item.timeout_ms else cap_s
            waiting.expect(item.call_id, timeout_s)
            make = self._handler.answer(
                item.envelope, tls_peer=call.tls_peer, method_operation=None, timeout_s=timeout_s
            )
            self._work.begin(call, make, partial(waiting.settle, item.call_id))
        while ready := await waiting.take():
            for answers in write_answers(ready, max_bytes=self._limits.frame_bytes):
                yield answers


class _Waiting:
    """The items of one frame that are not answered yet, with their deadlines, and those ready to leave."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[int, float] = {}
        self._ready: list[Answered] = []
        self._waiter: asyncio.Future[None] | None = None

    def expect(self, call_id: int, timeout_s: float) -> None:
        """An answer to this item is being made."""
        self._due[call_id] = self._loop.time() + timeout_s

    def settle(self, call_id: int, answer: bytes | Refusal) -> None:
        """Take an answer; one that comes after its time is stored by its maker and not sent."""
        if self._due.pop(call_id, None) is None:
            return
        self._ready.append((call_id, answer))
        self._wake()

    async def take(self) -> list[Answered]:
        """What is ready now, after waiting for the first; empty when all has been taken.

        The one who waits is woken in the tick after the first answer, so the answers of one commit, which all
        settle in one tick, are taken together.
        """
        while self._due and not self._ready:
            await self._wait(min(self._due.values()))
        ready, self._ready = self._ready, []
        return ready

    async def _wait(self, until: float) -> None:
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until, self._expire)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _expire(self) -> None:
        now = self._loop.time()
        for call_id in [call_id for call_id, due in self._due.items() if due <= now]:
            self.settle(call_id, LATE)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
