"""What a journal keeps beside its records: the holders they are of, and their bodies, encrypted."""

from __future__ import annotations

import pytest
from msgspec import structs
from sqlalchemy import select

from federation.errors import (
    OwnRecordDamaged,
)
from node.keystore import KeyEncryptionKey
from node.keystore.data_keys import DataKeys
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.tables import BODIES, HOLDERS, RECORDS
from node.store.times import to_micros
from tests.support.clock import FixedClock
from tests.support.exchanges import (
    ASKING,
    OPERATION,
    claim_of,
    meta_of,
    next_request_id,
    request_of,
)
from tests.support.journals import KEY, answer
from trust.evidence import leaf_data


async def holders_of(database: Database) -> set[tuple[bytes, int]]:
    async with database.reading() as connection:
        return {(bytes(row.holder), row.log_index) for row in await connection.execute(select(HOLDERS))}


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
