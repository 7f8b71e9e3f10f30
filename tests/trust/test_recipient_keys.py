"""What is encrypted to a node's consent keys, and how its chain names these."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from tests.trust.federation import ENVELOPE_KEY, ZHEJIANG, ZHEJIANG_KEY, bend, chain, configuration, resolve
from trust.errors import KeyRejected, StatementRejected
from trust.keys import SigningKey
from trust.profile import NodeProfile, node_metadata, read_node
from trust.recipient_keys import (
    MAX_ENCRYPTED_BYTES,
    decrypt,
    encrypt_to,
    recipient_jwks,
    recipient_keys_from_jwks,
)
from trust.tokens import read_token

KEY, NEXT = SigningKey.generate(), SigningKey.generate()
JWKS = recipient_jwks([KEY.verification_key, NEXT.verification_key])
LATER = {"kty": "AKP", "alg": "ML-KEM-768", "pub": "AA", "use": "enc"}


def _private(kid: str) -> SigningKey:
    return {KEY.kid: KEY, NEXT.kid: NEXT}[kid]


def _read(**node: Any) -> NodeProfile:
    metadata = dict(read_token(configuration()).claims["metadata"])
    metadata["yrd_node"] = {**metadata["yrd_node"], **node}
    return read_node(resolve([bend(configuration(), ZHEJIANG_KEY, metadata=metadata), *chain()[1:]]))


def test_what_is_encrypted_to_the_first_key_is_read_by_its_owner_alone() -> None:
    keys = recipient_keys_from_jwks(JWKS)
    assert list(keys) == [KEY.kid, NEXT.kid]
    sealed = encrypt_to(keys[KEY.kid], b"whose it is")
    assert decrypt(sealed, _private) == b"whose it is"
    assert encrypt_to(keys[KEY.kid], b"whose it is") != sealed
    for other in (NEXT, SigningKey.generate("EdDSA")):
        with pytest.raises(StatementRejected):
            decrypt(sealed, lambda _kid, key=other: key)  # type: ignore[misc]


def test_other_software_can_encrypt_to_the_key() -> None:
    """By joserfc alone, with nothing of ours but the published key."""
    public = ECKey.import_key({**JWKS["keys"][0]})
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": KEY.kid}
    assert decrypt(jwe.encrypt_compact(header, b"x", public), _private) == b"x"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ECDH-ES+A128KW", "enc": "A256GCM", "kid": KEY.kid},
        {"alg": "ECDH-ES", "enc": "A128CBC-HS256", "kid": KEY.kid},
        {"alg": "ECDH-ES", "enc": "A256GCM", "kid": KEY.kid, "zip": "DEF"},
        {"alg": "ECDH-ES", "enc": "A256GCM"},
    ],
    ids=["another alg", "another enc", "packed", "no kid"],
)
def test_no_other_form_is_read(header: dict[str, str]) -> None:
    public = ECKey.import_key({**JWKS["keys"][0]})
    with pytest.raises(StatementRejected):
        decrypt(jwe.encrypt_compact(header, b"x", public), _private)


@pytest.mark.parametrize(
    "text", ["", "a.b.c", "....", "ü.a.b.c.d", "x" * (MAX_ENCRYPTED_BYTES + 1)], ids=range(5)
)
def test_what_is_no_jwe_is_refused(text: str) -> None:
    with pytest.raises(StatementRejected):
        decrypt(text, _private)


@pytest.mark.parametrize(
    "jwks",
    [
        None,
        {"keys": []},
        {"keys": [LATER]},
        {"keys": [{**JWKS["keys"][0], "use": "sig"}]},
        {"keys": [JWKS["keys"][0]] * 2},
        {"keys": [{**JWKS["keys"][0], "d": "AA"}]},
        {"keys": [{**JWKS["keys"][0], "kid": "mine"}]},
        {"keys": [JWKS["keys"][0]] * 17},
    ],
    ids=["no set", "none", "only later", "signs", "twice", "private", "other kid", "many"],
)
def test_a_set_that_breaks_a_rule_is_refused(jwks: Any) -> None:
    with pytest.raises(KeyRejected):
        recipient_keys_from_jwks(jwks)


def test_only_a_p256_key_can_be_encrypted_to() -> None:
    with pytest.raises(KeyRejected):
        recipient_jwks([SigningKey.generate("EdDSA").verification_key])


def test_a_chain_names_the_keys_and_a_later_kind_is_left_out() -> None:
    told = node_metadata(
        entity_id=ZHEJIANG,
        province="330000",
        name="浙江省节点",
        grpc_endpoint="node.zj.example:443",
        envelope_keys=[ENVELOPE_KEY.verification_key],
        consent_keys=[KEY.verification_key, NEXT.verification_key],
    )["yrd_node"]
    assert told["consent_jwks"] == JWKS
    node = _read(consent_jwks={"keys": [LATER, *JWKS["keys"]]})
    assert (list(node.consent_keys), node.problems) == ([KEY.kid, NEXT.kid], ())
    assert not _read().consent_keys


def test_wrong_keys_take_the_consents_and_not_the_exchange() -> None:
    node = _read(consent_jwks={"keys": []})
    assert not node.consent_keys
    assert "no consents for it" in node.problems[0]
    with pytest.raises(KeyRejected, match="two purposes"):
        _read(consent_jwks=recipient_jwks([ENVELOPE_KEY.verification_key]))
