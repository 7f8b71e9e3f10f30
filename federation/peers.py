"""Who the peers are: an immutable snapshot of the trust chains, swapped whole by `trust_sync`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from federation.errors import (
    OwnOwnProvince,
    OwnUnknownProvince,
    PeerChainExpired,
    PeerDenied,
    PeerRevoked,
    PeerUnknown,
)
from trust.keys import VerificationKey
from trust.openid_profile import OpenIdProfile
from trust.recipient_keys import RecipientKey

__all__ = ["Directory", "Peer", "TrustSnapshot"]


@dataclass(frozen=True, slots=True)
class Peer:
    """One node of the federation as its verified chain describes it, after the anchor's metadata policy.

    `grpc_target` is ``host:port``; `tls_name` the ``….peer.yrd`` name its TLS certificate must carry;
    `envelope_keys` are by key id; `expires_at` is when the chain ends, `warn_at` from when its operator should
    look why nothing newer came. `standing` is ``member``, ``revoked`` (the anchor said so) or ``denied`` (this
    node's operator said so). `log_keys` sign its log of `log_generation`, `witness_keys` its cosignatures; a peer
    that tells of none has neither.
    """

    entity_id: str
    province: str
    name: str
    grpc_target: str
    tls_name: str
    envelope_keys: Mapping[str, VerificationKey]
    expires_at: datetime
    standing: str = "member"
    reason: str = ""
    warn_at: datetime | None = None
    log_keys: Mapping[str, VerificationKey] = field(default_factory=lambda: MappingProxyType({}))
    witness_keys: Mapping[str, VerificationKey] = field(default_factory=lambda: MappingProxyType({}))
    log_generation: int = 0
    log_reason: str = ""
    """Why the generation before was closed, in that node's words."""
    openid: OpenIdProfile | None = None
    """None: it offers no logins."""
    consent_keys: Mapping[str, RecipientKey] = field(default_factory=lambda: MappingProxyType({}))
    """Consents for it are encrypted to the first of these; none: it takes no consents."""

    def require_standing(self, now: datetime) -> None:
        """Return when this peer may be dealt with now.

        Raises PeerRevoked or PeerDenied by standing, PeerChainExpired when its chain has expired.
        """
        if self.standing == "revoked":
            raise _revoked(self.entity_id, self.reason)
        if self.standing == "denied":
            raise PeerDenied(
                f"{self.entity_id} is denied by this node's operator: {self.reason or 'no reason given'}"
            )
        if now >= self.expires_at:
            raise PeerChainExpired(
                f"the trust chain of {self.entity_id} expired at {self.expires_at.isoformat()}, the clock here "
                f"shows {now.isoformat()}: nothing newer could be fetched since; `yrd trust show` says from whom"
            )


def _revoked(entity_id: str, reason: str) -> PeerRevoked:
    return PeerRevoked(f"{entity_id} was revoked by the anchor: {reason or 'no reason given'}")


@dataclass(frozen=True, slots=True)
class TrustSnapshot:
    """All peers at one moment. `refreshed_at` is when the anchor's status was last seen; `sequence` its number.

    `tls_ca_pem` are the CAs that the anchor's configuration names for mutual TLS, empty when it names none;
    `witness_quorum` is how many peers must cosign a checkpoint before it is settled, 0 when it names none.
    """

    own_entity: str
    own_province: str
    peers: Mapping[str, Peer] = field(default_factory=lambda: MappingProxyType({}))
    refreshed_at: datetime | None = None
    sequence: int = 0
    revoked: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    mirror: str = ""
    own_expires_at: datetime | None = None
    own_warn_at: datetime | None = None
    tls_ca_pem: tuple[str, ...] = ()
    witness_quorum: int = 0

    def peer(self, entity_id: str) -> Peer:
        """The peer with that entity id. Raises PeerUnknown, PeerRevoked for one that was never known here."""
        found = self.peers.get(entity_id)
        if found is None and entity_id in self.revoked:
            raise _revoked(entity_id, self.revoked[entity_id])
        if found is None:
            raise PeerUnknown(f"{entity_id} is not in this node's trust list")
        return found

    def peer_in(self, province: str) -> Peer:
        """The node of a province (6 digits); one that was revoked only when no other took its place.

        Raises OwnOwnProvince or OwnUnknownProvince.
        """
        if province == self.own_province:
            raise OwnOwnProvince(
                f"{province} is this node's own province: ask the registry directly", field="province"
            )
        revoked = None
        for peer in self.peers.values():
            if peer.province == province:
                if peer.standing != "revoked":
                    return peer
                revoked = peer
        if revoked is not None:
            return revoked
        known = ", ".join(sorted(peer.province for peer in self.peers.values())) or "none yet"
        raise OwnUnknownProvince(
            f"{province} has no node in this federation; known: {known}", field="province"
        )


class Directory:
    """Holds the current snapshot. Reading it takes no lock; `swap` replaces it whole."""

    def __init__(self, snapshot: TrustSnapshot) -> None:
        self._snapshot = snapshot

    @property
    def current(self) -> TrustSnapshot:
        """The snapshot of this moment; hold on to it for the length of one exchange."""
        return self._snapshot

    def swap(self, snapshot: TrustSnapshot) -> None:
        """Make `snapshot` the current one for every exchange that begins from now on."""
        self._snapshot = snapshot
