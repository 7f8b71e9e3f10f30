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
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey

from federation.login.discovery import ALGORITHMS

__all__ = [
    "MAX_TOKEN_BYTES",
    "ForeignToken",
    "TokenRejected",
    "check_times",
    "header_of",
    "unverified_claims",
]

MAX_TOKEN_BYTES = 16_384
_ALGORITHMS = [*ALGORITHMS, "Ed25519"]
"""RFC 9864 gives the one curve of EdDSA that is allowed here a name of its own."""

_CURVES = ("P-256", "Ed25519")


class TokenRejected(Exception):
    """The token proves nothing; the text says why, and may be shown to the client: it has no value of the token."""


class ForeignToken:
    """A verified token: `header` and `claims`."""

    __slots__ = ("claims", "header")

    def __init__(self, header: Mapping[str, Any], claims: dict[str, Any]) -> None:
        self.header = header
        self.claims = claims

    @classmethod
    def verify(cls, token: str, jwks: Mapping[str, Any], *, types: Collection[str | None]) -> ForeignToken:
        """The token, signed under one of these keys. Raises TokenRejected."""
        return cls._verified(token, _key_set(orjson.dumps(jwks)), types)

    @classmethod
    def verify_proof(cls, token: str, *, types: Collection[str | None]) -> tuple[ForeignToken, str]:
        """The token, signed under the public key in its own header, and that key's RFC 7638 thumbprint.

        Raises TokenRejected.
        """
        key = _public_key(header_of(token).get("jwk"))
        return cls._verified(token, key, types), key.thumbprint()

    @classmethod
    def _verified(
        cls, token: str, key: KeySet | ECKey | OKPKey, types: Collection[str | None]
    ) -> ForeignToken:
        header = header_of(token)
        if header.get("typ") not in types:
            raise TokenRejected(f"typ must be {' or '.join(one for one in types if one)}")
        try:
            read = jwt.decode(token, key, algorithms=_ALGORITHMS)
        except (JoseError, ValueError, TypeError, KeyError):
            allowed = ", ".join(ALGORITHMS)
            raise TokenRejected(
                f"the signature is not valid under a known key (kid) with {allowed}"
            ) from None
        return cls(read.header, read.claims)


def header_of(token: str) -> Mapping[str, Any]:
    """The header; nothing is proven yet. Raises TokenRejected."""
    return _taken_apart(token).headers()


def unverified_claims(token: str) -> Mapping[str, Any]:
    """The claims, good for finding whose keys to verify with. Raises TokenRejected."""
    try:
        claims = orjson.loads(_taken_apart(token).payload)
    except ValueError:
        raise TokenRejected("the token's claims are not JSON") from None
    if not isinstance(claims, dict):
        raise TokenRejected("the token's claims are not a JSON object")
    return claims


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


def _taken_apart(token: str) -> jws.CompactSignature:
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRejected(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    try:
        return jws.extract_compact(token.encode("ascii"))
    except (JoseError, ValueError, TypeError, RecursionError):
        raise TokenRejected("not a signed JWT in compact serialization") from None


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
