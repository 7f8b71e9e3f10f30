"""Every call passes here: the row of its method, who calls, how long the message is. Then its handler.

All handlers take and give raw bytes. Whatever a handler raises leaves as a refusal of the vocabulary:
grpcio would send an unhandled exception's text to the peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from yrd.exchange.v1 import exchange_pb2 as wire

from federation.errors import PeerMalformed, PeerMethodRefused, PeerTooLarge
from federation.observe import Calls
from federation.rpc.batch import LATE, FrameAnswerer
from federation.rpc.callers import CallerCheck
from federation.rpc.faults import Refusal, refusal_of
from federation.rpc.limits import RpcLimits
from federation.rpc.methods import METHODS, Kind, Method
from federation.rpc.work import AnswerHandler, Call, OpenWork

__all__ = ["Border", "Refused"]

Context = Any
"""grpc.aio.ServicerContext; its stubs differ from what the handlers get."""
Handler = Any
Refused = Callable[[str, str, str], None]
"""Told of each refused call: peer (entity id, or empty), method, code."""


class Border(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Finds the handler of a method by its row in the table and guards it.

    `standard` are the handlers of the standard services by full method name. `calls` counts what began and what was
    read: grpcio itself refuses what is larger than it may be, and calls nothing of this then.
    """

    def __init__(
        self,
        handler: AnswerHandler,
        check: CallerCheck,
        work: OpenWork,
        limits: RpcLimits,
        *,
        standard: dict[str, Handler],
        refused: Refused,
        calls: Calls,
    ) -> None:
        self._handler = handler
        self._calls = calls
        self._check = check
        self._work = work
        self._limits = limits
        self._frames = FrameAnswerer(handler, work, limits)
        self._refused = refused
        self._standard = standard
        self._handlers = {row.name: self._handler_of(row) for row in METHODS.values()}

    def service(self, handler_call_details: Any) -> Handler:
        """The handler of a method, or the one that refuses it."""
        self._calls.begun += 1
        method = handler_call_details.method
        return self._handlers.get(method) or grpc.stream_stream_rpc_method_handler(self._refuse_method)

    def _handler_of(self, row: Method) -> Handler:
        match row.kind:
            case Kind.FRAME:
                return grpc.unary_stream_rpc_method_handler(self._guard(row, self._exchange))
            case Kind.OPERATION:
                return grpc.unary_unary_rpc_method_handler(self._guard(row, self._answer))
            case Kind.FETCH:
                return grpc.unary_unary_rpc_method_handler(self._guard(row, self._fetch))
            case Kind.STANDARD:
                return self._standard_handler(row, self._standard[row.name])

    # --- the guard ----------------------------------------------------------------------------------

    def _guard(
        self, row: Method, body: Callable[[bytes, Call, Context], Awaitable[bytes | None]]
    ) -> Callable[[bytes, Context], Awaitable[bytes | None]]:
        async def guarded(raw: bytes, context: Context) -> bytes | None:
            self._calls.read += 1
            tls_peer = ""
            try:
                tls_peer = self._check.identify(context.auth_context())
                self._check.admit(tls_peer, row)
                check_size(raw, row)
                return await body(raw, Call(row, tls_peer), context)
            except (grpc.aio.AbortError, grpc.aio.UsageError):
                raise
            except Exception as error:
                await self._abort(context, row.name, tls_peer, error)

        return guarded

    async def _abort(self, context: Context, method: str, tls_peer: str, error: Exception) -> NoReturn:
        refusal = refusal_of(error, method=method, tls_peer=tls_peer)
        await self._abort_with(context, method, tls_peer, refusal)

    async def _abort_with(self, context: Context, method: str, tls_peer: str, refusal: Refusal) -> NoReturn:
        self._refused(tls_peer, method, refusal.code)
        await context.abort(refusal.status, refusal.text, refusal.trailers)
        raise AssertionError("abort raises")

    async def _refuse_method(self, _requests: AsyncIterator[bytes], context: Context) -> None:
        self._calls.read += 1  # nothing waits for its message
        await self._abort(context, "", "", PeerMethodRefused("there is no such method at this node"))

    # --- our methods --------------------------------------------------------------------------------

    async def _exchange(self, raw: bytes, call: Call, context: Context) -> None:
        async for answers in self._frames.answer(raw, call):
            await context.write(answers)

    async def _answer(self, raw: bytes, call: Call, context: Context) -> bytes:
        timeout_s = min(call.method.deadline_s, self._limits.deadline_s)
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            timeout_s = min(timeout_s, remaining_s)
        make = self._handler.answer(
            raw, tls_peer=call.tls_peer, method_operation=call.method.operation, timeout_s=timeout_s
        )
        finished: asyncio.Future[bytes | Refusal] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(timeout_s, _settle, finished, LATE)
        self._work.begin(call, make, lambda answer: _settle(finished, answer))
        try:
            answer = await finished
        finally:
            timer.cancel()
        if isinstance(answer, Refusal):
            await self._abort_with(context, call.method.name, call.tls_peer, answer)
        return answer

    async def _fetch(self, raw: bytes, call: Call, _context: Context) -> bytes:
        request = _parse(wire.FetchAnswerRequest.FromString, raw)
        if len(request.request_identity) != 32:
            raise PeerMalformed("request_identity has not 32 bytes")
        async with asyncio.timeout(call.method.deadline_s):
            envelope = await self._handler.fetch_answer(
                request.request_identity, request.request_id, tls_peer=call.tls_peer
            )
        return wire.FetchAnswerResponse(envelope=envelope).SerializeToString()

    # --- the standard services ----------------------------------------------------------------------

    def _standard_handler(self, row: Method, handler: Handler) -> Handler:
        """The collected handler, guarded; it still gets and gives messages."""
        parse, write = handler.request_deserializer, handler.response_serializer

        async def one(raw: bytes, _call: Call, context: Context) -> bytes:
            async with asyncio.timeout(row.deadline_s):
                return bytes(write(await handler.unary_unary(_parse(parse, raw), context)))

        async def watch(raw: bytes, _call: Call, context: Context) -> None:
            async with asyncio.timeout(row.deadline_s):
                await handler.unary_stream(_parse(parse, raw), _Writer(context, write))

        async def converse(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            self._calls.read += 1
            tls_peer = ""
            try:
                tls_peer = self._check.identify(context.auth_context())
                self._check.admit(tls_peer, row)
                async with asyncio.timeout(row.deadline_s):
                    async for answer in handler.stream_stream(_parsed(requests, row, parse), context):
                        yield write(answer)
            except Exception as error:
                await self._abort(context, row.name, tls_peer, error)

        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._guard(row, one))
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._guard(row, watch))
        return grpc.stream_stream_rpc_method_handler(converse)


class _Writer:
    """A context for a servicer that writes messages itself."""

    def __init__(self, context: Context, write: Callable[[Any], bytes]) -> None:
        self._context = context
        self._write = write

    async def write(self, message: Any) -> None:
        """Send one message."""
        await self._context.write(self._write(message))


def check_size(raw: bytes, row: Method) -> None:
    """Return when the message is within its method's limit. Raises PeerTooLarge; nothing was parsed."""
    if row.max_bytes is not None and len(raw) > row.max_bytes:
        raise PeerTooLarge(f"the message has {len(raw)} bytes; at most {row.max_bytes} are taken")


def _parse(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return parse(raw)
    except DecodeError:
        raise PeerMalformed("the bytes are not the message of this method") from None


async def _parsed(
    requests: AsyncIterator[bytes], row: Method, parse: Callable[[bytes], Any]
) -> AsyncIterator[Any]:
    async for raw in requests:
        check_size(raw, row)
        yield _parse(parse, raw)


def _settle(finished: asyncio.Future[bytes | Refusal], answer: bytes | Refusal) -> None:
    if not finished.done():
        finished.set_result(answer)
