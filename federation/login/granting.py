"""How a login ends for the client that began it: a code, then tokens (OpenID Connect Core §3.1.2.5 to §3.1.3, §12).

A code is redeemed once, by its client, with the same redirect URI, the verifier of its challenge, and the key that it
is bound to. Whatever is wrong about it ends the grant: a code that met something wrong was stolen or is lost. A code or
refresh token that comes a second time ends the grant with all that was issued from it (RFC 6749 §4.1.2, RFC 9700
§4.14.2). Clients of profile ``fapi2`` keep their refresh token, since it is of no use without their key (FAPI 2.0
Security Profile §5.3.2.1: no rotation); the others get a new one each time.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from authlib.oauth2.rfc6749 import list_to_scope
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN, create_s256_code_challenge

from federation.login.access_tokens import AccessToken, LoginAccessTokens
from federation.login.id_tokens import IdTokens
from federation.login.model import Agreed, AuthRequest, AuthResponse, Grant, RelyingParty
from federation.login.ports import Grants, RelyingParties
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn
from federation.login.requests import error_response
from federation.login.sessions import sid_of
from federation.login.uses import Uses
from federation.login.writes import Writes
from federation.ports import Clock

__all__ = ["Granting", "Lives", "Tokens"]

_MOST_CODE = 256


@dataclass(frozen=True, slots=True)
class Lives:
    """How long what a grant gives is good for, in seconds."""

    code_s: int = 60
    refresh_s: int = 30 * 86400


@dataclass(frozen=True, slots=True)
class Granting:
    """Ends logins: implements `federation.login.ports.Answers`."""

    issuer: str
    parties: RelyingParties
    clock: Clock
    lives: Lives
    access_life_s: int

    async def granting(self, request: AuthRequest) -> Callable[[Writes, Agreed], AuthResponse]:
        """As `Answers.granting`. A client that was disabled meanwhile, or that expects somebody else, gets an error,
        and so does one whose citizen's session ended.
        """
        party = await self.parties.find(request.client_id)
        if party is not None and request.redirect_uri not in party.redirect_uris:
            detail = "redirect_uri is not registered any more"
            raise PageRefusal("login.redirect_uri", turn=Turn.PLATFORM, detail=detail)
        if party is None:
            refused = self.refuse(request, "unauthorized_client", "the client may not log people in any more")
            return lambda _writes, _agreed: refused
        return partial(self._grant, request, party)

    def _grant(
        self, request: AuthRequest, party: RelyingParty, writes: Writes, agreed: Agreed
    ) -> AuthResponse:
        # From here on the session goes on until the grant is there, and ends with it.
        if not writes.goes_on(agreed.session_id):
            return self.refuse(request, "login_required", "the session ended meanwhile")
        identity = agreed.identity
        subject = writes.subject_for(identity.issuer, identity.subject, request.sector)
        if request.id_token_hint_sub not in ("", subject):
            return self.refuse(request, "login_required", "somebody else is logged in than was expected")
        sid = sid_of(agreed.session_id, party.client_id)
        opened = self._opened(request, agreed, subject, sid)
        code = writes.open_grant(opened, code_life_s=self.lives.code_s)
        writes.take_part(agreed.session_id, party, sid)
        said = [("code", code), *([("state", request.state)] if request.state else []), ("iss", self.issuer)]
        return AuthResponse(request.redirect_uri, tuple(said), request.response_mode)

    def refuse(self, request: AuthRequest, error: str, description: str) -> AuthResponse:
        """The error, with `state` and `iss`."""
        return error_response(
            self.issuer,
            request.redirect_uri,
            error,
            description,
            state=request.state,
            mode_is_post=request.response_mode == "form_post",
        )

    def _opened(self, request: AuthRequest, agreed: Agreed, subject: str, sid: str) -> Grant:
        now_s = int(self.clock.now().timestamp())
        is_offline = "offline_access" in request.scopes
        life_s = self.lives.refresh_s if is_offline else self.lives.code_s + self.access_life_s
        return Grant(
            grant_id=secrets.token_urlsafe(16),
            client_id=request.client_id,
            subject=subject,
            sid=sid,
            session_id=agreed.session_id,
            request=request,
            agreed=agreed,
            created_at=now_s,
            expires_at=now_s + life_s,
        )


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint and those that ask about tokens answer."""

    issuer: str
    grants: Grants
    id_tokens: IdTokens
    access: LoginAccessTokens
    clock: Clock

    async def redeem(
        self, form: Mapping[str, str], party: RelyingParty, jkt: str, uses: Uses
    ) -> dict[str, Any]:
        """The token response for a client that was authenticated; `jkt` is the key that it proved to hold, or empty.

        Raises OAuthRefusal, OwnKeyUnavailable, OwnStoreUnavailable; UsedBefore for one of the `uses`, then no code and
        no token is touched.
        """
        kind = form.get("grant_type")
        if not jkt and party.profile == "fapi2":
            raise OAuthRefusal("invalid_dpop_proof", "send a DPoP proof (RFC 9449)")
        if kind == "authorization_code":
            return await self._by_code(form, party, jkt, uses)
        if kind == "refresh_token":
            await uses.settle()
            return await self._by_refresh(form, party, jkt)
        if kind is None:
            raise OAuthRefusal("invalid_request", "grant_type is missing")
        raise OAuthRefusal("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")

    async def userinfo(self, token: AccessToken) -> dict[str, Any]:
        """What the citizen agreed to give to the client. Raises OAuthRefusal `invalid_token`."""
        grant = await self.grants.find(token.grant_id)
        if grant is None or grant.client_id != token.client_id:
            raise OAuthRefusal("invalid_token", "the access token was revoked", status=401)
        return {**grant.agreed.claims, "sub": grant.subject}

    async def introspect(self, text: str, party: RelyingParty) -> dict[str, Any]:
        """What holds of a token of this client's own (RFC 7662); of any other: nothing but that it does not."""
        refresh = await self.grants.find_refresh(text, party.client_id)
        if refresh is not None:
            return {
                "active": True,
                "token_type": "refresh_token",
                "client_id": refresh.client_id,
                "sub": refresh.subject,
                "scope": list_to_scope(sorted(refresh.request.scopes)),
                "iss": self.issuer,
                "exp": refresh.expires_at,
            }
        token = self._own(text, party)
        if token is None or await self.grants.find(token.grant_id) is None:
            return {"active": False}
        return {
            "active": True,
            "token_type": "DPoP" if token.jkt else "Bearer",
            "client_id": token.client_id,
            "sub": token.subject,
            "scope": list_to_scope(sorted(token.scopes)),
            "iss": self.issuer,
            "aud": self.issuer,
            "iat": token.issued_s,
            "exp": token.expires_s,
            "jti": token.jti,
            **({"cnf": {"jkt": token.jkt}} if token.jkt else {}),
        }

    async def revoke(self, text: str, party: RelyingParty) -> None:
        """End the grant of a token of this client's own; of any other nothing happens (RFC 7009 §2.2)."""
        refresh = await self.grants.find_refresh(text, party.client_id)
        token = None if refresh else self._own(text, party)
        if refresh is not None:
            await self.grants.revoke(refresh.grant_id)
        elif token is not None:
            await self.grants.revoke(token.grant_id)

    def _own(self, text: str, party: RelyingParty) -> AccessToken | None:
        try:
            token = self.access.verify(text)
        except OAuthRefusal:
            return None
        return token if token.client_id == party.client_id else None

    async def _by_code(
        self, form: Mapping[str, str], party: RelyingParty, jkt: str, uses: Uses
    ) -> dict[str, Any]:
        code = form.get("code", "")
        if not code or len(code) > _MOST_CODE:
            raise OAuthRefusal("invalid_request", "code is missing")
        grant = await self.grants.redeem(code, party.client_id, uses.taken())
        if grant is None:
            raise OAuthRefusal("invalid_grant", "the code was used, has expired, or is another client's")
        try:
            _check_code(grant, form, jkt)
        except OAuthRefusal:
            await self.grants.revoke(grant.grant_id)
            raise
        answer = await self._made(lambda: self._answer(grant, grant.request.scopes, jkt, True))
        if "offline_access" in grant.request.scopes:
            life_s = grant.expires_at - int(self.clock.now().timestamp())
            answer["refresh_token"] = await self.grants.issue_refresh(grant, life_s=life_s)
        return answer

    async def _by_refresh(self, form: Mapping[str, str], party: RelyingParty, jkt: str) -> dict[str, Any]:
        token = form.get("refresh_token", "")
        if not token or len(token) > _MOST_CODE:
            raise OAuthRefusal("invalid_request", "refresh_token is missing")
        rotates = party.profile == "basic"
        found = await self.grants.redeem_refresh(token, party.client_id, rotates=rotates)
        if found is None:
            raise OAuthRefusal(
                "invalid_grant",
                "the refresh token was used, has expired, was revoked, or is another client's",
            )
        scopes = frozenset(form["scope"].split()) if "scope" in form else found.request.scopes
        if not scopes <= found.request.scopes:
            raise OAuthRefusal("invalid_scope", "more is asked for than was granted")
        answer = await self._made(lambda: self._answer(found, scopes, jkt, False))
        if rotates:
            life_s = found.expires_at - int(self.clock.now().timestamp())
            answer["refresh_token"] = await self.grants.issue_refresh(found, life_s=life_s)
        return answer

    async def _made(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Here with a key in memory; beside the loop with one that is in a token, which takes its time."""
        return make() if self.id_tokens.signs_at_once() else await asyncio.to_thread(make)

    def _answer(self, grant: Grant, scopes: frozenset[str], jkt: str, is_first: bool) -> dict[str, Any]:
        token = self.access.issue(grant, scopes, jkt=jkt)
        answer = {
            "access_token": token,
            "token_type": "DPoP" if jkt else "Bearer",
            "expires_in": self.access.life_s,
            "scope": list_to_scope(sorted(scopes)),
        }
        if "openid" in scopes:
            answer["id_token"] = self.id_tokens.issue(grant, access_token=token, with_nonce=is_first)
        if grant.agreed.authorization_details and is_first:
            answer["authorization_details"] = list(grant.agreed.authorization_details)
        return answer


def _check_code(grant: Grant, form: Mapping[str, str], jkt: str) -> None:
    request = grant.request
    if form.get("redirect_uri") != request.redirect_uri:
        raise OAuthRefusal("invalid_grant", "redirect_uri is not the one of the authorization request")
    verifier = form.get("code_verifier", "")
    if request.code_challenge:
        found = create_s256_code_challenge(verifier) if CODE_VERIFIER_PATTERN.fullmatch(verifier) else ""
        if not hmac.compare_digest(found, request.code_challenge):
            raise OAuthRefusal("invalid_grant", "code_verifier is not that of the code_challenge")
    elif verifier:
        # Somebody took the challenge out of the request on its way (RFC 9700 §4.8.2).
        raise OAuthRefusal("invalid_grant", "the authorization request had no code_challenge")
    if request.dpop_jkt and not hmac.compare_digest(jkt, request.dpop_jkt):
        raise OAuthRefusal("invalid_grant", "the code is bound to another DPoP key")
