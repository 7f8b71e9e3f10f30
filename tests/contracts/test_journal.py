"""What every `federation.ports.Journal` promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from federation.errors import (
    OwnBusy,
    OwnKeyUnavailable,
    OwnShuttingDown,
    OwnStoreUnavailable,
)
from federation.ports import ClaimState, ExchangeMeta, Journal, RecordKind
from federation.query import Operation
from node.keystore import KeystoreError
from node.store.database import Database
from node.store.journal import StoreJournal
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
from tests.support.journals import KEY, KEYS, all_records, answer
from trust.envelope import Sealed, parse, unseal
from trust.evidence import leaf_data
from trust.keys import SigningKey


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


async def test_two_nodes_may_ask_under_one_id(journal: StoreJournal) -> None:
    request_id = next_request_id()
    for asking in ("https://one.example", "https://two.example"):
        meta = replace(meta_of(request_id), asking=asking)
        await journal.store_request(meta, OPERATION.request_type, asking.encode())
    assert len(await journal.find_records(request_id)) == 2
    (record,) = await journal.find_records(request_id, asking="https://two.example")
    assert parse(record.envelope, max_bytes=4096).payload == b"https://two.example"
    assert await journal.find_records(request_id, asking="https://three.example") == []


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
