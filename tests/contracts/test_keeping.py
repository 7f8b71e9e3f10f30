"""What becomes of records after their day, on SQLite and on PostgreSQL: forgotten, sealed, their keys wrapped anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from federation.errors import OwnBadValue
from federation.keeping import Retention
from federation.query import Operation
from node.keeping import LOGIN_ROWS_LIFE, Keeping
from node.keystore import KeyEncryptionKey
from node.keystore.data_keys import DataKeys, DataPurpose
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.audit import AuditRows
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.keeping import KeepingRows
from node.store.tables import BODIES, CLAIMS, HOLDERS, RECORDS
from tests.support.clock import NOON, FixedClock
from tests.support.exchange_rows import JIANGSU, SHANGHAI, ZHEJIANG, LogRows, rows_of
from tests.support.exchanges import OPERATION, meta_of, next_request_id
from trust.keys import SigningKey

KEY = SigningKey.generate()
PUBLISH_S = 10.0
KEEP = Retention()


class Scene:
    """A store with data keys, and what keeps it."""

    def __init__(self, database: Database, keys: DataKeys, clock: FixedClock) -> None:
        self.database, self.keys, self.clock = database, keys, clock
        self.bodies, self.rows = EncryptedBodies(keys), KeepingRows(database)
        self.audit = AuditRows(database, clock)

    def keeping(self, retention: Retention = KEEP) -> Keeping:
        return Keeping(self.rows, self.keys, self.audit, self.clock, retention, publish_s=PUBLISH_S)

    async def journal(self, *contents: bytes) -> list[str]:
        """Requests written by the journal, one after the other; their ids."""
        journal = StoreJournal(self.database, lambda: KEY, self.clock, bodies=self.bodies)
        ids = []
        for content in contents:
            ids.append(next_request_id())
            await journal.store_request(meta_of(ids[-1]), OPERATION.request_type, content)
        await journal.close()
        return ids

    async def contents(self, ids: list[str]) -> list[bytes]:
        journal = StoreJournal(self.database, lambda: KEY, self.clock, bodies=self.bodies)
        found = [record.envelope for one in ids for record in await journal.find_records(one)]
        await journal.close()
        return found

    async def column(self, name: str) -> list[Any]:
        return [row[name] for row in await rows_of(self.database, RECORDS)]

    async def with_body(self) -> list[int]:
        return [row["log_index"] for row in await rows_of(self.database, BODIES)]


@pytest.fixture
async def scene(database: Database) -> Scene:
    clock = FixedClock()
    keys = await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock, publish_s=PUBLISH_S)
    return Scene(database, keys, clock)


# --- forgetting -------------------------------------------------------------------------------------------------------


async def test_forgetting_leaves_what_proofs_and_peers_need(scene: Scene) -> None:
    rows = LogRows(at=NOON - timedelta(days=2))
    first = rows.exchange(case_number="case", holders=(b"h" * 18,))
    rows.exchange(case_number="case", holders=(b"h" * 18,))
    await rows.store(scene.database)
    before = await rows_of(scene.database, RECORDS)
    done = await scene.keeping().forget(await scene.keeping().records_of(first))
    assert (done.in_database, done.is_flushed) == (2, True)
    after = await rows_of(scene.database, RECORDS)
    assert after[:2] == [{**row, "case_number": ""} for row in before[:2]]
    assert after[2:] == before[2:]
    assert await scene.with_body() == [2, 3]
    assert [row["log_index"] for row in await rows_of(scene.database, HOLDERS)] == [2]
    assert [row["answer"] for row in await rows_of(scene.database, CLAIMS)] == [3]
    assert (await scene.keeping().forget([0, 1])).in_database == 0


async def test_of_two_nodes_under_one_id_the_one_that_is_named_is_forgotten(scene: Scene) -> None:
    rows, keeping = LogRows(), scene.keeping()
    twice = rows.exchange(peer=SHANGHAI)
    rows.exchange(peer=JIANGSU, request_id=twice)
    await rows.store(scene.database)
    with pytest.raises(OwnBadValue, match=f"{JIANGSU}, {SHANGHAI}"):
        await keeping.records_of(twice)
    assert await keeping.records_of(twice, asking=ZHEJIANG) == []
    await keeping.forget(await keeping.records_of(twice, asking=JIANGSU))
    assert await scene.with_body() == [0, 1]


async def test_forgetting_a_holder_leaves_others_under_the_same_id(scene: Scene) -> None:
    """Of another node, and of the same one again with other bytes."""
    rows = LogRows()
    mine, other = b"m" * 18, b"o" * 18
    twice = rows.exchange(peer=SHANGHAI, holders=(other,))
    for line in rows.lines[CLAIMS]:
        line["request_id"] = "elsewhere"
    rows.exchange(peer=SHANGHAI, holders=(mine,), request_id=twice)
    rows.exchange(peer=JIANGSU, holders=(other,), request_id=twice)
    asked = rows.exchange(peer=JIANGSU, asked=True, holders=(mine,))
    rows.exchange(peer=JIANGSU, holders=(other,), request_id=asked)
    await rows.store(scene.database)
    requests = await scene.rows.requests_of([mine], after=-1, limit=10)
    assert requests == [2, 6]
    assert await scene.rows.exchange_of(requests) == [2, 3, 6, 7]


async def test_a_claim_of_today_keeps_a_repeat_from_being_done_anew(scene: Scene) -> None:
    rows = LogRows()
    rows.exchange()
    await rows.store(scene.database)
    await scene.keeping().forget([0, 1])
    assert len(await rows_of(scene.database, CLAIMS)) == 1


async def test_an_encrypted_record_loses_its_key_with_its_body(scene: Scene) -> None:
    ids = await scene.journal(b"one", b"two")
    await scene.keeping().forget([0])
    assert [len(contents) > 0 for contents in await scene.contents(ids)] == [False, True]
    assert (await scene.column("wrapped"))[0] == b""
    assert (await scene.column("key_id"))[0] == 0


# --- retention --------------------------------------------------------------------------------------------------------


async def test_each_operation_has_its_own_retention(scene: Scene) -> None:
    rows = LogRows(at=NOON - timedelta(days=100))
    for number in range(12):
        rows.exchange(operation=Operation.NODE_STATE if number % 2 else Operation.CERTIFICATES_QUERY)
        rows.at += timedelta(days=10)
    await rows.store(scene.database)
    rules = Retention(default_days=75, by_operation={"node.state": 25})
    keeping = scene.keeping(rules)
    assert (await keeping.apply_retention()).in_database == 12
    kept = {index // 2 for index in await scene.with_body()}
    assert kept == {number for number in range(12) if 10 * number >= (75 if number % 2 else 25)}
    assert (await keeping.apply_retention()).in_database == 0
    assert (await scene.keeping(rules).apply_retention()).in_database == 0
    scene.clock.advance(days=20)
    assert (await keeping.apply_retention()).in_database == 4
    newest, *_ = await scene.audit.latest()
    assert (newest.actor, newest.action, newest.detail["in_database"]) == ("node", "evidence.retention", 4)


async def test_an_empty_log_is_kept_without_complaint(scene: Scene) -> None:
    await scene.keeping().turn()
    assert await scene.audit.latest() == []


# --- sealing ----------------------------------------------------------------------------------------------------------


async def test_bodies_from_before_are_sealed_and_read_as_they_were(scene: Scene) -> None:
    rows = LogRows()
    ids = [rows.exchange() for _ in range(70)]
    await rows.store(scene.database)
    await scene.keeping().forget([4, 5])
    before = await scene.contents(ids)
    await scene.journal(b"already encrypted")
    sealed = await scene.rows.clear_bodies(await scene.rows.clear_below(), limit=10)
    await scene.rows.seal(
        sealed, scene.bodies.seal([one.body for one in sealed])
    )  # and then it was broken off
    assert await scene.keeping().seal_clear() == 128
    assert await scene.contents(ids) == before
    assert [at for at, key_id in enumerate(await scene.column("key_id")) if key_id == 0] == [4, 5]
    assert all(ids[0].encode() not in bytes(row["sealed"]) for row in await rows_of(scene.database, BODIES))
    assert await scene.keeping().seal_clear() == 0


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_rotation_wraps_keys_anew_and_touches_no_body(scene: Scene) -> None:
    ids = await scene.journal(b"one", b"two", b"three")
    await scene.keeping().forget([1])
    bodies, contents = await rows_of(scene.database, BODIES), await scene.contents(ids)
    wrapped = await scene.column("wrapped")
    old = scene.keys.newest(DataPurpose.RECORDS).key_id
    new = (await scene.keys.rotate(DataPurpose.RECORDS)).key_id
    assert (await scene.keeping().rewrap()).keys == 0  # not in use yet

    scene.clock.advance(seconds=PUBLISH_S)
    early = await scene.keeping().rewrap()
    assert (early.keys, early.dropped, early.waits_s) == (2, (), PUBLISH_S)
    assert await rows_of(scene.database, BODIES) == bodies
    assert await scene.column("key_id") == [new, 0, new]
    assert not {bytes(one) for one in wrapped} & {bytes(one) for one in await scene.column("wrapped")} - {b""}

    scene.clock.advance(seconds=PUBLISH_S)
    seen: list[tuple[int, int]] = []
    late = await scene.keeping().rewrap(lambda done, total: seen.append((done, total)))
    assert (late.keys, late.dropped) == (0, (old,))
    assert seen == [(3, 3)]
    assert scene.keys.get(old) is None
    assert await scene.contents(ids) == contents
    assert await scene.keeping().rewrap() == type(late)()


async def test_a_damaged_key_keeps_the_old_data_key(scene: Scene) -> None:
    ids = await scene.journal(b"one", b"two")
    old = scene.keys.newest(DataPurpose.RECORDS).key_id
    async with scene.database.writing() as connection:
        change = update(RECORDS).where(RECORDS.c.log_index == 0)
        await connection.execute(change.values(wrapped=b"damaged"))
    await scene.keys.rotate(DataPurpose.RECORDS)
    scene.clock.advance(seconds=3 * PUBLISH_S)
    done = await scene.keeping().rewrap()
    assert (done.keys, done.damaged, done.dropped) == (1, 1, ())
    assert scene.keys.get(old) is not None
    assert len(await scene.contents(ids[1:])) == 1


async def test_a_replica_that_missed_a_rotation_seals_with_no_dropped_key(scene: Scene) -> None:
    frozen = await DataKeys.open(
        scene.database, KeyEncryptionKey(bytes(32)), scene.clock, publish_s=PUBLISH_S
    )
    old = frozen.newest(DataPurpose.RECORDS).key_id
    await scene.keys.rotate(DataPurpose.RECORDS)
    scene.clock.advance(seconds=600)
    assert (await scene.keeping().rewrap()).dropped == (old,)
    assert frozen.newest(DataPurpose.RECORDS).key_id == old
    replica = Scene(scene.database, frozen, scene.clock)
    ids = await replica.journal(b"one", b"two")
    assert await scene.column("key_id") == [scene.keys.newest(DataPurpose.RECORDS).key_id] * 2
    assert all(await scene.contents(ids))


async def test_a_key_for_logins_goes_when_no_row_can_be_left_under_it(scene: Scene) -> None:
    old = scene.keys.newest(DataPurpose.LOGINS).key_id
    await scene.keys.rotate(DataPurpose.LOGINS)
    for advance in (timedelta(), timedelta(seconds=3 * PUBLISH_S), LOGIN_ROWS_LIFE - timedelta(days=1)):
        scene.clock.at += advance
        assert await scene.keeping().drop_login_keys() == ()
    assert scene.keys.get(old) is not None
    scene.clock.advance(days=1)
    assert await scene.keeping().drop_login_keys() == [old]
    assert await scene.keeping().drop_login_keys() == []


async def test_a_record_that_is_forgotten_meanwhile_gets_no_key(scene: Scene) -> None:
    await scene.journal(b"one")
    await scene.keys.rotate(DataPurpose.RECORDS)
    scene.clock.advance(seconds=3 * PUBLISH_S)
    newest = scene.keys.newest(DataPurpose.RECORDS).key_id
    (read,) = await scene.rows.keys_not_under(newest, start=0, before=1)
    await scene.keeping().forget([0])
    assert await scene.rows.rewrap([(read, read)]) == 0
    assert await scene.column("wrapped") == [b""]


async def test_an_older_key_of_holders_goes_with_its_last_record(scene: Scene) -> None:
    old = scene.keys.newest(DataPurpose.HOLDERS).key_id
    rows = LogRows()
    rows.exchange(holders=(old.to_bytes(2) + b"h" * 16,))
    await rows.store(scene.database)
    await scene.keys.rotate(DataPurpose.HOLDERS)
    scene.clock.advance(seconds=3 * PUBLISH_S)
    assert await scene.keeping().drop_holder_keys() == []
    await scene.keeping().forget([0, 1])
    assert await scene.keeping().drop_holder_keys() == [old]
    assert scene.keys.get(old) is None
