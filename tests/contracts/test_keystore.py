"""What the keystore promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from node.keystore import KeyEncryptionKey, Keystore, KeystoreError, Purpose
from node.store.database import Database
from tests.support.clock import FixedClock
from trust.keys import SigningKey

WRAPPING = KeyEncryptionKey(bytes(range(32)))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


async def opened(database: Database, clock: FixedClock, wrapping: KeyEncryptionKey = WRAPPING) -> Keystore:
    return await Keystore.open(database, wrapping, clock)


async def test_a_key_signs_in_every_replica(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    with pytest.raises(KeystoreError, match="no active envelope key"):
        keystore.signing_key(Purpose.ENVELOPE)
    public = await keystore.generate(Purpose.ENVELOPE)
    replica = await opened(database, clock)
    signature = replica.signing_key(Purpose.ENVELOPE).sign(b"message")
    keystore.verification_keys(Purpose.ENVELOPE)[public.kid].verify(signature, b"message")


async def test_a_key_serves_its_purpose_only(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    await keystore.generate(Purpose.FEDERATION)
    assert keystore.verification_keys(Purpose.ENVELOPE) == {}
    with pytest.raises(KeystoreError):
        keystore.signing_key(Purpose.ENVELOPE)


async def test_a_roll_over(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    old = await keystore.generate(Purpose.ENVELOPE)
    new = await keystore.generate(Purpose.ENVELOPE, alg="EdDSA", activate=False)
    assert list(keystore.verification_keys(Purpose.ENVELOPE)) == [old.kid, new.kid]
    assert keystore.signing_key(Purpose.ENVELOPE).kid == old.kid

    clock.advance(days=2)
    await keystore.activate(new.kid)
    assert keystore.signing_key(Purpose.ENVELOPE).kid == new.kid
    assert list(keystore.verification_keys(Purpose.ENVELOPE)) == [new.kid]
    (retired,) = keystore.retired_keys(Purpose.ENVELOPE)
    assert (retired.key, retired.retired_at, retired.reason) == (old, clock.at, "replaced")
    with pytest.raises(KeystoreError, match="retired"):
        await keystore.activate(old.kid)


async def test_retiring_by_hand_keeps_the_first_reason(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    key = await keystore.generate(Purpose.LOG)
    await keystore.retire(key.kid, "密钥泄露")
    await keystore.retire(key.kid, "again")
    (retired,) = keystore.retired_keys(Purpose.LOG)
    assert retired.reason == "密钥泄露"
    with pytest.raises(KeystoreError):
        keystore.signing_key(Purpose.LOG)
    with pytest.raises(KeystoreError, match="no key"):
        await keystore.retire("unknown", "")


async def test_generations_of_replicas_do_not_collide(database: Database, clock: FixedClock) -> None:
    one, two = await opened(database, clock), await opened(database, clock)
    await asyncio.gather(*(store.generate(Purpose.OPENID) for store in (one, two, one, two)))
    await one.reload()
    await two.reload()
    assert one.signing_key(Purpose.OPENID).kid == two.signing_key(Purpose.OPENID).kid
    assert len(one.retired_keys(Purpose.OPENID)) == 3
    async with database.reading() as connection:
        found = (await connection.execute(text("SELECT generation FROM keys ORDER BY 1"))).scalars().all()
    assert found == [1, 2, 3, 4]


async def test_public_keys_show_no_private_member(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    await keystore.generate(Purpose.FEDERATION)
    (jwk,) = keystore.jwks(Purpose.FEDERATION)["keys"]
    assert "d" not in jwk


async def test_nothing_private_lies_in_the_store_or_in_a_repr(database: Database, clock: FixedClock) -> None:
    key = SigningKey.generate()
    keystore = await opened(database, clock)
    await keystore.add(Purpose.TLS, key)
    async with database.reading() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM keys"))).all()
    body = key.to_pem().splitlines()[1]
    assert body not in bytes(row.wrapped)
    assert body.decode() not in repr(row) + repr(keystore) + repr(WRAPPING)


async def test_another_wrapping_key_opens_nothing(database: Database, clock: FixedClock) -> None:
    await (await opened(database, clock)).generate(Purpose.TLS)
    with pytest.raises(KeystoreError, match="cannot be unwrapped"):
        await opened(database, clock, KeyEncryptionKey(bytes(32)))


@pytest.mark.parametrize("change", ["purpose = 'envelope'", "kid = 'another'"])
async def test_a_row_cannot_be_passed_off_as_another(
    database: Database, clock: FixedClock, change: str
) -> None:
    await (await opened(database, clock)).generate(Purpose.TLS)
    async with database.writing() as connection:
        await connection.execute(text(f"UPDATE keys SET {change}"))
    with pytest.raises(KeystoreError, match="cannot be unwrapped"):
        await opened(database, clock)
