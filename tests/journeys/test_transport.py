"""What anybody on the way between two running nodes sees: TLS 1.3, and nothing of what is said.

Probed from outside by Python's own TLS over the system's OpenSSL, and read off the wire by a relay in between.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from node.clock import SystemClock
from node.config import read_config
from node.enrolled import read_enrolled
from node.keystore import KeyEncryptionKey, Keystore
from node.store.database import open_database
from tests.support.federation import make_node, running
from tests.support.two_nodes import TwoNodes, found
from trust.identity import tls_name

pytestmark = pytest.mark.journey

HANDSHAKE, APPLICATION_DATA, CHANGE_CIPHER_SPEC = 22, 23, 20
TLS_1_3 = b"\x03\x04"
CERTIFICATE_REQUEST = 13
SERVER_NAME, SUPPORTED_VERSIONS = 0, 43


# --- TLS material of a node, as its operator has it ---


@dataclass(frozen=True, slots=True)
class Material:
    """PEM of a node: the federation's CA, its chain, its key."""

    ca: str
    chain: str
    key: bytes

    def load_into(self, context: ssl.SSLContext) -> None:
        """Show this chain with this context."""
        with NamedTemporaryFile() as file:
            file.write(self.chain.encode() + self.key)
            file.flush()
            context.load_cert_chain(file.name)


async def material_of(config_path: Path) -> Material:
    config = read_config(config_path)
    enrolled = read_enrolled(
        config.trust.enrolment, entity_id=config.node.entity_id, anchor=config.trust.anchor
    )
    database = open_database(config.store.url)
    try:
        wrapping = KeyEncryptionKey.load(config.keys.key_encryption_key)
        keystore = await Keystore.open(database, wrapping, SystemClock())
        return Material(enrolled.tls_ca_pem, enrolled.tls_chain_pem, keystore.tls_key().to_pem())
    finally:
        await database.close()


def probe_of(material: Material, *, shows: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=material.ca)
    context.set_alpn_protocols(["h2"])
    if shows:
        material.load_into(context)
    return context


def heard_by(context: ssl.SSLContext) -> list[int]:
    """The types of the handshake messages that come in on its connections; grows as they come."""
    types: list[int] = []

    def hear(
        _connection: object, direction: str, _version: object, _kind: object, what: int, _data: bytes
    ) -> None:
        if direction == "read":
            types.append(what)

    context._msg_callback = hear  # type: ignore[attr-defined]  # Python's debugging hook of OpenSSL
    return types


def said_first(at: TwoNodes, context: ssl.SSLContext) -> tuple[str | None, bytes]:
    """Shake hands with the answering node's gRPC port: the version, and the head of the server's first frame."""
    name, grpc = tls_name(f"http://{at.answering.at.public}"), at.answering.at.grpc
    with (
        socket.create_connection((grpc.host, grpc.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        return tls.version(), tls.recv(9)


# --- what is on the wire (RFC 8446 §4.1.2, §4.1.3, §4.2, §5.1) ---


def tls_records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each record; a last one that is cut off is left out."""
    while len(stream) >= 5 and len(stream) >= 5 + (length := int.from_bytes(stream[3:5], "big")):
        yield stream[0], stream[5 : 5 + length]
        stream = stream[5 + length :]


def hello_extensions(hello: bytes, *, is_client: bool) -> dict[int, bytes]:
    """The extensions of a ClientHello or ServerHello."""
    rest = hello[4 + 2 + 32 :]
    rest = rest[1 + rest[0] :]  # session id
    if is_client:
        rest = rest[2 + int.from_bytes(rest[:2], "big") :]  # cipher suites
        rest = rest[1 + rest[0] :]  # compression methods
    else:
        rest = rest[3:]
    rest, found_here = rest[2:], {}
    while rest:
        kind, length = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        found_here[kind] = rest[4 : 4 + length]
        rest = rest[4 + length :]
    return found_here


async def test_a_running_node_speaks_tls_1_3_and_demands_a_certificate_of_the_federation(
    tmp_path: Path,
) -> None:
    country = await found(tmp_path)
    material = await material_of(country.asking)
    async with country.running() as at:
        version, frame = await asyncio.to_thread(said_first, at, probe_of(material))
        assert version == "TLSv1.3"
        assert frame[3] == 4  # SETTINGS, RFC 9113 §6.5

        # In TLS 1.3 a client's handshake is over before the server has looked at its certificate.
        nobody = probe_of(material, shows=False)
        messages = heard_by(nobody)
        try:
            version, frame = await asyncio.to_thread(said_first, at, nobody)
        except (ssl.SSLError, ConnectionError):
            frame = b""
        assert frame == b""
        assert CERTIFICATE_REQUEST in messages

        old = probe_of(material)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.to_thread(said_first, at, old)
        assert (await at.query())[0] == 200


async def test_on_the_wire_there_is_tls_1_3_to_the_peers_name_and_nothing_readable(tmp_path: Path) -> None:
    country = await found(tmp_path)
    async with country.running() as at:
        status, _ = await at.query()
        assert status == 200
        [connection] = at.relay.connections
        asked, answered = bytes(connection.asked), bytes(connection.answered)

    (kind, client_hello), *rest = tls_records(asked)
    said = hello_extensions(client_hello, is_client=True)
    assert kind == HANDSHAKE
    assert tls_name(f"http://{at.answering.at.public}").encode() in said[SERVER_NAME]
    assert TLS_1_3 in said[SUPPORTED_VERSIONS]
    assert {kind for kind, _ in rest} == {CHANGE_CIPHER_SPEC, APPLICATION_DATA}

    (kind, server_hello), *rest = tls_records(answered)
    assert kind == HANDSHAKE
    assert hello_extensions(server_hello, is_client=False)[SUPPORTED_VERSIONS] == TLS_1_3
    assert {kind for kind, _ in rest} == {CHANGE_CIPHER_SPEC, APPLICATION_DATA}

    for secret in (at.question()["holder"]["id"], "bench", "yrd.certificates", "/yrd."):
        assert secret.encode() not in asked + answered


@asynccontextmanager
async def old_server(material: Material) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The real peer's certificate and key, on a server that speaks TLS 1.2 at most; its port, and what it read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    material.load_into(context)
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read(65536))
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], read
    finally:
        server.close()


async def test_the_asking_node_agrees_to_nothing_older_either(tmp_path: Path) -> None:
    country = await found(tmp_path, limits="deadline_s = 2.0")
    material = await material_of(country.answering)
    async with country.running() as at, old_server(material) as (port, read):
        at.relay.lead_to(port)
        status, problem = await at.query()
        assert (status, problem["code"]) == (502, "peer.unreachable")
        assert at.relay.connections
        assert read == []
        at.relay.lead_to(country.grpc_port)
        await at.query_until_answered()


async def test_a_member_at_anothers_address_is_noticed_in_the_handshake(tmp_path: Path) -> None:
    """With a valid certificate of the federation, but of another: no query leaves."""
    country = await found(tmp_path)
    anhui = await make_node(country.anchor / "anchor.public.json", tmp_path / "ah", "340000")
    async with country.running() as at, running(anhui) as (third,):
        at.relay.lead_to(third.at.grpc.port)
        status, problem = await at.query()
        assert (status, problem["code"]) == (502, "peer.tls_identity")
        assert "nothing was sent" in problem["detail"]
        assert "yrd_exchanges_total{" not in await at.metrics(third)
        at.relay.lead_to(country.grpc_port)
        await at.query_until_answered()
