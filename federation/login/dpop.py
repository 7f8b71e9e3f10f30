"""DPoP: a client shows with each request that it holds the key that its tokens are bound to (RFC 9449).

The checks of §4.3, numbered as in the code:
 1. one well-formed JWT of type ``dpop+jwt``
 2. an allowed algorithm, a public key in the header, and a signature under it
 3. method and URL of this request (`htm`, `htu` without query and fragment)
 4. made just now (`iat`), and not used before (`jti`)
 5. with an access token: its hash (`ath`), and the key that it is bound to
There is no server nonce: a proof is old after `skew_s` and good once.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from federation.login.foreign_tokens import ForeignToken, TokenRejected
from federation.login.refusals import OAuthRefusal
from federation.login.uses import Use, UsedBefore, Uses
from federation.ports import Clock
from trust.algorithms import b64url

__all__ = ["Proofs"]

_TYPE = ("dpop+jwt",)
_ERROR = "invalid_dpop_proof"
_MOST_JTI = 256
_PORTS = {"http": 80, "https": 443}


class Proofs:
    """Checks proofs."""

    def __init__(self, clock: Clock, *, skew_s: float = 60.0) -> None:
        self._clock = clock
        self._skew_s = skew_s

    def check(
        self, proof: str, *, method: str, url: str, uses: Uses, access_token: str = "", jkt: str = ""
    ) -> str:
        """The thumbprint of the key that is proven to be held, unless the proof, which is among `uses` then, was used
        before; with `jkt` it must be that one. Raises OAuthRefusal `invalid_dpop_proof`.
        """
        try:
            found, expires_at, jti = self._checked(proof, method, url, access_token)
        except TokenRejected as error:
            raise _refused(str(error)) from None
        if jkt and not hmac.compare_digest(found, jkt):  # 5
            raise _refused("the proof is of another key than the one that was bound before")
        refusal = UsedBefore(
            _ERROR, "the proof was used before: make a new one with a new jti for each request"
        )
        uses.add(Use(f"dpop:{found}", jti, expires_at, refusal))  # 4
        return found

    def _checked(self, proof: str, method: str, url: str, access_token: str) -> tuple[str, datetime, str]:
        token = ForeignToken(proof)
        found = token.verify_proof(types=_TYPE)  # 1, 2
        claims = token.claims
        if claims.get("htm") != method:  # 3
            raise TokenRejected("htm is not the method of this request")
        if not isinstance(claims.get("htu"), str) or _place(claims["htu"]) != _place(url):
            raise TokenRejected("htu is not the URL of this request")
        jti, issued = claims.get("jti"), claims.get("iat")
        if not isinstance(jti, str) or not 0 < len(jti) <= _MOST_JTI or not jti.isprintable():  # 4
            raise TokenRejected(f"jti must be a text of 1 to {_MOST_JTI} printable characters")
        if isinstance(issued, bool) or not isinstance(issued, int | float):
            raise TokenRejected("iat must be a number of seconds since 1970")
        if abs(self._clock.now().timestamp() - issued) > self._skew_s:
            raise TokenRejected(
                f"iat is more than {self._skew_s:.0f} s from now: set the clock, make a new proof"
            )
        if access_token and claims.get("ath") != b64url(hashlib.sha256(access_token.encode()).digest()):  # 5
            raise TokenRejected("ath is not the hash of the access token")
        return found, datetime.fromtimestamp(issued + self._skew_s + 1, UTC), jti


def _place(url: str) -> tuple[str, str, int | None, str] | None:
    """Where a URL leads, without query and fragment, in normal form (§4.3, RFC 3986 §6.2); None for no URL."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").lower()
    return scheme, host, port or _PORTS.get(scheme), parts.path or "/"


def _refused(description: str) -> OAuthRefusal:
    return OAuthRefusal(_ERROR, description)
