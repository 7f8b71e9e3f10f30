"""Access tokens of logins: JWTs of RFC 9068, made and checked by this node alone. They open `userinfo`, nothing else.

The checks of a token, numbered as in the code:
 1. type ``at+jwt``, signed under one of this node's OpenID keys (one for the platform API has another issuer)
 2. issuer and audience are this provider
 3. not expired
 4. complete
Whether the grant behind it still holds is the store's to say.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import list_to_scope

from federation.login.id_tokens import TokenKeys
from federation.login.model import Grant
from federation.login.refusals import OAuthRefusal
from federation.ports import Clock
from trust.errors import TrustError
from trust.tokens import read_token, sign_token, verify_token

__all__ = ["AccessToken", "LoginAccessTokens"]

_TYPE = "at+jwt"
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that was verified. `jkt` is the key that it is bound to, empty for a bearer token."""

    grant_id: str
    client_id: str
    subject: str
    scopes: frozenset[str]
    issued_s: int
    expires_s: int
    jti: str
    jkt: str


class LoginAccessTokens:
    """Issues and verifies those of the provider `issuer`, good for `life_s` from when they are issued."""

    def __init__(self, issuer: str, keys: TokenKeys, clock: Clock, *, life_s: int) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self.life_s = life_s

    def issue(self, grant: Grant, scopes: frozenset[str], *, jkt: str) -> str:
        """A token of this grant, bound to the key with that thumbprint, if any. Raises OwnKeyUnavailable."""
        now_s = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": grant.subject,
            "client_id": grant.client_id,
            "iat": now_s,
            "exp": now_s + self.life_s,
            "jti": secrets.token_urlsafe(16),
            "scope": list_to_scope(sorted(scopes)),
            "auth_time": grant.agreed.identity.auth_time,
            "acr": grant.agreed.identity.acr,
            "grant": grant.grant_id,
        }
        if jkt:
            claims["cnf"] = {"jkt": jkt}
        return sign_token(claims, self._keys.signer(), typ=_TYPE)

    def verify(self, token: str) -> AccessToken:
        """What the token says. Raises OAuthRefusal `invalid_token`; it does not show the token."""
        try:
            unverified = read_token(token, max_bytes=_MOST_BYTES)
            signed = verify_token(unverified, keys=self._keys.verifiers(), typ=_TYPE)  # 1
        except (TrustError, UnicodeEncodeError):
            raise _refused("the access token was not issued by this node") from None
        claims = signed.claims
        if claims.get("iss") != self._issuer or claims.get("aud") != self._issuer:  # 2
            raise _refused("the access token is for another service")
        bound = claims.get("cnf", {"jkt": ""})
        try:
            read = AccessToken(
                grant_id=_text(claims["grant"]),
                client_id=_text(claims["client_id"]),
                subject=_text(claims["sub"]),
                scopes=frozenset(_text(claims["scope"]).split()),
                issued_s=int(claims["iat"]),
                expires_s=int(claims["exp"]),
                jti=_text(claims["jti"]),
                jkt=_text(bound["jkt"]),
            )
        except (KeyError, TypeError, ValueError):  # 4
            raise _refused("the access token is not complete") from None
        if self._clock.now().timestamp() >= read.expires_s:  # 3
            raise _refused("the access token has expired")
        return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _refused(description: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_token", description, status=401)
