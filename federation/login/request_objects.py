"""Request objects: an authorization request as a JWT that the client signed (RFC 9101, OpenID Connect Core §6).

 1. signed with an allowed algorithm under one of the client's keys: never ``none``
 2. issuer and `client_id` are the client, the audience is this provider
 3. made just now, and ends soon
 4. not used before, by `jti` or else by the hash of what was signed: a signature has more than one spelling
 5. no request object or reference to one inside
Only what is in the object counts then (RFC 9101 §6.3): a parameter beside it that it does not hold is as good as none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from federation.login.foreign_tokens import ForeignToken, TokenRejected, check_times
from federation.login.model import RelyingParty
from federation.login.ports import Replays
from federation.login.refusals import OAuthRefusal
from federation.login.texts import UNSTORABLE, is_storable
from federation.ports import Clock

__all__ = ["RequestObjects"]

_TYPES = (None, "JWT", "jwt", "oauth-authz-req+jwt")
_LONGEST_LIFE_S = 600.0
_MOST_JTI = 256
_OF_THE_TOKEN = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti", "sub"})


class RequestObjects:
    """Reads request objects that are meant for the provider `issuer`."""

    def __init__(self, issuer: str, replays: Replays, clock: Clock, *, skew_s: float = 60.0) -> None:
        self._issuer = issuer
        self._replays = replays
        self._clock = clock
        self._skew_s = skew_s

    async def read(self, text: str, party: RelyingParty) -> dict[str, str]:
        """The parameters in it. Raises OAuthRefusal `invalid_request_object`, OwnStoreUnavailable."""
        try:
            if party.jwks is None:
                raise TokenRejected("this client has no keys registered: send plain parameters")
            token = ForeignToken(text)
            token.verify(party.jwks, types=_TYPES)  # 1
            claims = token.claims
            self._require_parties(claims, party)  # 2
            await self._use_once(text, claims, party)  # 3, 4
            return {name: _text(name, value) for name, value in claims.items() if name not in _OF_THE_TOKEN}
        except TokenRejected as error:
            raise OAuthRefusal("invalid_request_object", str(error)) from None

    def _require_parties(self, claims: Mapping[str, Any], party: RelyingParty) -> None:
        if claims.get("iss") != party.client_id or claims.get("client_id") != party.client_id:
            raise TokenRejected("iss and client_id must both be the client id")
        audience = claims.get("aud")
        if self._issuer not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRejected("aud must be the issuer of this provider")
        if "request" in claims or "request_uri" in claims:  # 5
            raise TokenRejected("a request object must not hold or name another one")

    async def _use_once(self, text: str, claims: Mapping[str, Any], party: RelyingParty) -> None:
        now_s = self._clock.now().timestamp()
        expires_s = check_times(claims, now_s=now_s, skew_s=self._skew_s, longest_s=_LONGEST_LIFE_S)
        signed = text.rpartition(".")[0]
        jti = claims.get("jti", hashlib.sha256(signed.encode()).hexdigest())
        if not isinstance(jti, str) or not 0 < len(jti) <= _MOST_JTI or not jti.isprintable():
            raise TokenRejected(f"jti must be a text of 1 to {_MOST_JTI} printable characters")
        kept_until = datetime.fromtimestamp(expires_s + self._skew_s, UTC)
        if not await self._replays.use_once(f"request:{party.client_id}", jti, kept_until):
            raise TokenRejected("the request object was used before: sign a new one for each login")


def _text(name: str, value: Any) -> str:
    """A parameter as the query would have it: numbers and JSON objects as their text (OpenID Connect Core §6.1)."""
    if isinstance(value, str):
        if not is_storable(value):
            raise TokenRejected(UNSTORABLE)
        return value
    if isinstance(value, bool) or value is None:
        raise TokenRejected(f"{name[:40]!a} must be text, a number or a JSON object")
    return orjson.dumps(value).decode()
