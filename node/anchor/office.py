"""What the anchor does: begin, enrol, revoke, publish. Files in, files out; nothing here listens.

Whatever the root key signs needs it: `root_path` is where it lies when it is not in the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from node.anchor.changing import ca_bundle
from node.anchor.enrolment import Enrolment, read_enrolment
from node.anchor.folder import ROOT, AnchorFacts, AnchorFolder, Member
from node.anchor.member import AnchorRefused
from node.anchor.plain import PLAIN_TYPES, PlainEnrolment, check_allowed, is_plain, plain_request, read_plain
from node.anchor.publishing import current_status, publish
from node.anchor.signing import read_own, root_key, sign_statement
from node.anchor.succession import check_predecessor, take_over
from node.anchor.tls import issue, with_tls
from trust.errors import TrustError
from trust.identity import check_entity_id
from trust.keys import SigningKey, jwks_of
from trust.x509 import DEFAULT_DAYS, make_ca

__all__ = [
    "anchor_jwks",
    "authority_request",
    "current_status",
    "enroll",
    "init_anchor",
    "list_members",
    "publish",
    "read_request",
    "revoke",
]

_MOST_REASON = 200


def init_anchor(
    directory: Path,
    entity_id: str,
    *,
    name: str,
    now: datetime,
    allow_http_on_loopback: bool = False,
    superior: str = "",
    entity_types: Sequence[str] = (),
    replaces: Path | None = None,
    root_path: Path | None = None,
    witness_quorum: int | None = None,
) -> AnchorFolder:
    """Make an anchor: its keys, its CA, its signed configuration. With a `superior` make an authority below
    it, for entities of these types: it has neither a status nor a CA. `replaces` is the folder of one whose
    root key is lost: its members and CA are taken over, and every node has to pin the new key. `witness_quorum` is
    two, or that of the one replaced.

    Raises AnchorRefused when there is one already, the root key's file exists, or an entity id is none.
    """
    try:
        for entity in (entity_id, *([superior] if superior else [])):
            check_entity_id(entity, allow_http_on_loopback=allow_http_on_loopback)
    except TrustError as error:
        raise AnchorRefused(error.detail) from error
    facts = AnchorFacts(
        entity_id, name, allow_http_on_loopback, superior, _authority_types(superior, entity_types)
    )
    if root_path is not None and root_path.exists():
        raise AnchorRefused(f"{root_path} exists already and is not overwritten")
    keys = {key: SigningKey.generate() for key in ((ROOT,) if superior else (ROOT, "status", "ca"))}
    folder = AnchorFolder(directory, root_key=root_path)
    facts = _with_quorum(facts, witness_quorum, replaces)
    if replaces is not None:
        check_predecessor(AnchorFolder(replaces), facts)
    folder.create(facts, keys, b"" if superior else make_ca(keys["ca"], name, now))
    if replaces is not None:
        take_over(folder, AnchorFolder(replaces), now)
    publish(directory, now=now, root_path=root_path)
    return folder


def _with_quorum(facts: AnchorFacts, witness_quorum: int | None, replaces: Path | None) -> AnchorFacts:
    """The number that is given, else that of the anchor before it."""
    if witness_quorum is not None:
        return facts.with_quorum(witness_quorum)
    if replaces is not None and not facts.superior:
        return facts.with_quorum(AnchorFolder(replaces).facts().witness_quorum)
    return facts


def _authority_types(superior: str, entity_types: Sequence[str]) -> tuple[str, ...]:
    if not superior:
        return ()
    unknown = sorted(set(entity_types) - PLAIN_TYPES)
    if unknown or not entity_types:
        raise AnchorRefused(
            f"below an authority an entity can be {', '.join(sorted(PLAIN_TYPES))}, not {unknown or 'nothing'}"
        )
    return tuple(sorted(set(entity_types)))


def anchor_jwks(directory: Path) -> dict[str, Any]:
    """What nodes pin, as a JWK Set: the root key that signs now, and no other. A former one that is stolen in years
    to come must not be pinned by anyone who came after it; roll-overs lead to it from the new one while it counts.
    """
    configuration = read_own(AnchorFolder(directory).configuration())
    return jwks_of([configuration.keys[configuration.token.kid]])


def authority_request(directory: Path) -> dict[str, Any]:
    """The request of an authority to its superior, for JSON. Raises AnchorRefused for an anchor."""
    folder = AnchorFolder(directory)
    facts = folder.facts()
    if not facts.is_authority:
        raise AnchorRefused(f"{facts.entity_id} is an anchor: it has no superior to ask")
    return plain_request(
        entity_id=facts.entity_id,
        name=facts.name,
        federation_keys=list(read_own(folder.configuration()).keys.values()),
        entity_types=facts.entity_types,
        authority=True,
    )


def read_request(directory: Path, request: object) -> Enrolment | PlainEnrolment:
    """An enrolment request that this anchor may grant. Raises AnchorRefused."""
    facts = AnchorFolder(directory).facts()
    if is_plain(request) and isinstance(request, Mapping):
        plain = read_plain(request, allow_http_on_loopback=facts.allow_http_on_loopback)
        check_allowed(plain, facts)
        return plain
    if facts.is_authority:
        raise AnchorRefused(f"{facts.entity_id} is an authority: it takes in no nodes")
    return read_enrolment(request, allow_http_on_loopback=facts.allow_http_on_loopback)


def enroll(
    directory: Path,
    request: object,
    *,
    now: datetime,
    days: int = DEFAULT_DAYS,
    permitted: Sequence[str] = (),
    root_path: Path | None = None,
) -> dict[str, Any]:
    """Take an entity in, or give a member a new statement and a new TLS certificate; return its bundle.

    The bundle is what the entity needs to begin: entity_id, anchor, anchor_jwks, statement, and for a node
    tls_chain_pem, tls_ca_pem and mirrors. `permitted` are hosts below an authority. Raises AnchorRefused: the
    request is wrong, the root key is away, the province has another member, the entity was revoked.
    """
    folder = AnchorFolder(directory, root_key=root_path)
    enrolment = read_request(directory, request)
    with folder.changing():
        if isinstance(enrolment, PlainEnrolment):
            return _enroll_plain(folder, enrolment.below(permitted), now)
        return _enroll_node(folder, enrolment, now, days)


def _enroll_plain(folder: AnchorFolder, enrolment: PlainEnrolment, now: datetime) -> dict[str, Any]:
    _check_free(enrolment, folder.members().values())
    member = _member(folder, enrolment, now)
    member = replace(member, entity_types=enrolment.entity_types, is_authority=enrolment.is_authority)
    member = _signed(folder, member, now)
    folder.write_member(member)
    return _bundle(folder, member)


def _enroll_node(folder: AnchorFolder, enrolment: Enrolment, now: datetime, days: int) -> dict[str, Any]:
    others = folder.members()
    _check_free(enrolment, others.values())
    issued = issue(folder, enrolment.entity_id, enrolment.tls_csr_pem, now, days=days)
    member = replace(
        _member(folder, enrolment, now), province=enrolment.province, grpc_endpoint=enrolment.grpc_endpoint
    )
    member = _signed(folder, with_tls(member, issued), now)
    folder.write_member(member)
    return {
        **_bundle(folder, member),
        "tls_chain_pem": issued.chain_pem.decode("ascii"),
        "tls_ca_pem": ca_bundle(folder, now).decode("ascii"),
        "mirrors": sorted(
            other.entity_id
            for other in others.values()
            if other.is_node and not other.is_revoked and other.entity_id != member.entity_id
        ),
    }


def _member(folder: AnchorFolder, enrolment: Enrolment | PlainEnrolment, now: datetime) -> Member:
    known = folder.members().get(enrolment.entity_id)
    at = int(now.timestamp())
    return Member(
        entity_id=enrolment.entity_id,
        province="",
        name=enrolment.name,
        grpc_endpoint="",
        federation_jwks=jwks_of(enrolment.federation_keys),
        policy=enrolment.policy,
        statement="",
        enrolled_at=known.enrolled_at if known else at,
        tls_not_after=0,
        constraints=enrolment.constraints,
        updated_at=at if known else 0,
    )


def _signed(folder: AnchorFolder, member: Member, now: datetime) -> Member:
    statement = sign_statement(folder.facts(), root_key(folder), member, now)
    return replace(member, statement=statement)


def _bundle(folder: AnchorFolder, member: Member) -> dict[str, Any]:
    return {
        "entity_id": member.entity_id,
        "anchor": folder.facts().entity_id,
        "anchor_jwks": anchor_jwks(folder.directory),
        "statement": member.statement,
    }


def _check_free(enrolment: Enrolment | PlainEnrolment, members: Iterable[Member]) -> None:
    node = enrolment if isinstance(enrolment, Enrolment) else None
    for member in members:
        if member.entity_id == enrolment.entity_id:
            if member.is_revoked:
                raise AnchorRefused(
                    f"{member.entity_id} was revoked: {member.reason}. It needs another entity id"
                )
            if member.is_node is not (node is not None):
                raise AnchorRefused(f"{member.entity_id} is a member of another kind")
        elif node is not None and member.is_node and not member.is_revoked:
            if member.province == node.province:
                raise AnchorRefused(f"the province {member.province} already has the node {member.entity_id}")
            if member.grpc_endpoint == node.grpc_endpoint:
                raise AnchorRefused(f"{member.grpc_endpoint} is already the endpoint of {member.entity_id}")


def revoke(directory: Path, entity_id: str, reason: str, *, now: datetime) -> Member:
    """Take the anchor's word back; the next status says so. A second time changes nothing.

    Raises AnchorRefused: no such member, no reason.
    """
    folder = AnchorFolder(directory)
    if not 0 < len(reason) <= _MOST_REASON or not reason.isprintable():
        raise AnchorRefused(f"a revocation gives its reason in at most {_MOST_REASON} printable characters")
    with folder.changing():
        member = folder.members().get(entity_id)
        if member is None:
            raise AnchorRefused(f"{entity_id} is not a member")
        if not member.is_revoked:
            member = member.revoked(int(now.timestamp()), reason)
            folder.write_member(member)
    return member


def list_members(directory: Path) -> list[Member]:
    """All members by entity id, revoked ones too."""
    return sorted(AnchorFolder(directory).members().values(), key=lambda member: member.entity_id)
