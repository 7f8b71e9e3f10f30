"""Where citizens' logins come from, as far as ending them in the browser goes: the home nodes by their chains, the
identity provider by its discovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from federation.errors import FederationError
from federation.login.end_session import Upstream
from federation.login.relying_party import Provider, ProviderAway, ProviderWrong
from federation.login.visited import HomeNodes

__all__ = ["KnownUpstreams"]


class OwnProvider(Protocol):
    """The identity provider of the own province."""

    async def current(self) -> Provider:
        """It, as it describes itself. Raises ProviderAway, ProviderWrong."""
        ...


@dataclass(frozen=True, slots=True)
class KnownUpstreams:
    """Implements `federation.login.end_session.Upstreams`. `issuer` is that of the identity provider."""

    issuer: str
    own: OwnProvider
    homes: HomeNodes

    async def upstream(self, issuer: str) -> Upstream | None:
        """See `Upstreams.upstream`."""
        try:
            found = await self.own.current() if issuer == self.issuer else self.homes.with_issuer(issuer)[1]
        except (FederationError, ProviderAway, ProviderWrong):
            return None
        if not found.end_session_endpoint:
            return None
        return Upstream(
            end_session_endpoint=found.end_session_endpoint,
            client_id=found.client_id,
            is_node=found.is_node,
        )
