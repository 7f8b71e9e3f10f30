"""What the keystore promises about secrets, foreign rows and other sources, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
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
from tests.support.keystores import OVERLAP_S, WRAPPING, opened, states
from trust.errors import KeyRejected
from trust.keys import SigningKey, VerificationKey


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


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
