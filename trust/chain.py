"""Trust chains: from what an entity says about itself, over its superiors' word, to the anchor's pinned keys.

`resolve_chain` is the validation of OpenID Federation 1.1 §10.2 with the rules for each statement of §3.2, in
these steps; the code carries the same numbers. ES[0] is the entity's configuration, ES[1] to ES[n-1] are
subordinate statements, each about the one before, ES[n] is the anchor's configuration.

 1. There are three to five statements (no more than three steps to the anchor), each within its size, and all
    together within theirs
 2. Each is well-formed: type, key id, issuer, subject, times, key set, hints; no critical claim that is not
    understood (`trust.entity.read_statement`)
 3. Each was issued in the past, give or take the allowed skew, and has not expired
 4. ES[0] is by and about the entity, ES[n] by and about the anchor, and no other is by its own subject
 5. Each is about the issuer of the one before: sub of ES[j+1] = iss of ES[j]
 6. No entity stands in the chain twice: it is a path, not a loop (§17.1)
 7. ES[0] names its superior among its authority hints (§3.2)
 8. No superior declares a policy operator critical that is not understood (§6.1.3.2)
 9. Constraints are kept (§6.2, `trust.constraints`)
10. ES[n] is signed with a key that was pinned beforehand, and that it publishes itself
11. Each other is signed with a key that the one above gives to its issuer; ES[0] besides with one of its own
12. The immediate superior's metadata goes before the entity's own, for the entity types that it has (§3.1.1)
13. Entity types that a superior does not allow are taken out (§6.2.3)
14. The policies of all superiors agree, and metadata is taken after policy (§6.1.4, `trust.policy`)

The chain ends with the first of its statements to expire (§10.4). Signatures come after all that is cheap, as
§10.2 suggests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from trust.constraints import allowed_entity_types, check_constraints
from trust.entity import SKEW_S, STATEMENT_TYPE, UnverifiedStatement, check_issued, read_statement
from trust.errors import ChainBroken, ChainExpired
from trust.keys import VerificationKey
from trust.operators import OPERATORS, as_json
from trust.policy import Change, apply_policy, merge_policies, pinned_by
from trust.tokens import verify_token

__all__ = [
    "MAX_CHAIN_BYTES",
    "MAX_DEPTH",
    "VerifiedEntity",
    "check_time",
    "resolve_chain",
    "verify_chain",
    "verify_statement",
]

MAX_DEPTH = 3
"""How many steps an entity may be from the anchor."""
MAX_CHAIN_BYTES = 192 * 1024
"""All statements of a chain together; `trust.tokens.MAX_TOKEN_BYTES` bounds each."""

Metadata = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class VerifiedEntity:
    """What a chain proves about an entity. `metadata` is after policy, `claimed` is what it said itself."""

    entity_id: str
    anchor: str
    metadata: Metadata
    claimed: Metadata
    keys: Mapping[str, VerificationKey]
    """Its federation keys, as the superior gives them."""
    expires_at: datetime
    pinned: frozenset[tuple[str, str]]
    """(entity type, parameter) of what its superiors decided for it with `value`."""
    superiors: tuple[str, ...]
    """Who stands above it, its immediate superior first, the anchor last."""
    changes: tuple[Change, ...]
    """What its superiors changed of what it claimed."""


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

    Trusted on entry: `anchor_keys` (see `trust.rollover.anchor_keys`) and `now`. Raises StatementRejected,
    KeyRejected, ForeignKey, SignatureForm, BadSignature for one statement, ChainBroken for what holds them
    together, ChainExpired.
    """
    _check_length(len(statements))  # 1
    if sum(map(len, statements)) > MAX_CHAIN_BYTES:
        raise ChainBroken(f"a chain has at most {MAX_CHAIN_BYTES} bytes")
    chain = [read_statement(text, allow_http_on_loopback=allow_http_on_loopback) for text in statements]  # 2
    return verify_chain(chain, anchor=anchor, anchor_keys=anchor_keys, now=now, skew_s=skew_s)


def verify_chain(
    chain: Sequence[UnverifiedStatement],
    *,
    anchor: str,
    anchor_keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
) -> VerifiedEntity:
    """Steps 3 to 14, for statements that were read already. Raises as `resolve_chain`."""
    _check_length(len(chain))
    for statement in chain:
        check_time(statement, now, skew_s)  # 3
    _check_links(chain, anchor)  # 4, 5, 6, 7
    superiors = chain[1:-1]
    _check_critical_operators(superiors)  # 8
    check_constraints(superiors)  # 9
    _verify_signatures(chain, anchor_keys)  # 10, 11
    claimed: Metadata = MappingProxyType(chain[0].claims.get("metadata", {}))
    metadata, changes = _before_policy(claimed, superiors)  # 12, 13
    policy = merge_policies(  # 14
        statement.claims.get("metadata_policy", {}) for statement in reversed(superiors)
    )
    applied = apply_policy(metadata, policy)
    return VerifiedEntity(
        chain[0].sub,
        anchor,
        MappingProxyType(applied.metadata),
        claimed,
        superiors[0].keys,
        min(statement.expires_at for statement in chain),
        pinned_by(policy),
        tuple(statement.iss for statement in superiors),
        (*changes, *applied.changes),
    )


def verify_statement(
    statement: UnverifiedStatement,
    *,
    iss: str,
    sub: str,
    keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
) -> None:
    """Steps 3, 4 and 10 for one statement alone, before a chain is built: who, about whom, when, which key.

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
    check_issued(statement.issued_at, now, who, skew_s)
    if now >= statement.expires_at:
        raise ChainExpired(
            f"{who} expired at {statement.expires_at.isoformat()}, own clock {now.isoformat()}: "
            f"{statement.iss} must publish a new one (§3.2)"
        )


def _check_length(statements: int) -> None:
    if not 3 <= statements <= MAX_DEPTH + 2:
        raise ChainBroken(f"a chain has 3 to {MAX_DEPTH + 2} statements, not {statements}")


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
    path = [leaf.sub, *(statement.iss for statement in chain[1:-1])]
    if len(set(path)) != len(path):  # 6
        raise ChainBroken("an entity stands in the chain twice")
    if chain[1].iss not in leaf.authority_hints:  # 7
        raise ChainBroken(f"{leaf.sub} does not name {chain[1].iss} among its authority hints")


def _check_critical_operators(superiors: Sequence[UnverifiedStatement]) -> None:
    """Only operators beyond the standard's may be declared critical, and none of those is known here."""
    for statement in superiors:
        critical = statement.claims.get("metadata_policy_crit", [])
        defined = [name for name in critical if name in OPERATORS]
        if defined:
            raise ChainBroken(
                f"{statement.iss} calls {', '.join(defined)} critical, which the standard defines (§3.1.3)"
            )
        if critical:
            raise ChainBroken(
                f"critical policy operators that are not understood here: {', '.join(critical)} (§6.1.3.2)"
            )


def _verify_signatures(
    chain: Sequence[UnverifiedStatement], anchor_keys: Mapping[str, VerificationKey]
) -> None:
    _verify_one(chain[-1], anchor_keys)  # 10
    for below, above in zip(reversed(chain[:-1]), reversed(chain[1:]), strict=True):  # 11
        _verify_one(below, above.keys)
    for configuration in (chain[0], chain[-1]):
        if configuration.token.kid not in configuration.keys:
            raise ChainBroken(
                f"{configuration.sub} signed its configuration with a key that it does not publish"
            )


def _verify_one(statement: UnverifiedStatement, keys: Mapping[str, VerificationKey]) -> None:
    verify_token(statement.token, keys=keys, typ=STATEMENT_TYPE)


def _before_policy(
    claimed: Metadata, superiors: Sequence[UnverifiedStatement]
) -> tuple[Metadata, list[Change]]:
    """Steps 12 and 13, and what they changed."""
    said = superiors[0].claims.get("metadata", {})
    metadata = {kind: {**values, **said.get(kind, {})} for kind, values in claimed.items()}
    changes = [
        Change(kind, parameter, claimed[kind].get(parameter), value, ("metadata",))
        for kind in claimed
        for parameter, value in said.get(kind, {}).items()
        if parameter not in claimed[kind] or as_json(claimed[kind][parameter]) != as_json(value)
    ]
    allowed = allowed_entity_types(superiors)
    for kind in [] if allowed is None else [kind for kind in metadata if kind not in allowed]:
        changes.append(Change(kind, None, claimed[kind], None, ("allowed_entity_types",)))
        del metadata[kind]
    return metadata, changes
