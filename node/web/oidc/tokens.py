"""Tokens: giving them out, telling about them, taking them back; userinfo (RFC 6749 §3.2, RFC 7662, RFC 7009, OpenID
Connect Core §5.3, RFC 6750, RFC 9449 §7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import web

from federation.login.access_tokens import AccessToken
from federation.login.discovery import ALGORITHMS
from federation.login.model import RelyingParty
from federation.login.refusals import OAuthRefusal
from node.web.oidc.border import as_json, refusal_response
from node.web.oidc.deps import ProviderDeps
from node.web.oidc.reading import one_header, read_form

__all__ = ["TokenEndpoints"]

_MOST_TOKEN = 8192
_AUTHORIZATION = re.compile(r"(Bearer|DPoP) +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE | re.ASCII)
_SCHEMES = f'Bearer realm="openid", DPoP realm="openid", algs="{" ".join(ALGORITHMS)}"'


@dataclass(frozen=True, slots=True)
class TokenEndpoints:
    """The handlers. What they raise, the border turns into an answer."""

    deps: ProviderDeps

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /oidc/token."""
        form = await read_form(request)
        async with self.deps.uses() as uses:
            party = await self.deps.client(request, form, "token", uses)
            jkt = self.deps.proven(request, "token", uses)
            return as_json(await self.deps.tokens.redeem(form, party, jkt, uses))

    async def introspect(self, request: web.Request) -> web.StreamResponse:
        """POST /oidc/introspect."""
        form = await read_form(request)
        party = await self._client(request, form, "introspect")
        return as_json(await self.deps.tokens.introspect(_token_in(form), party))

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """POST /oidc/revoke: 200 whatever the token was."""
        form = await read_form(request)
        party = await self._client(request, form, "revoke")
        await self.deps.tokens.revoke(_token_in(form), party)
        return web.Response(headers={"Cache-Control": "no-store"})

    async def userinfo(self, request: web.Request) -> web.StreamResponse:
        """GET and POST /oidc/userinfo."""
        try:
            token = await self._authorized(request)
            return as_json(await self.deps.tokens.userinfo(token))
        except OAuthRefusal as refusal:
            response = refusal_response(refusal)
            if refusal.status in (401, 403):
                response.headers["WWW-Authenticate"] = f'{_SCHEMES}, error="{refusal.error}"'
            return response

    async def _client(self, request: web.Request, form: dict[str, str], endpoint: str) -> RelyingParty:
        async with self.deps.uses() as uses:
            return await self.deps.client(request, form, endpoint, uses)

    async def _authorized(self, request: web.Request) -> AccessToken:
        scheme, text = await _presented(request)
        token = self.deps.access.verify(text)
        if (scheme == "dpop") is not bool(token.jkt):
            raise OAuthRefusal(
                "invalid_token",
                "a token that is bound to a key comes as DPoP, any other as Bearer",
                status=401,
            )
        if token.jkt:
            await self._require_proof(request, text, token.jkt)
        if "openid" not in token.scopes:
            raise OAuthRefusal("insufficient_scope", "the token is not for openid", status=403)
        if await self.deps.parties.find(token.client_id) is None:
            raise OAuthRefusal("invalid_token", "the client may not log people in any more", status=401)
        return token

    async def _require_proof(self, request: web.Request, text: str, jkt: str) -> None:
        """Here a wrong proof is answered as a wrong token is (RFC 9449 §7.1)."""
        try:
            async with self.deps.uses() as uses:
                proven = self.deps.proven(request, "userinfo", uses, access_token=text, jkt=jkt)
        except OAuthRefusal as refusal:
            raise OAuthRefusal(refusal.error, refusal.description, status=401) from None
        if not proven:
            raise OAuthRefusal("invalid_dpop_proof", "send a DPoP proof (RFC 9449)", status=401)


async def _presented(request: web.Request) -> tuple[str, str]:
    """How the token came, and the token. Raises OAuthRefusal."""
    header = one_header(request, "Authorization")
    has_form = request.method == "POST" and request.content_type == "application/x-www-form-urlencoded"
    form = await read_form(request) if has_form else {}
    in_form = form.get("access_token", "")
    if header is not None and in_form:
        raise OAuthRefusal("invalid_request", "send the access token in one way, not in two")
    if in_form:
        return "bearer", in_form[: _MOST_TOKEN + 1]
    found = _AUTHORIZATION.fullmatch(header or "")
    if found is None or len(found[2]) > _MOST_TOKEN:
        raise OAuthRefusal("invalid_token", "send Authorization: Bearer or DPoP", status=401)
    return found[1].lower(), found[2]


def _token_in(form: dict[str, str]) -> str:
    token = form.get("token", "")
    if not token or len(token) > _MOST_TOKEN:
        raise OAuthRefusal("invalid_request", "token is missing")
    return token
