"""The trust status: what the anchor says every minute with a delegated key, so that its root key can rest.

A JWS of type ``trust-status+jwt`` by the anchor: `sequence`, which never goes down; `statements`, the digest
of the current subordinate statement of each subject; `revocations`, who is no longer to be believed, since
when, and why. The keys that sign it stand in the anchor's own configuration, under the entity type
`yrd_anchor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from trust.entity import SKEW_S, check_issued, mapping_of, statement_digest, time_of
from trust.errors import StatementRejected
from trust.keys import Signer, VerificationKey
from trust.tokens import MAX_TOKEN_BYTES, read_token, sign_token, verify_token

__all__ = [
    "ANCHOR_TYPE",
    "STATUS_LIFE_S",
    "STATUS_TYPE",
    "Revocation",
    "TrustStatus",
    "build_status",
    "read_witness_quorum",
    "verify_status",
]

STATUS_TYPE = "trust-status+jwt"
STATUS_LIFE_S = 3600
ANCHOR_TYPE = "yrd_anchor"
_MOST_REASON = 200
_LARGEST_SEQUENCE = 2**53 - 1
_LARGEST_QUORUM = 1000


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who is revoked, since when, why."""

    sub: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TrustStatus:
    """A status whose signature and times hold. `digests` are those of `statement_digest`, by subject."""

    sequence: int
    issued_at: datetime
    expires_at: datetime
    digests: Mapping[str, str]
    revocations: Mapping[str, Revocation]


def build_status(
    *,
    anchor: str,
    sequence: int,
    statements: Mapping[str, str],
    revocations: Sequence[Revocation],
    signer: Signer,
    now: datetime,
    life_s: int = STATUS_LIFE_S,
) -> str:
    """Sign the status of `now`. `statements` are the current subordinate statements (tokens) by subject."""
    issued_at = int(now.timestamp())
    claims = {
        "iss": anchor,
        "iat": issued_at,
        "exp": issued_at + life_s,
        "sequence": sequence,
        "statements": {subject: statement_digest(token) for subject, token in sorted(statements.items())},
        "revocations": [
            {"sub": revocation.sub, "at": int(revocation.at.timestamp()), "reason": revocation.reason}
            for revocation in revocations
        ],
    }
    return sign_token(claims, signer, typ=STATUS_TYPE)


def verify_status(
    token: str | bytes,
    *,
    anchor: str,
    keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
    expired_too: bool = False,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> TrustStatus:
    """Verify a status under the delegated `keys`.

    `expired_too`: for a status from the store, whose revocations hold on after it has expired. Raises
    StatementRejected (form, issuer, time), ForeignKey, SignatureForm, BadSignature.
    """
    signed = verify_token(read_token(token, max_bytes=max_bytes), keys=keys, typ=STATUS_TYPE)
    claims = signed.claims
    if claims.get("iss") != anchor:
        raise StatementRejected(f"the status is by {claims.get('iss')!r}, not by the anchor {anchor}")
    issued_at, expires_at = time_of(claims, "iat"), time_of(claims, "exp")
    check_issued(issued_at, now, "the status", skew_s)
    if now >= expires_at and not expired_too:
        raise StatementRejected(
            f"the status expired at {expires_at.isoformat()}, own clock {now.isoformat()}"
        )
    sequence = claims.get("sequence")
    if type(sequence) is not int or not 0 < sequence <= _LARGEST_SEQUENCE:
        raise StatementRejected("the status has no sequence number")
    return TrustStatus(sequence, issued_at, expires_at, _digests(claims), _revocations(claims))


def read_witness_quorum(configuration: Mapping[str, Any]) -> int:
    """How many other members must have cosigned a checkpoint before it is settled: `yrd_anchor.witness_quorum` of the
    claims of the anchor's verified configuration; 0 when it names none. Raises StatementRejected.
    """
    quorum = mapping_of(mapping_of(configuration, "metadata"), ANCHOR_TYPE).get("witness_quorum", 0)
    if type(quorum) is not int or not 0 <= quorum <= _LARGEST_QUORUM:
        raise StatementRejected("the anchor names a witness_quorum that is not a number from 1 on")
    return quorum


def _digests(claims: Mapping[str, Any]) -> Mapping[str, str]:
    digests = mapping_of(claims, "statements")
    if not all(isinstance(digest, str) for digest in digests.values()):
        raise StatementRejected("the status has a digest that is not text")
    return digests


def _revocations(claims: Mapping[str, Any]) -> Mapping[str, Revocation]:
    entries = claims.get("revocations")
    if not isinstance(entries, list):
        raise StatementRejected("the status has no list of revocations")
    return MappingProxyType({revocation.sub: revocation for revocation in map(_revocation, entries)})


def _revocation(entry: object) -> Revocation:
    if not isinstance(entry, dict) or not isinstance(entry.get("sub"), str):
        raise StatementRejected("a revocation names a sub")
    at = time_of(entry, "at")
    return Revocation(entry["sub"], at, str(entry.get("reason", ""))[:_MOST_REASON])
