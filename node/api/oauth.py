"""The authorization server for platforms: client credentials (RFC 6749 §4.4), metadata (RFC 8414), keys.

A client authenticates with client_secret_basic or private_key_jwt, whichever its row says and no other.
Answers and errors have the form of RFC 6749 §5; whatever fails about the client is `invalid_client`,
without saying whether there is such a client.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote_plus

import orjson
from aiohttp import web

from federation.errors import OwnTooLarge
from node.api.access_tokens import AccessTokens, OpenIdKeys
from node.api.assertions import AssertionRejectedError, Assertions
from node.api.client_directory import ClientDirectory
from node.api.ports import PlatformClient, Secrets
from node.api.rights import RIGHTS, is_granted
from trust.keys import jwks_of

__all__ = ["AuthorizationServer", "OAuthRefusalError"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MOST_BYTES = 16_384
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthRefusalError(Exception):
    """A refusal by RFC 6749 §5.2."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def response(self) -> web.Response:
        """The refusal as it is sent; 401 says how to authenticate."""
        body = {"error": self.error, "error_description": self.description}
        response = _json(body, status=self.status)
        if self.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="platform", charset="UTF-8"'
        return response


class AuthorizationServer:
    """The endpoints below /oauth and its metadata."""

    def __init__(
        self,
        issuer: str,
        clients: ClientDirectory,
        secrets: Secrets,
        tokens: AccessTokens,
        assertions: Assertions,
        keys: OpenIdKeys,
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._secrets = secrets
        self._tokens = tokens
        self._assertions = assertions
        self._keys = keys

    async def token(self, request: web.Request) -> web.Response:
        """POST /oauth/token."""
        try:
            form = await _read_form(request)
            client = await self._authenticate(request, form)
            if form.get("grant_type") != "client_credentials":
                raise OAuthRefusalError("unsupported_grant_type", "grant_type must be client_credentials")
            scope = _granted_scope(client, form.get("scope", ""))
        except OAuthRefusalError as refusal:
            return refusal.response()
        # Beside the loop: the key may be in a token that takes its time.
        token = await asyncio.to_thread(self._tokens.issue, client.client_id, scope)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self._tokens.life_s}
        return _json({**body, "scope": " ".join(sorted(scope))})

    async def metadata(self, _request: web.Request) -> web.Response:
        """GET /.well-known/oauth-authorization-server (RFC 8414)."""
        return _json(
            {
                "issuer": self._issuer,
                "token_endpoint": f"{self._issuer}/oauth/token",
                "jwks_uri": f"{self._issuer}/oauth/jwks",
                "response_types_supported": [],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA"],
                "scopes_supported": sorted(RIGHTS),
                "service_documentation": f"{self._issuer}/docs",
            }
        )

    async def jwks(self, _request: web.Request) -> web.Response:
        """GET /oauth/jwks: the keys that sign access tokens."""
        return _json(jwks_of(self._keys.verifiers().values()))

    async def _authenticate(self, request: web.Request, form: dict[str, str]) -> PlatformClient:
        header = request.headers.get("Authorization")
        if header is not None and "client_assertion" in form:
            raise OAuthRefusalError("invalid_request", "authenticate in one way, not in two")
        if header is not None:
            client_id, client = await self._by_secret(header)
        elif "client_assertion" in form:
            client_id, client = await self._by_assertion(form)
        else:
            _refuse_client("send Authorization: Basic, or a client_assertion")
        if form.get("client_id", client_id) != client_id:
            _refuse_client("client_id is not the client that authenticates")
        return client

    async def _by_secret(self, header: str) -> tuple[str, PlatformClient]:
        client_id, secret = _read_basic(header)
        is_right = await self._secrets.accepts_secret(client_id, secret)
        # Looking for a new one is for those who know its secret: made-up names would use up the few looks there are.
        client = await self._clients.find_new(client_id) if is_right else None
        if client is None:
            _refuse_client("the client or its secret is not right")
        return client_id, client

    async def _by_assertion(self, form: dict[str, str]) -> tuple[str, PlatformClient]:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthRefusalError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
        assertion = form["client_assertion"]
        try:
            client_id = self._assertions.claimed_client(assertion)
            client = await self._clients.find_new(client_id)
            if client is None or client.jwks is None:
                _refuse_client("the client or its key is not right")
            await self._assertions.verify(assertion, client_id, client.jwks)
        except AssertionRejectedError as error:
            _refuse_client(str(error))
        return client_id, client


async def _read_form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise OAuthRefusalError("invalid_request", "send application/x-www-form-urlencoded")
    if (request.content_length or 0) > _MOST_BYTES:
        raise OwnTooLarge(f"at most {_MOST_BYTES} bytes are taken")
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > _MOST_BYTES:
            raise OwnTooLarge(f"at most {_MOST_BYTES} bytes are taken")
    try:
        pairs = parse_qsl(data.decode("ascii"), max_num_fields=20, errors="strict")
    except ValueError:
        raise OAuthRefusalError("invalid_request", "the form cannot be read") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthRefusalError("invalid_request", "a parameter is given twice")
    return form


def _read_basic(header: str) -> tuple[str, str]:
    """RFC 6749 §2.3.1: both parts are form-encoded inside of Basic."""
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        _refuse_client("the Authorization header cannot be read")
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        _refuse_client("the Authorization header cannot be read")
    return unquote_plus(client_id), unquote_plus(secret)


def _granted_scope(client: PlatformClient, asked: str) -> frozenset[str]:
    """What the token is for: what was asked for, or all that the client may do."""
    if not asked.strip():
        return client.operations
    scope = frozenset(asked.split())
    if not all(is_granted(right, client.operations) for right in scope):
        raise OAuthRefusalError("invalid_scope", "the client may not do all of that")
    return scope


def _refuse_client(description: str) -> NoReturn:
    raise OAuthRefusalError("invalid_client", description, status=401)


def _json(body: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/json", headers=_NO_STORE
    )
