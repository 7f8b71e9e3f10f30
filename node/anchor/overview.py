"""What an operator of the anchor wants to see: what ends when, and one member in full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.x509 import load_pem_x509_certificate

from node.anchor.changing import active_name, fingerprint
from node.anchor.folder import ROOT, AnchorFolder, Member
from node.anchor.signing import former_keys, read_own
from node.anchor.watch import pending_keys
from trust.keys import keys_from_jwks

__all__ = ["Ending", "endings", "member_in_full", "pending_of"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends: what it is, in both languages, when, and what prevents it."""

    zh: str
    en: str
    at: datetime
    remedy: str


def endings(folder: AnchorFolder) -> list[Ending]:
    """What ends, the first first."""
    found = [_of_token("锚的实体声明", "the anchor's configuration", folder.configuration())]
    for member in folder.members().values():
        if member.is_revoked:
            continue
        found.append(
            _of_token(f"{member.name} 的声明", f"the statement about {member.entity_id}", member.statement)
        )
        if member.tls_not_after:
            at = datetime.fromtimestamp(member.tls_not_after, UTC)
            found.append(
                Ending(
                    f"{member.name} 的 TLS 证书",
                    f"TLS of {member.entity_id}",
                    at,
                    "the node renews it itself at two thirds of its life; else yrd anchor issue",
                )
            )
    for name in ("ca", "ca.next"):
        if pem := folder.ca_pem(name):
            at = load_pem_x509_certificate(pem).not_valid_after_utc
            found.append(Ending("TLS 的 CA", f"the CA {name}", at, "yrd anchor rotate --ca"))
    for purpose, change in folder.changes().items():
        at = datetime.fromtimestamp(change["old_until"], UTC)
        found.append(
            Ending(f"旧的 {purpose} 密钥", f"the old {purpose} key", at, "yrd anchor rotate --finish")
        )
    if folder.has_key(f"{ROOT}.old"):
        at = former_keys(folder)[-1].old_until
        found.append(Ending("旧的根密钥", "the old root key", at, "yrd anchor rotate --finish"))
    return sorted(found, key=lambda ending: ending.at)


def _of_token(zh: str, en: str, token: str) -> Ending:
    return Ending(zh, en, read_own(token).expires_at, "yrd anchor publish")


def pending_of(folder: AnchorFolder, member: Member, now: datetime) -> tuple[str, ...]:
    """The key ids that a member has published and its statement does not name; empty: nothing is pending."""
    if member.is_revoked:
        return ()
    return tuple(key.kid for key in pending_keys(member, folder.seen(member.entity_id), now))


def member_in_full(folder: AnchorFolder, member: Member, now: datetime) -> dict[str, Any]:
    """Everything about one member, for JSON."""
    statement, seen = read_own(member.statement), folder.seen(member.entity_id)
    return {
        "entity_id": member.entity_id,
        "name": member.name,
        "province": member.province,
        "grpc_endpoint": member.grpc_endpoint,
        "kind": "node" if member.is_node else "authority" if member.is_authority else "entity",
        "entity_types": list(member.types if member.is_node else member.entity_types),
        "standing": "revoked" if member.is_revoked else "member",
        "revoked_at": _time(member.revoked_at),
        "reason": member.reason,
        "enrolled_at": _time(member.enrolled_at),
        "updated_at": _time(member.updated_at),
        "federation_keys": list(keys_from_jwks(member.federation_jwks)),
        "pending_keys": list(pending_of(folder, member, now)),
        "statement_issued_at": statement.issued_at.isoformat(),
        "statement_expires_at": statement.expires_at.isoformat(),
        "statement_key": statement.token.kid,
        "tls_expires_at": _time(member.tls_not_after),
        "tls_renewed_at": _time(member.tls_issued_at),
        "tls_ca_is_current": _has_current_ca(folder, member, now),
        "seen_at": _time(int(seen.get("seen_at", 0))),
        "seen_problem": str(seen.get("problem", "")),
        "policy": member.policy,
        "constraints": member.constraints,
    }


def _has_current_ca(folder: AnchorFolder, member: Member, now: datetime) -> bool | None:
    """None: it has no TLS certificate, or one of before it was noted which CA issued it."""
    pem = folder.ca_pem(active_name(folder, "ca", now))
    return fingerprint(pem) == member.tls_ca if member.tls_ca and pem else None


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""
