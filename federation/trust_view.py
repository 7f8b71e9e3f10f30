"""From stored statements to the picture of the federation. Pure: rows and a time in, a snapshot out.

Everything is verified again from the pinned keys each time, also what comes from the store: a row is worth no
more than the signatures in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from federation.peers import Peer, TrustSnapshot
from federation.statements import Denial, StatementKind, StoredStatement
from trust.chain import resolve_chain, verify_statement
from trust.entity import read_statement, statement_digest
from trust.errors import ChainExpired, StatementRejected, TrustError
from trust.keys import VerificationKey, keys_from_jwks
from trust.profile import NodeProfile, read_node
from trust.status import ANCHOR_TYPE, Revocation, TrustStatus, verify_status
from trust.x509 import read_authorities

__all__ = [
    "Anchor",
    "Key",
    "Rows",
    "TrustSettings",
    "View",
    "build_view",
    "read_anchor",
    "read_member",
    "rows_by_key",
    "stored_status",
]

Key = tuple[str, str, StatementKind]
Rows = Mapping[Key, StoredStatement]


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """From where trust starts, and its limits. `anchor_keys` are pinned by the operator, by key id."""

    own_entity: str
    own_province: str
    anchor: str
    anchor_keys: Mapping[str, VerificationKey]
    allow_http_on_loopback: bool = False
    status_max_age_s: int = 600
    skew_s: int = 60
    fetch_timeout_s: float = 5.0
    statement_max_bytes: int = 64 * 1024
    members_max: int = 64


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the anchor's verified configuration says: keys for statements, keys for the status, endpoints."""

    token: str
    keys: Mapping[str, VerificationKey]
    status_keys: Mapping[str, VerificationKey]
    fetch_endpoint: str
    status_endpoint: str
    expires_at: datetime
    tls_ca_pem: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot, when the first chain in it ends, and what was not believed, by entity id."""

    snapshot: TrustSnapshot
    own_expires_at: datetime | None
    problems: Mapping[str, str]


def rows_by_key(rows: Iterable[StoredStatement]) -> dict[Key, StoredStatement]:
    """The rows of a store by what identifies them."""
    return {(row.iss, row.sub, row.kind): row for row in rows}


def read_anchor(token: str | bytes, settings: TrustSettings, now: datetime) -> tuple[Anchor, int]:
    """The anchor's configuration under its pinned keys, and its mark. Raises TrustError."""
    statement = read_statement(
        token,
        allow_http_on_loopback=settings.allow_http_on_loopback,
        max_bytes=settings.statement_max_bytes,
    )
    verify_statement(
        statement,
        iss=settings.anchor,
        sub=settings.anchor,
        keys=settings.anchor_keys,
        now=now,
        skew_s=settings.skew_s,
    )
    metadata = statement.claims.get("metadata", {})
    federation, own = metadata.get("federation_entity", {}), metadata.get(ANCHOR_TYPE, {})
    endpoints = federation.get("federation_fetch_endpoint"), own.get("status_endpoint")
    for endpoint in endpoints:
        if not isinstance(endpoint, str) or not endpoint.startswith(settings.anchor + "/"):
            raise StatementRejected(
                "the anchor's configuration lacks an endpoint, or names one that is not its own"
            )
    anchor = Anchor(
        statement.token.text,
        statement.keys,
        keys_from_jwks(own.get("status_jwks")),
        str(endpoints[0]),
        str(endpoints[1]),
        statement.expires_at,
        read_authorities(own["tls_ca_pem"]) if "tls_ca_pem" in own else (),
    )
    return anchor, int(statement.issued_at.timestamp())


def read_member(
    configuration: str | bytes, statement: str | bytes, anchor: Anchor, settings: TrustSettings, now: datetime
) -> NodeProfile:
    """The node that these two and the anchor's configuration prove. Raises TrustError."""
    entity = resolve_chain(
        [configuration, statement, anchor.token],
        anchor=settings.anchor,
        anchor_keys=settings.anchor_keys,
        now=now,
        allow_http_on_loopback=settings.allow_http_on_loopback,
        skew_s=settings.skew_s,
    )
    return read_node(entity)


def stored_status(token: str, anchor: Anchor, settings: TrustSettings, now: datetime) -> TrustStatus:
    """A status from the store. What it says holds on after it has expired. Raises TrustError."""
    return verify_status(
        token,
        anchor=settings.anchor,
        keys=anchor.status_keys,
        now=now,
        skew_s=settings.skew_s,
        expired_too=True,
        max_bytes=settings.statement_max_bytes,
    )


def build_view(
    settings: TrustSettings,
    rows: Rows,
    denials: Mapping[str, Denial],
    previous: TrustSnapshot,
    outdated_since: Mapping[str, datetime],
    now: datetime,
) -> View:
    """Every peer that the rows prove, with its standing.

    A peer whose chain has expired stays as it was in `previous`, so that whoever asks it is told since when.
    One whose stored statement is not the current one by the status is kept `status_max_age_s` from
    `outdated_since`.
    """
    problems: dict[str, str] = {}
    try:
        anchor, status = _believed(settings, rows, now)
    except (TrustError, KeyError) as error:
        problems[settings.anchor] = _why(error, "nothing is stored from the anchor yet")
        return View(_as_before(previous, denials), None, problems)
    peers: dict[str, Peer] = {}
    own_expires_at = None
    for subject in sorted(status.digests.keys() | status.revocations.keys()):
        try:
            node = _member(settings, rows, anchor, subject, now)
            _require_current(settings, rows, status, subject, outdated_since, now)
        except ChainExpired as error:
            problems[subject] = error.detail
            if subject in previous.peers:
                peers[subject] = _with_standing(previous.peers[subject], status.revocations, denials)
        except (TrustError, KeyError) as error:
            problems[subject] = _why(error, "its statements have not been fetched yet")
        else:
            if subject == settings.own_entity:
                own_expires_at = node.expires_at
            else:
                peers[subject] = _with_standing(_peer(node), status.revocations, denials)
    _refuse_twins(peers, settings, problems)
    if settings.own_entity in status.revocations:
        problems[settings.own_entity] = f"revoked: {status.revocations[settings.own_entity].reason}"
    snapshot = TrustSnapshot(
        settings.own_entity,
        settings.own_province,
        MappingProxyType(peers),
        status.issued_at,
        status.sequence,
        anchor.tls_ca_pem,
    )
    return View(snapshot, own_expires_at, MappingProxyType(problems))


def _believed(settings: TrustSettings, rows: Rows, now: datetime) -> tuple[Anchor, TrustStatus]:
    configuration = rows[(settings.anchor, settings.anchor, StatementKind.CONFIGURATION)]
    anchor, _ = read_anchor(configuration.token, settings, now)
    row = rows[(settings.anchor, settings.anchor, StatementKind.STATUS)]
    return anchor, stored_status(row.token, anchor, settings, now)


def _member(settings: TrustSettings, rows: Rows, anchor: Anchor, subject: str, now: datetime) -> NodeProfile:
    statement = rows[(settings.anchor, subject, StatementKind.SUBORDINATE)]
    configuration = rows[(subject, subject, StatementKind.CONFIGURATION)]
    return read_member(configuration.token, statement.token, anchor, settings, now)


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
    since = outdated_since.get(subject, now)
    if (
        statement_digest(token) != status.digests[subject]
        and (now - since).total_seconds() > settings.status_max_age_s
    ):
        raise StatementRejected(
            f"the anchor has a newer statement about {subject} since {since.isoformat()}, "
            "which cannot be fetched"
        )


def _peer(node: NodeProfile) -> Peer:
    return Peer(
        entity_id=node.entity_id,
        province=node.province,
        name=node.name,
        grpc_target=node.grpc_target,
        tls_name=node.tls_name,
        envelope_keys=node.envelope_keys,
        expires_at=node.expires_at,
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
