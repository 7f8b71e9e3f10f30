"""What the endpoints of the provider work with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from aiohttp import web

from federation.login.access_tokens import LoginAccessTokens
from federation.login.client_auth import ClientAuthentication
from federation.login.dpop import Proofs
from federation.login.granting import Tokens
from federation.login.id_tokens import TokenKeys
from federation.login.model import RelyingParty
from federation.login.ports import RelyingParties, Replays
from federation.login.requests import Requests
from federation.login.steps import LoginFlow
from federation.login.uses import Uses
from federation.quota import TokenBuckets
from node.web.login.steps import StepAnswers
from node.web.oidc.border import Refuse
from node.web.oidc.reading import one_header

__all__ = ["ProviderDeps"]

_PUSHES_PER_S, _PUSHES_AT_ONCE = 100.0, 500.0


@dataclass(frozen=True, slots=True)
class ProviderDeps:
    """One provider. `pushed_s` is how long a pushed request waits for its browser."""

    issuer: str
    parties: RelyingParties
    requests: Requests
    authentication: ClientAuthentication
    proofs: Proofs
    replays: Replays
    tokens: Tokens
    access: LoginAccessTokens
    keys: TokenKeys
    flow: LoginFlow
    answers: StepAnswers
    refuse: Refuse
    pushed_s: int = 60
    pushes: TokenBuckets = field(
        default_factory=lambda: TokenBuckets(_PUSHES_PER_S, _PUSHES_AT_ONCE, now_s=time.monotonic)
    )

    def url(self, endpoint: str) -> str:
        """Where an endpoint is reached from outside, whatever stands in front of the listener."""
        return f"{self.issuer}/oidc/{endpoint}"

    def uses(self) -> Uses:
        """What a request uses up."""
        return Uses(self.replays)

    async def client(
        self, request: web.Request, form: dict[str, str], endpoint: str, uses: Uses
    ) -> RelyingParty:
        """Who calls, as long as nothing of the `uses` was used before.

        Raises OAuthRefusal, OwnBusy, OwnStoreUnavailable.
        """
        header = one_header(request, "Authorization")
        return await self.authentication.authenticate(header, form, endpoint=self.url(endpoint), uses=uses)

    def proven(
        self, request: web.Request, endpoint: str, uses: Uses, *, access_token: str = "", jkt: str = ""
    ) -> str:
        """The thumbprint of the key that the request's DPoP proof shows, as long as it was not used before; empty
        without a proof. Raises OAuthRefusal.
        """
        proof = one_header(request, "DPoP")
        if proof is None:
            return ""
        return self.proofs.check(
            proof,
            method=request.method,
            url=self.url(endpoint),
            uses=uses,
            access_token=access_token,
            jkt=jkt,
        )
