"""A revocation that comes while something is at work: nothing more goes to that peer, nothing of it is taken."""

from __future__ import annotations

import asyncio

import pytest

from federation.errors import FederationError, PeerChainExpired, PeerDenied, PeerForeignKey, PeerRevoked
from federation.observe import Side
from federation.ports import RecordKind
from federation.query import Outcome
from tests.federation.test_answer import request, send
from tests.support.exchange import command, make_country

STANDINGS = [("revoked", PeerRevoked), ("denied", PeerDenied)]


@pytest.mark.parametrize(("standing", "error"), STANDINGS)
async def test_what_was_looked_up_for_a_peer_that_fell_meanwhile_does_not_leave(
    standing: str, error: type[FederationError]
) -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    asked = asyncio.create_task(send(sh, zj, request(sh, zj)))
    await zj.registry.reached()
    zj.know(sh.peer(standing=standing, reason="key lost"))
    zj.registry.hold.set()
    answer = await asked
    assert (answer.header.outcome, answer.header.refusal_code) == (Outcome.REFUSED, error.code)
    assert "key lost" in answer.header.refusal_detail
    assert answer.body is None


async def test_nor_does_the_first_answer_go_to_a_repeat_that_waited() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    sealed = request(sh, zj)
    first = asyncio.create_task(send(sh, zj, sealed))
    await zj.registry.reached()
    repeat = asyncio.create_task(send(sh, zj, sealed))
    await asyncio.sleep(0)
    zj.know(sh.peer(standing="revoked"))
    zj.registry.hold.set()
    await first
    with pytest.raises(PeerRevoked):
        await repeat


async def test_a_finished_answer_is_not_fetched_by_one_who_was_revoked() -> None:
    sh, zj = make_country()
    sealed = request(sh, zj)
    await send(sh, zj, sealed)
    zj.know(sh.peer(standing="revoked"))
    with pytest.raises(PeerRevoked):
        await zj.answerer.fetch_answer(sealed.identity, "", tls_peer=sh.entity_id)


@pytest.mark.parametrize(("standing", "error"), STANDINGS)
async def test_an_answer_by_a_peer_that_fell_meanwhile_is_not_taken(
    standing: str, error: type[FederationError]
) -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    asked = asyncio.create_task(sh.asker.ask(command(sh, zj)))
    await zj.registry.reached()
    sh.know(zj.peer(standing=standing))
    zj.registry.hold.set()
    with pytest.raises(error):
        await asked
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]
    assert (Side.ASK, "330000", error.code) in sh.observer.refused


async def test_a_repeat_is_not_sent_to_a_peer_that_the_look_found_revoked() -> None:
    sh, zj = make_country()
    zj.know(sh.peer(envelope_keys={}))
    sh.on_refresh.append(lambda: sh.know(zj.peer(standing="revoked")))
    with pytest.raises(PeerRevoked):
        await sh.asker.ask(command(sh, zj))
    assert len(sh.transport.sent) == 1


async def test_an_answer_is_not_fetched_from_a_peer_that_was_revoked() -> None:
    sh, zj = make_country()
    zj.know(sh.peer(envelope_keys={}))
    with pytest.raises(PeerForeignKey):
        await sh.asker.ask(command(sh, zj, request_id="0192f3a4-0000-7000-8000-000000000001"))
    sent = len(sh.transport.sent)
    sh.know(zj.peer(standing="revoked"))
    with pytest.raises(PeerRevoked):
        await sh.asker.fetch("0192f3a4-0000-7000-8000-000000000001")
    assert len(sh.transport.sent) == sent


async def test_an_expired_chain_is_refused_on_both_sides_by_its_own_name() -> None:
    sh, zj = make_country()
    ended = sh.clock.now()
    sh.know(zj.peer(expires_at=ended))
    with pytest.raises(PeerChainExpired, match=ended.strftime("%Y-%m-%dT%H")):
        await sh.asker.ask(command(sh, zj))
    assert sh.transport.sent == []
    zj.know(sh.peer(expires_at=ended))
    with pytest.raises(PeerChainExpired):
        await send(sh, zj, request(sh, zj))
    assert zj.registry.looked_up == []
