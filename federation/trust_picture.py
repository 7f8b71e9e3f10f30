"""The tree of trust as people want to see it: who, by whose word, which keys until when, what policy changed.

Pure: the stored statements and a time in, a picture out. Like `trust_view` it verifies everything again from
the pinned keys, and tells what it does not believe instead of leaving it out: an operator looks here when
something is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from federation.anchor import Anchor, Rows, TrustSettings, believed
from federation.statements import Denial, StatementKind
from federation.trust_view import Chain, chain_of
from trust.entity import UnverifiedStatement, read_statement
from trust.errors import TrustError
from trust.keys import VerificationKey
from trust.policy import Change
from trust.status import TrustStatus

__all__ = ["Branch", "KeyLine", "Standing", "StatementLine", "TrustPicture", "draw_picture"]


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A public key, for what, and until when the statement that names it holds."""

    purpose: str
    kid: str
    alg: str
    until: datetime


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One stored statement: by whom, its times, and since when this node has it."""

    kind: str
    iss: str
    issued_at: datetime
    expires_at: datetime
    seen_at: datetime


class Standing(StrEnum):
    """What a branch can be."""

    ANCHOR = "anchor"
    OWN = "own"
    MEMBER = "member"
    EXPIRED = "expired"
    """Its chain held and is over."""
    DENIED = "denied"
    """By this node's operator."""
    REVOKED = "revoked"
    """By the anchor."""
    REFUSED = "refused"
    """Its chain is not believed."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One entity. `expires_at` is when its chain ends; None when no chain was believed, which `problem` tells."""

    entity_id: str
    standing: Standing
    name: str = ""
    province: str = ""
    reason: str = ""
    problem: str = ""
    expires_at: datetime | None = None
    keys: tuple[KeyLine, ...] = ()
    statements: tuple[StatementLine, ...] = ()
    policy: tuple[Change, ...] = ()
    """What superiors changed of what it says about itself."""


@dataclass(frozen=True, slots=True)
class TrustPicture:
    """The anchor, its status, and everyone below it, this node included, in the order of province and id."""

    at: datetime
    anchor: Branch
    sequence: int
    status_issued_at: datetime | None
    status_expires_at: datetime | None
    members: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What every branch is drawn from."""

    settings: TrustSettings
    rows: Rows
    denials: Mapping[str, Denial]
    problems: Mapping[str, str]
    now: datetime


def draw_picture(
    settings: TrustSettings,
    rows: Rows,
    denials: Mapping[str, Denial],
    problems: Mapping[str, str],
    now: datetime,
) -> TrustPicture:
    """The picture of what these rows prove at `now`. What is not believed is told in it, and raises nothing.

    `problems` are by entity id what the last refresh could not have or did not believe.
    """
    ground = _Ground(settings, rows, denials, problems, now)
    try:
        anchor, status = believed(settings, rows, now)
    except (TrustError, KeyError) as error:
        top = Branch(settings.anchor, Standing.ANCHOR, problem=_problem(ground, settings.anchor, error))
        return TrustPicture(now, top, 0, None, None, ())
    subjects = status.digests.keys() | status.revocations.keys()
    members = [_member(ground, anchor, status, subject) for subject in subjects]
    members.sort(key=lambda branch: (branch.province or "~", branch.entity_id))
    top = _anchor(ground, anchor)
    return TrustPicture(now, top, status.sequence, status.issued_at, status.expires_at, tuple(members))


def _anchor(ground: _Ground, anchor: Anchor) -> Branch:
    own = ground.settings.anchor
    organization = _read(ground, anchor.token).claims.get("metadata", {}).get("federation_entity", {})
    keys = [
        *_key_lines("federation", anchor.root_keys.values(), anchor.expires_at),
        *_key_lines("status", anchor.status_keys.values(), anchor.expires_at),
    ]
    return Branch(
        own,
        Standing.ANCHOR,
        name=str(organization.get("organization_name", "")),
        problem=ground.problems.get(own, ""),
        expires_at=anchor.expires_at,
        keys=tuple(keys),
        statements=_statements(ground, [(own, own, StatementKind.CONFIGURATION)]),
    )


def _member(ground: _Ground, anchor: Anchor, status: TrustStatus, subject: str) -> Branch:
    statements = _statements(
        ground,
        [
            (ground.settings.anchor, subject, StatementKind.SUBORDINATE),
            (subject, subject, StatementKind.CONFIGURATION),
        ],
    )
    try:
        chain = chain_of(ground.settings, ground.rows, anchor, subject, ground.now)
    except (TrustError, KeyError) as error:
        standing, reason = _standing(ground, status, subject, None)
        problem = "" if standing is Standing.REVOKED else _problem(ground, subject, error)
        return Branch(subject, standing, reason=reason, problem=problem, statements=statements)
    standing, reason = _standing(ground, status, subject, chain)
    node = chain.node
    return Branch(
        subject,
        standing,
        name=node.name,
        province=node.province,
        reason=reason,
        problem=ground.problems.get(subject, ""),
        expires_at=node.expires_at,
        keys=(
            *_key_lines("federation", chain.entity.keys.values(), _ends(statements, own=False)),
            *_key_lines("envelope", node.envelope_keys.values(), _ends(statements, own=True)),
        ),
        statements=statements,
        policy=tuple(chain.entity.changes),
    )


def _standing(
    ground: _Ground, status: TrustStatus, subject: str, chain: Chain | None
) -> tuple[Standing, str]:
    """The gravest that is true, and why: the anchor's word goes before the operator's, as in the directory."""
    if subject in status.revocations:
        return Standing.REVOKED, status.revocations[subject].reason
    if subject in ground.denials:
        return Standing.DENIED, ground.denials[subject].reason
    if chain is None:
        return Standing.REFUSED, ""
    if ground.now >= chain.node.expires_at:
        return Standing.EXPIRED, ""
    return (Standing.OWN if subject == ground.settings.own_entity else Standing.MEMBER), ""


def _problem(ground: _Ground, subject: str, error: TrustError | KeyError) -> str:
    if subject in ground.problems:
        return ground.problems[subject]
    return error.detail if isinstance(error, TrustError) else "its statements are not stored yet"


def _read(ground: _Ground, token: str) -> UnverifiedStatement:
    return read_statement(token, allow_http_on_loopback=ground.settings.allow_http_on_loopback)


def _statements(
    ground: _Ground, wanted: Iterable[tuple[str, str, StatementKind]]
) -> tuple[StatementLine, ...]:
    found = [ground.rows[key] for key in wanted if key in ground.rows]
    read = [(row, _read(ground, row.token)) for row in found]
    return tuple(
        StatementLine(row.kind.value, row.iss, one.issued_at, one.expires_at, row.seen_at)
        for row, one in read
    )


def _ends(statements: Iterable[StatementLine], *, own: bool) -> datetime:
    """When the word for a key ends: the superior's for federation keys, the entity's own for the others."""
    kind = StatementKind.CONFIGURATION if own else StatementKind.SUBORDINATE
    return next(one.expires_at for one in statements if one.kind == kind)


def _key_lines(purpose: str, keys: Iterable[VerificationKey], until: datetime) -> Iterable[KeyLine]:
    return [KeyLine(purpose, key.kid, key.alg, until) for key in keys]
