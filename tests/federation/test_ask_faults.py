"""What an asking node does when a peer refuses, fails, has new keys, or answers only later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from federation.answer import Answerer
from federation.errors import (
    AccessDenied,
    FederationError,
    OwnDeadline,
    OwnNotFound,
    OwnStoreUnavailable,
    PeerForeignKey,
    PeerInternal,
    PeerNoAnswer,
    PeerTimeout,
    PeerUnreachable,
)
from federation.observe import Side
from federation.ports import RecordKind, StoredRecord
from federation.query import (
    CertificatesAnswer,
)
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import (
    command,
    make_country,
)
from tests.support.replacing import replace
from trust.keys import SigningKey

# --- refusals and faults of the other side --------------------------------------------------------------


async def test_a_signed_refusal_is_stored_as_evidence_and_then_raised() -> None:
    sh, zj = make_country()
    zj.govern('version = "closed"')
    with pytest.raises(AccessDenied) as caught:
        await sh.asker.ask(command(sh, zj))
    assert "closed" in caught.value.detail
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    assert sh.journal.records[1].meta.outcome == "refused"
    assert sh.observer.outcomes == [(Side.ASK, "certificates.query", "330000", "access.denied")]


async def test_with_the_store_down_nothing_leaves() -> None:
    sh, zj = make_country()
    sh.journal.is_down = True
    with pytest.raises(OwnStoreUnavailable):
        await sh.asker.ask(command(sh, zj))
    assert sh.transport.sent == []
    sh.journal.is_down = False
    await sh.asker.ask(command(sh, zj))


async def test_an_answer_that_cannot_be_stored_is_not_released() -> None:
    sh, zj = make_country()

    def fill_the_disk(envelope: bytes) -> bytes:
        sh.journal.is_down = True
        return envelope

    sh.transport.tamper = fill_the_disk
    with pytest.raises(OwnStoreUnavailable):
        await sh.asker.ask(command(sh, zj, request_id=sh.asker.new_request_id()))


async def test_no_time_left_is_said_before_sending() -> None:
    sh, zj = make_country()
    with pytest.raises(OwnDeadline):
        await sh.asker.ask(command(sh, zj, timeout_s=0))
    assert sh.transport.sent == []


@pytest.mark.parametrize("fault", [PeerUnreachable("down"), PeerInternal("incident 1")])
async def test_a_peers_fault_passes_through(fault: FederationError) -> None:
    sh, zj = make_country()
    sh.transport.faults = [fault]
    with pytest.raises(type(fault)):
        await sh.asker.ask(command(sh, zj))
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]


async def test_a_clock_that_differs_is_told_with_both_clocks() -> None:
    sh, zj = make_country()
    slow = replace(zj.parts, clock=FixedClock(NOON - timedelta(minutes=10)))
    answerer = Answerer(slow, zj.registry, version="1", now_s=lambda: 0.0)
    sh.transport.answerers = {zj.entity_id: answerer}
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj))
    assert caught.value.code == "peer.from_future"
    assert caught.value.detail.count("+00:00") == 2


# --- keys that change -----------------------------------------------------------------------------------


async def test_a_key_the_peer_does_not_know_yet_is_repeated_once_after_a_refresh() -> None:
    sh, zj = make_country()
    sh.transport.faults = [PeerForeignKey("unknown")]
    await sh.asker.ask(command(sh, zj))
    assert sh.refreshes == ["awaited"]
    assert sh.transport.sent[0] == sh.transport.sent[1]
    assert len(sh.journal.records) == 2


async def test_an_answer_under_a_new_key_is_believed_after_a_refresh() -> None:
    sh, zj = make_country()
    known = zj.peer()
    zj.journal.signer = SigningKey.generate()
    new = zj.journal.signer.verification_key
    sh.on_refresh.append(lambda: sh.know(replace(known, envelope_keys={new.kid: new})))
    await sh.asker.ask(command(sh, zj))
    assert sh.refreshes == ["awaited"]
    assert len(zj.registry.looked_up) == 1


async def test_a_key_that_stays_unknown_is_refused_after_one_repeat() -> None:
    sh, zj = make_country()
    zj.journal.signer = SigningKey.generate()
    with pytest.raises(PeerForeignKey):
        await sh.asker.ask(command(sh, zj))
    assert sh.refreshes == ["awaited"]
    assert len(sh.transport.sent) == 2
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]


# --- callers that go away, answers that come later --------------------------------------------------------


async def test_when_the_caller_goes_away_the_answer_is_still_stored_and_can_be_fetched() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    request_id = sh.asker.new_request_id()
    caller = asyncio.create_task(sh.asker.ask(command(sh, zj, request_id=request_id)))
    await zj.registry.reached()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    zj.registry.hold.set()
    await sh.asker.drain()
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    result = await sh.asker.fetch(request_id, client="portal")
    assert isinstance(result.body, CertificatesAnswer)
    assert result.body.certificates[0].certificate_type == "居民身份证"
    assert len(sh.transport.sent) == 1


async def test_a_timeout_says_what_to_fetch_and_the_answer_comes_later() -> None:
    sh, zj = make_country()
    request_id = sh.asker.new_request_id()
    reach = sh.transport.tamper

    def lose(_envelope: bytes) -> bytes:  # only the way back is cut
        raise PeerTimeout("deadline")

    sh.transport.tamper = lose
    with pytest.raises(PeerTimeout) as caught:
        await sh.asker.ask(command(sh, zj, request_id=request_id))
    assert request_id in caught.value.detail
    sh.transport.tamper = reach
    zj.clock.advance(hours=1)
    result = await sh.asker.fetch(request_id, client="portal")
    assert isinstance(result.body, CertificatesAnswer)
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    assert len(zj.registry.looked_up) == 1


async def test_fetching_while_it_is_asked_waits_for_the_same_result() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    request_id = sh.asker.new_request_id()
    asked = asyncio.create_task(sh.asker.ask(command(sh, zj, request_id=request_id)))
    await zj.registry.reached()
    fetched = asyncio.create_task(sh.asker.fetch(request_id))
    zj.registry.hold.set()
    assert await asked == await fetched
    assert len(sh.journal.records) == 2


async def test_two_who_fetch_at_once_get_one_answer_that_is_stored_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sh, zj = make_country()
    find_records = sh.journal.find_records

    async def read_as_a_store_does(request_id: str) -> Sequence[StoredRecord]:
        records = await find_records(request_id)
        await asyncio.sleep(0)
        return records

    monkeypatch.setattr(sh.journal, "find_records", read_as_a_store_does)
    request_id = sh.asker.new_request_id()
    reach = sh.transport.tamper

    def lose(_envelope: bytes) -> bytes:
        raise PeerTimeout("deadline")

    sh.transport.tamper = lose
    with pytest.raises(PeerTimeout):
        await sh.asker.ask(command(sh, zj, request_id=request_id))
    sh.transport.tamper = reach
    first, second = await asyncio.gather(sh.asker.fetch(request_id), sh.asker.fetch(request_id))
    assert first == second
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]


async def test_only_the_own_requests_can_be_fetched_and_only_what_is_finished() -> None:
    sh, zj = make_country()
    sh.transport.faults = [PeerUnreachable("down")]
    request_id = sh.asker.new_request_id()
    with pytest.raises(PeerUnreachable):
        await sh.asker.ask(command(sh, zj, request_id=request_id))
    with pytest.raises(OwnNotFound):
        await sh.asker.fetch(request_id, client="other")
    with pytest.raises(OwnNotFound):
        await sh.asker.fetch(sh.asker.new_request_id())
    with pytest.raises(PeerNoAnswer):
        await sh.asker.fetch(request_id, client="portal")
    sh.govern('version = "closed"')
    with pytest.raises(AccessDenied):
        await sh.asker.fetch(request_id, client="portal")


async def test_a_stored_refusal_is_fetched_as_the_refusal_it_is() -> None:
    sh, zj = make_country()
    zj.govern('version = "closed"')
    request_id = sh.asker.new_request_id()
    for call in (sh.asker.ask(command(sh, zj, request_id=request_id)), sh.asker.fetch(request_id)):
        with pytest.raises(AccessDenied):
            await call
