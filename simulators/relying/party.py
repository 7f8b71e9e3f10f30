"""An OpenID relying party as a province's portal has one: discovery, code flow with PKCE, log-out both ways.

Nothing in it knows this project: what it does at its node is what any off-the-shelf client does. The client is the
platform's of `client.json`, with client_secret_basic.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import aiohttp
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet

from simulators.identity.tokens import LOGOUT_EVENT, TokenRejectedError, read_signed

__all__ = ["LoggedInHere", "LoginFailedError", "Pending", "RelyingParty", "Wish"]

_ALGORITHMS = ("ES256",)
_SKEW_S = 60


class LoginFailedError(Exception):
    """A login came to nothing. `error` is the node's code where it said one, else ``portal.…``; the text says why."""

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error


@dataclass(frozen=True, slots=True)
class Wish:
    """What a login is to bring. All of it is optional."""

    scope: str = "openid profile identity"
    province: str = ""
    acr_values: str = ""
    max_age: str = ""
    prompt: str = ""
    ui_locales: str = ""
    authorization_details: str = ""

    def parameters(self) -> dict[str, str]:
        """As the authorization request has them."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that was begun: what its answer must match."""

    wish: Wish
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))


@dataclass(frozen=True, slots=True)
class LoggedInHere:
    """Who is logged in: the ID token with its claims, what userinfo says, and the papers that came along."""

    id_token: str
    claims: Mapping[str, Any]
    userinfo: Mapping[str, Any]
    details: tuple[Mapping[str, Any], ...]


class RelyingParty:
    """A client of one node. `issuer` is the node's entity id; `origin` the portal's own."""

    def __init__(
        self, issuer: str, client_id: str, secret: str, origin: str, http: aiohttp.ClientSession
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._secret = secret
        self._origin = origin
        self._http = http
        self._metadata: dict[str, Any] = {}

    @property
    def redirect_uri(self) -> str:
        """Where the node sends the citizen back to."""
        return f"{self._origin}/callback"

    async def begin(self, wish: Wish) -> tuple[Pending, str]:
        """A new login, and the address to send the citizen to. Raises LoginFailedError."""
        pending, metadata = Pending(wish), await self._discovered()
        said = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self.redirect_uri,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": create_s256_code_challenge(pending.verifier),
            "code_challenge_method": "S256",
            **wish.parameters(),
        }
        return pending, f"{metadata['authorization_endpoint']}?{urlencode(said)}"

    async def finish(self, pending: Pending, said: Mapping[str, str]) -> LoggedInHere:
        """Who it is, from what came back to the callback. Raises LoginFailedError."""
        if not hmac.compare_digest(said.get("state", ""), pending.state):
            raise LoginFailedError("portal.state", "state 不符 / is not the one that was sent")
        if said.get("iss") != self._issuer:
            raise LoginFailedError("portal.iss", "iss 不符 / is not this portal's node")
        if "error" in said:
            raise LoginFailedError(said["error"], said.get("error_description", ""))
        tokens = await self._redeem(pending, said.get("code", ""))
        claims = await self._id_claims(tokens["id_token"], pending)
        userinfo = await self._userinfo(tokens["access_token"])
        if userinfo.get("sub") != claims["sub"]:
            raise LoginFailedError("portal.sub", "userinfo is about somebody else")
        return LoggedInHere(
            tokens["id_token"], claims, userinfo, tuple(tokens.get("authorization_details", ()))
        )

    async def log_out_url(self, who: LoggedInHere, state: str) -> str:
        """Where the citizen logs out of everything (RP-Initiated Logout 1.0)."""
        said = {
            "id_token_hint": who.id_token,
            "client_id": self._client_id,
            "post_logout_redirect_uri": f"{self._origin}/logged-out",
            "state": state,
        }
        return f"{(await self._discovered())['end_session_endpoint']}?{urlencode(said)}"

    async def read_logout_token(self, token: str) -> tuple[str, str]:
        """(sid, sub) of a logout token, either may be empty (Back-Channel Logout 1.0 §2.6). Raises LoginFailedError."""
        claims = await self._verified(token)
        self._check_times(claims)
        if LOGOUT_EVENT not in claims.get("events", {}) or "nonce" in claims or "jti" not in claims:
            raise LoginFailedError("portal.logout_token", "it is no logout token")
        sid, sub = str(claims.get("sid", "")), str(claims.get("sub", ""))
        if not sid and not sub:
            raise LoginFailedError("portal.logout_token", "it names neither session nor subject")
        return sid, sub

    async def _discovered(self) -> dict[str, Any]:
        if not self._metadata:
            try:
                async with self._http.get(f"{self._issuer}/.well-known/openid-configuration") as answer:
                    said = await answer.json()
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise LoginFailedError("portal.node_away", f"{type(error).__name__}") from error
            if not isinstance(said, dict) or said.get("issuer") != self._issuer:
                raise LoginFailedError("portal.discovery", "the node names another issuer")
            self._metadata = said
        return self._metadata

    async def _redeem(self, pending: Pending, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": pending.verifier,
        }
        credentials = aiohttp.encode_basic_auth(quote_plus(self._client_id), quote_plus(self._secret))
        headers = {"Authorization": credentials}
        said = await self._call("POST", "token_endpoint", data=form, headers=headers)
        if not {"id_token", "access_token"} <= said.keys():
            raise LoginFailedError("portal.token", "the token endpoint gave no tokens")
        return said

    async def _userinfo(self, access_token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"}
        return await self._call("GET", "userinfo_endpoint", headers=headers)

    async def _call(self, method: str, endpoint: str, **more: Any) -> dict[str, Any]:
        url = (await self._discovered())[endpoint]
        try:
            async with self._http.request(method, url, **more) as answer:
                said = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LoginFailedError("portal.node_away", f"{endpoint}: {type(error).__name__}") from error
        if answer.status != 200 or not isinstance(said, dict):
            told = said if isinstance(said, dict) else {}
            raise LoginFailedError(
                str(told.get("error", answer.status)), str(told.get("error_description", ""))
            )
        return said

    async def _id_claims(self, token: str, pending: Pending) -> Mapping[str, Any]:
        """OpenID Connect Core §3.1.3.7."""
        claims = await self._verified(token)
        self._check_times(claims)
        if not hmac.compare_digest(str(claims.get("nonce", "")), pending.nonce):
            raise LoginFailedError("portal.id_token", "nonce is not the one that was sent")
        if not claims.get("sub"):
            raise LoginFailedError("portal.id_token", "it names nobody")
        return claims

    async def _verified(self, token: str) -> Mapping[str, Any]:
        async with self._http.get((await self._discovered())["jwks_uri"]) as answer:
            keys = KeySet.import_key_set(await answer.json())
        try:
            claims = read_signed(token, keys, _ALGORITHMS)
        except TokenRejectedError as error:
            raise LoginFailedError("portal.signature", str(error)) from error
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer or self._client_id not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise LoginFailedError("portal.id_token", "iss or aud is somebody else")
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = time.time()
        ends, made = claims.get("exp"), claims.get("iat")
        if not isinstance(ends, int | float) or not isinstance(made, int | float):
            raise LoginFailedError("portal.times", "exp or iat is missing")
        if ends < now - _SKEW_S or made > now + _SKEW_S:
            raise LoginFailedError("portal.times", "it is over, or not yet")
