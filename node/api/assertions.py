"""A client that proves who it is with its key: private_key_jwt, RFC 7523 §2.2 and §3.

1. the assertion is short, and names one client as both issuer and subject
2. it is signed with an algorithm that is allowed here, under one of that client's keys
3. it is for this authorization server, by its issuer or its token endpoint
4. it was made just now and ends soon
5. it was not used before
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from federation.ports import Clock
from node.api.ports import Replays

__all__ = ["AssertionRejectedError", "Assertions"]

_ALGORITHMS = ["ES256", "EdDSA", "Ed25519"]
_TYPES = (None, "JWT", "jwt", "client-authentication+jwt")
_MOST_BYTES = 8192
_LONGEST_LIFE_S = 600


class AssertionRejectedError(Exception):
    """The assertion proves nothing; the text says why and may be shown to the client."""


class Assertions:
    """Checks assertions that are meant for the authorization server `issuer`."""

    def __init__(
        self, issuer: str, token_endpoint: str, replays: Replays, clock: Clock, *, skew_s: float = 60.0
    ) -> None:
        self._audiences = [issuer, token_endpoint]
        self._replays = replays
        self._clock = clock
        self._skew_s = int(skew_s)

    def claimed_client(self, assertion: str) -> str:
        """The client that it says it is from; nothing is proven yet. Raises AssertionRejectedError."""
        claims = _unverified_claims(assertion)
        subject = claims.get("sub")
        if not isinstance(subject, str) or claims.get("iss") != subject:  # 1
            raise AssertionRejectedError("iss and sub must both be the client id")
        return subject

    async def verify(self, assertion: str, client_id: str, jwks: Mapping[str, Any]) -> None:
        """Return when it proves to be from that client, and from now. Raises AssertionRejectedError."""
        claims = self._verified_claims(assertion, client_id, jwks)
        now_s = self._clock.now().timestamp()
        expires_s, jti = claims["exp"], claims["jti"]
        if not isinstance(jti, str) or not 1 <= len(jti) <= 256 or not jti.isprintable():
            raise AssertionRejectedError("jti must be a text of 1 to 256 printable characters")
        if expires_s > now_s + _LONGEST_LIFE_S + self._skew_s:
            raise AssertionRejectedError(f"exp is more than {_LONGEST_LIFE_S} s from now")
        if claims["iat"] < now_s - _LONGEST_LIFE_S - self._skew_s:
            raise AssertionRejectedError(f"iat is more than {_LONGEST_LIFE_S} s ago")
        kept_until = datetime.fromtimestamp(expires_s + self._skew_s, UTC)
        if not await self._replays.use_once(client_id, jti, kept_until):  # 5
            raise AssertionRejectedError("jti must be new each time")

    def _verified_claims(self, assertion: str, client_id: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=self._skew_s,
            iss={"essential": True, "value": client_id},
            sub={"essential": True, "value": client_id},
            aud={"essential": True, "values": self._audiences},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
        )
        try:
            keys = KeySet.import_key_set({"keys": list(jwks["keys"])})
            token = jwt.decode(assertion, keys, algorithms=_ALGORITHMS)  # 2
            registry.validate(token.claims)  # 3, 4
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise AssertionRejectedError(_reason(error)) from None
        if token.header.get("typ") not in _TYPES:
            raise AssertionRejectedError("typ must be JWT or client-authentication+jwt")
        return token.claims


def _unverified_claims(assertion: str) -> dict[str, Any]:
    if len(assertion) > _MOST_BYTES:
        raise AssertionRejectedError(f"the assertion is longer than {_MOST_BYTES} bytes")
    try:
        claims = orjson.loads(jws.extract_compact(assertion.encode("ascii")).payload)
    except (JoseError, ValueError, UnicodeEncodeError):
        raise AssertionRejectedError("the assertion is not a signed JWT") from None
    if not isinstance(claims, dict):
        raise AssertionRejectedError("the assertion's claims are not a JSON object")
    return claims


def _reason(error: Exception) -> str:
    """What may be told: which claim, or that the signature fails; never a value."""
    claim = getattr(error, "claim", "")
    if claim:
        return f"the claim {claim} is missing or not what it must be"
    return "the signature is not valid under a key of this client"
