"""Who calls an endpoint: client_secret_basic (RFC 6749 §2.3.1) or private_key_jwt (RFC 7523 §3, OIDC Core §9).

A client authenticates in the way that it is registered for and in no other. Whatever fails is `invalid_client`, without
saying whether there is such a client. The checks of an assertion:
 1. short, well-formed, of a type for client authentication; issuer and subject are the client
 2. signed with an allowed algorithm under one of that client's keys
 3. for this provider: its issuer; for clients of the profile ``basic`` the endpoint that is called will do as well
    (FAPI 2.0 Security Profile §5.3.2.1: the issuer, as the only value)
 4. made just now, and ends soon
 5. not used before
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol
from urllib.parse import unquote_plus

from federation.login.foreign_tokens import ForeignToken, TokenRejected, check_times
from federation.login.model import RelyingParty
from federation.login.ports import RelyingParties
from federation.login.refusals import OAuthRefusal
from federation.login.texts import is_storable
from federation.login.uses import Use, UsedBefore, Uses
from federation.ports import Clock

__all__ = ["ASSERTION_TYPE", "ClientAuthentication", "Secrets"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TYPES = (None, "JWT", "jwt", "client-authentication+jwt")
_PEER_TYPES = ("client-authentication+jwt",)
_LONGEST_LIFE_S = 600.0
_MOST_JTI = 256
_MOST_ID = 256


class Secrets(Protocol):
    """Secrets of clients, kept as hashes."""

    async def accepts_secret(self, client_id: str, secret: str) -> bool:
        """Whether it is that client's now. A wrong one takes as long where there is no such client.

        Raises OwnBusy, OwnStoreUnavailable.
        """
        ...


class ClientAuthentication:
    """Authenticates clients of the provider `issuer`."""

    def __init__(
        self,
        issuer: str,
        parties: RelyingParties,
        secrets: Secrets,
        clock: Clock,
        *,
        skew_s: float = 60.0,
    ) -> None:
        self._issuer = issuer
        self._parties = parties
        self._secrets = secrets
        self._clock = clock
        self._skew_s = skew_s

    async def authenticate(
        self, authorization: str | None, form: Mapping[str, str], *, endpoint: str, uses: Uses
    ) -> RelyingParty:
        """The client that calls `endpoint` (its URL), unless its assertion, which is among `uses` then, was used
        before. Raises OAuthRefusal, OwnBusy, OwnStoreUnavailable.
        """
        if authorization is not None and "client_assertion" in form:
            raise OAuthRefusal("invalid_request", "authenticate in one way, not in two")
        if authorization is not None:
            party = await self._by_secret(authorization)
        elif "client_assertion" in form:
            party = await self._by_assertion(form, endpoint, uses)
        else:
            _refuse("send Authorization: Basic, or a client_assertion")
        if form.get("client_id", party.client_id) != party.client_id:
            _refuse("client_id is not the client that authenticates")
        return party

    async def _by_secret(self, authorization: str) -> RelyingParty:
        client_id, secret = _read_basic(authorization)
        is_right = await self._secrets.accepts_secret(client_id, secret)
        party = await self._parties.find(client_id)
        if party is None or party.auth_method != "client_secret_basic" or not is_right:
            _refuse("the client or its secret is not right")
        return party

    async def _by_assertion(self, form: Mapping[str, str], endpoint: str, uses: Uses) -> RelyingParty:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthRefusal("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
        try:
            token = ForeignToken(form["client_assertion"])
            client_id = _claimed(token.claims)  # 1
            party = await self._parties.find(client_id)
            if party is None or party.auth_method != "private_key_jwt" or party.jwks is None:
                _refuse("the client or its key is not right")
            types = _PEER_TYPES if party.is_peer else _TYPES
            token.verify(party.jwks, types=types)  # 2
            self._require_audience(party, token.claims, endpoint)  # 3
            uses.add(self._use(party, token.claims))
        except TokenRejected as error:
            _refuse(str(error))
        return party

    def _require_audience(self, party: RelyingParty, claims: Mapping[str, Any], endpoint: str) -> None:
        audience = claims.get("aud")
        if party.profile == "fapi2":
            if audience != self._issuer:
                raise TokenRejected("aud must be the issuer of this provider, and nothing else")
            return
        named = audience if isinstance(audience, list) else [audience]
        if self._issuer not in named and endpoint not in named:
            raise TokenRejected("aud must be the issuer of this provider")

    def _use(self, party: RelyingParty, claims: Mapping[str, Any]) -> Use:
        now_s = self._clock.now().timestamp()
        expires_s = check_times(claims, now_s=now_s, skew_s=self._skew_s, longest_s=_LONGEST_LIFE_S)  # 4
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= _MOST_JTI or not jti.isprintable():
            raise TokenRejected(f"jti must be a text of 1 to {_MOST_JTI} printable characters")
        kept_until = datetime.fromtimestamp(expires_s + self._skew_s, UTC)
        refusal = UsedBefore(
            "invalid_client", "the assertion was used before: jti must be new each time", status=401
        )
        return Use(f"login:{party.client_id}", jti, kept_until, refusal)  # 5


def _claimed(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MOST_ID or claims.get("iss") != subject:
        raise TokenRejected("iss and sub must both be the client id")
    return subject


def _read_basic(header: str) -> tuple[str, str]:
    """Both parts are form-encoded inside of Basic."""
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        _refuse("the Authorization header cannot be read")
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon or len(client_id) > _MOST_ID:
        _refuse("the Authorization header cannot be read")
    found = unquote_plus(client_id), unquote_plus(secret)
    if not is_storable(*found):
        _refuse("the Authorization header cannot be read")
    return found


def _refuse(description: str) -> NoReturn:
    raise OAuthRefusal("invalid_client", description, status=401)
