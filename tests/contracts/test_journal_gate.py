"""When a journal takes nothing, and where its numbers go on."""

from __future__ import annotations

import asyncio

import pytest

from federation.errors import (
    OwnLogClosed,
)
from federation.ports import ClaimState
from node.store.batch import NoMetrics
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.tables import ARCHIVES, LOG_GENERATIONS, RECORDS
from tests.support.clock import FixedClock
from tests.support.exchanges import (
    OPERATION,
    claim_of,
    meta_of,
    next_request_id,
    request_of,
)
from tests.support.journals import KEY


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
