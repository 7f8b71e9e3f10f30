"""The load: a plain HTTP/1.1 client over kept connections, as cheap as Python allows, so that it measures others.

A closed loop keeps `concurrency` requests in flight; an open loop sends at a given rate whatever comes back, so its
latencies count from when a request was due (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

__all__ = ["Outcome", "closed_loop", "open_loop"]

RequestMaker = Callable[[int], bytes]

_CODE = re.compile(rb'"code":"([a-z_.]+)"')


@dataclass
class Outcome:
    """What one run saw. Latencies in seconds, in the order the answers came."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    bytes_in: int = 0

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """The latency that `share` (0 … 1) of the requests stayed within, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class _Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio.Transport, only of the same shape.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._buffer[:head_end]).lower()
        mark = head.find(b"content-length:")
        length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
        if len(self._buffer) >= head_end + 4 + length:
            body = bytes(self._buffer[head_end + 4 : head_end + 4 + length])
            self._buffer.clear()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError("the server closed the connection"))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send one request, return status and body."""
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


async def _connect(host: str, port: int, count: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(_Connection, host, port) for _ in range(count)]
    return [protocol for _, protocol in made]


async def _one(connection: _Connection, request: bytes, due: float, outcome: Outcome) -> None:
    try:
        status, body = await connection.send(request)
    except OSError as error:
        name = type(error).__name__
        outcome.failures[name] = outcome.failures.get(name, 0) + 1
        return
    if status == 200:
        outcome.latencies.append(time.perf_counter() - due)
        outcome.bytes_in += len(body)
    else:
        found = _CODE.search(body)
        key = f"{status} {found[1].decode() if found else 'without a code'}"
        outcome.failures[key] = outcome.failures.get(key, 0) + 1


async def closed_loop(host: str, port: int, make: RequestMaker, *, concurrency: int, total: int) -> Outcome:
    """`total` requests with `concurrency` in flight."""
    outcome = Outcome()
    numbers = iter(range(total))
    connections = await _connect(host, port, concurrency)
    begun = time.perf_counter()

    async def work(connection: _Connection, numbers: Iterator[int]) -> None:
        for number in numbers:
            await _one(connection, make(number), time.perf_counter(), outcome)

    await asyncio.gather(*(work(connection, numbers) for connection in connections))
    outcome.seconds = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    return outcome


async def open_loop(host: str, port: int, make: RequestMaker, *, rate: float, seconds: float) -> Outcome:
    """`rate` requests a second for `seconds`, on at most 256 connections; a late send counts from when it was due."""
    outcome = Outcome()
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    connections = await _connect(host, port, 256)
    for connection in connections:
        idle.put_nowait(connection)
    begun = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()

    async def fire(number: int, due: float) -> None:
        connection = await idle.get()
        await _one(connection, make(number), due, outcome)
        idle.put_nowait(connection)

    for number in itertools.takewhile(lambda n: n < rate * seconds, itertools.count()):
        due = begun + number / rate
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        task = asyncio.create_task(fire(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    outcome.seconds = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    return outcome
