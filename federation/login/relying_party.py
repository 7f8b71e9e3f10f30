"""This node as a relying party: towards home nodes, as FAPI 2.0 and OpenID Federation have it, and towards the
province's own identity provider, as OpenID Connect Core does.

Out: authorization code with PKCE S256 (RFC 7636), `state` and `nonce` for this login alone; to a node pushed (RFC 9126)
with private_key_jwt (RFC 7523) for its issuer alone and bound to this node's DPoP key (RFC 9449).

Back, in this order; the code carries the same numbers:

 1. `state` is that of the login it came back to
 2. `iss` is whom it was sent to (RFC 9207), in errors too; a provider that does not send any may leave it out
 3. an error is an error; else there is one code, which is redeemed once, by whom it was made for
 4. the ID token is signed by a key of whom it was sent to, with the algorithm that was agreed
 5. its issuer, audience, time, nonce and `at_hash` fit (OpenID Connect Core §3.1.3.7)
 6. it says when the citizen authenticated, not longer ago than was asked

What the level is worth, and which claims are taken, is the flow's to check.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core.claims import CodeIDToken
from joserfc.errors import JoseError

from federation.login.model import Upstream
from federation.ports import Clock
from trust.algorithms import b64url
from trust.keys import Signer, SigningKey
from trust.tokens import sign_token

__all__ = [
    "Authenticated",
    "ClientAuthentication",
    "KeyAuthentication",
    "OpenedIdToken",
    "Provider",
    "ProviderAway",
    "ProviderCalls",
    "ProviderKeys",
    "ProviderRefused",
    "ProviderWrong",
    "RelyingPartySide",
    "check_response",
    "new_secret",
]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE_S = 60
_MOST_RESPONSE = 2048
_MOST_AMR = 16
_T = TypeVar("_T")


class ProviderAway(Exception):
    """It does not answer, or says that it cannot now. The text is for the log."""


class ProviderRefused(Exception):
    """It answered with an OAuth error: `error` is its code, the text what it said, made printable."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description


class ProviderWrong(Exception):
    """What it answered, or what came back in its name, does not verify. The text says which check failed."""


@dataclass(frozen=True, slots=True)
class OpenedIdToken:
    """An ID token whose signature was verified; its claims are still to be checked."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


class ClientAuthentication(Protocol):
    """How this node proves to a provider who it is (OpenID Connect Core §9)."""

    async def authenticate(self, form: dict[str, str], headers: dict[str, str]) -> None:
        """Put what proves it into a request."""
        ...


class ProviderKeys(Protocol):
    """The keys of one provider."""

    async def open(self, id_token: str) -> OpenedIdToken:
        """Verify a signature. Raises ProviderWrong, ProviderAway."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OpenID provider that this node sends citizens to, with everything that it takes to deal with it.

    `is_node`: pushed requests, and tokens bound to the DPoP key. `sends_iss`: an answer without `iss` is refused.
    `other_audiences` may be in its ID tokens beside `client_id`.
    """

    issuer: str
    client_id: str
    authorization_endpoint: str
    token_endpoint: str
    authentication: ClientAuthentication
    keys: ProviderKeys
    pushed_endpoint: str = ""
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    is_node: bool = False
    sends_iss: bool = True
    other_audiences: frozenset[str] = frozenset()


class ProviderCalls(Protocol):
    """Requests to providers: bounded in size and time, never redirected."""

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """The JSON object of a 2xx answer. Raises ProviderAway, ProviderRefused, ProviderWrong."""
        ...

    async def userinfo(self, url: str, access_token: str) -> Mapping[str, Any]:
        """The claims at a userinfo endpoint. Raises as `post`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """Who came back, proven: the claims of the ID token, and what came with it.

    `authorization_details` are the granted ones of the token response (RFC 9396 §7). `claims` has those of the userinfo
    endpoint, too, where it was asked.
    """

    subject: str
    acr: str
    amr: tuple[str, ...]
    auth_time: int
    sid: str
    claims: Mapping[str, Any]
    id_token: str
    access_token: str
    authorization_details: tuple[dict[str, Any], ...] = ()


def new_secret() -> str:
    """32 random bytes in base64url: a state, a nonce, a verifier (RFC 7636 §4.1), an id."""
    return secrets.token_urlsafe(32)


async def _signed(signer: Signer, make: Callable[[], _T]) -> _T:
    """Sign here with a key in memory; beside the loop with one that is in a token, which takes its time."""
    return make() if isinstance(signer, SigningKey) else await asyncio.to_thread(make)


@dataclass(frozen=True, slots=True)
class KeyAuthentication:
    """private_key_jwt (RFC 7523 §2.2), for the issuer alone, so that no other server can use it (FAPI 2.0 §5.3.3.1)."""

    client_id: str
    audience: str
    signer: Callable[[], Signer]
    clock: Clock

    async def authenticate(self, form: dict[str, str], headers: dict[str, str]) -> None:
        """Add an assertion that is good for a minute, once. Raises OwnKeyUnavailable."""
        signer = self.signer()
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "iat": now,
            "exp": now + _ASSERTION_LIFE_S,
            "jti": new_secret(),
        }
        form["client_id"] = self.client_id
        form["client_assertion_type"] = ASSERTION_TYPE
        form["client_assertion"] = await _signed(
            signer, lambda: sign_token(claims, signer, typ="client-authentication+jwt")
        )


@dataclass(frozen=True, slots=True)
class RelyingPartySide:
    """Sends citizens to providers, and takes them back."""

    calls: ProviderCalls
    dpop_signer: Callable[[], Signer]
    clock: Clock
    redirect_uri: str
    skew_s: int = 60

    # --- out ----------------------------------------------------------------------------------------------------

    def prepare(self, provider: Provider, interaction_id: str) -> Upstream:
        """What this login's request and answer must agree on. `state` begins with the login that it belongs to."""
        return Upstream(
            issuer=provider.issuer,
            state=f"{interaction_id}.{secrets.token_urlsafe(16)}",
            nonce=new_secret(),
            code_verifier=new_secret(),
            redirect_uri=self.redirect_uri,
            sent_at=int(self.clock.now().timestamp()),
        )

    async def send(self, provider: Provider, upstream: Upstream, wanted: Mapping[str, str]) -> str:
        """The URL to send the browser to. `wanted` are further parameters; empty ones are left out.

        Raises ProviderAway, ProviderRefused, ProviderWrong, OwnKeyUnavailable.
        """
        request = {
            "client_id": provider.client_id,
            "response_type": "code",
            "redirect_uri": upstream.redirect_uri,
            "state": upstream.state,
            "nonce": upstream.nonce,
            "code_challenge": create_s256_code_challenge(upstream.code_verifier),
            "code_challenge_method": "S256",
            **{name: value for name, value in wanted.items() if value},
        }
        if provider.is_node:
            request = await self._push(provider, request)
        return str(add_params_to_uri(provider.authorization_endpoint, list(request.items())))

    async def _push(self, provider: Provider, request: dict[str, str]) -> dict[str, str]:
        form, headers = {**request, "dpop_jkt": self.dpop_signer().kid}, dict[str, str]()
        await provider.authentication.authenticate(form, headers)
        answer = await self.calls.post(provider.pushed_endpoint, form, headers)
        request_uri = answer.get("request_uri")
        if not isinstance(request_uri, str) or not 0 < len(request_uri) <= _MOST_RESPONSE:
            raise ProviderWrong("the answer to the pushed request has no request_uri")
        return {"client_id": provider.client_id, "request_uri": request_uri}

    # --- back ---------------------------------------------------------------------------------------------------

    async def receive(
        self, provider: Provider, upstream: Upstream, answer: Mapping[str, str], *, max_age_s: int | None
    ) -> Authenticated:
        """Who came back with an authorization response (checks 1 to 6 of this module).

        Raises ProviderWrong, ProviderAway, ProviderRefused (also for an error that it answered), OwnKeyUnavailable.
        """
        check_response(provider, upstream, answer)
        tokens = await self._redeem(provider, upstream, answer["code"])
        id_token = _text(tokens, "id_token", "the token response")
        access_token = _text(tokens, "access_token", "the token response")
        opened = await provider.keys.open(id_token)  # 4
        claims = self._checked(provider, upstream, opened, access_token)  # 5
        auth_time = self._auth_time(claims, max_age_s)  # 6
        return Authenticated(
            subject=_text(claims, "sub", "the ID token"),
            acr=str(claims.get("acr") or "")[:255],
            amr=tuple(str(value)[:64] for value in claims.get("amr", ())[:_MOST_AMR]),
            auth_time=auth_time,
            sid=str(claims.get("sid") or "")[:255],
            claims=claims,
            id_token=id_token,
            access_token=access_token,
            authorization_details=_details(tokens),
        )

    async def _redeem(self, provider: Provider, upstream: Upstream, code: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": upstream.redirect_uri,
            "code_verifier": upstream.code_verifier,
        }
        headers: dict[str, str] = {}
        await provider.authentication.authenticate(form, headers)
        if provider.is_node:
            signer = self.dpop_signer()
            headers["DPoP"] = await _signed(signer, lambda: self._proof(signer, provider.token_endpoint))
        return await self.calls.post(provider.token_endpoint, form, headers)

    def _proof(self, signer: Signer, url: str) -> str:
        """A DPoP proof for a POST (RFC 9449 §4.2): the one kind of JWS here that brings its own key."""
        public = {name: value for name, value in signer.verification_key.jwk.items() if name in _JWK_MEMBERS}
        header = {"typ": "dpop+jwt", "alg": signer.alg, "jwk": public}
        claims = {
            "jti": new_secret(),
            "htm": "POST",
            "htu": url,
            "iat": int(self.clock.now().timestamp()),
        }
        message = f"{b64url(orjson.dumps(header))}.{b64url(orjson.dumps(claims))}"
        return f"{message}.{b64url(signer.sign(message.encode('ascii')))}"

    def _checked(
        self, provider: Provider, upstream: Upstream, opened: OpenedIdToken, access_token: str
    ) -> Mapping[str, Any]:
        claims = CodeIDToken(
            dict(opened.claims),
            dict(opened.header),
            {
                "iss": {"essential": True, "value": provider.issuer},
                "nonce": {"essential": True, "value": upstream.nonce},
            },
            {"nonce": upstream.nonce, "client_id": provider.client_id, "access_token": access_token},
        )
        _check_audience(provider, opened.claims.get("aud"))
        _check_forms(opened.claims)
        try:
            claims.validate(now=int(self.clock.now().timestamp()), leeway=self.skew_s)
        except (JoseError, ValueError, TypeError) as error:
            name = getattr(error, "claim", "") or getattr(error, "error", "")
            raise ProviderWrong(f"the ID token's {name or 'claims'} does not fit") from None
        return opened.claims

    def _auth_time(self, claims: Mapping[str, Any], max_age_s: int | None) -> int:
        auth_time = claims.get("auth_time")
        if type(auth_time) is not int:
            raise ProviderWrong("the ID token does not say when the citizen authenticated (auth_time)")
        now = self.clock.now().timestamp()
        if auth_time > now + self.skew_s:
            raise ProviderWrong("the ID token's auth_time is in the future")
        if max_age_s is not None and auth_time + max_age_s + self.skew_s < now:
            raise ProviderWrong("the citizen authenticated longer ago than was asked (max_age)")
        return auth_time


_JWK_MEMBERS = ("kty", "crv", "x", "y")


def check_response(provider: Provider, upstream: Upstream, answer: Mapping[str, str]) -> None:
    """Checks 1 to 3 as far as they need no request. Raises ProviderWrong, ProviderRefused."""
    if not secrets.compare_digest(answer.get("state", "").encode(), upstream.state.encode()):  # 1
        raise ProviderWrong("state is not that of this login")
    issuer = answer.get("iss")  # 2
    if issuer is None and provider.sends_iss:
        raise ProviderWrong("the answer does not say who it is from (iss)")
    if issuer is not None and issuer != upstream.issuer:
        raise ProviderWrong("the answer is from somebody else than was asked (iss)")
    if "error" in answer:  # 3
        raise ProviderRefused(_ascii(answer["error"])[:64], _ascii(answer.get("error_description", ""))[:200])
    if not 0 < len(answer.get("code", "")) <= _MOST_RESPONSE:
        raise ProviderWrong("the answer has neither a code nor an error")


def _check_audience(provider: Provider, audience: object) -> None:
    """It is for this client, and for nobody who is not trusted beside it (§3.1.3.7, items 3 to 5)."""
    named = audience if isinstance(audience, list) else [audience]
    if provider.client_id not in named or not set(map(str, named)) <= {
        provider.client_id,
        *provider.other_audiences,
    }:
        raise ProviderWrong("the ID token is not for this node alone (aud)")


def _check_forms(claims: Mapping[str, Any]) -> None:
    for name in ("exp", "iat"):
        if isinstance(claims.get(name), bool) or not isinstance(claims.get(name), int | float):
            raise ProviderWrong(f"the ID token's {name} is not a time")
    if not isinstance(claims.get("amr", []), list):
        raise ProviderWrong("the ID token's amr is not a list")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise ProviderWrong("the ID token's sub is not a text of 1 to 255 characters")


def _text(found: Mapping[str, Any], name: str, where: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderWrong(f"{where} has no {name}")
    return value


def _details(tokens: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    details = tokens.get("authorization_details", [])
    if not isinstance(details, list) or not all(isinstance(one, dict) for one in details):
        raise ProviderWrong("the token response's authorization_details is not a list of objects")
    return tuple(details)


def _ascii(text: str) -> str:
    """What somebody else wrote, as RFC 6749 §5.2 allows it in an answer, and fit for a log."""
    return "".join(char for char in text if " " <= char <= "~" and char not in '"\\')
