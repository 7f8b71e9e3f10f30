"""Signed JSON: JWS compact serialization (RFC 7515) with an explicit type, and nothing of JOSE beside it.

 - `read_token` takes a token apart; its `UnverifiedToken` is good for finding the key only.
 - `verify_token` makes `SignedClaims` of it, with a key of the caller's. The key decides the algorithm and
   the header must agree, so neither ``none`` nor a downgrade nor a MAC with a public key is a question (RFC
   8725 §3.1). Keys are of `JWS_ALGORITHMS`; one that is for envelopes only signs and verifies no token.
 - The type is always given and always compared (RFC 8725 §3.11).
 - A header that brings its own key or points to one (jwk, jku, x5c, x5u) is refused, and any crit too.
 - JSON objects must not name a member twice (RFC 8259 §4 leaves it open; attackers like it open), nor nest
   deeper than `MAX_JSON_DEPTH`, nor hold numbers or half characters that other software cannot (RFC 8259 §6,
   §8.2).

Signing goes through `Signer`, so that a key may live in hardware.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from trust.algorithms import JWS_ALGORITHMS, b64url, b64url_bytes
from trust.errors import ForeignKey, KeyRejected, StatementRejected
from trust.keys import Signer, VerificationKey

__all__ = [
    "MAX_JSON_DEPTH",
    "MAX_TOKEN_BYTES",
    "SignedClaims",
    "UnverifiedToken",
    "quoted",
    "read_token",
    "sign_token",
    "verify_token",
]

MAX_TOKEN_BYTES = 64 * 1024
_MOST_QUOTED = 80
MAX_JSON_DEPTH = 32
"""Objects and lists within each other; whoever writes JSON again or compares it recurses as deep."""
_REFUSED_HEADERS = ("b64", "crit", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip")


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token that is well-formed. Nothing in it is proven; `claims` may serve to find the key."""

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signature: bytes

    @property
    def kid(self) -> str:
        """The key id that the header names."""
        kid: str = self.header["kid"]
        return kid


@dataclass(frozen=True, slots=True)
class SignedClaims:
    """Claims whose signature was verified under `kid`. Times and issuer are the caller's to check."""

    text: str
    claims: Mapping[str, Any]
    kid: str


def sign_token(claims: Mapping[str, Any], signer: Signer, *, typ: str) -> str:
    """The claims as a JWS of that type. Raises KeyRejected for a key that is for envelopes only."""
    if signer.alg not in JWS_ALGORITHMS:
        raise KeyRejected(f"the key {signer.kid} is of {signer.alg}, which signs no tokens")
    header = {"alg": signer.alg, "kid": signer.kid, "typ": typ}
    message = f"{b64url(orjson.dumps(header))}.{b64url(orjson.dumps(claims))}"
    return f"{message}.{b64url(signer.sign(message.encode('ascii')))}"


def read_token(token: str | bytes, *, max_bytes: int = MAX_TOKEN_BYTES) -> UnverifiedToken:
    """Take a token from outside apart.

    Raises StatementRejected: too long, not three parts of base64url, not JSON objects, a member named twice,
    no kid, a header that is not allowed.
    """
    if len(token) > max_bytes:
        raise StatementRejected(f"a token has at most {max_bytes} bytes; this one has {len(token)}")
    try:
        text = token if isinstance(token, str) else token.decode("ascii")
        head, body, signature = text.split(".")
        parts = _read_object(head), _read_object(body), b64url_bytes(signature)
    except (ValueError, RecursionError):
        raise StatementRejected("not a JWS in compact serialization with JSON objects in it") from None
    _check_header(parts[0])
    return UnverifiedToken(text, *parts)


def verify_token(token: UnverifiedToken, *, keys: Mapping[str, VerificationKey], typ: str) -> SignedClaims:
    """Verify the signature under one of `keys`.

    Raises StatementRejected when type or algorithm are not what they must be, ForeignKey when the key id is
    not among `keys`, SignatureForm, BadSignature.
    """
    if token.header.get("typ") != typ:
        raise StatementRejected(f"the token is of type {quoted(token.header.get('typ'))}, expected {typ!r}")
    key = keys.get(token.kid)
    if key is None:
        raise ForeignKey(f"the token's key {token.kid[:_MOST_QUOTED]} is not one of the issuer's")
    if key.alg not in JWS_ALGORITHMS:
        raise StatementRejected(f"the token's key {key.kid} is of {key.alg}, which signs no tokens")
    if token.header.get("alg") != key.alg:
        said = quoted(token.header.get("alg"))
        raise StatementRejected(f"the token says alg {said}; its key is for {key.alg}")
    key.verify(token.signature, token.text.rpartition(".")[0].encode("ascii"))
    return SignedClaims(token.text, token.claims, token.kid)


def quoted(value: object) -> str:
    """What somebody else wrote, for an error or a log: its beginning, so that nobody fills these with it."""
    return repr(value)[:_MOST_QUOTED]


def _check_header(header: Mapping[str, Any]) -> None:
    refused = [name for name in _REFUSED_HEADERS if name in header]
    if refused:
        raise StatementRejected(f"the token's header carries {', '.join(refused)}, which is not allowed")
    if not isinstance(header.get("kid"), str):
        raise StatementRejected("the token's header has no kid")


def _read_object(part: str) -> dict[str, Any]:
    raw = b64url_bytes(part)
    found = _DECODER.decode(raw.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    if not _is_surely_flat(raw):
        _check_depth(found, MAX_JSON_DEPTH)
    if b"\\u" in raw:
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    return found


def _is_surely_flat(raw: bytes) -> bool:
    """Take away innermost pairs of brackets, at most two levels a turn: what is left nests deeper, or is text."""
    brackets = raw.translate(None, _NO_BRACKETS)
    for _ in range(MAX_JSON_DEPTH // 2):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return True
    return False


def _check_depth(value: Mapping[str, Any] | list[Any], room: int) -> None:
    if room == 0:
        raise ValueError("nested too deep")
    for inner in value.values() if isinstance(value, Mapping) else value:
        if isinstance(inner, dict | list):
            _check_depth(inner, room - 1)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is named twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _whole(digits: str) -> int:
    number = int(digits)
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError("a whole number of more than 63 bits")
    return number


def _fraction(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number without end")
    return number


_LARGEST = 2**63 - 1
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_refuse_constant,
    parse_int=_whole,
    parse_float=_fraction,
)
"""JSON in UTF-8 (RFC 8259 §8.1), made once: making one costs as much as reading a header."""
