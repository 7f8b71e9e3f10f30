"""A TCP relay between an asking and an answering node: it records what passes, can stand still, can lead elsewhere.

It knows nothing of TLS; what it sees is what anybody on the way between two provinces sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Connection", "Relay", "relaying"]


@dataclass
class Connection:
    """What went either way on one connection."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@dataclass
class Relay:
    """Leads to `port`, read anew for each connection; nothing passes that way while an event is not set."""

    port: int
    connections: list[Connection] = field(default_factory=list)
    questions_pass: asyncio.Event = field(default_factory=asyncio.Event)
    answers_pass: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def lead_to(self, port: int) -> None:
        """Cut what is connected; from now on lead elsewhere."""
        self.port = port
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection to its end."""
        try:
            beyond_reader, beyond_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection()
        self.connections.append(connection)
        both = {writer, beyond_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pump(reader, beyond_writer, connection.asked, self.questions_pass),
                self._pump(beyond_reader, writer, connection.answered, self.answers_pass),
            )
        finally:
            self._writers -= both
            for one in both:
                one.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        seen: bytearray,
        may_pass: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(65536):
                await may_pass.wait()
                seen += chunk
                to.write(chunk)
                await to.drain()
        to.transport.abort()


@asynccontextmanager
async def relaying(port: int, to: int) -> AsyncIterator[Relay]:
    """A relay that listens on `port` of the loopback."""
    relay = Relay(to)
    relay.questions_pass.set()
    relay.answers_pass.set()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(relay.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield relay
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
