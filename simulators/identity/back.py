"""What the node asks directly: discovery, keys, tokens, userinfo."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from simulators.identity.accounts import ACR_VALUES
from simulators.identity.client import ClientRefusedError
from simulators.identity.misbehaviour import Misdeed
from simulators.identity.requests import LoggedIn, RefusedError
from simulators.identity.state import Access, Code, State

__all__ = ["Back"]

_CODE_LIFE_S, _ACCESS_LIFE_S = 60, 300
_NO_STORE = {"Cache-Control": "no-store", "X-Synthetic": "true"}


class Back:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        """GET /.well-known/openid-configuration."""
        issuer, has_secret = self._state.issuer, bool(self._state.client.client_secret)
        said: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/jwks",
            "end_session_endpoint": f"{issuer}/logout",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self._state.signing.algorithm],
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic" if has_secret else "private_key_jwt"
            ],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile"],
            "acr_values_supported": list(ACR_VALUES[self._state.province]),
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
            "request_uri_parameter_supported": False,
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
        }
        if not has_secret:
            said["token_endpoint_auth_signing_alg_values_supported"] = ["ES256", "EdDSA"]
        return web.json_response(said)

    async def jwks(self, request: web.Request) -> web.StreamResponse:
        """GET /jwks."""
        return web.json_response(self._state.signing.jwks)

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /token: a code for an ID token and an access token."""
        if self._state.misbehaving.does(Misdeed.SERVER_ERROR):
            return web.Response(status=500, text="<h1>Internal Server Error</h1>", content_type="text/html")
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            authorization = request.headers.get("Authorization", "")
            await self._state.check.check(form, authorization, self._state.http)
            code = self._redeem(form)
        except ClientRefusedError as refused:
            return _refusal("invalid_client", str(refused), 401)
        except RefusedError as refused:
            return _refusal(refused.error, refused.description, 400)
        access = self._state.accesses.keep(Access(code.who, code.asked.scopes, self._state.now()))
        said = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": _ACCESS_LIFE_S,
            "scope": " ".join(sorted(code.asked.scopes)),
            "id_token": self._id_token(code.asked.nonce, code.who),
        }
        return web.json_response(said, headers=_NO_STORE)

    def _redeem(self, form: dict[str, str]) -> Code:
        if form.get("grant_type") != "authorization_code":
            raise RefusedError("unsupported_grant_type", "only authorization_code")
        code = self._state.codes.take(form.get("code", ""))
        if code is None or self._state.now() - code.made_at > _CODE_LIFE_S:
            raise RefusedError("invalid_grant", "the code is unknown, used or over")
        if form.get("redirect_uri") != code.asked.redirect_uri:
            raise RefusedError("invalid_grant", "redirect_uri is not that of the request")
        if create_s256_code_challenge(form.get("code_verifier", "")) != code.asked.code_challenge:
            raise RefusedError("invalid_grant", "code_verifier does not fit")
        return code

    def _id_token(self, nonce: str, who: LoggedIn) -> str:
        lower = self._state.misbehaving.does(Misdeed.LOWER_ACR)
        claims: dict[str, Any] = {
            "sub": who.account.subject,
            "aud": self._state.client.client_id,
            "auth_time": who.auth_time,
            "acr": ACR_VALUES[self._state.province][0] if lower else who.acr,
            "amr": who.amr,
            "sid": who.sid,
        }
        if nonce:
            claims["nonce"] = nonce
        return self._state.signing.id_token(claims, now=self._state.now())

    async def userinfo(self, request: web.Request) -> web.StreamResponse:
        """GET or POST /userinfo with the access token in the Authorization header."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        access = self._state.accesses.find(token)
        if (
            scheme.lower() != "bearer"
            or access is None
            or self._state.now() - access.made_at > _ACCESS_LIFE_S
        ):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        said: dict[str, Any] = {"sub": access.who.account.subject}
        if "profile" in access.scopes:
            said |= access.who.account.claims()
        return web.json_response(self._bent(said), headers=_NO_STORE)

    def _bent(self, said: dict[str, Any]) -> dict[str, Any]:
        does = self._state.misbehaving.does
        number = next((name for name in said if name in _NUMBERS), None)
        if does(Misdeed.OTHER_SUBJECT):
            said["sub"] = "somebody-else"
        if number and does(Misdeed.NO_NUMBER):
            del said[number]
        elif number and does(Misdeed.SEVERAL_NUMBERS):
            said[number] = [said[number], self._state.accounts.account(1).resident.citizen_number]
        elif number and does(Misdeed.BAD_NUMBER):
            last = "0" if said[number][-1] != "0" else "1"
            said[number] = said[number][:-1] + last
        return said


_NUMBERS = frozenset({"idNo", "id_no", "GMSFHM", "sfzh"})
"""公民身份号码 in each of the four dialects."""


def _refusal(error: str, description: str, status: int) -> web.Response:
    return web.json_response(
        {"error": error, "error_description": description}, status=status, headers=_NO_STORE
    )
