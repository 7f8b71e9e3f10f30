"""Access tokens for the platform API: JWTs of RFC 9068, made and checked by this node alone.

The checks of a token (RFC 9068 §4, numbered as in the code):
 1. type ``at+jwt``, signed under one of this node's OpenID keys
 2. issuer is this authorization server, audience is this API
 3. bound to no key: one with ``cnf`` is none for whoever merely carries it (RFC 9449 §7.2, RFC 8705 §3.1), and this API
    asks nobody for a proof
 4. not expired
A token that passed is kept by its SHA-256 until it expires, so that the next request with it costs a look-up;
it counts for as long as the key that signed it does.
Whether its client may still call is not in here: `ClientDirectory` knows.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from federation.errors import OwnTokenExpired, OwnUnauthenticated
from federation.ports import Clock
from trust.errors import TrustError
from trust.keys import Signer, VerificationKey
from trust.tokens import read_token, sign_token, verify_token

__all__ = ["AccessTokens", "OpenIdKeys", "Permit"]

_TYPE = "at+jwt"
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Permit:
    """What a verified token says: which client, for which operations, until when (seconds since 1970)."""

    client_id: str
    scope: frozenset[str]
    expires_s: float


@dataclass(frozen=True, slots=True)
class OpenIdKeys:
    """The node's OpenID keys of the moment: the one that signs, and all that verify (also retiring ones).

    `signer` raises OwnKeyUnavailable when there is none that can be used.
    """

    signer: Callable[[], Signer]
    verifiers: Callable[[], Mapping[str, VerificationKey]]


class AccessTokens:
    """Issues and verifies. `issuer` is the platform listener's URL; `kept` bounds the tokens remembered."""

    def __init__(
        self, issuer: str, keys: OpenIdKeys, clock: Clock, *, life_s: int = 600, kept: int = 4096
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._kept = kept
        self._permits: OrderedDict[bytes, tuple[str, Permit]] = OrderedDict()
        self.life_s = life_s

    def issue(self, client_id: str, scope: frozenset[str]) -> str:
        """A token for that client and those operations, good for `life_s` from now. Raises OwnKeyUnavailable."""
        now_s = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": client_id,
            "client_id": client_id,
            "iat": now_s,
            "exp": now_s + self.life_s,
            "jti": secrets.token_urlsafe(16),
            "scope": " ".join(sorted(scope)),
        }
        return sign_token(claims, self._keys.signer(), typ=_TYPE)

    def verify(self, token: str) -> Permit:
        """What the token permits. Raises OwnUnauthenticated, OwnTokenExpired; neither shows the token."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        verifiers = self._keys.verifiers()
        kid, permit = self._permits.get(digest) or ("", None)
        if permit is None or kid not in verifiers:
            kid, permit = self._checked(token, verifiers)
            self._keep(digest, kid, permit)
        if self._clock.now().timestamp() >= permit.expires_s:  # 4
            self._permits.pop(digest, None)
            raise _expired(permit.expires_s)
        return permit

    def _checked(self, token: str, verifiers: Mapping[str, VerificationKey]) -> tuple[str, Permit]:
        """The id of the key that signed, and what the token permits."""
        try:
            unverified = read_token(token, max_bytes=_MOST_BYTES)
            signed = verify_token(unverified, keys=verifiers, typ=_TYPE)  # 1
        except TrustError:
            raise _not_ours("the token was not issued by this node") from None
        claims = signed.claims
        if claims.get("iss") != self._issuer or claims.get("aud") != self._issuer:  # 2
            raise _not_ours("the token is for another service")
        if "cnf" in claims:  # 3
            raise _not_ours("the token is bound to a key and is no bearer token")
        client_id, scope, expires_s = claims.get("client_id"), claims.get("scope"), claims.get("exp")
        if not isinstance(client_id, str) or not isinstance(scope, str) or not isinstance(expires_s, int):
            raise _not_ours("the token is not complete")
        return signed.kid, Permit(client_id, frozenset(scope.split()), float(expires_s))

    def _keep(self, digest: bytes, kid: str, permit: Permit) -> None:
        self._permits[digest] = kid, permit
        if len(self._permits) > self._kept:
            self._permits.popitem(last=False)


def _not_ours(detail: str) -> OwnUnauthenticated:
    return OwnUnauthenticated(f"{detail}; get one at /oauth/token", field="authorization")


def _expired(at_s: float) -> OwnTokenExpired:
    at = datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="seconds")
    return OwnTokenExpired(f"the token expired at {at}; get another at /oauth/token", field="authorization")
