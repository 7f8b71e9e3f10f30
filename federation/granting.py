"""Check 8 of the answering node: what the access rules grant to a request and, where its basis is a consent, that."""

from __future__ import annotations

from federation.access import AccessPolicy, Grant
from federation.bodies import certificate_type_of
from federation.consents import Shown, is_on_consent
from federation.errors import AccessConsentUnsupported
from federation.exchange import ExchangeParts
from federation.peers import Peer
from federation.query import Request

__all__ = ["Granting"]


class Granting:
    """Grants, or refuses with `access.…`."""

    def __init__(self, parts: ExchangeParts) -> None:
        self._parts = parts

    async def grant(self, request: Request, peer: Peer, identity: bytes) -> Shown:
        """What is granted to the peer's request of that identity; a use of its consent is counted.

        Raises AccessDenied, `access.consent_…`, OwnStoreUnavailable.
        """
        grant = _by_rule(self._parts.access.current, request, peer)
        if not is_on_consent(request.header):
            return Shown(grant, "")
        if self._parts.consents is None:
            raise AccessConsentUnsupported("this node takes no consents")
        return await self._parts.consents.require_to_answer(request, grant, identity)

    async def give_back(self, request: Request, identity: bytes) -> None:
        """Take back the use of a request that was refused in the end."""
        if self._parts.consents is not None and is_on_consent(request.header):
            await self._parts.consents.give_back(request, identity)


def _by_rule(policy: AccessPolicy, request: Request, peer: Peer) -> Grant:
    header = request.header
    return policy.may_answer(
        asking=peer.province,
        platform=header.platform,
        operation=header.operation,
        basis=header.basis,
        certificate_type=certificate_type_of(request.body),
    )
