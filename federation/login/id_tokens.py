"""ID tokens (OpenID Connect Core §2, §3.1.3.3, §12.2): who somebody is to one client, signed by this node.

Level, methods and time of authentication are those of the identity provider that authenticated, and `origin` names it,
at whichever node the token is made: no node on the way can raise them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authlib.oidc.core.util import create_half_hash

from federation.login.model import Grant
from federation.login.refusals import OAuthRefusal
from federation.ports import Clock
from trust.errors import TrustError
from trust.keys import Signer, SigningKey, VerificationKey
from trust.tokens import read_token, sign_token, verify_token

__all__ = ["Hint", "IdTokens", "TokenKeys"]

_TYPE = "JWT"
_MOST_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The node's OpenID keys of the moment: the one that signs, and all that verify (also retiring ones).

    `signer` raises OwnKeyUnavailable when there is none that can be used.
    """

    signer: Callable[[], Signer]
    verifiers: Callable[[], Mapping[str, VerificationKey]]


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token that this node issued once says: to whom, about whom, in which session of the client's."""

    client_id: str
    subject: str
    sid: str


class IdTokens:
    """Makes them for the provider `issuer`, good for `life_s` from now; reads them as hints."""

    def __init__(self, issuer: str, keys: TokenKeys, clock: Clock, *, life_s: int) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._life_s = life_s

    def signs_at_once(self) -> bool:
        """Whether the key of the moment is in memory. Raises OwnKeyUnavailable."""
        return isinstance(self._keys.signer(), SigningKey)

    def issue(self, grant: Grant, *, access_token: str, with_nonce: bool) -> str:
        """The ID token of a grant. A refreshed one has no nonce (§12.2). Raises OwnKeyUnavailable."""
        identity, request = grant.agreed.identity, grant.request
        now_s = int(self._clock.now().timestamp())
        said = {name: value for name, value in grant.agreed.claims.items() if name in _in_id_token(grant)}
        claims = {
            **said,
            "iss": self._issuer,
            "sub": grant.subject,
            "aud": grant.client_id,
            "iat": now_s,
            "exp": now_s + self._life_s,
            "auth_time": identity.auth_time,
            "acr": identity.acr,
            "amr": list(identity.amr),
            "origin": identity.origin,
            "sid": grant.sid,
            "at_hash": create_half_hash(access_token, "ES256").decode("ascii"),
        }
        if with_nonce and request.nonce:
            claims["nonce"] = request.nonce
        return sign_token(claims, self._keys.signer(), typ=_TYPE)

    def read_hint(self, token: str, client_id: str = "") -> Hint:
        """What an ID token of this node's says, also one that has expired (OpenID Connect Core §3.1.2.1).

        With `client_id` it must have been issued to that client. Raises OAuthRefusal `invalid_request`.
        """
        try:
            signed = verify_token(
                read_token(token, max_bytes=_MOST_BYTES), keys=self._keys.verifiers(), typ=_TYPE
            )
        except TrustError:
            raise _refused("id_token_hint is not an ID token of this node") from None
        claims = signed.claims
        audience, subject, sid = claims.get("aud"), claims.get("sub"), claims.get("sid", "")
        if claims.get("iss") != self._issuer or not isinstance(subject, str) or not isinstance(sid, str):
            raise _refused("id_token_hint is not an ID token of this node")
        if not isinstance(audience, str) or (client_id and audience != client_id):
            raise _refused("id_token_hint was issued to another client")
        return Hint(audience, subject, sid)


def _in_id_token(grant: Grant) -> frozenset[str]:
    """The claims that go in, with what belongs to one of them: how the face was translated."""
    names = grant.request.id_token_claims
    return names | {"face_relations"} if "face" in names else names


def _refused(description: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_request", description)
