"""What the anchor knows of itself and of each member, as it lies in its folder. New fields have defaults, so
that the folder of an earlier release is read as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from trust.identity import tls_name
from trust.profile import NODE_TYPE

__all__ = ["DEFAULT_WITNESS_QUORUM", "AnchorFacts", "AnchorRefused", "Member", "member_label"]

DEFAULT_WITNESS_QUORUM = 2
"""Two of the other three provinces."""
_MOST_WITNESSES = 64
_NODE_TYPES = ("federation_entity", "openid_provider", "openid_relying_party", NODE_TYPE)


class AnchorRefused(Exception):
    """The anchor does not do what it was asked; the text says why, for the operator."""


@dataclass(frozen=True, slots=True)
class AnchorFacts:
    """Who the anchor is. With a `superior` it is an authority below an anchor: a province's, for its cities."""

    entity_id: str
    name: str
    allow_http_on_loopback: bool
    superior: str = ""
    entity_types: Sequence[str] = ()
    """An authority's: what those below it may be."""
    witness_quorum: int = DEFAULT_WITNESS_QUORUM
    """How many other members must cosign a node's checkpoint before it is settled."""

    @property
    def is_authority(self) -> bool:
        """Whether it stands below an anchor: then it has no CA and no status of its own."""
        return bool(self.superior)

    def with_quorum(self, quorum: int) -> Self:
        """The same anchor with another quorum of witnesses. Raises AnchorRefused."""
        if self.is_authority:
            raise AnchorRefused(
                f"{self.entity_id} is an authority: the quorum of witnesses is the anchor's to say"
            )
        if not 0 < quorum <= _MOST_WITNESSES:
            raise AnchorRefused(f"the quorum of witnesses is a number from 1 to {_MOST_WITNESSES}")
        return replace(self, witness_quorum=quorum)


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the anchor knows it. Times are seconds since 1970; `revoked_at` 0: in good standing.

    A node has a province; an authority or a plain entity has none, and `entity_types` say what it may be.
    """

    entity_id: str
    province: str
    name: str
    grpc_endpoint: str
    federation_jwks: Mapping[str, Any]
    policy: Mapping[str, Any]
    statement: str
    enrolled_at: int
    tls_not_after: int
    revoked_at: int = 0
    reason: str = ""
    entity_types: Sequence[str] = ()
    is_authority: bool = False
    constraints: Mapping[str, Any] = field(default_factory=dict)
    updated_at: int = 0
    """When its keys or its policy last changed; 0: not since it was enrolled."""
    tls_issued_at: int = 0
    tls_ca: str = ""
    """Fingerprint of the CA that issued its TLS certificate."""
    tls_cas_given: Sequence[str] = ()
    """Fingerprints of the CAs that it was told to trust."""

    @property
    def is_revoked(self) -> bool:
        """Whether the anchor took its word back."""
        return self.revoked_at > 0

    @property
    def is_node(self) -> bool:
        """Whether it is a province's node."""
        return bool(self.province)

    @property
    def types(self) -> tuple[str, ...]:
        """Its entity types, as far as the anchor knows them (§8.2.1)."""
        if self.is_node:
            return _NODE_TYPES
        return ("federation_entity",) if self.is_authority else tuple(self.entity_types)

    def revoked(self, at: int, reason: str) -> Member:
        """The same member, no longer believed."""
        return replace(self, revoked_at=at, reason=reason)


def member_label(entity_id: str) -> str:
    """The name of a member's files: any file system takes it, and nobody chooses it."""
    return tls_name(entity_id).partition(".")[0]
