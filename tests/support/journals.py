"""What tests of a journal say to it, and read from it."""

from __future__ import annotations

from collections.abc import Sequence

from federation.ports import Journal, StoredRecord
from tests.support.exchanges import OPERATION, meta_of
from trust.envelope import Sealed
from trust.keys import SigningKey

__all__ = ["KEY", "KEYS", "all_records", "answer"]

KEY = SigningKey.generate()
KEYS = {KEY.kid: KEY.verification_key}


async def answer(journal: Journal, request_id: str, request: Sealed, payload: bytes = b"answer") -> Sealed:
    """Answer a request."""
    meta = meta_of(request_id, outcome="answered")
    return await journal.store_exchange(meta, request, request.identity, OPERATION.answer_type, payload)


async def all_records(journal: Journal, request_ids: Sequence[str]) -> Sequence[StoredRecord]:
    """The records of these exchanges, in the order of the ids."""
    return [record for request_id in request_ids for record in await journal.find_records(request_id)]
