"""Chain building (OpenID Federation 1.1 §10.1), as a pure function over statements that one holds already.

From the entity up, over the superiors that its configuration names, to the anchor; shortest first, as §10.3
suggests. Nothing is fetched and nothing believed: each candidate is still to be verified by
`trust.chain.verify_chain`, and `resolve_held` takes the first that holds. Against hostile statements:

 - an entity never stands in a candidate twice, so a loop ends (§17.1);
 - candidates are at most `MAX_DEPTH` steps long, and at most `MAX_CANDIDATES`;
 - of each entity, at most `MAX_HINTS` statements about it are followed: the anchor's, then the newest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from trust.chain import MAX_DEPTH, VerifiedEntity, verify_chain
from trust.entity import MAX_HINTS, SKEW_S, UnverifiedStatement
from trust.errors import ChainBroken, TrustError
from trust.keys import VerificationKey

__all__ = ["MAX_CANDIDATES", "Candidate", "build_chains", "find_held", "resolve_held"]

MAX_CANDIDATES = 8

Candidate = tuple[UnverifiedStatement, ...]
"""ES[0] to ES[n]: what may be a chain."""


def build_chains(leaf: str, statements: Iterable[UnverifiedStatement], anchor: str) -> tuple[Candidate, ...]:
    """The candidates from `leaf` to `anchor`, the shortest first; of equal length, the newest first."""
    configurations, about = _sorted(statements)
    if leaf not in configurations or anchor not in configurations:
        return ()
    found: list[Candidate] = []
    paths: list[Candidate] = [(configurations[leaf],)]
    for _ in range(MAX_DEPTH):
        longer: list[Candidate] = []
        for path in paths:
            for above in _superiors(path, configurations, about, anchor):
                if above.iss == anchor:
                    found.append((*path, above, configurations[anchor]))
                else:
                    longer.append((*path, above))
        if len(found) >= MAX_CANDIDATES:
            break
        paths = longer
    return tuple(found[:MAX_CANDIDATES])


def resolve_held(
    leaf: str,
    statements: Iterable[UnverifiedStatement],
    *,
    anchor: str,
    anchor_keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
) -> VerifiedEntity:
    """What the shortest chain that holds proves about `leaf`. Raises as `find_held`."""
    return find_held(leaf, statements, anchor=anchor, anchor_keys=anchor_keys, now=now, skew_s=skew_s)[1]


def find_held(
    leaf: str,
    statements: Iterable[UnverifiedStatement],
    *,
    anchor: str,
    anchor_keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
) -> tuple[Candidate, VerifiedEntity]:
    """The shortest chain from `leaf` that holds, and what it proves.

    Raises ChainBroken when there is no candidate, otherwise what is wrong with the first.
    """
    first: TrustError | None = None
    for candidate in build_chains(leaf, statements, anchor):
        try:
            return candidate, verify_chain(
                candidate, anchor=anchor, anchor_keys=anchor_keys, now=now, skew_s=skew_s
            )
        except TrustError as error:
            first = first or error
    raise first or ChainBroken(f"no statements lead from {leaf} to the anchor {anchor} (§10.1)")


def _sorted(
    statements: Iterable[UnverifiedStatement],
) -> tuple[dict[str, UnverifiedStatement], Mapping[str, list[UnverifiedStatement]]]:
    """Configurations by entity, and statements by whom they are about; the newest of each first."""
    configurations: dict[str, UnverifiedStatement] = {}
    about: defaultdict[str, list[UnverifiedStatement]] = defaultdict(list)
    for statement in sorted(statements, key=lambda statement: statement.issued_at, reverse=True):
        if statement.is_configuration:
            configurations.setdefault(statement.sub, statement)
        else:
            about[statement.sub].append(statement)
    return configurations, about


def _superiors(
    path: Candidate,
    configurations: Mapping[str, UnverifiedStatement],
    about: Mapping[str, list[UnverifiedStatement]],
    anchor: str,
) -> list[UnverifiedStatement]:
    """The statements that may come next: about the last one's issuer, by one whom that names (§3.2)."""
    subject = path[-1].iss
    own = configurations.get(subject)
    seen = {statement.iss for statement in path}
    above = [
        statement
        for statement in about.get(subject, ())
        if statement.iss not in seen and (own is None or statement.iss in own.authority_hints)
    ]
    return sorted(above, key=lambda statement: statement.iss != anchor)[:MAX_HINTS]
