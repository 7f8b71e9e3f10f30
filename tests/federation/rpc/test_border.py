"""The table of methods, and the services that are not ours: health and reflection."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from yrd.certificates.v1 import certificates_pb2
from yrd.evidence.v1 import evidence_pb2
from yrd.exchange.v1 import exchange_pb2
from yrd.header.v1 import header_pb2
from yrd.services.v1 import services_pb2
from yrd.state.v1 import state_pb2

from federation.errors import PeerRevoked
from federation.query import Operation
from federation.rpc.credentials import channel_credentials, channel_options
from federation.rpc.limits import RpcLimits
from federation.rpc.methods import EXCHANGE, FETCH_ANSWER, METHODS, Kind, unary_method
from federation.rpc.standard import SERVICES
from tests.federation.rpc.country import ZHEJIANG, Served, enrolled, refuse, serving

FILES = (certificates_pb2, evidence_pb2, exchange_pb2, header_pb2, services_pb2, state_pb2)
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def channel_to(served: Served) -> grpc.aio.Channel:
    """A plain channel of Zhejiang, for calls that our own client never makes."""
    options = channel_options(served.peer, RpcLimits())
    return grpc.aio.secure_channel(
        served.peer.grpc_target, channel_credentials(enrolled(ZHEJIANG)), options=options
    )


async def refused_call(served: Served, method: str, message: bytes) -> grpc.aio.AioRpcError:
    """The error of a call that must fail."""
    async with channel_to(served) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(method)(message, timeout=5)
    return refused.value


def trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """Trailing metadata as a mapping."""
    return dict(error.trailing_metadata() or ())


# --- the table --------------------------------------------------------------------------------------


def offered_methods() -> set[str]:
    """Every method of every service of the .proto files."""
    services = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
    return {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}


def test_every_method_of_the_contract_has_a_row_and_every_row_a_method() -> None:
    ours = {row.name for row in METHODS.values() if row.kind is not Kind.STANDARD}
    assert ours == offered_methods()


def test_every_row_of_a_standard_service_has_a_method_and_the_other_way_round() -> None:
    standard = {row.name for row in METHODS.values() if row.kind is Kind.STANDARD}
    standard.add("/grpc.health.v1.Health/List")  # grpcio's servicer for asyncio has none, so it has no row
    files = (health_pb2, reflection_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    assert standard == {f"/{service.full_name}/{m.name}" for service in services for m in service.methods}


def test_every_operation_has_one_unary_method() -> None:
    names = [unary_method(operation) for operation in Operation]
    assert len(set(names)) == len(names)
    assert all(METHODS[unary_method(operation)].operation is operation for operation in Operation)


async def test_a_method_without_a_row_is_refused() -> None:
    async with serving() as served:
        for method in ("/yrd.exchange.v1.ExchangeService/Drop", "/x", "/yrd.exchange.v1.Other/Exchange"):
            error = await refused_call(served, method, b"anything")
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            assert trailers(error)["yrd-error"] == "peer.method_refused"
    assert served.application.seen == []


async def test_a_refusal_has_its_code_in_the_trailers_and_only_safe_text() -> None:
    async with serving(admit=refuse(PeerRevoked("撤销: 密钥泄露"))) as served:
        error = await refused_call(served, unary_method(Operation.NODE_STATE), b"e")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.details() == "The peer has been revoked"
    assert trailers(error)["yrd-error"] == "peer.revoked"
    assert trailers(error)["yrd-detail-bin"].decode() == "撤销: 密钥泄露"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xff\xff\xff", "peer.malformed"),
        (b"", "peer.malformed"),
        (
            exchange_pb2.Frame(
                items=[exchange_pb2.Item(call_id=1), exchange_pb2.Item(call_id=1)]
            ).SerializeToString(),
            "peer.malformed",
        ),
        (
            exchange_pb2.Frame(
                items=[exchange_pb2.Item(call_id=number) for number in range(2000)]
            ).SerializeToString(),
            "peer.too_large",
        ),
    ],
)
async def test_a_frame_that_is_none_is_refused(frame: bytes, code: str) -> None:
    async with serving() as served, channel_to(served) as channel:
        call = channel.unary_stream(EXCHANGE)(frame, timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert trailers(refused.value)["yrd-error"] == code
    assert served.application.seen == []


async def test_what_grpcio_refuses_unread_shows_in_the_count_of_calls() -> None:
    """It calls no handler then, so no code is counted: a call began, and its message was never read."""
    limits = RpcLimits(message_in_bytes=4096)
    async with serving(limits=limits) as served, channel_to(served) as channel:
        for call in (
            channel.unary_unary(unary_method(Operation.NODE_STATE)),
            channel.unary_unary(FETCH_ANSWER),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(bytes(5000), timeout=5)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "yrd-error" not in trailers(refused.value)
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_stream(EXCHANGE)(bytes(5000), timeout=5).read()
        assert (served.calls.begun, served.calls.read, served.refused) == (3, 0, [])
        assert await health(served)
        await reflect(served, list_services="")
        await refused_call(served, "/yrd.exchange.v1.Exchange/Nothing", b"")
        await refused_call(served, FETCH_ANSWER, b"\xff\xff")
    assert (served.calls.begun, served.calls.read) == (7, 4)


async def test_bytes_that_are_no_fetch_request_are_refused() -> None:
    async with serving() as served:
        error = await refused_call(served, FETCH_ANSWER, b"\xff\xff")
        assert trailers(error)["yrd-error"] == "peer.malformed"
        error = await refused_call(served, FETCH_ANSWER, bytes(1025))
        assert trailers(error)["yrd-error"] == "peer.too_large"


# --- health -----------------------------------------------------------------------------------------


async def health(served: Served, service: str = "") -> int:
    """What the standard health check says."""
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    async with channel_to(served) as channel:
        raw = await channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=5)
    return int(health_pb2.HealthCheckResponse.FromString(raw).status)


async def test_health_follows_the_node_and_any_enrolled_entity_may_ask() -> None:
    async with serving(admit=refuse(PeerRevoked("revoked"))) as served:
        assert await health(served) == health_pb2.HealthCheckResponse.NOT_SERVING
        await served.server.set_serving(True)
        for service in ("", *SERVICES):
            assert await health(served, service) == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_an_unknown_service_and_a_broken_request() -> None:
    async with serving() as served:
        request = health_pb2.HealthCheckRequest(service="nobody").SerializeToString()
        error = await refused_call(served, "/grpc.health.v1.Health/Check", request)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        error = await refused_call(served, "/grpc.health.v1.Health/Check", b"\xff")
        assert trailers(error)["yrd-error"] == "peer.malformed"
        error = await refused_call(served, "/grpc.health.v1.Health/Check", bytes(1025))
        assert trailers(error)["yrd-error"] == "peer.too_large"


async def test_health_can_be_watched() -> None:
    async with serving() as served, channel_to(served) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=5)
        states = health_pb2.HealthCheckResponse
        assert states.FromString(await watch.read()).status == states.NOT_SERVING
        await served.server.set_serving(True)
        assert states.FromString(await watch.read()).status == states.SERVING
        watch.cancel()


# --- reflection -------------------------------------------------------------------------------------


async def reflect(served: Served, **request: str) -> reflection_pb2.ServerReflectionResponse:
    """One question to the reflection service."""
    message = reflection_pb2.ServerReflectionRequest(**request).SerializeToString()
    async with channel_to(served) as channel:
        call = channel.stream_stream(REFLECTION)(iter([message]), timeout=5)
        return reflection_pb2.ServerReflectionResponse.FromString(await call.read())


async def test_reflection_lists_the_services_and_their_files() -> None:
    async with serving() as served:
        listed = await reflect(served, list_services="")
        assert {service.name for service in listed.list_services_response.service} == set(SERVICES)
        for service in SERVICES:
            found = await reflect(served, file_containing_symbol=service)
            assert found.file_descriptor_response.file_descriptor_proto


async def test_reflection_is_for_members_and_bounded() -> None:
    async with serving(admit=refuse(PeerRevoked("revoked"))) as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflect(served, list_services="")
        assert trailers(refused.value)["yrd-error"] == "peer.revoked"
    async with serving() as served:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflect(served, file_by_filename="x" * 5000)
        assert trailers(refused.value)["yrd-error"] == "peer.too_large"
