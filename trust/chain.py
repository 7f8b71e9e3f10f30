"""Trust chains: from what an entity says about itself, over its superiors' word, to the anchor's pinned keys.

`resolve_chain` is the validation of OpenID Federation 1.0 §10.2 with the rules for each statement of §3.2, in
these steps; the code carries the same numbers. ES[0] is the entity's configuration, ES[1] to ES[n-1] are
subordinate statements, each about the one before, ES[n] is the anchor's configuration.

 1. There are three to five statements (no more than three steps to the anchor), each within its size
 2. Each is well-formed: type, key id, issuer, subject, times, key set, hints; no critical claim that is not
    understood (`trust.entity.read_statement`)
 3. Each was issued in the past, give or take the allowed skew, and has not expired
 4. ES[0] is by and about the entity, ES[n] by and about the anchor, and no other is by its own subject
 5. Each is about the issuer of the one before: sub of ES[j+1] = iss of ES[j]
 6. ES[0] names its superior among its authority hints
 7. ES[n] is signed with a key that was pinned beforehand
 8. Each other is signed with a key that the one above gives to its issuer; ES[0] besides with one of its own
 9. Constraints are kept; what is not understood among them breaks the chain
10. The policies of all superiors agree, and metadata is taken after policy

The chain ends with the first of its statements to expire (§10.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from trust.entity import SKEW_S, STATEMENT_TYPE, UnverifiedStatement, read_statement
from trust.errors import ChainBroken, ChainExpired, StatementRejected
from trust.keys import VerificationKey
from trust.policy import Policy, apply_policy, merge_policies
from trust.tokens import verify_token

__all__ = ["MAX_DEPTH", "VerifiedEntity", "check_time", "resolve_chain", "verify_statement"]

MAX_DEPTH = 3
_UNDERSTOOD_CONSTRAINTS = frozenset({"max_path_length"})


@dataclass(frozen=True, slots=True)
class VerifiedEntity:
    """What a chain proves about an entity. `metadata` is after policy, `claimed` is what it said itself."""

    entity_id: str
    anchor: str
    metadata: Mapping[str, Mapping[str, Any]]
    claimed: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, VerificationKey]
    """Its federation keys, as the superior gives them."""
    expires_at: datetime
    pinned: frozenset[tuple[str, str]]
    """(entity type, parameter) of what its superiors decided for it."""


def resolve_chain(
    statements: Sequence[str | bytes],
    *,
    anchor: str,
    anchor_keys: Mapping[str, VerificationKey],
    now: datetime,
    allow_http_on_loopback: bool = False,
    skew_s: int = SKEW_S,
) -> VerifiedEntity:
    """Verify a chain of serialized statements, the entity's own first and the anchor's last.

    Trusted on entry: `anchor_keys` and `now`. Raises StatementRejected, KeyRejected, ForeignKey,
    SignatureForm, BadSignature for one statement, ChainBroken for what holds them together, ChainExpired.
    """
    if not 3 <= len(statements) <= MAX_DEPTH + 2:  # 1
        raise ChainBroken(f"a chain has 3 to {MAX_DEPTH + 2} statements, not {len(statements)}")
    chain = [read_statement(text, allow_http_on_loopback=allow_http_on_loopback) for text in statements]  # 2
    for statement in chain:
        check_time(statement, now, skew_s)  # 3
    _check_links(chain, anchor)  # 4, 5, 6
    _verify_signatures(chain, anchor_keys)  # 7, 8
    _check_constraints(chain)  # 9
    leaf, superior = chain[0], chain[1]
    claimed = _metadata(leaf, superior)
    policy = _policy(chain)  # 10
    metadata = MappingProxyType(apply_policy(claimed, policy))
    expires_at = min(statement.expires_at for statement in chain)
    pinned = frozenset((kind, parameter) for kind, parameters in policy.items() for parameter in parameters)
    return VerifiedEntity(leaf.sub, anchor, metadata, claimed, superior.keys, expires_at, pinned)


def verify_statement(
    statement: UnverifiedStatement,
    *,
    iss: str,
    sub: str,
    keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
) -> None:
    """Steps 3, 4 and 7 for one statement alone, before a chain is built: who, about whom, when, which key.

    Raises as `resolve_chain` does.
    """
    if (statement.iss, statement.sub) != (iss, sub):
        raise ChainBroken(
            f"this is a statement by {statement.iss} about {statement.sub}, not by {iss} about {sub}"
        )
    check_time(statement, now, skew_s)
    _verify_one(statement, keys)


def check_time(statement: UnverifiedStatement, now: datetime, skew_s: int = SKEW_S) -> None:
    """Step 3. Raises StatementRejected for a statement from the future, ChainExpired for one that is over."""
    who = f"the statement by {statement.iss} about {statement.sub}"
    if statement.issued_at > now + timedelta(seconds=skew_s):
        raise StatementRejected(
            f"{who} is from the future: issued at {statement.issued_at.isoformat()}, "
            f"own clock {now.isoformat()}, "
            f"allowed skew {skew_s} s (§3.2)"
        )
    if now >= statement.expires_at:
        raise ChainExpired(
            f"{who} expired at {statement.expires_at.isoformat()}, own clock {now.isoformat()}: "
            f"{statement.iss} must publish a new one (§3.2)"
        )


def _check_links(chain: Sequence[UnverifiedStatement], anchor: str) -> None:
    leaf, top = chain[0], chain[-1]
    if not leaf.is_configuration:  # 4
        raise ChainBroken(
            f"the chain begins with a statement by {leaf.iss} about {leaf.sub}, not by the entity itself"
        )
    if not top.is_configuration or top.sub != anchor:
        raise ChainBroken(f"the chain ends with {top.iss} about {top.sub}, not with the anchor {anchor}")
    if any(statement.is_configuration for statement in chain[1:-1]):
        raise ChainBroken("a configuration stands where a superior's statement should be")
    for below, above in pairwise(chain):  # 5
        if above.sub != below.iss:
            raise ChainBroken(
                f"{above.iss}'s statement is about {above.sub}, but the one below is by {below.iss}"
            )
    if chain[1].iss not in leaf.authority_hints:  # 6
        raise ChainBroken(f"{leaf.sub} does not name {chain[1].iss} among its authority hints")


def _verify_signatures(
    chain: Sequence[UnverifiedStatement], anchor_keys: Mapping[str, VerificationKey]
) -> None:
    _verify_one(chain[-1], anchor_keys)  # 7
    for below, above in zip(reversed(chain[:-1]), reversed(chain[1:]), strict=True):  # 8
        _verify_one(below, above.keys)
    if chain[0].token.kid not in chain[0].keys:
        raise ChainBroken(f"{chain[0].sub} signed its configuration with a key that it does not publish")


def _verify_one(statement: UnverifiedStatement, keys: Mapping[str, VerificationKey]) -> None:
    verify_token(statement.token, keys=keys, typ=STATEMENT_TYPE)


def _check_constraints(chain: Sequence[UnverifiedStatement]) -> None:
    """§6.2: `max_path_length` counts the superiors between the one who sets it and the entity."""
    for position, statement in enumerate(chain[1:-1]):
        constraints = statement.claims.get("constraints", {})
        if not isinstance(constraints, Mapping) or not constraints.keys() <= _UNDERSTOOD_CONSTRAINTS:
            raise ChainBroken("constraints that are not understood here (§6.2)")
        longest = constraints.get("max_path_length", MAX_DEPTH)
        if type(longest) is not int or position > longest:
            raise ChainBroken(
                f"{statement.iss} allows {longest} superiors below itself; there are {position} (§6.2.1)"
            )


def _metadata(leaf: UnverifiedStatement, superior: UnverifiedStatement) -> Mapping[str, Mapping[str, Any]]:
    """§5: metadata in the immediate superior's statement goes before the entity's own, by parameter."""
    metadata = {entity_type: dict(values) for entity_type, values in leaf.claims.get("metadata", {}).items()}
    for entity_type, values in superior.claims.get("metadata", {}).items():
        metadata.setdefault(entity_type, {}).update(values)
    return MappingProxyType(metadata)


def _policy(chain: Sequence[UnverifiedStatement]) -> Policy:
    superiors = list(reversed(chain[1:-1]))
    for statement in superiors:
        critical = statement.claims.get("metadata_policy_crit", [])
        if critical:
            raise ChainBroken(f"critical policy operators that are not applied here: {critical} (§6.1.3.2)")
    return merge_policies(statement.claims.get("metadata_policy", {}) for statement in superiors)
