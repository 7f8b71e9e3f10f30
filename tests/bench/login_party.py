"""A relying party for the bench of logins: the same client for nodes and for npm's oidc-provider.

It does what its settings say, and the least of it: no look at userinfo, one fetch of the metadata.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey

from simulators.browser import LoginBrowser

__all__ = ["Begun", "BenchParty"]

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Begun:
    """A login on its way."""

    url: str
    verifier: str
    nonce: str


@dataclass
class BenchParty:
    """One client with private_key_jwt. `pushes` sends requests to PAR, `proves` binds tokens with DPoP."""

    client_id: str
    redirect_uri: str
    metadata: Mapping[str, Any]
    http: aiohttp.ClientSession
    pushes: bool = False
    proves: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    key: ECKey = field(default_factory=lambda: _key("client"))
    _proof_key: ECKey = field(default_factory=lambda: _key("proof"))

    @property
    def jwks(self) -> dict[str, Any]:
        """The client's public keys."""
        return {"keys": [self.key.as_dict(private=False)]}

    async def begin(self) -> Begun:
        """A new request; where to send the citizen."""
        begun = Begun("", secrets.token_urlsafe(48), secrets.token_urlsafe(16))
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": secrets.token_urlsafe(16),
            "nonce": begun.nonce,
            "code_challenge": create_s256_code_challenge(begun.verifier),
            "code_challenge_method": "S256",
            **self.parameters,
        }
        if self.pushes:
            pushed = await self._post("pushed_authorization_request_endpoint", asked)
            asked = {"client_id": self.client_id, "request_uri": pushed["request_uri"]}
        url = f"{self.metadata['authorization_endpoint']}?{urlencode(asked)}"
        return Begun(url, begun.verifier, begun.nonce)

    async def finish(self, begun: Begun, browser: LoginBrowser) -> None:
        """Redeem the code that the browser brought for tokens. Raises AssertionError."""
        said = parse_qs(urlsplit(browser.page.url).query)
        assert "code" in said, f"{browser.page.url}: {browser.page.text[:300]}"
        tokens = await self._post(
            "token_endpoint",
            {
                "grant_type": "authorization_code",
                "code": said["code"][0],
                "redirect_uri": self.redirect_uri,
                "code_verifier": begun.verifier,
            },
        )
        assert {"id_token", "access_token"} <= tokens.keys()

    async def _post(self, endpoint: str, form: Mapping[str, str]) -> dict[str, Any]:
        url = self.metadata[endpoint]
        headers = {"DPoP": self._proof(url)} if self.proves else {}
        said = {**form, "client_id": self.client_id, "client_assertion_type": _ASSERTION}
        said["client_assertion"] = self._assertion()
        async with self.http.post(url, data=said, headers=headers) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
        assert answer.status in (200, 201), body
        return body

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.metadata["issuer"],
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode({"alg": "ES256", "kid": "client"}, claims, self.key)

    def _proof(self, url: str) -> str:
        claims = {"jti": secrets.token_urlsafe(16), "htm": "POST", "htu": url, "iat": int(time.time())}
        jwk = {name: self._proof_key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
        return jwt.encode({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}, claims, self._proof_key)


def _key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": kid})
