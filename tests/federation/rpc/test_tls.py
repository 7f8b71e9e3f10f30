"""Who may connect at all: TLS 1.3, both sides enrolled in the federation, each the one it should be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from federation.errors import PeerRevoked, PeerTlsIdentity, PeerUnknown, PeerUnreachable
from federation.rpc.callers import CallerCheck
from federation.rpc.credentials import TlsMaterial
from federation.rpc.limits import RpcLimits
from federation.rpc.methods import EXCHANGE
from federation.rpc.server import PeerServer
from tests.federation.rpc.country import (
    ANHUI,
    SHANGHAI,
    STATE,
    WAYS,
    ZHEJIANG,
    Application,
    Served,
    admit_all,
    asking,
    authority,
    enrolled,
    peer_at,
    refuse,
    send,
    serving,
)
from tests.support.clock import FixedClock
from trust.identity import tls_name
from trust.keys import SigningKey
from trust.x509 import create_csr, issue_from_csr

QUICK = RpcLimits(unreachable_after_s=0.2)


def client_context(folder: Path, material: TlsMaterial | None) -> ssl.SSLContext:
    """An independent TLS client: Python's own, over the system's OpenSSL."""
    context = ssl.create_default_context(cadata=enrolled(SHANGHAI).ca_pem.decode())
    context.set_alpn_protocols(["h2"])
    if material is not None:
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(material.chain_pem)
        key.write_bytes(material.key_pem)
        context.load_cert_chain(chain, key)
    return context


async def first_bytes(served: Served, context: ssl.SSLContext) -> tuple[str | None, bytes]:
    """Shake hands and read what an HTTP/2 server says first: its SETTINGS frame."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.port, ssl=context, server_hostname=tls_name(SHANGHAI)
    )
    version = writer.get_extra_info("ssl_object").version()
    try:
        return version, await reader.readexactly(9)
    finally:
        writer.close()


async def test_tls_1_3_with_a_client_certificate_is_served(tmp_path: Path) -> None:
    async with serving() as served:
        version, said = await first_bytes(served, client_context(tmp_path, enrolled(ZHEJIANG)))
    assert version == "TLSv1.3"
    assert said[3] == 4  # a SETTINGS frame, RFC 9113 §6.5


async def test_a_client_that_offers_tls_1_2_is_refused(tmp_path: Path) -> None:
    context = client_context(tmp_path, enrolled(ZHEJIANG))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving() as served:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await first_bytes(served, context)


@pytest.mark.parametrize("material", [None, enrolled(ZHEJIANG, "strangers")])
async def test_a_client_without_a_certificate_of_the_federation_is_refused(
    tmp_path: Path, material: TlsMaterial | None
) -> None:
    async with serving() as served:
        # In TLS 1.3 the client's handshake is over before the server has looked at its certificate.
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await first_bytes(served, client_context(tmp_path, material))
    assert served.application.seen == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_member_at_anothers_address_is_noticed_and_nothing_leaves(way: str) -> None:
    async with serving(entity_id=ANHUI) as served, asking() as transport:
        with pytest.raises(PeerTlsIdentity, match="nothing was sent"):
            await send(way, transport, peer_at(served.port, SHANGHAI), b"secret", timeout_s=5)
        assert served.application.seen == []
        assert await send(way, transport, peer_at(served.port, ANHUI), b"e", timeout_s=5) == b"re:e"
    assert served.seen == [b"e"]


async def test_a_server_outside_the_federation_is_noticed_and_nothing_leaves() -> None:
    async with serving(material=enrolled(SHANGHAI, "strangers")) as served, asking() as transport:
        with pytest.raises(PeerTlsIdentity, match="not one of the federation's"):
            await transport.exchange(served.peer, STATE, b"secret", timeout_s=5)
    assert served.application.seen == []


async def test_an_asker_outside_the_federation_gets_no_answer() -> None:
    async with (
        serving() as served,
        asking(material=enrolled(ZHEJIANG, "strangers"), limits=QUICK) as transport,
    ):
        with pytest.raises((PeerUnreachable, PeerTlsIdentity)):
            await transport.exchange(served.peer, STATE, b"e", timeout_s=2)
    assert served.application.seen == []


def issued_by(signer: SigningKey, issuer: x509.Certificate, entity_id: str) -> tuple[bytes, SigningKey]:
    """A leaf that names `entity_id`, signed by whoever holds `signer`, CA or not."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    names = [x509.UniformResourceIdentifier(entity_id), x509.DNSName(tls_name(entity_id))]
    builder = x509.CertificateBuilder(
        subject_name=x509.Name([]),
        issuer_name=issuer.subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(minutes=5),
        not_valid_after=now + timedelta(days=1),
    ).add_extension(x509.SubjectAlternativeName(names), critical=True)
    private = signer.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return builder.sign(private, SHA256()).public_bytes(Encoding.PEM), SigningKey(key)


def made_by_a_member() -> TlsMaterial:
    """Anhui issues itself a TLS certificate that names Zhejiang, under its own one."""
    member = authority("yrd").enrol(ANHUI)
    own = x509.load_pem_x509_certificate(member.chain_pem)
    leaf, key = issued_by(SigningKey.from_pem(member.key_pem), own, ZHEJIANG)
    return TlsMaterial(member.ca_pem, leaf + member.chain_pem, key.to_pem())


def self_made() -> TlsMaterial:
    """A leaf that names Zhejiang and the CA as its issuer, signed by nobody who may."""
    ca = authority("yrd")
    leaf, key = issued_by(SigningKey.generate(), x509.load_pem_x509_certificate(ca.pem), ZHEJIANG)
    return TlsMaterial(ca.pem, leaf + ca.pem, key.to_pem())


def expired() -> TlsMaterial:
    """Zhejiang's of yesterday."""
    ca, key = authority("yrd"), SigningKey.generate()
    then = datetime.now(UTC) - timedelta(days=2)
    chain = issue_from_csr(create_csr(key, ZHEJIANG), ca.pem, ca.key, ZHEJIANG, then, days=1)
    return TlsMaterial(ca.pem, chain, key.to_pem())


@pytest.mark.parametrize("make", [made_by_a_member, self_made, expired])
async def test_what_only_looks_like_a_members_certificate_gets_no_answer(
    tmp_path: Path, make: Callable[[], TlsMaterial]
) -> None:
    async with serving() as served:
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await first_bytes(served, client_context(tmp_path, make()))
        async with asking(material=make(), limits=QUICK) as transport:
            with pytest.raises((PeerUnreachable, PeerTlsIdentity)):
                await transport.exchange(served.peer, STATE, b"e", timeout_s=2)
    assert served.application.seen == []


@pytest.mark.parametrize("make", [made_by_a_member, self_made, expired])
async def test_a_server_that_shows_such_a_certificate_is_sent_nothing(
    make: Callable[[], TlsMaterial],
) -> None:
    async with serving(material=make()) as served, asking(SHANGHAI, limits=QUICK) as transport:
        with pytest.raises((PeerUnreachable, PeerTlsIdentity)):
            await transport.exchange(peer_at(served.port, ZHEJIANG), STATE, b"secret", timeout_s=2)
    assert served.application.seen == []


async def test_a_stolen_key_speaks_for_its_own_entity_only() -> None:
    """Whoever holds Anhui's TLS key is Anhui to the application, whatever its envelopes say."""
    async with serving() as served, asking(ANHUI) as transport:
        await transport.exchange(served.peer, STATE, b"from zhejiang", timeout_s=5)
    assert [peer for _, peer, _ in served.application.seen] == [ANHUI]


async def test_a_peer_not_in_good_standing_is_refused_at_every_call() -> None:
    for error in (PeerRevoked("revoked by the anchor"), PeerUnknown("not in the trust list")):
        async with serving(admit=refuse(error)) as served, asking() as transport:
            for way in WAYS:
                with pytest.raises(type(error)) as refused:
                    await send(way, transport, served.peer, b"e", timeout_s=5)
                assert refused.value.detail == error.detail
            assert served.application.seen == []
            assert (ZHEJIANG, EXCHANGE, error.code) in served.refused


async def test_an_expired_certificate_is_refused_on_a_live_connection() -> None:
    async with serving() as served, asking() as transport:
        assert await transport.exchange(served.peer, STATE, b"e", timeout_s=5) == b"re:e"
        served.clock.advance(days=31)
        with pytest.raises(PeerTlsIdentity, match="expired"):
            await transport.exchange(served.peer, STATE, b"e", timeout_s=5)


async def test_the_server_takes_up_new_material_at_the_next_handshake() -> None:
    current = [authority("yrd").enrol(SHANGHAI)]

    server = PeerServer(
        Application(), CallerCheck(FixedClock(datetime.now(UTC)), admit_all), lambda: current[0], RpcLimits()
    )
    port = await server.start("127.0.0.1:0")
    try:
        async with asking() as before:
            assert await before.exchange(peer_at(port), STATE, b"1", timeout_s=5) == b"re:1"
            current[0] = enrolled(SHANGHAI, "strangers")
            assert await before.exchange(peer_at(port), STATE, b"2", timeout_s=5) == b"re:2"
        async with asking() as after:
            with pytest.raises(PeerTlsIdentity):
                await after.exchange(peer_at(port), STATE, b"3", timeout_s=5)
        current.clear()
        async with asking(material=enrolled(ZHEJIANG, "strangers")) as still:
            assert await still.exchange(peer_at(port), STATE, b"4", timeout_s=5) == b"re:4"
    finally:
        await server.stop(1)


# --- the check itself, on what gRPC says of a connection ---------------------------------------------


def auth(**changes: list[bytes]) -> dict[str, list[bytes]]:
    """What gRPC says of a good connection of Zhejiang, with changes."""
    good = {
        "ssl_tls_version": [b"TLSv1.3"],
        "x509_pem_cert": [enrolled(ZHEJIANG).chain_pem],
        "peer_uri": [ZHEJIANG.encode()],
    }
    return {**good, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ssl_tls_version": [b"TLSv1.2"]}, "TLS 1.3 is needed"),
        ({"ssl_tls_version": []}, "one TLS version"),
        ({"peer_uri": []}, "exactly one URI"),
        ({"peer_uri": [ZHEJIANG.encode(), SHANGHAI.encode()]}, "exactly one URI"),
        ({"peer_uri": [SHANGHAI.encode()]}, "one way"),
        ({"x509_pem_cert": []}, "one TLS certificate"),
    ],
)
def test_a_connection_that_does_not_show_one_entity_is_refused(
    changes: dict[str, list[bytes]], words: str
) -> None:
    check = CallerCheck(FixedClock(datetime.now(UTC)), admit_all)
    with pytest.raises(PeerTlsIdentity, match=words):
        check.identify(auth(**changes))
    assert check.identify(auth()) == ZHEJIANG


def test_it_counts_to_the_second() -> None:
    clock = FixedClock(datetime.now(UTC) + timedelta(days=29))
    check = CallerCheck(clock, admit_all)
    assert check.identify(auth()) == ZHEJIANG
    clock.advance(days=1)
    with pytest.raises(PeerTlsIdentity):
        check.identify(auth())
