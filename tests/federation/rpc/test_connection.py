"""Connections that break, move, and are made anew: nothing that is open is lost, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import socket

import pytest

from federation.errors import PeerUnreachable
from federation.rpc.limits import RpcLimits
from tests.federation.rpc.country import (
    SHANGHAI,
    STATE,
    WAYS,
    Application,
    asking,
    enrolled,
    peer_at,
    send,
    serving,
)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("way", WAYS)
async def test_nobody_there_is_told_as_unreachable(way: str) -> None:
    async with asking(limits=RpcLimits(unreachable_after_s=0.1)) as transport:
        with pytest.raises(PeerUnreachable, match="no connection to 127"):
            await send(way, transport, peer_at(free_port()), b"e", timeout_s=5)


async def test_a_deadline_without_a_connection_is_unreachable_not_a_timeout() -> None:
    async with asking() as transport:
        with pytest.raises(PeerUnreachable, match="within the deadline"):
            await transport.exchange(peer_at(free_port()), STATE, b"e", timeout_s=0.1)


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_open_when_the_peer_restarts_is_sent_again(way: str) -> None:
    first, second = Application(), Application()
    second.gate.set()
    async with asking() as transport:
        async with serving(application=first) as served:
            open_items = [
                asyncio.create_task(send(way, transport, served.peer, b"wait %d" % number, timeout_s=10))
                for number in range(5)
            ]
            while len(first.asked) < 5:
                await first.arrived.wait()
                first.arrived.clear()
            await served.server.stop(0)
        async with serving(application=second, port=served.port):
            answers = await asyncio.gather(*open_items)
    assert answers == [b"re:wait %d" % number for number in range(5)]
    assert second.asked == [b"wait %d" % number for number in range(5)]


async def test_a_peer_that_comes_up_late_is_reached() -> None:
    port = free_port()
    async with asking() as transport:
        early = asyncio.create_task(transport.exchange(peer_at(port), STATE, b"e", timeout_s=10))
        await asyncio.sleep(0)
        async with serving(port=port):
            assert await early == b"re:e"


async def test_a_peer_that_moves_is_followed_and_open_calls_finish_where_they_are() -> None:
    async with serving() as old, serving() as new, asking() as transport:
        open_item = asyncio.create_task(transport.exchange(old.peer, STATE, b"wait", timeout_s=5))
        await old.application.arrived.wait()
        assert await transport.exchange(new.peer, STATE, b"e", timeout_s=5) == b"re:e"
        old.application.gate.set()
        assert await open_item == b"re:wait"
    assert [envelope for envelope, _, _ in new.application.seen] == [b"e"]


async def test_new_credentials_count_for_new_calls_and_open_ones_finish() -> None:
    async with serving() as served, asking() as transport:
        open_item = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=5))
        await served.application.arrived.wait()
        transport.replace_credentials(enrolled(SHANGHAI))
        assert await transport.exchange(served.peer, STATE, b"e", timeout_s=5) == b"re:e"
        served.application.gate.set()
        assert await open_item == b"re:wait"
    assert [peer for _, peer, _ in served.application.seen][-1] == SHANGHAI


async def test_connections_end_at_their_age_without_losing_a_call() -> None:
    limits = RpcLimits(max_connection_age_s=0.1, drain_s=0.1)
    async with serving(limits=limits) as served, asking() as transport:
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.0
        answered = 0
        while loop.time() < until:
            assert await transport.exchange(served.peer, STATE, b"e", timeout_s=5) == b"re:e"
            answered += 1
    assert answered == len(served.application.finished)


async def test_a_stopped_server_drains_what_it_began() -> None:
    async with serving() as served, asking() as transport:
        open_item = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=5))
        await served.application.arrived.wait()
        stopping = asyncio.create_task(served.server.stop(5))
        await asyncio.sleep(0)
        served.application.gate.set()
        assert await open_item == b"re:wait"
        await stopping


async def test_a_taken_port_is_said() -> None:
    async with serving() as served:
        with pytest.raises(OSError, match="cannot listen"):
            async with serving(port=served.port):
                pytest.fail("the port is taken")
