"""Resolve responses (OpenID Federation 1.1 §8.3): a resolver's word on what a chain proves about an entity.

A JWS of type ``resolve-response+jwt``: the metadata after policy and the chain that proves it, so that nobody
has to take the resolver's word. It ends when the chain ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from trust.chain import MAX_CHAIN_BYTES, MAX_DEPTH, VerifiedEntity
from trust.entity import SKEW_S, check_issued, mapping_of, time_of
from trust.errors import StatementRejected
from trust.keys import Signer, VerificationKey
from trust.tokens import read_token, sign_token, verify_token

__all__ = [
    "MAX_RESPONSE_BYTES",
    "RESOLVE_RESPONSE_TYPE",
    "ResolveResponse",
    "build_resolve_response",
    "verify_resolve_response",
]

RESOLVE_RESPONSE_TYPE = "resolve-response+jwt"
MAX_RESPONSE_BYTES = 2 * MAX_CHAIN_BYTES
"""The chain in base64url once more, and room for the metadata."""


@dataclass(frozen=True, slots=True)
class ResolveResponse:
    """What a resolver says. `trust_chain` is not verified: `trust.chain.resolve_chain` proves what it holds."""

    issuer: str
    subject: str
    issued_at: datetime
    expires_at: datetime
    metadata: Mapping[str, Mapping[str, Any]]
    trust_chain: tuple[str, ...]


def build_resolve_response(
    *,
    issuer: str,
    entity: VerifiedEntity,
    trust_chain: Sequence[str],
    signer: Signer,
    now: datetime,
    entity_types: Collection[str] | None = None,
) -> str:
    """Sign what `trust_chain` proves about `entity`; of `entity_types` only, when they are given (§8.3.1)."""
    claims = {
        "iss": issuer,
        "sub": entity.entity_id,
        "iat": int(now.timestamp()),
        "exp": int(entity.expires_at.timestamp()),
        "metadata": {
            entity_type: dict(parameters)
            for entity_type, parameters in entity.metadata.items()
            if entity_types is None or entity_type in entity_types
        },
        "trust_chain": list(trust_chain),
    }
    return sign_token(claims, signer, typ=RESOLVE_RESPONSE_TYPE)


def verify_resolve_response(
    token: str | bytes,
    *,
    issuer: str,
    subject: str,
    keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> ResolveResponse:
    """Verify a response under the resolver's federation keys (§8.3.2).

    Raises StatementRejected (form, type, issuer, subject, time), ForeignKey, SignatureForm, BadSignature.
    """
    claims = verify_token(read_token(token, max_bytes=max_bytes), keys=keys, typ=RESOLVE_RESPONSE_TYPE).claims
    if (claims.get("iss"), claims.get("sub")) != (issuer, subject):
        raise StatementRejected(
            f"this is a response by {claims.get('iss')!r} about {claims.get('sub')!r}, "
            f"not by {issuer} about {subject}"
        )
    issued_at, expires_at = time_of(claims, "iat"), time_of(claims, "exp")
    check_issued(issued_at, now, "the resolve response", skew_s)
    if now >= expires_at:
        raise StatementRejected(f"the resolve response expired at {expires_at.isoformat()} (§8.3.2)")
    metadata = mapping_of(claims, "metadata")
    if "metadata" not in claims or not all(isinstance(value, dict) for value in metadata.values()):
        raise StatementRejected("the resolve response has no metadata, an object of objects (§8.3.2)")
    return ResolveResponse(
        issuer, subject, issued_at, expires_at, MappingProxyType(dict(metadata)), _chain(claims)
    )


def _chain(claims: Mapping[str, Any]) -> tuple[str, ...]:
    chain = claims.get("trust_chain")
    if (
        not isinstance(chain, list)
        or not 0 < len(chain) <= MAX_DEPTH + 2
        or not all(isinstance(statement, str) for statement in chain)
    ):
        raise StatementRejected("the resolve response has no trust chain (§8.3.2)")
    return tuple(chain)
