"""What a node signs about itself, from its keystore: the configuration, and the keys of before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text
from structlog.testing import capture_logs

from federation.errors import OwnKeyUnavailable
from node.config import Config, read_config
from node.keystore import KeyEncryptionKey, KeyPlan, Keystore, KeystoreError
from node.keystore.errors import SourceAway
from node.own_documents import entity_configuration, historical_keys
from node.store.database import Database, open_database
from node.store.keys import KeyRow, KeyRows, KeyState
from node.web.federation import RenewedDocument
from tests.node.config.samples import write_node_files
from tests.support.clock import FixedClock
from trust.entity import read_statement
from trust.historical import HistoricalKeys, verify_historical_keys
from trust.keys import Signer, SigningKey, VerificationKey
from trust.tokens import read_token

OVERLAP_S = 3600
PURPOSES = ("federation", "envelope", "openid", "tls")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return read_config(write_node_files(tmp_path))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield opened
    await opened.close()


@pytest.fixture
async def keystore(database: Database, clock: FixedClock) -> Keystore:
    plan = KeyPlan(overlap_s=OVERLAP_S)
    keystore = await Keystore.open(database, KeyEncryptionKey(bytes(32)), clock, plan=plan)
    for purpose in PURPOSES:
        await keystore.generate(purpose)
    return keystore


def read(config: Config, keystore: Keystore, clock: FixedClock) -> HistoricalKeys:
    return verify_historical_keys(
        historical_keys(config, keystore)(clock.now()),
        entity_id=config.node.entity_id,
        keys=keystore.verification_keys("federation"),
        now=clock.now(),
    )


async def test_a_federation_key_to_come_is_listed_and_does_not_sign(
    config: Config, keystore: Keystore, clock: FixedClock
) -> None:
    document = RenewedDocument(entity_configuration(config, keystore), clock, revision=keystore.revision)
    old = keystore.signing_key("federation").kid
    assert read_token(document()).kid == old
    new = await keystore.generate("federation", activate=False, activates_at=clock.at + timedelta(seconds=60))
    statement = read_statement(document(), allow_http_on_loopback=True)
    assert (statement.token.kid, list(statement.keys)) == (old, [old, new.kid])
    clock.advance(seconds=60)
    statement = read_statement(document(), allow_http_on_loopback=True)
    assert (statement.token.kid, list(statement.keys)) == (new.kid, [new.kid, old])
    clock.advance(seconds=OVERLAP_S)
    assert list(read_statement(document(), allow_http_on_loopback=True).keys) == [new.kid]


async def test_a_new_node_has_no_keys_of_before(
    config: Config, keystore: Keystore, clock: FixedClock
) -> None:
    assert read(config, keystore, clock).keys == {}


async def test_keys_of_before_have_their_times_and_why(
    config: Config, keystore: Keystore, clock: FixedClock
) -> None:
    begun = clock.at
    old = {purpose: keystore.signing_key(purpose).kid for purpose in PURPOSES}
    clock.advance(days=1)
    for purpose in PURPOSES:
        await keystore.generate(purpose)
    leaked_at = clock.at
    await keystore.retire(old["envelope"], "密钥泄露")
    rotated_at = clock.at + timedelta(seconds=OVERLAP_S)
    clock.advance(days=1)

    found = read(config, keystore, clock).keys
    assert set(found) == {old["federation"], old["envelope"], old["openid"]}  # TLS is the CA's to tell
    assert {kid: one.purpose for kid, one in found.items()} == {
        old["federation"]: "",
        old["envelope"]: "envelope",
        old["openid"]: "openid",
    }
    leaked, rotated = found[old["envelope"]], found[old["openid"]]
    assert (leaked.issued_at, leaked.revoked_at, leaked.reason) == (begun, leaked_at, "密钥泄露")
    assert (rotated.issued_at, rotated.expires_at, rotated.revoked_at) == (begun, rotated_at, None)
    assert rotated.is_valid_at(leaked_at)
    assert not leaked.is_valid_at(leaked_at)


async def store_retired(
    database: Database, clock: FixedClock, public: VerificationKey, wrapped: bytes, backend: str = "store"
) -> None:
    """What somebody who can write the store puts there: a key that this node is to have used before."""
    earlier = await KeyRows(database).load()
    row = KeyRow(
        kid=public.kid,
        purpose="envelope",
        alg=public.alg,
        state=KeyState.RETIRED,
        generation=7 + len(earlier),
        public_jwk=public.jwk,
        wrapped=wrapped,
        created_at=clock.now(),
        retired_at=clock.now(),
        retired_reason="rotated",
        backend=backend,
    )
    await KeyRows(database).change(lambda rows: [*rows, row])


@pytest.mark.parametrize("backend", ["store", "pkcs11"])
async def test_a_foreign_key_in_the_store_never_gets_into_the_history(
    config: Config,
    keystore: Keystore,
    database: Database,
    clock: FixedClock,
    backend: str,
) -> None:
    ours = keystore.signing_key("envelope").kid
    (row,) = [row for row in keystore.describe() if row.kid == ours]
    await keystore.generate("envelope")
    await keystore.retire(ours, "leaked")
    foreign = SigningKey.generate().verification_key
    await store_retired(database, clock, foreign, row.wrapped, backend)
    again = await Keystore.open(database, KeyEncryptionKey(bytes(32)), clock)
    with capture_logs() as lines:
        await keystore.reload()
        await keystore.reload()
    warned = [line["kid"] for line in lines if line["event"] == "keys.left_out_of_history"]
    assert warned == [foreign.kid]
    for known in (keystore, again):
        assert set(read(config, known, clock).keys) == {ours}
        assert foreign.kid not in known.faults


class Away:
    """A token that may be pulled out. It has every key, when it is there."""

    def __init__(self) -> None:
        self.is_away, self.asked = True, 0

    def generate(self, purpose: str, alg: str) -> tuple[bytes, VerificationKey]:
        raise KeystoreError("full")

    def signer(self, reference: bytes, public_jwk: Mapping[str, Any], *, purpose: str) -> Signer:
        self.asked += 1
        if self.is_away:
            raise SourceAway("away")
        if reference != b"ours":
            raise KeystoreError("no such key")
        return SigningKey.generate()


async def test_keys_in_a_token_that_is_away_stay_until_it_can_be_asked(
    config: Config, database: Database, clock: FixedClock
) -> None:
    token = Away()
    keystore = await Keystore.open(database, KeyEncryptionKey(bytes(32)), clock, {"pkcs11": token})
    await keystore.generate("federation")
    ours, foreign = (SigningKey.generate().verification_key for _ in range(2))
    await store_retired(database, clock, ours, b"ours", "pkcs11")
    await store_retired(database, clock, foreign, b"theirs", "pkcs11")
    await keystore.reload()
    away = keystore.revision()
    assert set(read(config, keystore, clock).keys) == {ours.kid, foreign.kid}
    token.is_away = False
    await keystore.reload()
    assert set(read(config, keystore, clock).keys) == {ours.kid}
    assert keystore.revision() != away, "so the document is signed anew"
    asked = token.asked
    await keystore.reload()
    assert token.asked == asked, "each is opened once"


async def test_an_independent_library_verifies_it(
    config: Config, keystore: Keystore, clock: FixedClock
) -> None:
    await keystore.generate("envelope")
    await keystore.generate("federation")
    token = historical_keys(config, keystore)(clock.now())
    published: Any = keystore.jwks("federation")
    decoded = jwt.decode(token, KeySet.import_key_set(published), algorithms=["ES256"])
    assert decoded.header["typ"] == "jwk-set+jwt"
    assert decoded.claims["iss"] == config.node.entity_id


async def test_without_a_usable_federation_key_nothing_is_signed(
    config: Config, keystore: Keystore, database: Database, clock: FixedClock
) -> None:
    document = RenewedDocument(entity_configuration(config, keystore), clock, revision=keystore.revision)
    before = document()
    async with database.writing() as connection:
        await connection.execute(text("UPDATE keys SET wrapped = x'00' WHERE purpose = 'federation'"))
    await keystore.reload()
    clock.advance(hours=2)
    assert document() == before
    for build in (entity_configuration(config, keystore), historical_keys(config, keystore)):
        with pytest.raises(OwnKeyUnavailable, match="yrd keys list"):
            build(clock.now())


LOGIN = """
[login]
[login.identity_provider]
issuer = "https://id.zj.example"
client_id = "node"
acr = { silver = "yrd.l2" }
"""


async def test_logins_are_told_of_where_they_are_offered(
    tmp_path: Path, config: Config, keystore: Keystore, clock: FixedClock
) -> None:
    def told(by: Config) -> dict[str, Any]:
        metadata: dict[str, Any] = read_token(entity_configuration(by, keystore)(clock.now())).claims[
            "metadata"
        ]
        return metadata

    assert "authorization_endpoint" not in told(config)["openid_provider"]
    path = tmp_path / "node.toml"
    path.write_text(path.read_text(encoding="utf-8") + LOGIN, encoding="utf-8")
    metadata = told(read_config(path))
    provider, client = metadata["openid_provider"], metadata["openid_relying_party"]
    assert provider["authorization_endpoint"] == f"{config.node.entity_id}/oidc/authorize"
    assert provider["jwks"] == client["jwks"] == keystore.jwks("openid")
    assert client["redirect_uris"] == [f"{config.node.entity_id}/login/callback"]
