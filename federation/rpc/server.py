"""The answering side's gRPC server: one port, mutual TLS, every call through the `Border`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc

from federation.observe import Calls
from federation.rpc.border import Border, Refused
from federation.rpc.callers import CallerCheck
from federation.rpc.credentials import TlsMaterial, server_credentials, server_options
from federation.rpc.limits import RpcLimits
from federation.rpc.standard import StandardServices
from federation.rpc.work import AnswerHandler, OpenWork

__all__ = ["AnswerHandler", "PeerServer"]


def _not_told(_tls_peer: str, _method: str, _code: str) -> None:
    """Nobody wants to know of refused calls."""


class PeerServer:
    """Serves peers until stopped.

    `material` is asked at every handshake. `refused` is told of each call refused as a whole, `calls` counts them all.
    Health says that the node does not serve until `set_serving(True)`.
    """

    def __init__(
        self,
        handler: AnswerHandler,
        check: CallerCheck,
        material: Callable[[], TlsMaterial],
        limits: RpcLimits,
        *,
        refused: Refused = _not_told,
        calls: Calls | None = None,
    ) -> None:
        self._material = material
        self._limits = limits
        self._work = OpenWork(in_flight=limits.in_flight, max_bytes=limits.message_out_bytes)
        self._standard = StandardServices()
        self._border = Border(
            handler,
            check,
            self._work,
            limits,
            standard=self._standard.handlers,
            refused=refused,
            calls=calls or Calls(),
        )
        self._server: grpc.aio.Server | None = None

    @property
    def in_flight(self) -> int:
        """How many answers are at work now."""
        return len(self._work)

    async def start(self, address: str) -> int:
        """Listen on ``host:port`` (port 0: any free one); the port. Raises OSError when it is taken."""
        await self._standard.set_serving(False)
        server = grpc.aio.server(options=server_options(self._limits))
        server.add_generic_rpc_handlers((self._border,))
        try:
            port = server.add_secure_port(address, server_credentials(self._material))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address} for gRPC") from error
        await server.start()
        self._server = server
        return int(port)

    async def set_serving(self, serving: bool) -> None:
        """What the health service says from now on."""
        await self._standard.set_serving(serving)

    async def stop(self, grace_s: float | None = None) -> None:
        """Take no new calls, let those at work finish within the grace (default: `drain_s`), then end.

        Answers outlive their calls: they get the rest of the grace too.
        """
        server, self._server = self._server, None
        if server is None:
            return
        grace_s = self._limits.drain_s if grace_s is None else grace_s
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        await self._standard.shut_down()
        await server.stop(grace_s)
        await self._work.drain(timeout_s=max(0.0, until - loop.time()))
