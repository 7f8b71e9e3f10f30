"""TLS keys that change while requests are in flight: the server hot, the channels replaced and drained."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from federation.rpc.callers import CallerCheck
from federation.rpc.client import GrpcPeerTransport
from federation.rpc.credentials import TlsMaterial
from federation.rpc.limits import RpcLimits
from federation.rpc.server import PeerServer
from tests.federation.rpc.country import (
    SHANGHAI,
    STATE,
    ZHEJIANG,
    Application,
    admit_all,
    asking,
    authority,
    peer_at,
    serving,
)
from tests.support.clock import FixedClock
from trust.keys import SigningKey
from trust.x509 import create_csr, issue_from_csr

IN_FLIGHT = 32
ROUNDS = 8


async def test_nothing_fails_while_both_sides_replace_their_keys_again_and_again() -> None:
    ca = authority("yrd")
    shown = [ca.enrol(SHANGHAI)]
    server = PeerServer(
        Application(), CallerCheck(FixedClock(datetime.now(UTC)), admit_all), lambda: shown[-1], RpcLimits()
    )
    peer = peer_at(await server.start("127.0.0.1:0"))
    stop = asyncio.Event()

    async def ask(transport: GrpcPeerTransport, number: int) -> int:
        count = 0
        while not stop.is_set():
            envelope = b"%d-%d" % (number, count)
            assert await transport.exchange(peer, STATE, envelope, timeout_s=10) == b"re:" + envelope
            count += 1
        return count

    try:
        async with asking() as transport, asyncio.TaskGroup() as group:
            askers = [group.create_task(ask(transport, number)) for number in range(IN_FLIGHT)]
            for _ in range(ROUNDS):
                shown.append(ca.enrol(SHANGHAI))
                transport.replace_credentials(ca.enrol(ZHEJIANG))
                # A round is over when the new connection has carried something.
                await transport.exchange(peer, STATE, b"round", timeout_s=10)
            stop.set()
        assert all(asker.result() > 0 for asker in askers)
    finally:
        await server.stop(1)


async def test_the_ca_rolls_over_with_both_trusted_for_a_while() -> None:
    old, new = authority("yrd"), authority("yrd-next")
    both = old.pem + new.pem

    def under(ca_pem: bytes, material: TlsMaterial) -> TlsMaterial:
        return TlsMaterial(ca_pem, material.chain_pem, material.key_pem)

    shown = [under(both, old.enrol(SHANGHAI))]
    server = PeerServer(
        Application(), CallerCheck(FixedClock(datetime.now(UTC)), admit_all), lambda: shown[-1], RpcLimits()
    )
    peer = peer_at(await server.start("127.0.0.1:0"))
    try:
        async with asking(material=under(both, old.enrol(ZHEJIANG))) as transport:
            assert await transport.exchange(peer, STATE, b"1", timeout_s=5) == b"re:1"
            transport.replace_credentials(under(both, new.enrol(ZHEJIANG)))
            assert await transport.exchange(peer, STATE, b"2", timeout_s=5) == b"re:2"
            shown.append(under(both, new.enrol(SHANGHAI)))
            transport.replace_credentials(under(new.pem, new.enrol(ZHEJIANG)))
            assert await transport.exchange(peer, STATE, b"3", timeout_s=5) == b"re:3"
    finally:
        await server.stop(1)


async def test_what_broke_on_an_old_connection_is_sent_on_the_newest() -> None:
    ca = authority("yrd")
    first, second = Application(), Application()
    second.gate.set()
    async with asking() as transport:
        async with serving(application=first) as served:
            open_item = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=10))
            await first.arrived.wait()
            for _ in range(3):
                transport.replace_credentials(ca.enrol(ZHEJIANG))
            await served.server.stop(0)
        async with serving(application=second, port=served.port):
            assert await open_item == b"re:wait"


async def test_a_key_with_a_chain_that_is_not_the_newest_is_fine() -> None:
    ca, key = authority("yrd"), SigningKey.generate()
    csr = create_csr(key, ZHEJIANG)
    chains = [
        issue_from_csr(csr, ca.pem, ca.key, ZHEJIANG, datetime.now(UTC), days=days) for days in (10, 20)
    ]
    async with serving() as served:
        for chain in (chains[1], chains[0]):
            async with asking(material=TlsMaterial(ca.pem, chain, key.to_pem())) as transport:
                assert await transport.exchange(served.peer, STATE, b"e", timeout_s=5) == b"re:e"
