"""A node's life: start, serve, drain, end.

Start: the store is open and the keys are there before anything listens; gRPC and the public listener come
first, since peers need them, the platform API next, and ready is said by the probes. Stop, on SIGTERM or
SIGINT: say not ready, take no new work, let what is at work finish within `limits.drain_s`, then close
everything in reverse. A second signal ends at once; what was acknowledged is stored, so nothing is lost
but time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from federation.ports import Clock
from node.compose import Node, compose
from node.config import Address, Config
from node.control import serve_control
from node.health import Stage

__all__ = ["Addresses", "run_until_stopped", "running_node", "serve_app", "serve_node"]

_log = structlog.get_logger("yrd.lifecycle")

_LINGER_S = 2.0
"""How long what is still sent after a refusal is read and dropped, so that the refusal arrives."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running node really listens; ports that were 0 are filled in."""

    public: Address
    platform: Address
    operations: Address
    grpc: Address


def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop, where there is one, to its end."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


async def serve_node(config: Config, clock: Clock) -> None:
    """Run a node until SIGTERM or SIGINT, then drain. Raises what `compose` and `serve_control` raise."""
    with _stop_signals() as stopped:
        async with running_node(config, clock):
            # All that a node is made of is there now and stays: no collection need walk it again.
            gc.collect()
            gc.freeze()
            await stopped.wait()
            _log.info("node.stopping")
    _log.info("node.stopped")


@asynccontextmanager
async def running_node(config: Config, clock: Clock) -> AsyncIterator[tuple[Node, Addresses]]:
    """A node that serves while inside and drains on the way out."""
    async with compose(config, clock) as node, AsyncExitStack() as stack:
        await node.look_back()
        await stack.enter_async_context(serve_control(config.listen.control, node.handlers, node.audit))
        operations = await _listen(stack, node.operations, config.listen.operations, drain_s=0)
        public = await _listen(stack, node.public, config.listen.public, drain_s=1)
        grpc_port = await node.peer_server.start(str(config.listen.grpc))
        stack.push_async_callback(_drain, node)
        platform = await _listen(stack, node.platform, config.listen.platform, drain_s=config.limits.drain_s)
        tasks = node.background.start()
        stack.push_async_callback(_end, tasks)
        addresses = Addresses(public, platform, operations, Address(config.listen.grpc.host, grpc_port))
        node.health.stage = Stage.SERVING
        _log.info(
            "node.serving",
            province=config.node.province,
            **{name: str(getattr(addresses, name)) for name in addresses.__slots__},
        )
        try:
            yield node, addresses
        finally:
            node.health.stage = Stage.DRAINING
            await node.peer_server.set_serving(False)


async def _listen(stack: AsyncExitStack, app: web.Application, at: Address, *, drain_s: float) -> Address:
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=drain_s, lingering_time=_LINGER_S
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, at.host, at.port).start()
    return Address(at.host, runner.addresses[0][1])


async def _drain(node: Node) -> None:
    """No new calls from peers; what is at work on either side ends, within the time that is given for it."""
    drain_s = node.config.limits.drain_s
    await node.peer_server.stop(drain_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(drain_s):
            await node.asker.drain()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def serve_app(app: web.Application, host: str, port: int, *, name: str) -> None:
    """Serve one web application until SIGTERM or SIGINT."""
    with _stop_signals() as stopped:
        async with AsyncExitStack() as stack:
            address = await _listen(stack, app, Address(host, port), drain_s=1)
            _log.info(f"{name}.serving", address=str(address))
            await stopped.wait()


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second one ends the process at once."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        stopped.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
