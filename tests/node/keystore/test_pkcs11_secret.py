"""The key file under a passphrase that only a token computes: by command, opened at start, worthless without it."""

from __future__ import annotations

from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from node.keystore.errors import KeystoreError
from node.keystore.pkcs11 import Pkcs11Source
from tests.support.federation import yrd
from tests.support.softhsm import TestToken, new_token


@pytest.fixture
def token() -> TestToken:
    return new_token()


def source_on(token: TestToken) -> Pkcs11Source:
    return Pkcs11Source.open(token.module, token.label, token.pin_file)


def test_the_token_computes_one_passphrase_and_keeps_its_key(token: TestToken) -> None:
    source, again = source_on(token), source_on(token)
    with pytest.raises(KeystoreError, match="yrd keys protect has not been run"):
        source.passphrase()
    made = source.passphrase(make=True)
    assert len(made) == 43
    assert again.passphrase() == again.passphrase(make=True) == made
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open()
    (key,) = session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
    assert key[Attribute.NEVER_EXTRACTABLE]
    assert key[Attribute.ALWAYS_SENSITIVE]
    session.close()
    source.close()
    again.close()


def test_another_token_computes_another_one(token: TestToken) -> None:
    one, other = source_on(token), source_on(new_token())
    assert one.passphrase(make=True) != other.passphrase(make=True)
    one.close()
    other.close()


@pytest.mark.parametrize(
    ("count", "kept", "said"), [(1, False, "can be taken out"), (2, True, "several keys")]
)
def test_a_key_that_may_be_known_elsewhere_is_refused(
    token: TestToken, count: int, kept: bool, said: str
) -> None:
    source = source_on(token)
    source.generate("envelope", "ES256")  # so that this process is logged in
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)
    for _ in range(count):
        session.generate_key(
            KeyType.GENERIC_SECRET,
            256,
            label="yrd-key-file",
            store=True,
            capabilities=MechanismFlag.SIGN,
            mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
            template={Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: not kept},
        )
    session.close()
    with pytest.raises(KeystoreError, match=said):
        source.passphrase()
    source.close()


def test_a_key_that_was_imported_is_refused_although_it_stays(token: TestToken) -> None:
    source = source_on(token)
    source.generate("envelope", "ES256")  # so that this process is logged in
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.LABEL: "yrd-key-file",
            Attribute.VALUE: bytes(range(32)),
            Attribute.TOKEN: True,
            Attribute.SIGN: True,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        }
    )
    session.close()
    with pytest.raises(KeystoreError, match="was not made in the token"):
        source.passphrase()
    source.close()


def test_a_key_file_is_opened_with_its_token_only(token: TestToken, tmp_path: Path) -> None:
    config = tmp_path / "node" / "node.toml"
    assert yrd("init", "--province", "330000", "--dir", config.parent).exit_code == 0
    plain = config.with_name("kek").read_bytes()
    text = config.read_text("utf-8")
    config.write_text(text + token.section().replace('["envelope"]', "[]\nprotect_key_file = true"), "utf-8")

    assert yrd("keys", "protect", "--config", config).exit_code == 0
    assert b"yrd-kek-v2" in config.with_name("kek").read_bytes()
    assert yrd("keys", "list", "--config", config).exit_code == 0
    with token.away(), pytest.raises(KeystoreError, match="cannot be used"):
        yrd("keys", "list", "--config", config)
    assert yrd("keys", "unprotect", "--config", config).exit_code == 0
    assert config.with_name("kek").read_bytes() == plain
