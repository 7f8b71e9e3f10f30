"""What the keystore promises about the life of keys, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from node.keystore import KeystoreError, Purpose
from node.store.database import Database
from tests.support.clock import FixedClock
from tests.support.keystores import OVERLAP_S, opened, states


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


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
    assert list(keystore.verification_keys(Purpose.ENVELOPE)) == [new.kid, old.kid]
    clock.advance(seconds=OVERLAP_S - 1)
    assert keystore.retired_keys(Purpose.ENVELOPE) == []
    clock.advance(seconds=1)
    assert list(keystore.verification_keys(Purpose.ENVELOPE)) == [new.kid]
    (retired,) = keystore.retired_keys(Purpose.ENVELOPE)
    assert (retired.key, retired.retired_at, retired.reason) == (old, clock.at, "rotated")
    with pytest.raises(KeystoreError, match="retired"):
        await keystore.activate(old.kid)


async def test_the_only_active_key_is_not_retired(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    key = await keystore.generate(Purpose.LOG, alg="EdDSA")
    with pytest.raises(KeystoreError, match=f"{key.kid} is the only active log key"):
        await keystore.retire(key.kid, "密钥泄露")
    assert keystore.signing_key(Purpose.LOG).kid == key.kid
    with pytest.raises(KeystoreError, match="no key"):
        await keystore.retire("unknown", "")


async def test_a_successor_takes_over_in_the_moment_of_retirement(
    database: Database, clock: FixedClock
) -> None:
    keystore = await opened(database, clock)
    old = await keystore.generate(Purpose.LOG, alg="EdDSA")
    new = await keystore.generate(Purpose.LOG, alg="EdDSA", activate=False)
    await keystore.retire(old.kid, "密钥泄露", successor=new.kid)
    assert keystore.signing_key(Purpose.LOG).kid == new.kid
    assert list(keystore.verification_keys(Purpose.LOG)) == [new.kid]
    clock.advance(days=1)
    await keystore.retire(old.kid, "again")
    (retired,) = keystore.retired_keys(Purpose.LOG)
    assert (retired.key, retired.reason) == (old, "密钥泄露")
    assert retired.retired_at < clock.at


async def test_a_published_or_passive_key_is_retired_at_once(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    passive = await keystore.generate(Purpose.ENVELOPE)
    active = await keystore.generate(Purpose.ENVELOPE)
    published = await keystore.generate(Purpose.ENVELOPE, activate=False)
    await keystore.retire(passive.kid, "one")
    await keystore.retire(published.kid, "two")
    assert list(keystore.verification_keys(Purpose.ENVELOPE)) == [active.kid]
    assert [retired.reason for retired in keystore.retired_keys(Purpose.ENVELOPE)] == ["one", "two"]


async def test_a_planned_key_is_used_by_every_replica_from_its_time_on(
    database: Database, clock: FixedClock
) -> None:
    one, two = await opened(database, clock), await opened(database, clock)
    old = await one.generate(Purpose.ENVELOPE)
    at = clock.at + timedelta(seconds=180)
    new = await one.generate(Purpose.ENVELOPE, activate=False, activates_at=at)
    await two.advance()
    assert list(two.verification_keys(Purpose.ENVELOPE)) == [old.kid, new.kid]
    clock.advance(seconds=179)
    assert one.signing_key(Purpose.ENVELOPE).kid == two.signing_key(Purpose.ENVELOPE).kid == old.kid
    clock.advance(seconds=1)  # and nobody has written anything since
    assert one.signing_key(Purpose.ENVELOPE).kid == two.signing_key(Purpose.ENVELOPE).kid == new.kid
    before = [await states(database), one.describe(), two.describe()]
    await asyncio.gather(one.advance(), two.advance(), one.advance())
    assert await states(database) == [(old.kid, "passive"), (new.kid, "active")] != before[0]
    await two.advance()
    assert [one.describe(), two.describe()] == before[1:]
    (row,) = [row for row in one.describe() if row.kid == old.kid]
    assert row.retires_at == at + timedelta(seconds=OVERLAP_S)


async def test_a_rotation_that_nobody_wrote_down_is_caught_up(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    old = await keystore.generate(Purpose.OPENID)
    new = await keystore.generate(
        Purpose.OPENID, activate=False, activates_at=clock.at + timedelta(seconds=60)
    )
    clock.advance(days=3)
    later = await opened(database, clock)
    assert later.signing_key(Purpose.OPENID).kid == new.kid
    await later.advance()
    assert await states(database) == [(old.kid, "retired"), (new.kid, "active")]
    (retired,) = later.retired_keys(Purpose.OPENID)
    assert retired.retired_at == clock.at - timedelta(days=3) + timedelta(seconds=60 + OVERLAP_S)


async def test_a_clock_that_goes_back_gives_the_key_of_then(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    old = await keystore.generate(Purpose.ENVELOPE)
    new = await keystore.generate(
        Purpose.ENVELOPE, activate=False, activates_at=clock.at + timedelta(seconds=60)
    )
    clock.advance(seconds=60)
    assert keystore.signing_key(Purpose.ENVELOPE).kid == new.kid
    clock.advance(seconds=-1)
    assert keystore.signing_key(Purpose.ENVELOPE).kid == old.kid


async def test_a_replica_behind_follows_what_another_activated(database: Database, clock: FixedClock) -> None:
    behind = FixedClock(clock.at - timedelta(seconds=30))
    one, two = await opened(database, clock), await opened(database, behind)
    await one.generate(Purpose.TLS)
    new = await one.generate(Purpose.TLS, activate=False)
    await one.activate(new.kid)
    await one.activate(new.kid)
    await two.advance()
    assert two.signing_key(Purpose.TLS).kid == new.kid


async def test_a_federation_key_waits_until_it_is_vouched_for(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    old = await keystore.generate(Purpose.FEDERATION)
    new = await keystore.generate(Purpose.FEDERATION, activate=False)
    vouched: set[str] = set()

    async def may_activate(purpose: str, kid: str) -> bool:
        return purpose == Purpose.FEDERATION and kid in vouched

    clock.advance(days=3)
    await keystore.advance(may_activate)
    await keystore.advance()
    assert keystore.signing_key(Purpose.FEDERATION).kid == old.kid

    vouched.add(new.kid)
    await keystore.advance(may_activate)
    planned_at = clock.at + timedelta(seconds=180)
    clock.advance(seconds=100)
    await keystore.advance(may_activate)
    assert keystore.describe()[-1].activates_at == planned_at
    clock.advance(seconds=80)
    assert keystore.signing_key(Purpose.FEDERATION).kid == new.kid


async def test_one_rotation_at_a_time(database: Database, clock: FixedClock) -> None:
    one, two = await opened(database, clock), await opened(database, clock)
    await one.generate(Purpose.ENVELOPE)
    results = await asyncio.gather(
        *(store.generate(Purpose.ENVELOPE, activate=False, alone=True) for store in (one, two)),
        return_exceptions=True,
    )
    (refused,) = [result for result in results if isinstance(result, KeystoreError)]
    assert "published already" in str(refused)
    assert len(await states(database)) == 2


async def test_replicas_that_rotate_and_retire_at_once_keep_a_key(
    database: Database, clock: FixedClock
) -> None:
    one, two = await opened(database, clock), await opened(database, clock)
    await one.generate(Purpose.ENVELOPE)
    new = await one.generate(Purpose.ENVELOPE, activate=False, activates_at=clock.at + timedelta(seconds=1))
    await two.reload()
    clock.advance(seconds=1)
    with pytest.raises(KeystoreError, match="only active"):
        await two.retire(new.kid, "leaked")  # to `two` it is only published as yet
    assert two.signing_key(Purpose.ENVELOPE).kid == new.kid


async def test_the_revision_tells_every_change(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    seen = [keystore.revision()]

    def changed() -> bool:
        seen.append(keystore.revision())
        return seen[-1] != seen[-2]

    await keystore.generate(Purpose.ENVELOPE)
    assert changed()
    await keystore.generate(Purpose.ENVELOPE, activate=False, activates_at=clock.at + timedelta(seconds=60))
    assert changed()
    assert not changed()
    clock.advance(seconds=60)
    assert changed()
    await keystore.advance()
    assert not changed()
    clock.advance(seconds=OVERLAP_S)
    assert changed()


async def test_generations_of_replicas_do_not_collide(database: Database, clock: FixedClock) -> None:
    one, two = await opened(database, clock), await opened(database, clock)
    await asyncio.gather(*(store.generate(Purpose.OPENID) for store in (one, two, one, two)))
    await one.reload()
    await two.reload()
    assert one.signing_key(Purpose.OPENID).kid == two.signing_key(Purpose.OPENID).kid
    assert next(iter(one.verification_keys(Purpose.OPENID))) == one.signing_key(Purpose.OPENID).kid
    assert [state for _, state in await states(database)] == ["passive"] * 3 + ["active"]
    async with database.reading() as connection:
        found = (await connection.execute(text("SELECT generation FROM keys ORDER BY 1"))).scalars().all()
    assert found == [1, 2, 3, 4]
