"""Keys: what is taken, what is refused, and that others agree with us about signatures."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwk as joserfc_jwk

from trust.errors import BadSignature, KeyRejected, SignatureForm
from trust.keys import SigningKey, VerificationKey, jwks_of, keys_from_jwks, thumbprint

ALGORITHMS = ["ES256", "EdDSA"]


def test_thumbprint_of_rfc_7638() -> None:
    """RFC 7638 §3.1: the thumbprint hashes only the required members, in order."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
        "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
        "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap"
        "JzKnqDKgw"
    )
    members = {"kty": "RSA", "n": modulus, "e": "AQAB"}
    assert thumbprint(members) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_ed25519_thumbprint_of_rfc_8037() -> None:
    """RFC 8037 appendix A.3."""
    key = VerificationKey.from_jwk(
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    )
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signature_verifies_and_an_altered_one_does_not(alg: str) -> None:
    key = SigningKey.generate(alg)
    signature = key.sign(b"message")
    key.verification_key.verify(signature, b"message")
    with pytest.raises(BadSignature):
        key.verification_key.verify(signature, b"massage")
    with pytest.raises(BadSignature):
        key.verification_key.verify(signature[:-1] + bytes([signature[-1] ^ 1]), b"message")
    with pytest.raises(BadSignature):
        SigningKey.generate(alg).verification_key.verify(signature, b"message")


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("length", [0, 1, 63, 65, 72])
def test_a_signature_of_another_length_is_refused_by_its_form(alg: str, length: int) -> None:
    with pytest.raises(SignatureForm):
        SigningKey.generate(alg).verification_key.verify(b"\x01" * length, b"message")


def test_a_der_signature_is_refused_by_its_form() -> None:
    key = SigningKey.generate()
    raw = key.sign(b"message")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    with pytest.raises(SignatureForm):
        key.verification_key.verify(der, b"message")


def test_zero_is_no_signature() -> None:
    with pytest.raises(BadSignature):
        SigningKey.generate().verification_key.verify(bytes(64), b"message")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_survives_pem_and_jwk(alg: str) -> None:
    key = SigningKey.generate(alg)
    again = SigningKey.from_pem(key.to_pem())
    public = VerificationKey.from_jwk(dict(key.verification_key.jwk))
    assert again.kid == key.kid == public.kid
    assert public == key.verification_key
    assert len({public, key.verification_key}) == 1
    public.verify(again.sign(b"x"), b"x")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_joserfc_computes_the_same_key_id(alg: str) -> None:
    key = SigningKey.generate(alg).verification_key
    assert joserfc_jwk.import_key(dict(key.jwk)).thumbprint() == key.kid


def test_openssl_verifies_our_signature_and_we_verify_its(tmp_path: Path) -> None:
    key = SigningKey.generate()
    message, public, private, signed = (tmp_path / name for name in ("m", "pub.pem", "key.pem", "sig.der"))
    message.write_bytes(b"from one tool to another")
    public.write_bytes(key.verification_key.to_pem())
    private.write_bytes(key.to_pem())
    raw = key.sign(message.read_bytes())
    signed.write_bytes(encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")))
    verify: list[str | Path] = [
        "openssl",
        "dgst",
        "-sha256",
        "-verify",
        public,
        "-signature",
        signed,
        message,
    ]
    assert b"Verified OK" in subprocess.run(verify, capture_output=True, check=True).stdout
    sign: list[str | Path] = ["openssl", "dgst", "-sha256", "-sign", private, "-out", signed, message]
    subprocess.run(sign, capture_output=True, check=True)
    r, s = decode_dss_signature(signed.read_bytes())
    key.verification_key.verify(r.to_bytes(32, "big") + s.to_bytes(32, "big"), message.read_bytes())


def _jwk(**changes: Any) -> dict[str, Any]:
    key: dict[str, Any] = dict(SigningKey.generate().verification_key.jwk)
    key.update(changes)
    return {name: value for name, value in key.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "RSA"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"alg": "RS256"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"use": "enc"},
        {"kid": "mine"},
        {"d": "AAAA"},
        {"x": None},
        {"x": 7},
        {"x": "AAAA"},
        {"x": "!" * 43},
        {"x": "A" * 43},
        {"kty": None},
    ],
    ids=str,
)
def test_a_jwk_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(KeyRejected):
        VerificationKey.from_jwk(_jwk(**changes))


def test_something_else_than_an_object_is_no_jwk() -> None:
    with pytest.raises(KeyRejected):
        VerificationKey.from_jwk(["EC"])  # type: ignore[arg-type]


def test_other_kinds_of_keys_are_refused() -> None:
    weak = rsa.generate_private_key(65537, 2048)
    other = ec.generate_private_key(ec.SECP384R1())
    for key in (weak, other):
        with pytest.raises(KeyRejected):
            SigningKey.from_pem(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(KeyRejected):
            VerificationKey(key.public_key())  # type: ignore[arg-type]
    for pem in (b"", b"-----BEGIN", SigningKey.generate().verification_key.to_pem()):
        with pytest.raises(KeyRejected):
            SigningKey.from_pem(pem)
    with pytest.raises(KeyRejected):
        SigningKey.generate("RS256")


def test_a_key_does_not_show_its_secret() -> None:
    key = SigningKey.generate()
    assert repr(key) == f"SigningKey(ES256 {key.kid})"


def test_a_key_set_is_read_and_written() -> None:
    keys = [SigningKey.generate(alg).verification_key for alg in ALGORITHMS]
    assert dict(keys_from_jwks(jwks_of(keys))) == {key.kid: key for key in keys}


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": []}, {"keys": {}}, {"keys": [None]}, {"keys": "x"}])
def test_what_is_no_key_set_is_refused(jwks: object) -> None:
    with pytest.raises(KeyRejected):
        keys_from_jwks(jwks)


def test_a_key_set_with_the_same_key_twice_or_too_many_is_refused() -> None:
    key = _jwk()
    with pytest.raises(KeyRejected, match="twice"):
        keys_from_jwks({"keys": [key, key]})
    with pytest.raises(KeyRejected, match="at most"):
        keys_from_jwks({"keys": [key] * 17})
