"""Tokens that a client signed: client assertions, request objects, DPoP proofs. Read and verified with joserfc.

What holds for each of them: compact serialization of a bounded size, a type that is expected, an algorithm that is
allowed (RFC 8725 §3.1: the list is the reader's, never the token's), and a signature under a key that was known before
or, for a proof of possession, that is in the header.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey

from federation.login.discovery import ALGORITHMS

__all__ = [
    "MAX_TOKEN_BYTES",
    "ForeignToken",
    "TokenRejected",
    "check_times",
    "unverified_claims",
]

MAX_TOKEN_BYTES = 16_384
_ALGORITHMS = [*ALGORITHMS, "Ed25519"]
"""RFC 9864 gives the one curve of EdDSA that is allowed here a name of its own."""

_CURVES = ("P-256", "Ed25519")


class TokenRejected(Exception):
    """The token proves nothing; the text says why, and may be shown to the client: it has no value of the token."""


class ForeignToken:
    """A token that is well-formed. Nothing in `header` and `claims` is proven before it is verified: until then they
    are good for finding whose keys to verify with.
    """

    __slots__ = ("_signature", "claims", "header")

    def __init__(self, text: str) -> None:
        """Raises TokenRejected."""
        if len(text) > MAX_TOKEN_BYTES:
            raise TokenRejected(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        try:
            self._signature = jws.extract_compact(text.encode("ascii"))
            claims = orjson.loads(self._signature.payload)
        except (JoseError, ValueError, TypeError, RecursionError):
            raise TokenRejected("not a signed JWT in compact serialization") from None
        if not isinstance(claims, dict):
            raise TokenRejected("the token's claims are not a JSON object")
        self.header: Mapping[str, Any] = self._signature.headers()
        self.claims: dict[str, Any] = claims

    def verify(self, jwks: Mapping[str, Any], *, types: Collection[str | None]) -> None:
        """Return when it is of such a type and signed under one of these keys. Raises TokenRejected."""
        self._verify(_key_set(orjson.dumps(jwks)), types)

    def verify_proof(self, *, types: Collection[str | None]) -> str:
        """The RFC 7638 thumbprint of the public key in its own header, when it is signed under that.

        Raises TokenRejected.
        """
        key = _public_key(self.header.get("jwk"))
        self._verify(key, types)
        return key.thumbprint()

    def _verify(self, key: KeySet | ECKey | OKPKey, types: Collection[str | None]) -> None:
        if self.header.get("typ") not in types:
            raise TokenRejected(f"typ must be {' or '.join(one for one in types if one)}")
        try:
            is_signed = jws.validate_compact(self._signature, key, _ALGORITHMS)
        except (JoseError, ValueError, TypeError, KeyError):
            is_signed = False
        if not is_signed:
            allowed = ", ".join(ALGORITHMS)
            raise TokenRejected(f"the signature is not valid under a known key (kid) with {allowed}")


def unverified_claims(text: str) -> Mapping[str, Any]:
    """What a token says, good for finding whose keys to verify with. Raises TokenRejected."""
    return ForeignToken(text).claims


def check_times(claims: Mapping[str, Any], *, now_s: float, skew_s: float, longest_s: float) -> float:
    """When the token ends, in seconds since 1970. `exp` must be there, and no further away than `longest_s`; `iat` and
    `nbf` not in the future. Raises TokenRejected.
    """
    expires_s = _number(claims, "exp")
    if expires_s is None:
        raise TokenRejected("exp is missing")
    if expires_s <= now_s - skew_s:
        raise TokenRejected("exp is over: the token is too old")
    if expires_s > now_s + longest_s + skew_s:
        raise TokenRejected(f"exp is more than {longest_s:.0f} s from now")
    for name in ("iat", "nbf"):
        begins_s = _number(claims, name)
        if begins_s is not None and begins_s > now_s + skew_s:
            raise TokenRejected(f"{name} is in the future")
        if begins_s is not None and begins_s < now_s - longest_s - skew_s:
            raise TokenRejected(f"{name} is more than {longest_s:.0f} s ago")
    return expires_s


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRejected(f"{name} must be a number of seconds since 1970")
    return float(value)


@functools.lru_cache(maxsize=256)
def _key_set(jwks: bytes) -> KeySet:
    """Remembered: the same few clients come again and again."""
    try:
        return KeySet.import_key_set(orjson.loads(jwks))
    except (JoseError, ValueError, TypeError, KeyError):
        raise TokenRejected("the keys of this client cannot be read: register them anew") from None


def _public_key(jwk: object) -> ECKey | OKPKey:
    if not isinstance(jwk, dict) or jwk.get("crv") not in _CURVES or "d" in jwk or "k" in jwk:
        raise TokenRejected("jwk in the header must be a public key on P-256 or Ed25519")
    try:
        kind = ECKey if jwk.get("kty") == "EC" else OKPKey
        return kind.import_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        raise TokenRejected("jwk in the header cannot be read") from None
