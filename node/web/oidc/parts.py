"""Puts the provider together. It comes in two halves, since the flow stands between them: `ProviderParts` has what the
flow ends a login with (`granting`), and makes the endpoints' `deps` of the flow.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.login.access_tokens import LoginAccessTokens
from federation.login.client_auth import ClientAuthentication
from federation.login.dpop import Proofs
from federation.login.granting import Granting, Lives, Tokens
from federation.login.id_tokens import IdTokens, TokenKeys
from federation.login.ports import Papers, Replays, Seal
from federation.login.request_objects import RequestObjects
from federation.login.requests import Requests
from federation.login.steps import LoginFlow
from federation.peers import Directory
from federation.ports import Clock
from node.config.login import LoginSection
from node.store.clients import ClientRows
from node.store.database import Database
from node.store.login_grants import GrantRows
from node.store.login_requests import PushedRequestRows
from node.store.relying_parties import RelyingPartyRows
from node.web.login.steps import StepAnswers
from node.web.oidc.border import Refuse
from node.web.oidc.deps import ProviderDeps

__all__ = ["ProviderGround", "ProviderParts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderGround:
    """What the provider stands on. `papers` is None where consents as papers are not offered."""

    issuer: str
    login: LoginSection
    database: Database
    seal: Seal
    directory: Directory
    keys: TokenKeys
    replays: Replays
    clock: Clock
    papers: Papers | None = None
    skew_s: float = 60.0


class ProviderParts:
    """The provider of one node, and the rows that others need too: `parties`, `grants`, `pushed`, `id_tokens`."""

    def __init__(self, ground: ProviderGround) -> None:
        self._ground = ground
        login, keys, clock = ground.login, ground.keys, ground.clock
        self.parties = RelyingPartyRows(ClientRows(ground.database, clock), ground.directory, clock)
        self.grants = GrantRows(ground.database, ground.seal, clock)
        self.pushed = PushedRequestRows(ground.database, ground.seal, clock)
        self.id_tokens = IdTokens(ground.issuer, keys, clock, life_s=login.id_token_s)
        self.access = LoginAccessTokens(ground.issuer, keys, clock, life_s=login.access_token_s)
        self.granting = Granting(
            ground.issuer,
            self.parties,
            clock,
            Lives(code_s=login.code_s, refresh_s=login.refresh_s),
            login.access_token_s,
        )

    def deps(self, flow: LoginFlow, answers: StepAnswers, refuse: Refuse) -> ProviderDeps:
        """What the endpoints need, once there is a flow."""
        ground = self._ground
        issuer, replays, clock, skew_s = ground.issuer, ground.replays, ground.clock, ground.skew_s
        return ProviderDeps(
            issuer=issuer,
            parties=self.parties,
            requests=Requests(
                issuer,
                self.parties,
                self.pushed,
                RequestObjects(issuer, replays, clock, skew_s=skew_s),
                self.id_tokens,
                ground.papers,
            ),
            authentication=ClientAuthentication(issuer, self.parties, self.parties, clock, skew_s=skew_s),
            proofs=Proofs(clock, skew_s=skew_s),
            replays=replays,
            tokens=Tokens(issuer, self.grants, self.id_tokens, self.access, clock),
            access=self.access,
            keys=ground.keys,
            flow=flow,
            answers=answers,
            refuse=refuse,
            pushed_s=ground.login.pushed_request_s,
        )
