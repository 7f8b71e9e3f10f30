"""Frames over real sockets and mutual TLS: batches, faults, limits, deadlines, callers that leave."""

from __future__ import annotations

import asyncio

import pytest

from federation.errors import (
    AccessDenied,
    OwnBusy,
    OwnStoreUnavailable,
    PeerBadSignature,
    PeerBusy,
    PeerInternal,
    PeerMalformed,
    PeerTimeout,
    PeerTooLarge,
)
from federation.query import Operation
from federation.rpc.limits import RpcLimits
from tests.federation.rpc.country import STATE, WAYS, ZHEJIANG, Application, asking, send, serving
from trust.errors import EnvelopeMalformed


async def test_many_requests_of_one_tick_are_each_answered() -> None:
    async with serving() as served, asking() as transport:
        envelopes = [b"e%d" % number for number in range(200)]
        answers = await asyncio.gather(
            *(transport.exchange(served.peer, STATE, envelope, timeout_s=5) for envelope in envelopes)
        )
        assert answers == [b"re:" + envelope for envelope in envelopes]
        assert {(peer, operation) for _, peer, operation in served.application.seen} == {(ZHEJIANG, None)}


async def test_one_refused_item_leaves_the_others_answered() -> None:
    application = Application(faults={b"bad": PeerBadSignature("the signature does not verify")})
    async with serving(application=application) as served, asking() as transport:
        good, bad = await asyncio.gather(
            transport.exchange(served.peer, STATE, b"good", timeout_s=5),
            transport.exchange(served.peer, STATE, b"bad", timeout_s=5),
            return_exceptions=True,
        )
    assert good == b"re:good"
    assert isinstance(bad, PeerBadSignature)
    assert bad.detail == "the signature does not verify"


@pytest.mark.parametrize(
    ("raised", "seen", "detail"),
    [
        (EnvelopeMalformed("unknown field 9"), PeerMalformed, "unknown field 9"),
        (AccessDenied("no rule"), AccessDenied, "no rule"),
        (
            OwnStoreUnavailable("disk full on /var/yrd"),
            PeerBusy,
            "The store is unavailable; nothing was released",
        ),
    ],
)
@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_arrives_as_its_class(
    raised: Exception, seen: type[Exception], detail: str, way: str
) -> None:
    async with serving(application=Application(faults={b"x": raised})) as served, asking() as transport:
        with pytest.raises(seen) as refused:
            await send(way, transport, served.peer, b"x", timeout_s=5)
    assert getattr(refused.value, "detail", None) == detail


@pytest.mark.parametrize("way", WAYS)
async def test_an_unforeseen_error_leaves_only_an_incident_id(way: str) -> None:
    secret = ValueError("330102199001011234 is no number")
    async with serving(application=Application(faults={b"x": secret})) as served, asking() as transport:
        with pytest.raises(PeerInternal) as refused:
            await send(way, transport, served.peer, b"x", timeout_s=5)
    assert "330102199001011234" not in str(refused.value)
    assert refused.value.detail.startswith("incident ")


async def test_unary_names_the_operation_of_its_method() -> None:
    async with serving() as served, asking() as transport:
        for operation in Operation:
            assert await transport.exchange_unary(served.peer, operation, b"e", timeout_s=5) == b"re:e"
    assert [operation for _, _, operation in served.application.seen] == list(Operation)


async def test_a_message_over_the_limit_is_refused_before_the_handler() -> None:
    async with serving() as served, asking(limits=RpcLimits(message_in_bytes=8 * 1024 * 1024)) as transport:
        with pytest.raises(PeerTooLarge):
            await transport.exchange(served.peer, STATE, bytes(1024 * 1024 + 1), timeout_s=5)
        with pytest.raises(PeerTooLarge, match="at most 32768"):
            await transport.exchange_unary(served.peer, STATE, bytes(32 * 1024 + 1), timeout_s=5)
        assert await transport.exchange(served.peer, STATE, b"still", timeout_s=5) == b"re:still"
    assert served.seen == [b"still"]


async def test_an_answer_over_the_limit_is_refused_and_the_others_leave() -> None:
    async with serving() as served, asking() as transport:
        large, small = await asyncio.gather(
            transport.exchange(served.peer, STATE, b"big%d" % (4 * 1024 * 1024 + 1), timeout_s=5),
            transport.exchange(served.peer, STATE, b"big2000000", timeout_s=5),
            return_exceptions=True,
        )
    assert isinstance(large, PeerTooLarge)
    assert small == bytes(2_000_000)


async def test_an_answer_that_is_ready_does_not_wait_for_a_slow_one() -> None:
    async with serving() as served, asking() as transport:
        slow = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=5))
        quick = asyncio.create_task(transport.exchange(served.peer, STATE, b"quick", timeout_s=5))
        assert await quick == b"re:quick"
        assert not slow.done()
        served.application.gate.set()
        assert await slow == b"re:wait"


@pytest.mark.parametrize("way", WAYS)
async def test_at_the_deadline_the_caller_is_told_and_the_answer_is_still_made(way: str) -> None:
    async with serving() as served, asking() as transport:
        with pytest.raises(PeerTimeout):
            await send(way, transport, served.peer, b"wait", timeout_s=0.2)
        assert served.server.in_flight == 1
        served.application.gate.set()
        await served.server.stop(5)
    assert served.finished == [b"wait"]


async def test_a_shorter_deadline_that_joins_later_ends_first() -> None:
    async with serving() as served, asking() as transport:
        patient = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait patient", timeout_s=20))
        await asyncio.sleep(0)
        with pytest.raises(PeerTimeout):
            await transport.exchange(served.peer, STATE, b"wait hasty", timeout_s=0.2)
        assert not patient.done()
        served.application.gate.set()
        assert await patient == b"re:wait patient"


async def test_the_answering_side_tells_of_its_own_deadline_first() -> None:
    async with serving(limits=RpcLimits(deadline_s=0.05)) as served, asking() as transport:
        for way in WAYS:
            with pytest.raises(PeerTimeout, match="fetched later"):
                await send(way, transport, served.peer, b"wait", timeout_s=30)


@pytest.mark.parametrize("way", WAYS)
async def test_a_caller_that_leaves_breaks_neither_the_frame_nor_the_answer(way: str) -> None:
    async with serving() as served, asking() as transport:
        leaving = asyncio.create_task(send(way, transport, served.peer, b"wait leaving", timeout_s=5))
        staying = asyncio.create_task(send(way, transport, served.peer, b"wait staying", timeout_s=5))
        while len(served.application.seen) < 2:
            await served.application.arrived.wait()
            served.application.arrived.clear()
        leaving.cancel()
        served.application.gate.set()
        assert await staying == b"re:wait staying"
        await served.server.stop(5)
    assert served.finished == [b"wait leaving", b"wait staying"]


async def test_the_answer_is_made_when_the_whole_caller_is_gone() -> None:
    async with serving() as served:
        async with asking() as transport:
            gone = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=5))
            await served.application.arrived.wait()
        with pytest.raises(Exception, match="closed"):
            await gone
        served.application.gate.set()
        await served.server.stop(5)
    assert served.finished == [b"wait"]


async def test_more_than_the_answering_side_can_hold_is_told_busy() -> None:
    async with serving(limits=RpcLimits(in_flight=2)) as served, asking() as transport:
        waiting = [
            asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=5))
            for _ in range(2)
        ]
        while served.server.in_flight < 2:
            await served.application.arrived.wait()
            served.application.arrived.clear()
        for way in WAYS:
            with pytest.raises(PeerBusy):
                await send(way, transport, served.peer, b"one more", timeout_s=5)
        served.application.gate.set()
        assert await asyncio.gather(*waiting) == [b"re:wait"] * 2


async def test_more_than_the_asking_side_may_have_open_is_refused_here() -> None:
    async with serving() as served, asking(limits=RpcLimits(in_flight=1)) as transport:
        first = asyncio.create_task(transport.exchange(served.peer, STATE, b"wait", timeout_s=5))
        await served.application.arrived.wait()
        with pytest.raises(OwnBusy):
            await transport.exchange(served.peer, STATE, b"second", timeout_s=5)
        served.application.gate.set()
        await first


async def test_frames_are_bounded_by_items_and_by_bytes() -> None:
    async with serving() as served, asking(limits=RpcLimits(frame_items=3, frame_bytes=400)) as transport:
        envelopes = [bytes([number]) * 100 for number in range(20)]
        answers = await asyncio.gather(
            *(transport.exchange(served.peer, STATE, envelope, timeout_s=5) for envelope in envelopes)
        )
    assert answers == [b"re:" + envelope for envelope in envelopes]


async def test_fetch_answer() -> None:
    async with serving() as served, asking() as transport:
        fetched = await transport.fetch_answer(served.peer, b"\x01" * 32, "id", timeout_s=5)
        assert fetched == f"fetched id for {ZHEJIANG}".encode()
        with pytest.raises(PeerMalformed, match="32 bytes"):
            await transport.fetch_answer(served.peer, b"short", "id", timeout_s=5)
        with pytest.raises(Exception, match="no finished answer"):
            await transport.fetch_answer(served.peer, b"\x02" * 32, "id", timeout_s=5)
