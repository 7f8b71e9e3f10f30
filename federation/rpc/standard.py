"""The standard services, health and reflection, behind the same border as ours.

Their servicers come from grpcio's own packages. Their handlers are collected here instead of being
registered with the server, so that the table's rules hold for them: who may call, size before parsing,
deadline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer
from yrd.certificates.v1 import certificates_pb2
from yrd.evidence.v1 import evidence_pb2
from yrd.exchange.v1 import exchange_pb2
from yrd.services.v1 import services_pb2
from yrd.state.v1 import state_pb2

__all__ = ["SERVICES", "StandardServices"]

_FILES = (
    exchange_pb2.DESCRIPTOR,
    certificates_pb2.DESCRIPTOR,
    services_pb2.DESCRIPTOR,
    state_pb2.DESCRIPTOR,
    evidence_pb2.DESCRIPTOR,
)
SERVICES: tuple[str, ...] = (
    *(service.full_name for file in _FILES for service in file.services_by_name.values()),
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""Every service that a node offers, as reflection lists them."""


class StandardServices:
    """Health of this node and the list of its services. Not serving until told so."""

    def __init__(self) -> None:
        self._health = health.aio.HealthServicer()
        collected = _Collector()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, collected)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(SERVICES), collected)
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = collected.handlers

    async def set_serving(self, serving: bool) -> None:
        """What health says from now on, for the node as a whole and for each of its services."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if serving else states.NOT_SERVING
        for service in ("", *SERVICES):
            await self._health.set(service, state)

    async def shut_down(self) -> None:
        """Not serving any more, for good."""
        await self._health.enter_graceful_shutdown()


class _Collector:
    """Takes the place of the server where generated code registers handlers."""

    def __init__(self) -> None:
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """The same handlers come by name below."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Keep each under its full name."""
        self.handlers.update({f"/{service}/{name}": handler for name, handler in handlers.items()})
