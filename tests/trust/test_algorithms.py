"""Which algorithm may sign what: tokens are of ES256 and EdDSA, envelopes of any; and a machine that lacks one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.clock import NOON
from tests.support.sm2 import without_sm2
from tests.trust.federation import ANCHOR, FACTS, ZHEJIANG, ZHEJIANG_KEY, resolve
from tests.trust.federation import anchor_configuration as of_anchor
from tests.trust.federation import configuration as of_node
from tests.trust.federation import statement as about_node
from trust.algorithms import ALGORITHMS, JWS_ALGORITHMS
from trust.entity import build_entity_configuration, read_statement
from trust.envelope import parse, seal, seal_batch, unseal
from trust.errors import (
    AlgorithmUnavailable,
    BadSignature,
    ForeignKey,
    KeyRejected,
    SignatureForm,
    StatementRejected,
)
from trust.keys import (
    SigningKey,
    VerificationKey,
    envelope_keys_from_jwks,
    jwks_of,
    keys_from_jwks,
    thumbprint,
)
from trust.profile import node_metadata, read_node
from trust.tokens import read_token, sign_token, verify_token

TYP = "entity-statement+jwt"
TYPE = "application/vnd.yrd.certificates.query.v1+protobuf"
SM2_KEY, ES256_KEY = SigningKey.generate("SM2"), SigningKey.generate()
SM2_PUBLIC = SM2_KEY.verification_key


def test_three_algorithms_of_which_two_sign_tokens() -> None:
    assert set(ALGORITHMS) == {"ES256", "EdDSA", "SM2"}
    assert {"ES256", "EdDSA"} == JWS_ALGORITHMS


# --- the key ---


def test_an_sm2_key_survives_pem_and_jwk() -> None:
    again, public = SigningKey.from_pem(SM2_KEY.to_pem()), VerificationKey.from_jwk(dict(SM2_PUBLIC.jwk))
    assert again.kid == public.kid == SM2_KEY.kid
    assert (again.alg, public.alg, public) == ("SM2", "SM2", SM2_PUBLIC)
    public.verify(again.sign(b"x"), b"x")
    assert public.to_pem() == SM2_PUBLIC.to_pem()


def test_its_key_id_is_the_thumbprint_of_rfc_7638() -> None:
    jwk = SM2_PUBLIC.jwk
    assert (jwk["kty"], jwk["crv"]) == ("EC", "SM2")
    assert SM2_KEY.kid == thumbprint({name: jwk[name] for name in ("crv", "kty", "x", "y")})


def test_it_does_not_show_its_secret() -> None:
    assert repr(SM2_KEY) == f"SigningKey(SM2 {SM2_KEY.kid})"


def _jwk(**changes: Any) -> dict[str, Any]:
    key = {**SM2_PUBLIC.jwk, **changes}
    return {name: value for name, value in key.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "ES256"},
        {"alg": "EdDSA"},
        {"crv": "P-256"},
        {"crv": "P-256", "alg": "ES256", "kid": None},
        {"crv": "sm2"},
        {"kty": "OKP"},
        {"use": "enc"},
        {"kid": ES256_KEY.kid},
        {"d": "AAAA"},
        {"x": None},
        {"y": None},
        {"y": SM2_PUBLIC.jwk["x"]},
        {"x": "A" * 43},
        {"x": SM2_PUBLIC.jwk["x"] + "="},
        {"x": ES256_KEY.verification_key.jwk["x"], "y": ES256_KEY.verification_key.jwk["y"], "kid": None},
    ],
    ids=",".join,
)
def test_a_jwk_of_sm2_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(KeyRejected) as refused:
        VerificationKey.from_jwk(_jwk(**changes))
    assert not isinstance(refused.value, AlgorithmUnavailable)


# --- envelopes ---


def test_envelopes_are_sealed_alone_and_in_batches() -> None:
    keys = {SM2_KEY.kid: SM2_PUBLIC}
    alone = seal(TYPE, b"alone", SM2_KEY)
    assert len(alone.signature) == 64
    assert unseal(parse(alone.envelope, max_bytes=1000), keys=keys).payload == b"alone"
    batch = seal_batch([(TYPE, bytes([place])) for place in range(5)], SM2_KEY)
    assert len({sealed.signature for sealed in batch}) == 1
    for place, sealed in enumerate(batch):
        assert unseal(parse(sealed.envelope, max_bytes=1000), keys=keys).payload == bytes([place])


def test_an_envelope_of_another_key_form_or_content_is_refused() -> None:
    sealed, other = seal(TYPE, b"payload", SM2_KEY), SigningKey.generate("SM2")
    with pytest.raises(ForeignKey):
        unseal(sealed, keys={other.kid: other.verification_key})
    with pytest.raises(BadSignature):
        unseal(sealed, keys={SM2_KEY.kid: other.verification_key})
    with pytest.raises(BadSignature):
        unseal(sealed, keys={SM2_KEY.kid: ES256_KEY.verification_key})
    last = sealed.envelope.rindex(sealed.signature) + 63
    flipped = bytearray(sealed.envelope)
    flipped[last] ^= 1
    with pytest.raises(BadSignature):
        unseal(parse(bytes(flipped), max_bytes=1000), keys={SM2_KEY.kid: SM2_PUBLIC})
    with pytest.raises(SignatureForm):
        SM2_PUBLIC.verify(sealed.signature + b"\x00", b"x")


# --- tokens ---


@dataclass(frozen=True)
class Reckless:
    """A signer that signs tokens with SM2 and says that it was another algorithm."""

    alg: str
    kid: str = SM2_KEY.kid
    verification_key: VerificationKey = SM2_PUBLIC

    def sign(self, message: bytes) -> bytes:
        return SM2_KEY.sign(message)


def test_no_token_is_signed_with_sm2() -> None:
    with pytest.raises(KeyRejected, match="signs no tokens"):
        sign_token({}, SM2_KEY, typ=TYP)
    with pytest.raises(KeyRejected, match="signs no tokens"):
        build_entity_configuration(entity_id=ZHEJIANG, signer=SM2_KEY, metadata={}, now=NOON)


@pytest.mark.parametrize("alg", sorted(JWS_ALGORITHMS))
def test_a_token_that_is_signed_with_sm2_is_refused_whatever_it_says(alg: str) -> None:
    token = read_token(sign_token({}, Reckless(alg), typ=TYP))
    with pytest.raises(StatementRejected, match="signs no tokens"):
        verify_token(token, keys={SM2_KEY.kid: SM2_PUBLIC}, typ=TYP)


def test_sm2_is_no_key_of_a_federation() -> None:
    jwks = jwks_of([ES256_KEY.verification_key, SM2_PUBLIC])
    with pytest.raises(KeyRejected, match="envelopes only"):
        keys_from_jwks(jwks)
    token = build_entity_configuration(
        entity_id=ZHEJIANG, signer=ES256_KEY, metadata={}, now=NOON, published=[SM2_PUBLIC]
    )
    with pytest.raises(KeyRejected, match="envelopes only"):
        read_statement(token)


# --- envelope keys of a peer ---


def chain(*envelope_keys: SigningKey) -> list[str]:
    metadata = node_metadata(
        entity_id=ZHEJIANG,
        envelope_keys=[key.verification_key for key in envelope_keys],
        **FACTS[ZHEJIANG],
    )
    configuration = build_entity_configuration(
        entity_id=ZHEJIANG, signer=ZHEJIANG_KEY, metadata=metadata, now=NOON, authority_hints=[ANCHOR]
    )
    return [configuration, about_node(), of_anchor()]


def test_a_nodes_envelope_keys_may_be_of_every_algorithm() -> None:
    keys = [SigningKey.generate(alg) for alg in ALGORITHMS]
    node = read_node(resolve(chain(*keys)))
    assert dict(node.envelope_keys) == {key.kid: key.verification_key for key in keys}
    assert node.problems == ()


def test_an_sm2_key_is_left_out_where_there_is_no_sm2() -> None:
    statements = chain(SM2_KEY, ES256_KEY)
    with without_sm2():
        node = read_node(resolve(statements))
    assert set(node.envelope_keys) == {ES256_KEY.kid}
    assert len(node.problems) == 1
    assert "SM2" in node.problems[0]
    assert "OpenSSL 3" in node.problems[0]


def test_a_node_with_nothing_but_sm2_is_not_known_where_there_is_no_sm2() -> None:
    with without_sm2(), pytest.raises(AlgorithmUnavailable, match="OpenSSL 3"):
        read_node(resolve(chain(SM2_KEY)))


def test_a_bad_key_is_refused_beside_one_that_is_left_out() -> None:
    good, bad = jwks_of([SM2_PUBLIC])["keys"][0], _jwk(x="AAAA")
    with without_sm2():
        for keys in ([good, bad], [bad, good]):
            with pytest.raises(KeyRejected) as refused:
                envelope_keys_from_jwks({"keys": keys})
            assert type(refused.value) is KeyRejected
        with pytest.raises(KeyRejected, match="x"):
            envelope_keys_from_jwks({"keys": [_jwk(x="AAAA"), dict(ES256_KEY.verification_key.jwk)]})


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": []}, {"keys": {}}, {"keys": [None]}, {"keys": "x"}])
def test_what_is_no_set_of_envelope_keys_is_refused(jwks: object) -> None:
    with pytest.raises(KeyRejected):
        envelope_keys_from_jwks(jwks)


def test_the_same_envelope_key_twice_is_refused() -> None:
    with pytest.raises(KeyRejected, match="twice"):
        envelope_keys_from_jwks(jwks_of([SM2_PUBLIC, SM2_PUBLIC]))


def test_keys_of_other_algorithms_need_no_library() -> None:
    with without_sm2():
        assert read_node(resolve([of_node(), about_node(), of_anchor()])).problems == ()
        with pytest.raises(AlgorithmUnavailable):
            SigningKey.generate("SM2")
        with pytest.raises(AlgorithmUnavailable):
            SigningKey.from_pem(SM2_KEY.to_pem())
