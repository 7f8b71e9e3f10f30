"""The one client of a simulated identity provider: the province's node, and how it proves who it is."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import aiohttp
from joserfc.jwk import KeySet

from simulators.identity.tokens import TokenRejectedError, read_signed

__all__ = ["ClientCheck", "ClientRefusedError", "ProviderClient"]

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = ("ES256", "EdDSA")
_LONGEST_ASSERTION_S = 600
_MOST_JTI = 10_000


class ClientRefusedError(Exception):
    """The client did not prove who it is; the message says why."""


@dataclass(frozen=True, slots=True)
class ProviderClient:
    """A node as client. Without a secret it signs its assertions, with the keys at `jwks_uri`."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str
    jwks_uri: str

    @classmethod
    def of_node(cls, entity_id: str, client_id: str = "node", client_secret: str = "") -> ProviderClient:
        """A node's registration, from its entity id."""
        return cls(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uris=(f"{entity_id}/login/callback",),
            post_logout_redirect_uris=(f"{entity_id}/login/signed-out",),
            backchannel_logout_uri=f"{entity_id}/login/backchannel-logout",
            jwks_uri=f"{entity_id}/oidc/jwks",
        )

    @classmethod
    def read(cls, path: Path) -> ProviderClient:
        """From a JSON file ``{"entity_id", "client_id", "client_secret"}``, the secret missing or null for
        private_key_jwt. Raises OSError, ValueError and KeyError.
        """
        said = json.loads(path.read_text(encoding="utf-8"))
        return cls.of_node(said["entity_id"], said["client_id"], said.get("client_secret") or "")


class ClientCheck:
    """Checks that token requests are the client's; remembers which assertions were used."""

    def __init__(self, client: ProviderClient, audiences: tuple[str, ...]) -> None:
        self._client = client
        self._audiences = audiences
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def check(self, form: Mapping[str, str], authorization: str, http: aiohttp.ClientSession) -> None:
        """Return when the request is the client's, whose keys are fetched by `http`. Raises ClientRefusedError."""
        if self._client.client_secret:
            return self._check_secret(authorization)
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            raise ClientRefusedError("private_key_jwt is expected")
        try:
            async with http.get(self._client.jwks_uri) as answer:
                keys = KeySet.import_key_set(await answer.json())
            claims = read_signed(form.get("client_assertion", ""), keys, _ALGORITHMS)
        except (aiohttp.ClientError, TokenRejectedError, ValueError) as error:
            raise ClientRefusedError(str(error)) from error
        return self._check_assertion(claims)

    def _check_secret(self, authorization: str) -> None:
        scheme, _, said = authorization.partition(" ")
        try:
            name, _, secret = base64.b64decode(said, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ClientRefusedError("no credentials") from error
        right = hmac.compare_digest(unquote_plus(secret).encode(), self._client.client_secret.encode())
        if scheme.lower() != "basic" or unquote_plus(name) != self._client.client_id or not right:
            raise ClientRefusedError("client_secret_basic with the client's own secret is expected")

    def _check_assertion(self, claims: Mapping[str, Any]) -> None:
        """RFC 7523 §3."""
        client_id, said = self._client.client_id, claims.get("aud")
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise ClientRefusedError("iss and sub are not the client")
        if not set([said] if isinstance(said, str) else said or []) & set(self._audiences):
            raise ClientRefusedError("aud is not this provider")
        now, ends = time.time(), claims.get("exp")
        if not isinstance(ends, int | float) or not now < ends <= now + _LONGEST_ASSERTION_S:
            raise ClientRefusedError("exp is over, or too far away")
        name = claims.get("jti")
        if not isinstance(name, str) or name in self._seen:
            raise ClientRefusedError("jti is missing, or was used")
        self._seen[name] = None
        if len(self._seen) > _MOST_JTI:
            self._seen.popitem(last=False)
