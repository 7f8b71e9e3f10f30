"""From stored statements to the picture of the federation. Pure: rows and a time in, a snapshot out.

Everything is verified again from the pinned keys each time, also what comes from the store: a row is worth no
more than the signatures in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from federation.anchor import Anchor, Rows, TrustSettings, believed, last_moment
from federation.peers import Peer, TrustSnapshot
from federation.statements import Denial, StatementKind
from trust.chain import VerifiedEntity, resolve_chain
from trust.entity import UnverifiedStatement, read_statement, statement_digest
from trust.errors import ChainExpired, StatementRejected, TrustError
from trust.profile import NodeProfile, read_node
from trust.status import Revocation, TrustStatus

__all__ = [
    "WARN_LEFT",
    "Anchor",
    "Chain",
    "Rows",
    "TrustSettings",
    "View",
    "believed",
    "build_view",
    "chain_of",
    "prove_member",
    "with_revocations",
]

WARN_LEFT = 0.25
"""The share of its life that a statement has left when its operator should look why nothing newer came: 6 hours
of a node's configuration, a week of what the anchor signs."""


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot, and what was not believed or should be looked at, by entity id."""

    snapshot: TrustSnapshot
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and what it proves. `warn_at` is when the first of its statements has little of its life left."""

    entity: VerifiedEntity
    node: NodeProfile
    warn_at: datetime


def prove_member(
    configuration: str | bytes, statement: str | bytes, anchor: Anchor, settings: TrustSettings, now: datetime
) -> Chain:
    """The node that these two and the anchor's configuration prove. Raises TrustError."""
    chain = [configuration, statement, anchor.token]
    entity = resolve_chain(
        chain,
        anchor=settings.anchor,
        anchor_keys=anchor.root_keys,
        now=now,
        allow_http_on_loopback=settings.allow_http_on_loopback,
        skew_s=settings.skew_s,
    )
    return Chain(entity, read_node(entity), min(_warn_at(one) for one in _read(chain, settings)))


def _read(chain: Sequence[str | bytes], settings: TrustSettings) -> list[UnverifiedStatement]:
    return [read_statement(one, allow_http_on_loopback=settings.allow_http_on_loopback) for one in chain]


def _warn_at(statement: UnverifiedStatement) -> datetime:
    return statement.expires_at - (statement.expires_at - statement.issued_at) * WARN_LEFT


def build_view(
    settings: TrustSettings,
    rows: Rows,
    denials: Mapping[str, Denial],
    previous: TrustSnapshot,
    outdated_since: Mapping[str, datetime],
    now: datetime,
) -> View:
    """Every peer that the rows prove, with its standing.

    A peer whose chain has expired stays, so that whoever asks it is told since when. One whose stored statement
    is not the current one by the status is kept `status_max_age_s` from `outdated_since`. When nothing of the
    anchor is believed, everything stays as it was in `previous`.
    """
    try:
        anchor, status = believed(settings, rows, now)
    except (TrustError, KeyError) as error:
        told = {settings.anchor: _why(error, "nothing is stored from the anchor yet")}
        return View(_as_before(previous, denials), told)
    chains, problems = _chains(settings, rows, anchor, status, outdated_since, now)
    own = chains.pop(settings.own_entity, None)
    peers = {
        subject: _with_standing(_peer(chain), status.revocations, denials)
        for subject, chain in chains.items()
    }
    _refuse_twins(peers, settings, problems)
    problems |= _own_revocation(settings, status)
    snapshot = TrustSnapshot(
        own_entity=settings.own_entity,
        own_province=settings.own_province,
        peers=MappingProxyType(peers),
        refreshed_at=status.issued_at,
        sequence=status.sequence,
        revoked=_told(status),
        own_expires_at=own.node.expires_at if own else None,
        own_warn_at=own.warn_at if own else None,
        tls_ca_pem=anchor.tls_ca_pem,
        witness_quorum=anchor.witness_quorum,
    )
    return View(snapshot, MappingProxyType(problems))


def _own_revocation(settings: TrustSettings, status: TrustStatus) -> Mapping[str, str]:
    revoked = status.revocations.get(settings.own_entity)
    return {} if revoked is None else {settings.own_entity: f"revoked: {revoked.reason}"}


def _chains(
    settings: TrustSettings,
    rows: Rows,
    anchor: Anchor,
    status: TrustStatus,
    outdated_since: Mapping[str, datetime],
    now: datetime,
) -> tuple[dict[str, Chain], dict[str, str]]:
    """The chains that hold or held, and what is to be said of any, both by entity id."""
    chains: dict[str, Chain] = {}
    problems: dict[str, str] = {}
    for subject in sorted(status.digests.keys() | status.revocations.keys()):
        try:
            chain = chain_of(settings, rows, anchor, subject, now)
            _require_current(settings, rows, status, subject, outdated_since, now)
        except (TrustError, KeyError) as error:
            if subject not in status.revocations:  # whoever is revoked need not be proven any more
                problems[subject] = _why(error, "its statements have not been fetched yet")
        else:
            chains[subject] = chain
            problems |= _of_chain(chain, now)
    return chains, problems


def with_revocations(snapshot: TrustSnapshot, status: TrustStatus) -> TrustSnapshot:
    """The same picture, in which those whom a newer status revokes are revoked."""
    peers = {
        entity_id: _with_standing(peer, status.revocations, {}) if entity_id in status.revocations else peer
        for entity_id, peer in snapshot.peers.items()
    }
    return replace(snapshot, peers=MappingProxyType(peers), revoked=_told(status))


def _told(status: TrustStatus) -> Mapping[str, str]:
    return MappingProxyType({one.sub: one.reason for one in status.revocations.values()})


def chain_of(settings: TrustSettings, rows: Rows, anchor: Anchor, subject: str, now: datetime) -> Chain:
    """The chain of a member as it is stored, also one that has expired: `expires_at` is in the past then.

    Raises TrustError, KeyError when its statements are not stored yet.
    """
    statement = rows[(settings.anchor, subject, StatementKind.SUBORDINATE)].token
    configuration = rows[(subject, subject, StatementKind.CONFIGURATION)].token
    try:
        return prove_member(configuration, statement, anchor, settings, now)
    except ChainExpired:
        at, skew_s = last_moment(
            _read([configuration, statement, anchor.token], settings), now, settings.skew_s
        )
        return prove_member(configuration, statement, anchor, replace(settings, skew_s=skew_s), at)


def _of_chain(chain: Chain, now: datetime) -> dict[str, str]:
    """What is to be said about a chain that holds or held."""
    told = list(chain.node.problems)
    if now >= chain.node.expires_at:
        told.append(
            f"its trust chain expired at {chain.node.expires_at.isoformat()}, own clock {now.isoformat()}"
        )
    return {chain.node.entity_id: "; ".join(told)} if told else {}


def _require_current(
    settings: TrustSettings,
    rows: Rows,
    status: TrustStatus,
    subject: str,
    outdated_since: Mapping[str, datetime],
    now: datetime,
) -> None:
    if subject in status.revocations:
        return
    token = rows[(settings.anchor, subject, StatementKind.SUBORDINATE)].token
    since = min(outdated_since.get(subject, now), now)  # a clock that was ahead gives no longer grace
    if (
        statement_digest(token) != status.digests[subject]
        and (now - since).total_seconds() > settings.status_max_age_s
    ):
        raise StatementRejected(
            f"the anchor has a newer statement about {subject} since {since.isoformat()}, "
            "which cannot be fetched"
        )


def _peer(chain: Chain) -> Peer:
    node = chain.node
    return Peer(
        entity_id=node.entity_id,
        province=node.province,
        name=node.name,
        grpc_target=node.grpc_target,
        tls_name=node.tls_name,
        envelope_keys=node.envelope_keys,
        expires_at=node.expires_at,
        warn_at=chain.warn_at,
        log_keys=node.log_keys,
        witness_keys=node.witness_keys,
        log_generation=node.log_generation,
        log_reason=node.log_reason,
        openid=node.openid,
        consent_keys=node.consent_keys,
    )


def _with_standing(peer: Peer, revocations: Mapping[str, Revocation], denials: Mapping[str, Denial]) -> Peer:
    """The anchor's word goes before the operator's: both refuse, and the graver one is told."""
    if peer.entity_id in revocations:
        return replace(peer, standing="revoked", reason=revocations[peer.entity_id].reason)
    if peer.entity_id in denials:
        return replace(peer, standing="denied", reason=denials[peer.entity_id].reason)
    if peer.standing == "denied":
        return replace(peer, standing="member", reason="")
    return peer


def _as_before(previous: TrustSnapshot, denials: Mapping[str, Denial]) -> TrustSnapshot:
    peers = {entity_id: _with_standing(peer, {}, denials) for entity_id, peer in previous.peers.items()}
    return replace(previous, peers=MappingProxyType(peers))


def _refuse_twins(peers: dict[str, Peer], settings: TrustSettings, problems: dict[str, str]) -> None:
    """Two members of one province, or one of our own: the anchor erred, and nobody guesses whom it meant."""
    members: dict[str, list[str]] = {settings.own_province: [settings.own_entity]}
    for peer in peers.values():
        if peer.standing != "revoked":
            members.setdefault(peer.province, []).append(peer.entity_id)
    for province, entities in members.items():
        for entity_id in entities if len(entities) > 1 else ():
            if peers.pop(entity_id, None) is not None:
                problems[entity_id] = (
                    f"{len(entities)} members claim the province {province}: {', '.join(entities)}"
                )


def _why(error: Exception, otherwise: str) -> str:
    return error.detail if isinstance(error, TrustError) else otherwise
