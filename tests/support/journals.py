"""What tests of a journal say to it, and read from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from federation.ports import Journal, StoredRecord
from node.store.batch import JournalMetrics
from node.store.database import Database, open_database
from node.store.journal import StoreJournal
from tests.support.clock import FixedClock
from tests.support.exchanges import OPERATION, meta_of
from trust.envelope import Sealed
from trust.keys import SigningKey

__all__ = ["KEY", "KEYS", "all_records", "answer", "opened_journal", "opened_store"]

KEY = SigningKey.generate()
KEYS = {KEY.kid: KEY.verification_key}


async def answer(journal: Journal, request_id: str, request: Sealed, payload: bytes = b"answer") -> Sealed:
    """Answer a request."""
    meta = meta_of(request_id, outcome="answered")
    return await journal.store_exchange(meta, request, request.identity, OPERATION.answer_type, payload)


async def all_records(journal: Journal, request_ids: Sequence[str]) -> Sequence[StoredRecord]:
    """The records of these exchanges, in the order of the ids."""
    return [record for request_id in request_ids for record in await journal.find_records(request_id)]


@asynccontextmanager
async def opened_store(url: str, **options: Any) -> AsyncIterator[Database]:
    """A store that is closed at the end, also of a test that fails."""
    database = open_database(url, **options)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_journal(
    url: str, metrics: JournalMetrics | None = None, **options: Any
) -> AsyncIterator[tuple[Database, StoreJournal]]:
    """A store and a journal on it; both are closed at the end."""
    async with opened_store(url, **options) as database:
        journal = StoreJournal(database, lambda: KEY, FixedClock(), metrics)
        try:
            yield database, journal
        finally:
            await journal.close()
