"""Data keys as replicas share them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from federation.errors import OwnRecordDamaged
from node.keystore import KeyEncryptionKey, KeystoreError, aead
from node.keystore.aead import CIPHERS, SM4_GCM, CipherKind
from node.keystore.data_keys import DataKeys, DataPurpose
from node.keystore.encrypted_bodies import EncryptedBodies
from node.keystore.holder_hashes import HASH_BYTES, HolderHashes
from node.keystore.login_seal import LoginSeal
from node.store.bodies import SALT_BYTES, BodyLost
from node.store.database import Database
from node.store.records import RecordReader
from node.store.tables import DATA_KEYS
from tests.support.clock import FixedClock

WRAPPING = KeyEncryptionKey(bytes(range(32)))
OTHER = KeyEncryptionKey(bytes(32))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def keys(database: Database, clock: FixedClock) -> DataKeys:
    return await DataKeys.open(database, WRAPPING, clock)


# --- the keys ---


async def test_the_first_start_makes_one_key_for_each_purpose(database: Database, clock: FixedClock) -> None:
    replicas = await asyncio.gather(*(DataKeys.open(database, WRAPPING, clock) for _ in range(4)))
    for purpose in DataPurpose:
        assert len({one.newest(purpose).secret for one in replicas}) == 1
        assert [len(one.live(purpose)) for one in replicas] == [1] * 4
    keys = [replicas[0].newest(purpose) for purpose in DataPurpose]
    assert len({key.key_id for key in keys}) == len({key.secret for key in keys}) == len(DataPurpose)
    assert all(repr(key.secret)[2:-1] not in repr(key) for key in keys)


async def test_a_cipher_that_this_machine_has_not_stops_the_start(
    database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OpenSSL that was built without SM4 refuses the algorithm just so."""

    def refuse(_: bytes) -> None:
        raise UnsupportedAlgorithm("cipher SM4 in GCM mode is not supported")

    without = {**CIPHERS, SM4_GCM: CipherKind(16, refuse)}  # type: ignore[arg-type]
    monkeypatch.setattr(aead, "CIPHERS", without)
    with pytest.raises(KeystoreError, match=r"no sm4-gcm, .* evidence\.cipher = 'aes-256-gcm'"):
        await DataKeys.open(database, WRAPPING, clock, cipher=SM4_GCM)
    await DataKeys.open(database, WRAPPING, clock)


async def test_a_new_key_is_used_when_all_replicas_have_read_it(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    replica = await DataKeys.open(database, WRAPPING, clock)
    before = keys.newest(DataPurpose.RECORDS)
    made = await keys.rotate(DataPurpose.RECORDS)
    assert keys.newest(DataPurpose.RECORDS).key_id == before.key_id
    assert replica.get(made.key_id) is None
    await replica.reload()
    clock.advance(seconds=180)
    assert replica.newest(DataPurpose.RECORDS).secret == made.secret
    assert [one.key_id for one in replica.live(DataPurpose.RECORDS)] == [made.key_id, before.key_id]


async def test_another_key_file_opens_nothing_and_makes_nothing(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    with pytest.raises(KeystoreError, match="key-encryption key is not the one"):
        await DataKeys.open(database, OTHER, clock)
    await keys.reload()
    assert [len(keys.live(purpose)) for purpose in DataPurpose] == [1, 1, 1]


async def test_a_row_is_not_passed_off_as_another(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    records, holders = keys.newest(DataPurpose.RECORDS), keys.newest(DataPurpose.HOLDERS)
    async with database.writing() as connection:
        await connection.execute(
            DATA_KEYS.update().where(DATA_KEYS.c.key_id == holders.key_id).values(wrapped=records.row.wrapped)
        )
    with pytest.raises(KeystoreError, match="altered"):
        await DataKeys.open(database, WRAPPING, clock)


async def test_lost_keys_are_given_up_and_new_ones_made(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    lost = keys.newest(DataPurpose.RECORDS)
    sealed = EncryptedBodies(keys).seal([b"body"])
    again = DataKeys(keys._rows, OTHER, clock)
    assert lost.key_id in await again.begin_again()
    assert again.newest(DataPurpose.RECORDS).key_id != lost.key_id
    opened = await DataKeys.open(database, OTHER, clock)
    bodies = EncryptedBodies(opened)
    with pytest.raises(BodyLost, match="cannot be unwrapped"):
        bodies.open(sealed.key_id, sealed.wrapped[0], sealed.sealed[0])
    row = {"key_id": sealed.key_id, "wrapped": sealed.wrapped[0], "sealed": sealed.sealed[0]}
    assert RecordReader(bodies).body(row) == (b"", b""), "to readers it is forgotten"


async def test_a_key_that_does_not_open_and_was_not_given_up_loses_nothing(
    keys: DataKeys, clock: FixedClock
) -> None:
    sealed = EncryptedBodies(keys).seal([bytes(SALT_BYTES)])
    elsewhere = DataKeys(keys._rows, OTHER, clock)
    await elsewhere.reload()
    with pytest.raises(OwnRecordDamaged, match="cannot be unwrapped") as caught:
        EncryptedBodies(elsewhere).open(sealed.key_id, sealed.wrapped[0], sealed.sealed[0])
    assert not isinstance(caught.value, BodyLost)


async def test_the_only_key_is_neither_retired_nor_dropped(keys: DataKeys) -> None:
    only = keys.newest(DataPurpose.HOLDERS).key_id
    for end in (keys.retire, keys.drop):
        with pytest.raises(KeystoreError, match="the only one"):
            await end(only)
    await keys.rotate(DataPurpose.HOLDERS)
    await keys.retire(only)
    assert only not in [one.key_id for one in keys.live(DataPurpose.HOLDERS)]
    await keys.drop(only)
    assert keys.get(only) is None
    with pytest.raises(KeystoreError, match="there is no data key"):
        await keys.retire(only)


# --- bodies ---


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_a_body_comes_back_and_nothing_else_opens_it(
    database: Database, clock: FixedClock, cipher: str
) -> None:
    bodies = EncryptedBodies(await DataKeys.open(database, WRAPPING, clock, cipher=cipher))
    plain = [os.urandom(20), b"", b"x" * 3000]
    key_id, wrapped, sealed = bodies.seal(plain)
    assert [bodies.open(key_id, *pair) for pair in zip(wrapped, sealed, strict=True)] == plain
    assert plain[2] not in sealed[2]
    assert len(set(wrapped)) == 3
    for key, body in (
        (wrapped[1], sealed[0]),
        (wrapped[0], sealed[0][:-1] + bytes([sealed[0][-1] ^ 1])),
        (wrapped[0], b""),
        (wrapped[0][:-1] + bytes([wrapped[0][-1] ^ 1]), sealed[0]),
        (b"", sealed[0]),
    ):
        with pytest.raises(OwnRecordDamaged):
            bodies.open(key_id, key, body)


async def test_a_body_in_clear_is_read_and_one_of_an_unknown_key_is_damaged(keys: DataKeys) -> None:
    bodies = EncryptedBodies(keys)
    assert bodies.open(0, b"", b"as it is") == b"as it is"
    for _ in range(2):
        with pytest.raises(OwnRecordDamaged, match="names data key 99"):
            bodies.open(99, b"w" * 60, b"s" * 40)
    holders = keys.newest(DataPurpose.HOLDERS).key_id
    with pytest.raises(OwnRecordDamaged):
        bodies.open(holders, b"w" * 60, b"s" * 40)


async def test_a_key_that_another_replica_made_is_looked_for(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    replica = await DataKeys.open(database, WRAPPING, clock)
    made = await keys.rotate(DataPurpose.RECORDS)
    clock.advance(seconds=180)
    key_id, (wrapped,), (sealed,) = EncryptedBodies(keys).seal([b"body"])
    assert key_id == made.key_id
    assert EncryptedBodies(replica).open(key_id, wrapped, sealed) == b"body"


async def test_rotation_wraps_keys_anew_and_leaves_bodies_alone_in_their_cipher(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    old, wrapped, sealed = EncryptedBodies(keys).seal([b"body"])
    rotated = await DataKeys.open(database, WRAPPING, clock, cipher=SM4_GCM)
    clock.advance(seconds=180)
    bodies = EncryptedBodies(rotated)
    new, again = bodies.rewrap(old, wrapped[0])
    assert new == rotated.newest(DataPurpose.RECORDS).key_id != old
    assert rotated.newest(DataPurpose.RECORDS).row.algorithm == SM4_GCM
    await rotated.retire(old)
    await rotated.drop(old)
    assert bodies.open(new, again, sealed[0]) == b"body"


# --- holders ---


async def test_a_holder_is_found_however_the_number_was_typed_and_only_by_its_key(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    hashes = HolderHashes(keys)
    number = "33010619900101123X"
    found = hashes("111", number)
    assert len(found) == HASH_BYTES
    assert {
        hashes("111", one) for one in (number.lower(), f" {number} ", "３３０１０６１９９００１０１１２３Ｘ")
    } == {found}
    assert found not in (hashes("414", number), hashes("111", number[:-1]))
    await keys.rotate(DataPurpose.HOLDERS)
    clock.advance(seconds=180)
    assert hashes("111", number)[2:] != found[2:]
    assert hashes.to_search("111", number) == (hashes("111", number), found)


# --- logins ---


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_what_is_sealed_for_a_row_opens_there_and_nowhere_else(
    database: Database, clock: FixedClock, cipher: str
) -> None:
    keys = await DataKeys.open(database, WRAPPING, clock, cipher=cipher)
    seal = LoginSeal(keys)
    sealed = seal.seal("sessions:1", "王小明".encode())
    assert seal.open("sessions:1", sealed).decode() == "王小明"
    assert "王小明".encode() not in sealed
    assert seal.seal("sessions:1", "王小明".encode()) != sealed
    records = keys.newest(DataPurpose.RECORDS).key_id.to_bytes(4)
    for context, altered in (
        ("sessions:2", sealed),
        ("grants:1", sealed),
        ("sessions:1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("sessions:1", sealed[:4] + bytes([sealed[4] ^ 1]) + sealed[5:]),
        ("sessions:1", sealed[:20]),
        ("sessions:1", b""),
        ("sessions:1", (99).to_bytes(4) + sealed[4:]),
        ("sessions:1", records + sealed[4:]),
    ):
        with pytest.raises(OwnRecordDamaged):
            seal.open(context, altered)


async def test_rows_stay_readable_when_their_key_changes(
    database: Database, keys: DataKeys, clock: FixedClock
) -> None:
    replica = LoginSeal(await DataKeys.open(database, WRAPPING, clock))
    before = LoginSeal(keys).seal("sessions:1", b"row")
    made = await keys.rotate(DataPurpose.LOGINS)
    clock.advance(seconds=180)
    after = LoginSeal(keys).seal("sessions:1", b"row")
    assert int.from_bytes(after[:4]) == made.key_id
    assert [replica.open("sessions:1", one) for one in (before, after)] == [b"row", b"row"]
