"""A store that one process has to itself: what an ended one had begun is taken up by the next, without a wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from federation.ports import ClaimState
from node.store.database import open_database
from node.store.journal import StoreJournal
from tests.support.clock import FixedClock
from tests.support.exchanges import OPERATION, claim_of, meta_of, next_request_id, request_of
from trust.keys import SigningKey

KEY = SigningKey.generate()


@asynccontextmanager
async def journal_of_a_process(folder: Path, *, sole: bool) -> AsyncIterator[StoreJournal]:
    database = open_database(f"sqlite:///{folder / 'node.db'}")
    journal = StoreJournal(database, lambda: KEY, FixedClock(), sole_process=sole)
    try:
        yield journal
    finally:
        await journal.close()
        await database.close()


@pytest.mark.parametrize(("sole", "state"), [(True, ClaimState.NEW), (False, ClaimState.WORKING)])
async def test_what_an_ended_process_had_begun(tmp_path: Path, sole: bool, state: ClaimState) -> None:
    request_id = next_request_id()
    claim = claim_of(request_of(request_id), request_id)
    async with journal_of_a_process(tmp_path, sole=sole) as killed:
        assert (await killed.claim(claim)).state is ClaimState.NEW
        assert (await killed.claim(claim)).state is ClaimState.WORKING
    async with journal_of_a_process(tmp_path, sole=sole) as next_one:
        assert (await next_one.claim(claim)).state is state
        assert (await next_one.claim(claim)).state is ClaimState.WORKING


async def test_what_an_ended_process_had_finished_or_what_has_other_bytes_stays_as_it_is(
    tmp_path: Path,
) -> None:
    request_id, other_id = next_request_id(), next_request_id()
    request, other = request_of(request_id), request_of(other_id)
    async with AsyncExitStack() as stack:
        killed = await stack.enter_async_context(journal_of_a_process(tmp_path, sole=True))
        for one, one_id in ((request, request_id), (other, other_id)):
            await killed.claim(claim_of(one, one_id))
        answer = await killed.store_exchange(
            meta_of(request_id), request, request.identity, OPERATION.answer_type, b"answer"
        )
    async with journal_of_a_process(tmp_path, sole=True) as next_one:
        verdict = await next_one.claim(claim_of(request, request_id))
        assert (verdict.state, verdict.answer) == (ClaimState.FINISHED, answer.envelope)
        replay = claim_of(request_of(other_id, "something else"), other_id)
        assert (await next_one.claim(replay)).state is ClaimState.REPLAYED
