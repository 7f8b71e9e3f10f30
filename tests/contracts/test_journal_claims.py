"""The claims of a `federation.ports.Journal`: taken once, repeated, taken over, waited for."""

from __future__ import annotations

import asyncio

import pytest

import node.store.journal
from federation.ports import Claim, ClaimState
from node.store.journal import StoreJournal
from tests.support.clock import FixedClock
from tests.support.exchanges import (
    ASKING,
    claim_of,
    next_request_id,
    request_of,
)
from tests.support.journals import KEYS, answer
from trust.envelope import unseal


async def test_a_repeat_while_the_first_is_at_work(journal: StoreJournal, replica: StoreJournal) -> None:
    request_id = next_request_id()
    claim = claim_of(request_of(request_id), request_id)
    assert (await journal.claim(claim)).state is ClaimState.NEW
    assert (await journal.claim(claim)).state is ClaimState.WORKING
    assert (await replica.claim(claim)).state is ClaimState.WORKING


async def test_the_same_id_with_other_bytes_is_replayed(journal: StoreJournal, replica: StoreJournal) -> None:
    request_id = next_request_id()
    request, other = request_of(request_id), request_of(request_id, "something else")
    await journal.claim(claim_of(request, request_id))
    assert (await replica.claim(claim_of(other, request_id))).state is ClaimState.REPLAYED
    await answer(journal, request_id, request)
    assert (await journal.claim(claim_of(other, request_id))).state is ClaimState.REPLAYED


async def test_two_asking_nodes_may_use_the_same_request_id(journal: StoreJournal) -> None:
    request_id = next_request_id()
    claim = claim_of(request_of(request_id), request_id)
    other = Claim("https://node.ah.example", request_id, b"o" * 32, 10)
    assert (await journal.claim(claim)).state is ClaimState.NEW
    assert (await journal.claim(other)).state is ClaimState.NEW


async def test_many_claims_at_once_each_get_their_own_verdict(journal: StoreJournal) -> None:
    taken, free = next_request_id(), [next_request_id() for _ in range(40)]
    claim = claim_of(request_of(taken), taken)
    await journal.claim(claim)
    claims = [claim_of(request_of(request_id), request_id) for request_id in free]
    verdicts = await asyncio.gather(*map(journal.claim, [claims[0], claim, *claims[1:], claims[5]]))
    states = [verdict.state for verdict in verdicts]
    assert states[1] is ClaimState.WORKING
    assert sorted(states).count(ClaimState.NEW) == 40
    assert states[-1] is ClaimState.WORKING or states[6] is ClaimState.WORKING


async def test_a_refusal_of_a_replay_is_stored_and_leaves_the_claim_alone(journal: StoreJournal) -> None:
    request_id = next_request_id()
    request, other = request_of(request_id), request_of(request_id, "something else")
    await journal.claim(claim_of(request, request_id))
    refusal = await answer(journal, request_id, other, b"refused: replayed")
    assert await journal.find_answer(ASKING, other.identity) is None
    assert (await journal.claim(claim_of(request, request_id))).state is ClaimState.WORKING
    first = await answer(journal, request_id, request)
    assert await journal.find_answer(ASKING, request.identity) == first.envelope
    kept = [record.envelope for record in await journal.find_records(request_id)]
    assert kept == [other.envelope, refusal.envelope, request.envelope, first.envelope]


async def test_a_released_claim_may_be_taken_again(journal: StoreJournal) -> None:
    request_id = next_request_id()
    claim = claim_of(request_of(request_id), request_id)
    await journal.claim(claim)
    await journal.release(claim)
    assert (await journal.claim(claim)).state is ClaimState.NEW


async def test_a_release_leaves_finished_claims_and_those_of_others(
    journal: StoreJournal, replica: StoreJournal
) -> None:
    request_id, at_work = next_request_id(), next_request_id()
    request = request_of(request_id)
    await journal.claim(claim_of(request, request_id))
    await answer(journal, request_id, request)
    await journal.release(claim_of(request, request_id))
    assert (await journal.claim(claim_of(request, request_id))).state is ClaimState.FINISHED

    claim = claim_of(request_of(at_work), at_work)
    await journal.claim(claim)
    await replica.release(claim)
    assert (await journal.claim(claim)).state is ClaimState.WORKING


async def test_a_lease_that_ran_out_is_taken_over_once(
    journal: StoreJournal, replica: StoreJournal, clock: FixedClock
) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    claim = claim_of(request, request_id, lease_s=5)
    await journal.claim(claim)
    clock.advance(seconds=4)
    assert (await replica.claim(claim)).state is ClaimState.WORKING
    clock.advance(seconds=1)
    verdicts = await asyncio.gather(replica.claim(claim), journal.claim(claim), replica.claim(claim))
    assert [verdict.state for verdict in verdicts].count(ClaimState.NEW) == 1


async def test_of_two_who_finish_the_first_answer_stands(
    journal: StoreJournal, replica: StoreJournal, clock: FixedClock
) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    claim = claim_of(request, request_id, lease_s=5)
    await journal.claim(claim)
    clock.advance(seconds=6)
    assert (await replica.claim(claim)).state is ClaimState.NEW
    second = await answer(replica, request_id, request, b"from the replica")
    late = await answer(journal, request_id, request, b"from the one that was slow")
    assert late.envelope == second.envelope
    assert unseal(late, keys=KEYS).payload == b"from the replica"
    assert len(await journal.find_records(request_id)) == 2


async def test_an_answer_whose_claim_was_lost_is_stored_and_found(journal: StoreJournal) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    sealed = await answer(journal, request_id, request)
    assert (await journal.claim(claim_of(request, request_id))).answer == sealed.envelope


async def test_a_mixed_batch_settles_every_job_by_itself(journal: StoreJournal) -> None:
    done, replayed = next_request_id(), next_request_id()
    first, theirs = request_of(done), request_of(replayed)
    await journal.claim(claim_of(first, done))
    sealed = await answer(journal, done, first)
    await journal.claim(claim_of(theirs, replayed))

    fresh = [next_request_id() for _ in range(10)]
    await asyncio.gather(*(journal.claim(claim_of(request_of(one), one)) for one in fresh))
    results = await asyncio.gather(
        answer(journal, done, first, b"another"),
        answer(journal, replayed, request_of(replayed, "other"), b"refused"),
        *(answer(journal, one, request_of(one)) for one in fresh),
        answer(journal, fresh[0], request_of(fresh[0]), b"twice in one batch"),
    )
    assert results[0].envelope == sealed.envelope
    for one, result in zip(fresh[1:], results[3:], strict=False):
        verdict = await journal.claim(claim_of(request_of(one), one))
        assert verdict.answer == result.envelope
    # ES256 signatures differ each time, so it is the same answer only if it is the stored one.
    assert results[2].envelope == results[-1].envelope


async def test_waiting_for_the_answer_of_the_same_process(journal: StoreJournal) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    claim = claim_of(request, request_id)
    await journal.claim(claim)
    waiting = asyncio.ensure_future(journal.await_answer(claim, timeout_s=30))
    await asyncio.sleep(0)
    sealed = await answer(journal, request_id, request)
    assert await waiting == sealed.envelope


async def test_waiting_for_the_answer_of_another_replica(
    journal: StoreJournal, replica: StoreJournal
) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    claim = claim_of(request, request_id)
    await journal.claim(claim)
    waiting = asyncio.ensure_future(replica.await_answer(claim, timeout_s=30))
    await asyncio.sleep(0)
    sealed = await answer(journal, request_id, request)
    assert await waiting == sealed.envelope


async def test_waiting_ends_at_the_timeout_and_when_the_claim_is_given_up(journal: StoreJournal) -> None:
    request_id = next_request_id()
    claim = claim_of(request_of(request_id), request_id)
    await journal.claim(claim)
    assert await journal.await_answer(claim, timeout_s=0.0) is None
    waiting = asyncio.ensure_future(journal.await_answer(claim, timeout_s=30))
    await asyncio.sleep(0)
    await journal.release(claim)
    assert await waiting is None


async def test_no_answer_for_another_asker_or_an_unknown_request(journal: StoreJournal) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    await journal.claim(claim_of(request, request_id))
    other_id = next_request_id()
    assert await journal.find_answer(ASKING, request.identity) is None
    assert await journal.find_answer(ASKING, request.identity, request_id) is None
    await answer(journal, request_id, request)
    found = await journal.find_answer(ASKING, request.identity, request_id)
    assert found is not None
    assert found == await journal.find_answer(ASKING, request.identity)
    for said in ("", request_id):
        assert await journal.find_answer("https://node.ah.example", request.identity, said) is None
        assert await journal.find_answer(ASKING, b"?" * 32, said) is None
    assert await journal.find_answer(ASKING, request.identity, other_id) is None


async def test_without_the_requests_id_only_the_newest_claims_are_looked_through(
    journal: StoreJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.store.journal, "RECENT_CLAIMS", 2)
    ids = sorted(next_request_id() for _ in range(3))
    requests = [request_of(one) for one in ids]
    for request_id, request in zip(ids, requests, strict=True):
        await journal.claim(claim_of(request, request_id))
        await answer(journal, request_id, request)
    found = [await journal.find_answer(ASKING, request.identity) is not None for request in requests]
    assert found == [False, True, True]
    assert await journal.find_answer(ASKING, requests[0].identity, ids[0]) is not None
