"""Tokens: the key decides the algorithm, the type is compared, and headers bring no keys."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jws

from trust.algorithms import b64url, b64url_bytes
from trust.errors import BadSignature, ForeignKey, SignatureForm, StatementRejected
from trust.keys import SigningKey
from trust.tokens import read_token, sign_token, verify_token

TYP = "test+jwt"
KEY = SigningKey.generate()
KEYS = {KEY.kid: KEY.verification_key}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5), st.sampled_from(["ES256", "EdDSA"]))
def test_what_is_signed_comes_back(claims: dict[str, Any], alg: str) -> None:
    signer = SigningKey.generate(alg)
    token = sign_token(claims, signer, typ=TYP)
    signed = verify_token(read_token(token), keys={signer.kid: signer.verification_key}, typ=TYP)
    assert (dict(signed.claims), signed.kid, signed.text) == (claims, signer.kid, token)


def test_joserfc_verifies_ours_and_we_verify_its() -> None:
    theirs = jwk.import_key(dict(KEY.verification_key.jwk))
    opened = jws.deserialize_compact(sign_token({"a": 1}, KEY, typ=TYP), theirs, algorithms=["ES256"])
    assert json.loads(opened.payload or b"") == {"a": 1}
    private = jwk.import_key(KEY.to_pem(), "EC")
    token = jws.serialize_compact({"alg": "ES256", "kid": KEY.kid, "typ": TYP}, b'{"b":2}', private)
    assert verify_token(read_token(token), keys=KEYS, typ=TYP).claims == {"b": 2}


def _forge(header: dict[str, Any], signature: bytes | None = None, body: bytes = b'{"a":1}') -> str:
    full = {"alg": "ES256", "kid": KEY.kid, "typ": TYP, **header}
    message = (
        f"{b64url(json.dumps({k: v for k, v in full.items() if v is not None}).encode())}.{b64url(body)}"
    )
    return f"{message}.{b64url(KEY.sign(message.encode()) if signature is None else signature)}"


def _verify(token: str) -> None:
    verify_token(read_token(token), keys=KEYS, typ=TYP)


def test_a_good_one_made_the_same_way_verifies() -> None:
    _verify(_forge({}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": "HS256"},
        {"alg": "EdDSA"},
        {"alg": None},
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": 7},
        {"jwk": dict(KEY.verification_key.jwk)},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x5u"},
        {"x5c": ["AAAA"]},
        {"crit": ["exp"]},
        {"b64": False},
    ],
    ids=lambda header: "-".join(f"{name}={str(value)[:8]}" for name, value in header.items()),
)
def test_a_header_that_is_not_as_it_must_be_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(StatementRejected):
        _verify(_forge(header))


def test_alg_none_without_a_signature_is_refused() -> None:
    with pytest.raises(StatementRejected):
        _verify(_forge({"alg": "none"}, b""))
    with pytest.raises(SignatureForm):
        _verify(_forge({}, b""))


def test_a_mac_with_the_public_key_is_refused() -> None:
    token = _forge({"alg": "HS256"})
    message = token.rpartition(".")[0]
    mac = hmac.new(KEY.verification_key.to_pem(), message.encode(), hashlib.sha256).digest()
    with pytest.raises(StatementRejected, match="alg"):
        _verify(f"{message}.{b64url(mac)}")


def test_another_key_is_foreign_and_another_signature_bad() -> None:
    other = SigningKey.generate()
    with pytest.raises(ForeignKey):
        _verify(sign_token({}, other, typ=TYP))
    with pytest.raises(BadSignature):
        _verify(_forge({}, other.sign(b"x")))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"a":NaN}', b"{", b"\xff", b"[" * 9000],
)
def test_a_body_that_is_not_one_plain_object_is_refused(body: bytes) -> None:
    with pytest.raises(StatementRejected):
        _verify(_forge({}, body=body))


def _nested(depth: int) -> bytes:
    """An object of that depth, objects and lists in turn."""
    inner = b"1"
    for level in range(depth - 1):
        inner = b"[%b]" % inner if level % 2 else b'{"a":%b}' % inner
    return b'{"a":%b}' % inner


@pytest.mark.parametrize("depth", [1, 2, 31, 32])
def test_json_nests_as_deep_as_is_allowed(depth: int) -> None:
    _verify(_forge({}, body=_nested(depth)))


@pytest.mark.parametrize("depth", [33, 34, 200, 900])
def test_json_that_nests_deeper_is_refused(depth: int) -> None:
    with pytest.raises(StatementRejected):
        _verify(_forge({}, body=_nested(depth)))


def test_brackets_in_text_are_no_depth() -> None:
    body = json.dumps({"a": "[" * 100, "b": "}" * 100, "c": ["{[" * 50]}).encode()
    _verify(_forge({}, body=body))


@pytest.mark.parametrize("text", [b"\\ud800", b"a\\uDFFFb", b"\\udc00\\ud800"])
def test_half_a_character_is_refused(text: bytes) -> None:
    for body in (b'{"a":"%b"}', b'{"%b":1}', b'{"a":[{"b":"%b"}]}'):
        with pytest.raises(StatementRejected):
            _verify(_forge({}, body=body % text))
    _verify(_forge({}, body=b'{"a":"\\ud83d\\ude00 \\u6d59"}'))


@pytest.mark.parametrize("number", ["9223372036854775808", "-1e999", "1e999", "9" * 5000])
def test_numbers_that_others_cannot_hold_are_refused(number: str) -> None:
    with pytest.raises(StatementRejected):
        _verify(_forge({}, body=b'{"a":%b}' % number.encode()))


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775807", "1e30", "0.5", "-0"])
def test_other_numbers_are_taken(number: str) -> None:
    _verify(_forge({}, body=b'{"a":%b}' % number.encode()))


GOOD = _forge({})


@pytest.mark.parametrize(
    "token",
    ["", "a.b", GOOD + ".x", GOOD + "=", GOOD.replace(".", ".."), "é" + GOOD, GOOD + "\n", " " + GOOD],
)
def test_what_is_no_compact_serialization_is_refused(token: str) -> None:
    with pytest.raises(StatementRejected):
        read_token(token)
    with pytest.raises(StatementRejected):
        read_token(token.encode())


def test_too_long_a_token_is_refused_unread() -> None:
    with pytest.raises(StatementRejected, match="at most"):
        read_token("." * 101, max_bytes=100)


@given(st.text(max_size=80) | st.binary(max_size=80))
def test_noise_is_refused(noise: str | bytes) -> None:
    with pytest.raises(StatementRejected):
        read_token(noise)


@given(st.data())
def test_one_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(GOOD) * 8 - 1))
    altered = bytearray(GOOD.encode())
    altered[position // 8] ^= 1 << position % 8
    with pytest.raises((StatementRejected, ForeignKey, BadSignature, SignatureForm)):
        verify_token(read_token(bytes(altered)), keys=KEYS, typ=TYP)


@given(st.binary(max_size=40))
def test_base64url_has_one_spelling(data: bytes) -> None:
    assert b64url_bytes(b64url(data)) == data


@pytest.mark.parametrize("text", ["A", "AB", "AA==", "A A", "A+/A", "AAA\n", "é"])
def test_another_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|ASCII|ascii"):
        b64url_bytes(text)
