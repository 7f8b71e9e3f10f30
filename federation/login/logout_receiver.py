"""A log-out that arrives from elsewhere: from the province's identity provider, from a home node whose citizen is
logged in here, or from a visited node where a citizen of this province was (`logout_tokens` has the checks).

Whoever sends one is known beforehand: the identity provider by the configuration, nodes by their trust chains. Nobody
else's token is looked at any further.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from federation.errors import FederationError
from federation.login.foreign_tokens import TokenRejected, unverified_claims
from federation.login.logout import Logout
from federation.login.logout_tokens import LOGOUT_TYP, LogoutSaid, LogoutTokenRejected, check_said
from federation.login.relying_party import OpenedIdToken, Provider, ProviderWrong
from federation.peers import Directory
from federation.ports import Clock
from trust.errors import TrustError
from trust.tokens import read_token, verify_token

__all__ = ["LogoutReceiver", "OwnProvider"]

_MOST_BYTES: Final = 16_384
_TYPES: Final = (None, "JWT", LOGOUT_TYP)
"""Explicit typing came late (§2.4); a node always does."""


class OwnProvider(Protocol):
    """The identity provider of the own province."""

    async def current(self) -> Provider:
        """It, as it describes itself. Raises ProviderAway, ProviderWrong."""
        ...


@dataclass(frozen=True, slots=True)
class LogoutReceiver:
    """Takes logout tokens for the node `entity_id`, which is `client_id` at its `identity_provider`."""

    entity_id: str
    identity_provider: str
    client_id: str
    own: OwnProvider
    directory: Directory
    logout: Logout
    clock: Clock
    skew_s: float

    async def receive(self, token: str) -> int:
        """End what it is about; how many sessions ended here.

        Raises LogoutTokenRejected, ProviderAway while the identity provider's keys cannot be had, OwnStoreUnavailable.
        """
        if len(token) > _MOST_BYTES:
            raise LogoutTokenRejected(f"it has more than {_MOST_BYTES} bytes")
        try:
            issuer = unverified_claims(token).get("iss")
        except TokenRejected as error:
            raise LogoutTokenRejected(str(error)) from None
        said = await (
            self._of_provider(token) if issuer == self.identity_provider else self._of_node(token, issuer)
        )
        return await self.logout.end_by(said)

    async def _of_provider(self, token: str) -> LogoutSaid:
        try:
            opened = await (await self.own.current()).keys.open(token)
        except ProviderWrong as error:
            raise LogoutTokenRejected(str(error)) from None
        return self._checked(opened, self.identity_provider, self.client_id, _TYPES)

    async def _of_node(self, token: str, issuer: object) -> LogoutSaid:
        peer = self.directory.current.peers.get(issuer) if isinstance(issuer, str) else None
        if peer is None or peer.openid is None:
            raise LogoutTokenRejected("iss is nobody who logs citizens in or out here")
        try:
            peer.require_standing(self.clock.now())
            unverified = read_token(token, max_bytes=_MOST_BYTES)
            keys = {**peer.openid.client_keys, **peer.openid.provider_keys}
            signed = verify_token(unverified, keys=keys, typ=LOGOUT_TYP)
        except (FederationError, TrustError) as error:
            raise LogoutTokenRejected(error.detail) from None
        opened = OpenedIdToken(unverified.header, signed.claims)
        return self._checked(opened, peer.entity_id, self.entity_id, (LOGOUT_TYP,))

    def _checked(
        self, opened: OpenedIdToken, issuer: str, audience: str, types: Collection[str | None]
    ) -> LogoutSaid:
        if opened.header.get("typ") not in types:
            raise LogoutTokenRejected("it is of another type than a logout token")
        return check_said(
            opened.claims, issuer=issuer, audience=audience, now=self.clock.now(), skew_s=self.skew_s
        )
