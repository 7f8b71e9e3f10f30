"""Who may log people in at this node: own platforms from the rows, peers from the trust chains in memory.

Implements `federation.login.ports.RelyingParties`, `federation.login.client_auth.Secrets` and
`federation.login.my_page.Registered`. Rows are kept in memory for `KEPT_S`: a client that was disabled or changed is so
everywhere within that time, its secret at once. A peer counts as its chain and the anchor's status say at that moment;
no request leaves for it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from federation.errors import FederationError
from federation.login.discovery import SCOPES
from federation.login.model import RelyingParty
from federation.peers import Directory, Peer
from federation.ports import Clock
from node.store.clients import AuthMethod, ClientRow, ClientRows
from node.store.secret_checks import SecretChecks
from trust.keys import jwks_of
from trust.openid_profile import OpenIdProfile

__all__ = ["KEPT_S", "RelyingPartyRows"]

KEPT_S = 2.0
_MOST_KEPT = 4096
_PEER_SCOPES = frozenset(SCOPES) - {"offline_access"}


class RelyingPartyRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(
        self,
        clients: ClientRows,
        directory: Directory,
        clock: Clock,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._directory = directory
        self._clock = clock
        self._now_s = now_s
        self._kept: OrderedDict[str, tuple[float, ClientRow | None]] = OrderedDict()
        self._secrets = SecretChecks(self._read)

    async def find(self, client_id: str) -> RelyingParty | None:
        """The one with that id, or None: not registered for logins, disabled, not a member in good standing."""
        peer = self._directory.current.peers.get(client_id)
        if peer is not None:
            return self._of_peer(peer)
        row = await self._row(client_id)
        return None if row is None else _of_platform(row)

    async def name_of(self, client_id: str) -> str:
        """What a platform is called, whether it logs people in or not; empty when it is none, disabled or removed."""
        row = await self._row(client_id)
        return "" if row is None or row.disabled_at is not None else row.name

    async def accepts_secret(self, client_id: str, secret: str) -> bool:
        """Whether it is that client's now: see `SecretChecks`. Raises OwnBusy."""
        return await self._secrets.accepts_secret(client_id, secret)

    def _of_peer(self, peer: Peer) -> RelyingParty | None:
        if peer.openid is None:
            return None
        try:
            peer.require_standing(self._clock.now())
        except FederationError:
            return None
        return _of_node(peer, peer.openid)

    async def _row(self, client_id: str) -> ClientRow | None:
        until_s, row = self._kept.get(client_id, (0.0, None))
        if self._now_s() < until_s:
            return row
        return await self._read(client_id)

    async def _read(self, client_id: str) -> ClientRow | None:
        until_s = self._now_s() + KEPT_S
        row = await self._clients.find(client_id)
        self._kept[client_id] = until_s, row
        self._kept.move_to_end(client_id)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return row


def _of_node(peer: Peer, openid: OpenIdProfile) -> RelyingParty:
    return RelyingParty(
        client_id=peer.entity_id,
        name=peer.name,
        is_peer=True,
        province=peer.province,
        profile="fapi2",
        auth_method="private_key_jwt",
        redirect_uris=openid.redirect_uris,
        post_logout_redirect_uris=openid.post_logout_redirect_uris,
        backchannel_logout_uri=openid.backchannel_logout_uri,
        scopes=_PEER_SCOPES,
        sector=peer.entity_id,
        jwks=jwks_of(openid.client_keys.values()),
    )


def _of_platform(row: ClientRow) -> RelyingParty | None:
    login = row.login
    if login is None or row.disabled_at is not None:
        return None
    return RelyingParty(
        client_id=row.client_id,
        name=row.name,
        profile=login.profile,
        auth_method=(
            "private_key_jwt" if row.auth_method is AuthMethod.PRIVATE_KEY_JWT else "client_secret_basic"
        ),
        redirect_uris=login.redirect_uris,
        post_logout_redirect_uris=login.post_logout_redirect_uris,
        backchannel_logout_uri=login.backchannel_logout_uri,
        scopes=login.scopes | {"openid"},
        claims=login.claims,
        sector=login.sector or row.client_id,
        jwks=None if row.jwks is None else dict(row.jwks),
    )
