"""What every `federation.ports.Journal` promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec import structs
from sqlalchemy import select

from federation.errors import (
    OwnBusy,
    OwnKeyUnavailable,
    OwnLogClosed,
    OwnRecordDamaged,
    OwnShuttingDown,
    OwnStoreUnavailable,
)
from federation.ports import Claim, ClaimState, ExchangeMeta, Journal, RecordKind, StoredRecord
from federation.query import Operation
from node.keystore import KeyEncryptionKey, KeystoreError
from node.keystore.data_keys import DataKeys
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.batch import NoMetrics
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.tables import ARCHIVES, BODIES, HOLDERS, LOG_GENERATIONS, RECORDS
from node.store.times import to_micros
from tests.support.clock import FixedClock
from tests.support.exchanges import (
    ANSWERING,
    ASKING,
    OPERATION,
    claim_of,
    meta_of,
    next_request_id,
    request_of,
)
from trust.envelope import Sealed, parse, unseal
from trust.evidence import leaf_data
from trust.keys import SigningKey

KEY = SigningKey.generate()
KEYS = {KEY.kid: KEY.verification_key}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def journal(database: Database, clock: FixedClock) -> AsyncIterator[StoreJournal]:
    opened = StoreJournal(database, lambda: KEY, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def replica(database: Database, clock: FixedClock) -> AsyncIterator[StoreJournal]:
    """A second journal on the same store, as another process would have it."""
    opened = StoreJournal(database, lambda: KEY, clock)
    yield opened
    await opened.close()


async def answer(journal: Journal, request_id: str, request: Sealed, payload: bytes = b"answer") -> Sealed:
    meta = meta_of(request_id, outcome="answered")
    return await journal.store_exchange(meta, request, request.identity, OPERATION.answer_type, payload)


async def all_records(journal: Journal, request_ids: Sequence[str]) -> list[StoredRecord]:
    return [record for request_id in request_ids for record in await journal.find_records(request_id)]


async def test_an_implementation_is_a_journal(journal: StoreJournal) -> None:
    port: Journal = journal
    assert await port.find_records(next_request_id()) == []


async def test_a_request_comes_back_signed_and_is_found_as_it_was_sent(
    journal: StoreJournal, clock: FixedClock
) -> None:
    request_id = next_request_id()
    meta = meta_of(request_id, client="demo-portal", case_number="沪-2026-1")
    sealed = await journal.store_request(meta, OPERATION.request_type, b"question")
    assert unseal(parse(sealed.envelope, max_bytes=4096), keys=KEYS).payload == b"question"

    (record,) = await journal.find_records(request_id)
    assert record.meta == meta
    assert record.kind is RecordKind.ASKED_REQUEST
    assert (record.envelope, record.identity) == (sealed.envelope, sealed.identity)
    assert record.recorded_at == clock.at


async def test_an_answer_is_kept_byte_for_byte(journal: StoreJournal) -> None:
    request_id = next_request_id()
    await journal.store_answer(meta_of(request_id, outcome="answered"), b"i" * 32, b"\x00\xff envelope")
    (record,) = await journal.find_records(request_id)
    assert (record.kind, record.identity, record.envelope) == (
        RecordKind.ASKED_ANSWER,
        b"i" * 32,
        b"\x00\xff envelope",
    )


async def test_each_leaf_commits_to_its_record_under_its_own_salt(journal: StoreJournal) -> None:
    request_id = next_request_id()
    await journal.store_request(meta_of(request_id), OPERATION.request_type, b"question")
    await journal.store_answer(meta_of(request_id), b"i" * 32, b"envelope")
    first, second = await journal.find_records(request_id)
    for record in (first, second):
        micros = int(record.recorded_at.timestamp()) * 1_000_000
        assert record.leaf == leaf_data(record.kind, micros, record.envelope, record.salt)
        assert (len(record.leaf), len(record.salt)) == (33, 16)
    assert first.salt != second.salt


async def test_an_exchange_stores_both_and_finishes_the_claim(journal: StoreJournal) -> None:
    request_id = next_request_id()
    request = request_of(request_id)
    assert (await journal.claim(claim_of(request, request_id))).state is ClaimState.NEW
    sealed = await answer(journal, request_id, request)

    kept = [(record.kind, record.envelope) for record in await journal.find_records(request_id)]
    assert kept == [
        (RecordKind.ANSWERED_REQUEST, request.envelope),
        (RecordKind.ANSWERED_ANSWER, sealed.envelope),
    ]
    again = await journal.claim(claim_of(request, request_id))
    assert (again.state, again.answer) == (ClaimState.FINISHED, sealed.envelope)
    assert await journal.find_answer(ASKING, request.identity) == sealed.envelope


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
    assert await journal.find_answer(ASKING, request.identity) is None
    await answer(journal, request_id, request)
    assert await journal.find_answer("https://node.ah.example", request.identity) is None
    assert await journal.find_answer(ASKING, b"?" * 32) is None


async def test_two_journals_number_the_log_without_gap_or_twin(
    journal: StoreJournal, replica: StoreJournal
) -> None:
    request_ids = [next_request_id() for _ in range(60)]

    async def one(number: int, request_id: str) -> None:
        own = (journal, replica)[number % 2]
        await own.store_request(meta_of(request_id), OPERATION.request_type, b"question")
        await own.store_answer(meta_of(request_id), b"i" * 32, b"envelope")

    await asyncio.gather(*(one(number, request_id) for number, request_id in enumerate(request_ids)))
    indices = sorted(record.log_index for record in await all_records(journal, request_ids))
    assert indices == list(range(120))


async def test_a_cancelled_caller_changes_nothing(journal: StoreJournal) -> None:
    request_id = next_request_id()
    caller = asyncio.ensure_future(
        journal.store_request(meta_of(request_id), OPERATION.request_type, b"question")
    )
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await journal.close()
    assert len(await journal.find_records(request_id)) == 1


async def test_close_stores_what_waits_and_takes_no_more(journal: StoreJournal) -> None:
    request_ids = [next_request_id() for _ in range(20)]
    callers = [
        asyncio.ensure_future(journal.store_request(meta_of(one), OPERATION.request_type, b"question"))
        for one in request_ids
    ]
    await asyncio.sleep(0)
    await journal.close()
    assert len([await caller for caller in callers]) == 20
    assert len(await all_records(journal, request_ids)) == 20
    with pytest.raises(OwnShuttingDown):
        await journal.store_request(meta_of(next_request_id()), OPERATION.request_type, b"late")


async def test_a_full_queue_says_busy(database: Database, clock: FixedClock) -> None:
    small = StoreJournal(database, lambda: KEY, clock, queue_jobs=2, queue_bytes=1000)
    with pytest.raises(OwnBusy):
        await small.store_answer(meta_of(next_request_id()), b"i" * 32, b"x" * 1001)
    results = await asyncio.gather(
        *(small.store_answer(meta_of(next_request_id()), b"i" * 32, b"x") for _ in range(10)),
        return_exceptions=True,
    )
    assert any(isinstance(result, OwnBusy) for result in results)
    assert results[0] is None
    await small.store_answer(meta_of(next_request_id()), b"i" * 32, b"x" * 900)
    await small.close()


async def test_one_bad_row_does_not_fail_its_batch(journal: StoreJournal) -> None:
    good = [next_request_id() for _ in range(9)]
    # A lone surrogate cannot be stored as text by either database.
    bad = ExchangeMeta("\ud800", ASKING, ANSWERING, Operation.NODE_STATE)
    metas = [*map(meta_of, good[:5]), bad, *map(meta_of, good[5:])]
    results = await asyncio.gather(
        *(journal.store_request(meta, OPERATION.request_type, b"question") for meta in metas),
        return_exceptions=True,
    )
    assert isinstance(results.pop(5), OwnStoreUnavailable)
    assert all(isinstance(result, Sealed) for result in results)
    assert sorted(record.log_index for record in await all_records(journal, good)) == list(range(9))


async def test_a_batch_may_share_one_signature(database: Database, clock: FixedClock) -> None:
    batching = StoreJournal(database, lambda: KEY, clock, sign_batches=True)
    alone = await batching.store_request(meta_of(next_request_id()), OPERATION.request_type, b"alone")
    assert alone.batch is None
    payloads = [b"question %d" % number for number in range(20)]
    sealed = await asyncio.gather(
        *(batching.store_request(meta_of(next_request_id()), OPERATION.request_type, one) for one in payloads)
    )
    await batching.close()
    assert any(one.batch is not None for one in sealed)
    opened = [unseal(parse(one.envelope, max_bytes=4096), keys=KEYS).payload for one in sealed]
    assert opened == payloads


async def test_without_a_key_nothing_is_stored_and_the_rest_goes_on(
    database: Database, clock: FixedClock
) -> None:
    def no_key() -> SigningKey:
        raise KeystoreError("there is no active envelope key")

    keyless = StoreJournal(database, no_key, clock)
    request_id, other = next_request_id(), next_request_id()
    refused, stored = await asyncio.gather(
        keyless.store_request(meta_of(request_id), OPERATION.request_type, b"question"),
        keyless.store_answer(meta_of(other), b"i" * 32, b"envelope"),
        return_exceptions=True,
    )
    assert isinstance(refused, OwnKeyUnavailable)
    assert stored is None
    assert await keyless.find_records(request_id) == []
    assert len(await keyless.find_records(other)) == 1
    await keyless.close()


# --- what is beside the records ---


async def holders_of(database: Database) -> set[tuple[bytes, int]]:
    async with database.reading() as connection:
        return {(bytes(row[0]), row[1]) for row in await connection.execute(select(HOLDERS))}


async def test_holders_belong_to_the_request_of_their_exchange(
    journal: StoreJournal, database: Database
) -> None:
    asked, answered, one, other = next_request_id(), next_request_id(), b"1" * 18, b"2" * 18
    meta = structs.replace(meta_of(asked), holders=(one,))
    await journal.store_request(meta, OPERATION.request_type, b"question")
    both = structs.replace(meta_of(answered), holders=(one, other))
    request = request_of(answered)
    await journal.store_exchange(both, request, request.identity, OPERATION.answer_type, b"answer")
    told_of = structs.replace(meta, holders=(other, one))
    await journal.store_answer(told_of, b"i" * 32, b"envelope")
    assert await holders_of(database) == {(one, 0), (other, 0), (one, 1), (other, 1)}


async def test_bodies_are_encrypted_and_come_back(database: Database, clock: FixedClock) -> None:
    keys = await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock)
    journal = StoreJournal(database, lambda: KEY, clock, bodies=EncryptedBodies(keys))
    request_id = next_request_id()
    request = request_of(request_id)
    sealed = await answer(journal, request_id, request, b"a very secret answer")
    first, second = await journal.find_records(request_id)
    assert (first.envelope, second.envelope) == (request.envelope, sealed.envelope)
    assert leaf_data(second.kind, to_micros(second.recorded_at), second.envelope, second.salt) == second.leaf
    assert await journal.find_answer(ASKING, request.identity) == sealed.envelope
    assert (await journal.claim(claim_of(request, request_id))).answer == sealed.envelope
    again = await answer(journal, request_id, request, b"another answer")
    assert again.envelope == sealed.envelope
    async with database.reading() as connection:
        bodies = [bytes(body) for body in (await connection.execute(select(BODIES.c.sealed))).scalars()]
    assert len(bodies) == 2
    assert not any(b"secret" in body for body in bodies)
    await journal.close()


async def test_an_altered_body_is_not_read_and_a_forgotten_one_is_empty(
    database: Database, clock: FixedClock
) -> None:
    keys = await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock)
    journal = StoreJournal(database, lambda: KEY, clock, bodies=EncryptedBodies(keys))
    request_id = next_request_id()
    await journal.store_request(meta_of(request_id), OPERATION.request_type, b"question")
    (record,) = await journal.find_records(request_id)
    async with database.writing() as connection:
        await connection.execute(BODIES.update().values(sealed=b"x" * 100))
    with pytest.raises(OwnRecordDamaged):
        await journal.find_records(request_id)
    async with database.writing() as connection:
        await connection.execute(BODIES.delete())
    with pytest.raises(OwnRecordDamaged, match="not forgotten"):
        await journal.find_records(request_id)
    async with database.writing() as connection:
        await connection.execute(RECORDS.update().values(key_id=0, wrapped=b""))
    (forgotten,) = await journal.find_records(request_id)
    assert (forgotten.envelope, forgotten.salt, forgotten.leaf) == (b"", b"", record.leaf)
    await journal.close()


class ClosedGate:
    """A log that takes nothing more."""

    def require_open(self) -> None:
        raise OwnLogClosed("the store is older than what was signed")


class CountingFailures(NoMetrics):
    """How often the store could not take something."""

    failures = 0

    def failed(self, *, jobs: int) -> None:
        self.failures += jobs


async def test_a_closed_log_takes_no_record_and_says_why(database: Database, clock: FixedClock) -> None:
    told = CountingFailures()
    journal = StoreJournal(database, lambda: KEY, clock, gate=ClosedGate(), metrics=told)
    request_id = next_request_id()
    results = await asyncio.gather(
        *(journal.store_request(meta_of(request_id), OPERATION.request_type, b"question") for _ in range(3)),
        return_exceptions=True,
    )
    assert {type(one) for one in results} == {OwnLogClosed}
    assert "older than what was signed" in str(results[0])
    assert (await journal.claim(claim_of(request_of(request_id), request_id))).state is ClaimState.NEW
    assert await journal.find_records(request_id) == []
    assert told.failures == 0  # the store is well
    await journal.close()


async def test_a_generation_that_was_halted_by_any_replica_takes_nothing(
    journal: StoreJournal, database: Database
) -> None:
    async with database.writing() as connection:
        await connection.execute(LOG_GENERATIONS.update().values(halted="a restored backup"))
    request_id = next_request_id()
    with pytest.raises(OwnLogClosed, match="a restored backup"):
        await journal.store_request(meta_of(request_id), OPERATION.request_type, b"question")
    async with database.writing() as connection:
        await connection.execute(LOG_GENERATIONS.update().values(halted=""))
    await journal.store_request(meta_of(request_id), OPERATION.request_type, b"question")
    assert [record.generation for record in await journal.find_records(request_id)] == [1]


async def test_no_index_is_given_twice_when_the_newest_records_are_archived(
    journal: StoreJournal, database: Database
) -> None:
    request_ids = [next_request_id() for _ in range(3)]
    for one in request_ids[:2]:
        await journal.store_request(meta_of(one), OPERATION.request_type, b"question")
    kept = {"name": "a", "sha256": b"", "from_at": 0, "until_at": 1, "written_at": 1, "operations": ""}
    async with database.writing() as connection:
        await connection.execute(ARCHIVES.insert().values(first_index=0, last_index=1, **kept))
        await connection.execute(RECORDS.delete())
    await journal.store_request(meta_of(request_ids[2]), OPERATION.request_type, b"question")
    assert [record.log_index for record in await journal.find_records(request_ids[2])] == [2]


async def test_a_new_generation_goes_on_with_the_next_index(
    journal: StoreJournal, database: Database
) -> None:
    request_ids = [next_request_id() for _ in range(2)]
    await journal.store_request(meta_of(request_ids[0]), OPERATION.request_type, b"question")
    opened = {"generation": 2, "first_index": 1, "opened_at": 1, "reason": "a test", "halted": ""}
    async with database.writing() as connection:
        await connection.execute(LOG_GENERATIONS.insert().values(**opened))
    await journal.store_request(meta_of(request_ids[1]), OPERATION.request_type, b"question")
    (record,) = await journal.find_records(request_ids[1])
    assert (record.generation, record.log_index) == (2, 1)
