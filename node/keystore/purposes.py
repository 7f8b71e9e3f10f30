"""What keys are for, and which algorithms each may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["ALGORITHMS_FOR", "Purpose"]


class Purpose(StrEnum):
    """What a key may be used for; never for two things."""

    FEDERATION = "federation"
    """Signs the entity configuration."""
    ENVELOPE = "envelope"
    """Signs requests, answers and evidence files."""
    OPENID = "openid"
    """Signs tokens for platforms."""
    DPOP = "dpop"
    """Proves possession of the tokens that this node is given as a relying party (RFC 9449)."""
    CONSENT = "consent"
    """Decrypts whose consents this node is shown (ECDH-ES on P-256). It signs nothing."""
    LOG = "log"
    """Signs the log's checkpoints."""
    WITNESS = "witness"
    """Cosigns the checkpoints of the other nodes."""
    TLS = "tls"
    """Mutual TLS between nodes."""
    STATUS = "status"
    """The anchor's: signs the trust status."""
    CA = "ca"
    """The anchor's: issues X.509."""


ALGORITHMS_FOR: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        Purpose.FEDERATION: ("ES256", "EdDSA"),
        Purpose.ENVELOPE: ("ES256", "EdDSA", "SM2"),
        Purpose.OPENID: ("ES256",),
        Purpose.DPOP: ("ES256",),
        Purpose.CONSENT: ("ES256",),
        Purpose.LOG: ("EdDSA",),
        Purpose.WITNESS: ("EdDSA",),
        Purpose.TLS: ("ES256",),
    }
)
"""The purposes whose keys a node rotates, and the algorithms of each, the default first.

ES256 is what every OpenID and TLS library reads, and of a key that decrypts it says only the curve; tokens are never
signed with SM2; a checkpoint is a signed note, which is Ed25519 (C2SP signed-note).
"""
