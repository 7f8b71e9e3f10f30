"""What the keystore promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from node.keystore import KeyEncryptionKey, KeyPlan, Keystore, KeystoreError, Purpose
from node.keystore.errors import SourceAway
from node.store.database import Database
from node.store.keys import KeyRows
from tests.support.clock import FixedClock
from trust.errors import KeyRejected
from trust.keys import SigningKey, VerificationKey

WRAPPING = KeyEncryptionKey(bytes(range(32)))
OVERLAP_S = 3600


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


async def opened(database: Database, clock: FixedClock, wrapping: KeyEncryptionKey = WRAPPING) -> Keystore:
    return await Keystore.open(database, wrapping, clock, plan=KeyPlan(publish_s=180, overlap_s=OVERLAP_S))


async def states(database: Database) -> list[tuple[str, str]]:
    """What is written: key id and state, in the order of generations."""
    async with database.reading() as connection:
        found = await connection.execute(text("SELECT kid, state FROM keys ORDER BY generation"))
        return [(row.kid, row.state) for row in found]


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


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("purpose = 'envelope'", "cannot be unwrapped"),
        ("kid = 'another'", "altered"),
        ("public_jwk = '{}'", "altered"),
        ("backend = 'pkcs11'", r"is in pkcs11, and the configuration has no \[keys.pkcs11\]"),
    ],
)
async def test_a_row_cannot_be_passed_off_as_another(
    database: Database, clock: FixedClock, change: str, why: str
) -> None:
    await (await opened(database, clock)).generate(Purpose.TLS)
    async with database.writing() as connection:
        await connection.execute(text(f"UPDATE keys SET {change}"))
    with pytest.raises(KeystoreError, match=why):
        await opened(database, clock)


async def test_a_key_that_a_replica_cannot_open_leaves_the_others_working(
    database: Database, clock: FixedClock
) -> None:
    one = await opened(database, clock)
    old = await one.generate(Purpose.ENVELOPE)
    await one.generate(Purpose.FEDERATION)
    stranger = await opened(database, clock)
    assert stranger.faults == {}
    bad = Keystore(KeyRows(database), KeyEncryptionKey(bytes(32)), clock, plan=KeyPlan(overlap_s=OVERLAP_S))
    new = await bad.generate(Purpose.ENVELOPE)  # wrapped by another key-encryption key
    with capture_logs() as logs:
        await stranger.advance()
        await stranger.advance()
    assert list(stranger.faults) == [new.kid] == [line["kid"] for line in logs]
    assert f"key {new.kid} (envelope) cannot be unwrapped" in stranger.faults[new.kid]
    assert list(stranger.verification_keys(Purpose.ENVELOPE)) == [old.kid]  # the other one may be anybody's
    assert stranger.signing_key(Purpose.ENVELOPE).kid == old.kid  # which peers still take
    stranger.signing_key(Purpose.FEDERATION)
    assert stranger.silent() == []
    clock.advance(seconds=OVERLAP_S)
    with pytest.raises(KeystoreError, match=new.kid):
        stranger.signing_key(Purpose.ENVELOPE)
    assert list(stranger.verification_keys(Purpose.ENVELOPE)) == []
    assert stranger.silent() == ["envelope"]


@pytest.mark.parametrize("backend", ["store", "pkcs11"])
async def test_who_only_writes_the_store_brings_in_no_key_of_his_own(
    database: Database, clock: FixedClock, backend: str
) -> None:
    """With it he could sign in the node's name: peers take what the node's configuration names."""
    plan = KeyPlan(homes={Purpose.ENVELOPE: backend})
    node = await Keystore.open(database, WRAPPING, clock, {"pkcs11": RowlessSource()}, plan)
    own = await node.generate(Purpose.ENVELOPE)
    before = node.revision()
    thief = SigningKey.generate().verification_key
    async with database.writing() as connection:
        await connection.execute(
            text(
                "INSERT INTO keys (kid, purpose, alg, state, generation, public_jwk, wrapped, created_at,"
                " retired_reason, backend) SELECT :kid, purpose, alg, 'published', 9, :jwk, wrapped, created_at,"
                " '', backend FROM keys"
            ),
            {"kid": thief.kid, "jwk": orjson.dumps(dict(thief.jwk)).decode()},
        )
    await node.advance()
    assert list(node.faults) == [thief.kid]
    assert list(node.verification_keys(Purpose.ENVELOPE)) == [own.kid]
    assert len(node.revision()) == len(before) + 1


async def test_a_key_of_a_token_that_is_away_stays_known(database: Database, clock: FixedClock) -> None:
    source, plan = RowlessSource(), KeyPlan(homes={Purpose.ENVELOPE: "pkcs11"})
    one = await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan)
    old = await one.generate(Purpose.ENVELOPE)
    two = await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan)
    new = await one.generate(Purpose.ENVELOPE)
    source.is_away = True
    await two.advance()
    assert set(two.verification_keys(Purpose.ENVELOPE)) == {old.kid, new.kid}
    source.is_away = False
    await two.advance()
    assert two.signing_key(Purpose.ENVELOPE).kid == new.kid


async def test_nothing_new_is_wrapped_by_a_key_that_opens_nothing(
    database: Database, clock: FixedClock
) -> None:
    await (await opened(database, clock)).generate(Purpose.ENVELOPE)
    mistaken = Keystore(KeyRows(database), KeyEncryptionKey(bytes(32)), clock)
    await mistaken.reload()
    with pytest.raises(KeystoreError, match="cannot be unwrapped"):
        await mistaken.generate(Purpose.OPENID)
    assert len(await states(database)) == 1


async def test_a_row_that_is_altered_later_does_not_take_the_key_away(
    database: Database, clock: FixedClock
) -> None:
    keystore = await opened(database, clock)
    key = await keystore.generate(Purpose.ENVELOPE)
    async with database.writing() as connection:
        await connection.execute(text("UPDATE keys SET wrapped = :junk"), {"junk": b"junk"})
    await keystore.reload()
    assert list(keystore.faults) == [key.kid]
    with pytest.raises(KeystoreError, match=key.kid):
        keystore.signing_key(Purpose.ENVELOPE)


async def test_keys_of_another_source(database: Database, clock: FixedClock) -> None:
    source = RowlessSource()
    plan = KeyPlan(homes={Purpose.ENVELOPE: "pkcs11"})
    keystore = await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan)
    key = await keystore.generate(Purpose.ENVELOPE)
    await keystore.generate(Purpose.FEDERATION)
    assert [row.backend for row in keystore.describe()] == ["pkcs11", "store"]
    replica = await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan)
    key.verify(replica.signing_key(Purpose.ENVELOPE).sign(b"message"), b"message")

    source.keys.clear()
    with pytest.raises(KeystoreError, match="gone"):
        await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan)


async def test_a_slow_look_never_hides_what_came_after_it(database: Database, clock: FixedClock) -> None:
    source = RowlessSource()
    plan = KeyPlan(homes={Purpose.ENVELOPE: "pkcs11"})
    one, two = [await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan) for _ in range(2)]
    await two.generate(Purpose.ENVELOPE)
    source.open_gate.clear()
    source.is_asked.clear()
    looking = asyncio.create_task(one.reload())
    while not source.is_asked.is_set():  # noqa: ASYNC110 - from a thread
        await asyncio.sleep(0)
    making = asyncio.create_task(one.generate(Purpose.OPENID))
    for _ in range(10):
        await asyncio.sleep(0)
    source.open_gate.set()
    await looking
    assert (await making).kid in one.verification_keys(Purpose.OPENID)


async def test_a_retired_key_is_not_looked_for(database: Database, clock: FixedClock) -> None:
    source = RowlessSource()
    plan = KeyPlan(homes={Purpose.ENVELOPE: "pkcs11"}, overlap_s=1)
    keystore = await Keystore.open(database, WRAPPING, clock, {"pkcs11": source}, plan)
    await keystore.generate(Purpose.ENVELOPE)
    keystore.plan = KeyPlan(overlap_s=1)
    await keystore.generate(Purpose.ENVELOPE)
    clock.advance(seconds=1)
    await keystore.advance()
    source.keys.clear()
    (await opened(database, clock)).signing_key(Purpose.ENVELOPE)


async def test_only_tls_keys_are_given_away_whole(database: Database, clock: FixedClock) -> None:
    keystore = await opened(database, clock)
    with pytest.raises(KeystoreError, match="no active tls key"):
        keystore.tls_key()
    tls = await keystore.generate(Purpose.TLS)
    waiting = await keystore.generate(Purpose.TLS, activate=False)
    envelope = await keystore.generate(Purpose.ENVELOPE)
    assert keystore.tls_key().kid == tls.kid
    assert keystore.tls_key(waiting.kid).kid == waiting.kid
    with pytest.raises(KeystoreError, match="no TLS key"):
        keystore.tls_key(envelope.kid)
    with pytest.raises(KeystoreError, match="no key"):
        keystore.tls_key("unknown")


async def test_a_consent_key_decrypts_on_after_it_made_way_unless_it_was_retired_by_hand(
    database: Database, clock: FixedClock
) -> None:
    keystore = await opened(database, clock)
    first = await keystore.generate("consent")
    second = await keystore.generate("consent")
    clock.advance(hours=2)
    await keystore.advance()
    assert first.kid not in keystore.verification_keys("consent")
    for replica in (keystore, await opened(database, clock)):
        assert replica.consent_key(first.kid).kid == first.kid
        assert replica.consent_key(second.kid).kid == second.kid
    other = await keystore.generate("openid")
    await keystore.generate("consent")
    await keystore.retire(second.kid, "lost")
    for kid in (other.kid, second.kid, "unknown"):
        with pytest.raises(KeystoreError):
            keystore.consent_key(kid)


@pytest.mark.parametrize(("purpose", "alg"), [("openid", "EdDSA"), ("log", "ES256"), ("tls", "EdDSA")])
async def test_an_algorithm_that_a_purpose_cannot_have(
    database: Database, clock: FixedClock, purpose: str, alg: str
) -> None:
    keystore = await opened(database, clock)
    with pytest.raises(KeyRejected, match=f"a {purpose} key is"):
        await keystore.generate(purpose, alg=alg)
    assert await states(database) == []


class RowlessSource:
    """A source whose keys are not in the store: a reference is a name, and what it names may be gone."""

    def __init__(self) -> None:
        self.keys: dict[bytes, SigningKey] = {}
        self.open_gate, self.is_asked = threading.Event(), threading.Event()
        self.open_gate.set()
        self.is_away = False

    def generate(self, purpose: str, alg: str) -> tuple[bytes, VerificationKey]:
        """A key under a name of its own."""
        key = SigningKey.generate(alg)
        reference = f"{purpose}-{len(self.keys)}".encode()
        self.keys[reference] = key
        return reference, key.verification_key

    def signer(self, reference: bytes, public_jwk: Mapping[str, Any], *, purpose: str) -> SigningKey:
        """The key of that name, as soon as the gate is open."""
        self.is_asked.set()
        assert self.open_gate.wait(60)
        if self.is_away:
            raise SourceAway("the token is away")
        key = self.keys.get(reference)
        if key is None or key.kid != public_jwk["kid"]:
            raise KeystoreError(f"key {public_jwk['kid']} ({purpose}) is gone from the token")
        return key
