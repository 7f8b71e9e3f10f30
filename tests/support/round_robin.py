"""A load balancer without memory: each new connection goes to the next target that takes it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["RoundRobin", "round_robin"]


@dataclass(slots=True)
class RoundRobin:
    """Relays connections to loopback ports in turns; one that refuses is left out for that connection."""

    targets: Sequence[int]
    taken: Counter[int] = field(default_factory=Counter)
    """How many connections each target took."""
    _turn: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection to its end."""
        try:
            beyond_reader, beyond_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, beyond_writer), _pump(beyond_reader, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        refused: OSError = ConnectionRefusedError("no target")
        first, self._turn = self._turn, self._turn + 1
        for place in range(len(self.targets)):
            port = self.targets[(first + place) % len(self.targets)]
            try:
                opened = await asyncio.open_connection("127.0.0.1", port)
            except OSError as error:
                refused = error
            else:
                self.taken[port] += 1
                return opened
        raise refused


async def _pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            to.write(chunk)
            await to.drain()
    to.close()


@asynccontextmanager
async def round_robin(port: int, targets: Sequence[int]) -> AsyncIterator[RoundRobin]:
    """Listen on `port` of the loopback for the targets."""
    balancer = RoundRobin(targets)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(balancer.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield balancer
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
