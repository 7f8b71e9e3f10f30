"""What the anchor does: begin, enrol, revoke, publish. Files in, files out; nothing here listens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from node.anchor.enrolment import AnchorRefused, Enrolment, read_enrolment
from node.anchor.folder import AnchorFacts, AnchorFolder, Member
from trust.entity import (
    STATEMENT_LIFE_S,
    build_entity_configuration,
    build_subordinate_statement,
    read_statement,
)
from trust.errors import TrustError
from trust.identity import check_entity_id
from trust.keys import SigningKey, VerificationKey, jwks_of, keys_from_jwks
from trust.status import ANCHOR_TYPE, Revocation, build_status
from trust.x509 import DEFAULT_DAYS, identity_from_pem, issue_from_csr, make_ca

__all__ = [
    "FETCH_PATH",
    "LIST_PATH",
    "STATUS_PATH",
    "anchor_jwks",
    "current_status",
    "enroll",
    "init_anchor",
    "list_members",
    "publish",
    "revoke",
]

FETCH_PATH = "/federation/fetch"
LIST_PATH = "/federation/list"
STATUS_PATH = "/federation/status"
_KEYS = ("federation", "status", "ca")
_MOST_REASON = 200


def init_anchor(
    directory: Path, entity_id: str, *, name: str, now: datetime, allow_http_on_loopback: bool = False
) -> AnchorFolder:
    """Make an anchor: its keys, its CA, its signed configuration.

    Raises AnchorRefused when there is one already, or the entity id is none.
    """
    try:
        check_entity_id(entity_id, allow_http_on_loopback=allow_http_on_loopback)
    except TrustError as error:
        raise AnchorRefused(error.detail) from error
    keys = {key: SigningKey.generate() for key in _KEYS}
    folder = AnchorFolder(directory)
    folder.create(AnchorFacts(entity_id, name, allow_http_on_loopback), keys, make_ca(keys["ca"], name, now))
    publish(directory, now=now)
    return folder


def anchor_jwks(directory: Path) -> dict[str, Any]:
    """The public root keys that nodes pin, as a JWK Set."""
    folder = AnchorFolder(directory)
    statement = read_statement(folder.configuration(), allow_http_on_loopback=True)
    return jwks_of(statement.keys.values())


def enroll(directory: Path, request: object, *, now: datetime, days: int = DEFAULT_DAYS) -> dict[str, Any]:
    """Take a node in, or give a member a new statement and a new TLS certificate; return its bundle.

    The bundle is what the node needs to begin: entity_id, anchor, anchor_jwks, statement, tls_chain_pem,
    tls_ca_pem. Raises AnchorRefused: the request is wrong, the province has another member, the entity was
    revoked.
    """
    folder = AnchorFolder(directory)
    facts = folder.facts()
    enrolment = read_enrolment(request, allow_http_on_loopback=facts.allow_http_on_loopback)
    _check_free(enrolment, folder.members().values())
    chain = issue_from_csr(
        enrolment.tls_csr_pem, folder.ca_pem(), folder.key("ca"), enrolment.entity_id, now, days=days
    )
    member = Member(
        entity_id=enrolment.entity_id,
        province=enrolment.province,
        name=enrolment.name,
        grpc_endpoint=enrolment.grpc_endpoint,
        federation_jwks=jwks_of(enrolment.federation_keys),
        policy=enrolment.policy,
        statement=_sign_statement(
            facts,
            folder.key("federation"),
            enrolment.entity_id,
            enrolment.federation_keys,
            enrolment.policy,
            now,
        ),
        enrolled_at=int(now.timestamp()),
        tls_not_after=int(identity_from_pem(chain).not_after.timestamp()),
    )
    folder.write_member(member)
    return {
        "entity_id": member.entity_id,
        "anchor": facts.entity_id,
        "anchor_jwks": anchor_jwks(directory),
        "statement": member.statement,
        "tls_chain_pem": chain.decode("ascii"),
        "tls_ca_pem": folder.ca_pem().decode("ascii"),
    }


def _check_free(enrolment: Enrolment, members: Iterable[Member]) -> None:
    for member in members:
        if member.entity_id == enrolment.entity_id and member.is_revoked:
            raise AnchorRefused(
                f"{member.entity_id} was revoked: {member.reason}. It needs another entity id"
            )
        if member.entity_id != enrolment.entity_id and not member.is_revoked:
            if member.province == enrolment.province:
                raise AnchorRefused(f"the province {member.province} already has the node {member.entity_id}")
            if member.grpc_endpoint == enrolment.grpc_endpoint:
                raise AnchorRefused(f"{member.grpc_endpoint} is already the endpoint of {member.entity_id}")


def revoke(directory: Path, entity_id: str, reason: str, *, now: datetime) -> Member:
    """Take the anchor's word back; the next status says so. A second time changes nothing.

    Raises AnchorRefused: no such member, no reason.
    """
    folder = AnchorFolder(directory)
    member = folder.members().get(entity_id)
    if member is None:
        raise AnchorRefused(f"{entity_id} is not a member")
    if not 0 < len(reason) <= _MOST_REASON:
        raise AnchorRefused(f"a revocation gives its reason in at most {_MOST_REASON} characters")
    if not member.is_revoked:
        member = member.revoked(int(now.timestamp()), reason)
        folder.write_member(member)
    return member


def list_members(directory: Path) -> list[Member]:
    """All members by entity id, revoked ones too."""
    return sorted(AnchorFolder(directory).members().values(), key=lambda member: member.entity_id)


def publish(directory: Path, *, now: datetime, renew_within_s: int = STATEMENT_LIFE_S) -> int:
    """Sign anew, with the root key, whatever ends within `renew_within_s`: the configuration and the
    statements of members in good standing. By default everything. Returns how many. Raises AnchorRefused
    without the root key.
    """
    folder = AnchorFolder(directory)
    facts, root = folder.facts(), folder.key("federation")
    signed = 0
    configuration = folder.configuration()
    if not configuration or _ends_within(configuration, now, renew_within_s):
        folder.write_configuration(
            _sign_configuration(
                facts,
                root,
                folder.key("status").verification_key,
                now,
                tls_ca_pem=[folder.ca_pem().decode("ascii")],
            )
        )
        signed += 1
    for member in folder.members().values():
        if not member.is_revoked and _ends_within(member.statement, now, renew_within_s):
            keys = keys_from_jwks(member.federation_jwks).values()
            statement = _sign_statement(facts, root, member.entity_id, keys, member.policy, now)
            folder.write_member(replace(member, statement=statement))
            signed += 1
    return signed


def current_status(folder: AnchorFolder, members: Iterable[Member], *, now: datetime) -> str:
    """A new trust status over these members, under the next sequence number. Raises AnchorRefused."""
    known = sorted(members, key=lambda member: member.entity_id)
    return build_status(
        anchor=folder.facts().entity_id,
        sequence=folder.next_sequence(int(now.timestamp())),
        statements={member.entity_id: member.statement for member in known if not member.is_revoked},
        revocations=[
            Revocation(member.entity_id, datetime.fromtimestamp(member.revoked_at, UTC), member.reason)
            for member in known
            if member.is_revoked
        ],
        signer=folder.key("status"),
        now=now,
    )


def _ends_within(token: str, now: datetime, seconds: int) -> bool:
    ends = read_statement(token, allow_http_on_loopback=True).expires_at
    return ends - now <= timedelta(seconds=seconds)


def _sign_configuration(
    facts: AnchorFacts,
    root: SigningKey,
    status_key: VerificationKey,
    now: datetime,
    *,
    tls_ca_pem: Sequence[str],
) -> str:
    metadata = {
        "federation_entity": {
            "organization_name": facts.name,
            "federation_fetch_endpoint": facts.entity_id + FETCH_PATH,
            "federation_list_endpoint": facts.entity_id + LIST_PATH,
        },
        ANCHOR_TYPE: {
            "status_endpoint": facts.entity_id + STATUS_PATH,
            "status_jwks": jwks_of([status_key]),
            "tls_ca_pem": list(tls_ca_pem),
        },
    }
    return build_entity_configuration(
        entity_id=facts.entity_id, signer=root, metadata=metadata, now=now, life_s=STATEMENT_LIFE_S
    )


def _sign_statement(
    facts: AnchorFacts,
    root: SigningKey,
    subject: str,
    keys: Iterable[VerificationKey],
    policy: Mapping[str, Any],
    now: datetime,
) -> str:
    return build_subordinate_statement(
        issuer=facts.entity_id,
        subject=subject,
        subject_keys=keys,
        metadata_policy=policy,
        signer=root,
        now=now,
    )
