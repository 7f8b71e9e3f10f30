"""A small country for tests of the wire: a CA, nodes with real TLS keys, an application that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from federation.errors import FederationError, PeerNoAnswer
from federation.observe import Calls
from federation.peers import Peer
from federation.query import Operation
from federation.rpc.callers import CallerCheck
from federation.rpc.client import GrpcPeerTransport
from federation.rpc.credentials import TlsMaterial
from federation.rpc.limits import RpcLimits
from federation.rpc.server import PeerServer
from tests.support.clock import FixedClock
from trust.identity import tls_name
from trust.keys import SigningKey
from trust.x509 import create_csr, issue_from_csr, make_ca

ZHEJIANG = "https://node.zj.example"
SHANGHAI = "https://node.sh.example"
ANHUI = "https://node.ah.example"
STATE = Operation.NODE_STATE


@dataclass(frozen=True)
class Authority:
    """A CA that can enrol entities."""

    key: SigningKey
    pem: bytes

    def enrol(self, entity_id: str, *, days: int = 30) -> TlsMaterial:
        """A fresh key and its TLS certificate."""
        key = SigningKey.generate()
        chain = issue_from_csr(
            create_csr(key, entity_id), self.pem, self.key, entity_id, datetime.now(UTC), days=days
        )
        return TlsMaterial(self.pem, chain, key.to_pem())


@lru_cache(maxsize=4)
def authority(name: str) -> Authority:
    """The CA of that name; made once, since TLS looks at the real time."""
    key = SigningKey.generate()
    return Authority(key, make_ca(key, name, datetime.now(UTC)))


@lru_cache(maxsize=16)
def enrolled(entity_id: str, ca: str = "yrd") -> TlsMaterial:
    """The TLS material of an entity under that CA."""
    return authority(ca).enrol(entity_id)


def peer_at(port: int, entity_id: str = SHANGHAI) -> Peer:
    """What the trust list would say of a node on this machine."""
    return Peer(
        entity_id=entity_id,
        province="310000",
        name="test",
        grpc_target=f"127.0.0.1:{port}",
        tls_name=tls_name(entity_id),
        envelope_keys=MappingProxyType({}),
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )


@dataclass
class Application:
    """Echoes envelopes. An envelope may be a command: ``wait`` holds it until `gate` opens, see `answer`."""

    seen: list[tuple[bytes, str, Operation | None]] = field(default_factory=list)
    finished: list[bytes] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    faults: dict[bytes, Exception] = field(default_factory=dict)

    @property
    def asked(self) -> list[bytes]:
        """The envelopes that came, without companions, in a fixed order."""
        return sorted(envelope for envelope, _, _ in self.seen if envelope != b"companion")

    async def answer(
        self, envelope: bytes, *, tls_peer: str, method_operation: Operation | None, timeout_s: float
    ) -> bytes:
        """The envelope back; ``wait…`` only when the gate is open; a known fault is raised."""
        self.seen.append((envelope, tls_peer, method_operation))
        self.arrived.set()
        if envelope in self.faults:
            raise self.faults[envelope]
        if envelope.startswith(b"wait"):
            await self.gate.wait()
        if envelope.startswith(b"big"):
            return bytes(int(envelope[3:]))
        self.finished.append(envelope)
        return b"re:" + envelope

    async def fetch_answer(self, request_identity: bytes, request_id: str, *, tls_peer: str) -> bytes:
        """An answer for the identity of ones."""
        if request_identity != b"\x01" * 32:
            raise PeerNoAnswer("no finished answer to that request")
        return f"fetched {request_id} for {tls_peer}".encode()


def admit_all(_entity_id: str) -> None:
    """Everyone is a member."""


@dataclass
class Served:
    """A running server and what it sees."""

    server: PeerServer
    application: Application
    port: int
    clock: FixedClock
    refused: list[tuple[str, str, str]]
    calls: Calls

    @property
    def seen(self) -> list[bytes]:
        """The envelopes that reached the application, without companions, in a fixed order."""
        return self.application.asked

    @property
    def finished(self) -> list[bytes]:
        """The envelopes whose answer was made, without companions, in a fixed order."""
        return sorted(e for e in self.application.finished if e != b"companion")

    @property
    def peer(self) -> Peer:
        """How the asking side knows it."""
        return peer_at(self.port)


@asynccontextmanager
async def serving(
    *,
    entity_id: str = SHANGHAI,
    material: TlsMaterial | None = None,
    application: Application | None = None,
    limits: RpcLimits | None = None,
    admit: Callable[[str], None] = admit_all,
    port: int = 0,
) -> AsyncIterator[Served]:
    """A server on loopback."""
    application = application or Application()
    clock = FixedClock(datetime.now(UTC))
    refused: list[tuple[str, str, str]] = []
    calls = Calls()
    server = PeerServer(
        application,
        CallerCheck(clock, admit),
        lambda: material or enrolled(entity_id),
        limits or RpcLimits(),
        refused=lambda *told: refused.append(told),
        calls=calls,
    )
    port = await server.start(f"127.0.0.1:{port}")
    try:
        yield Served(server, application, port, clock, refused, calls)
    finally:
        application.gate.set()
        await server.stop(1.0)


@asynccontextmanager
async def asking(
    entity_id: str = ZHEJIANG, *, material: TlsMaterial | None = None, limits: RpcLimits | None = None
) -> AsyncIterator[GrpcPeerTransport]:
    """A transport of that entity."""
    transport = GrpcPeerTransport(material or enrolled(entity_id), limits or RpcLimits())
    try:
        yield transport
    finally:
        await transport.close()


WAYS = ("alone", "frame", "unary")
"""How a request may travel: alone in its tick, in one frame with others, by a plain unary call."""


async def send(
    way: str, transport: GrpcPeerTransport, peer: Peer, envelope: bytes, *, timeout_s: float = 5.0
) -> bytes:
    """Send a request in that way, in a frame together with a companion whose fate does not matter."""
    if way == "unary":
        return await transport.exchange_unary(peer, STATE, envelope, timeout_s=timeout_s)
    sent = transport.exchange(peer, STATE, envelope, timeout_s=timeout_s)
    if way == "alone":
        return await sent
    companion = transport.exchange(peer, STATE, b"companion", timeout_s=timeout_s)
    answer, _ = await asyncio.gather(sent, companion, return_exceptions=True)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def refuse(error: FederationError) -> Callable[[str], None]:
    """An `admit` that refuses everyone with this error."""

    def admit(_entity_id: str) -> None:
        raise error

    return admit
