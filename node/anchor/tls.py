"""TLS certificates for members: at enrolment, when a node asks with its federation key, and from a file for a
CA that is offline.

What a node asks is checked by `trust.renewal`; here is added that the member is a node in good standing, that
it does not ask too often, and which CA issues now. A node is given all CAs that it must trust meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from node.anchor.changing import active_name, authorities, ca_bundle, fingerprint
from node.anchor.folder import AnchorFolder, Member
from node.anchor.member import AnchorRefused
from trust.entity import SKEW_S, time_of
from trust.errors import TrustError
from trust.keys import VerificationKey, keys_from_jwks
from trust.renewal import RENEWAL_MAX_BYTES, read_renewal_request
from trust.tokens import read_token
from trust.x509 import DEFAULT_DAYS, identity_from_pem, issue_from_csr

__all__ = ["Issued", "RenewalRefused", "issue", "issue_from_file", "renew", "with_tls"]

_APART_S = 10
_OLDEST_FILE = timedelta(days=7)


class RenewalRefused(AnchorRefused):
    """A node's request for a TLS certificate is refused; `status` and `code` say it over HTTP."""

    def __init__(self, status: int, code: str, text: str, *, retry_after_s: int = 0) -> None:
        super().__init__(text)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was just issued: leaf and CA in PEM, and what the member's record keeps of it."""

    chain_pem: bytes
    not_after: int
    ca: str
    cas_given: tuple[str, ...]


def issue(folder: AnchorFolder, entity_id: str, csr_pem: bytes, now: datetime, *, days: int) -> Issued:
    """A TLS certificate for the key of the request, by the CA that issues now.

    Raises AnchorRefused: the CA's key is not here, the request is not for this entity.
    """
    name = active_name(folder, "ca", now)
    ca_pem = folder.ca_pem(name)
    try:
        chain = issue_from_csr(csr_pem, ca_pem, folder.key(name), entity_id, now, days=days)
    except TrustError as error:
        raise AnchorRefused(error.detail) from error
    not_after = int(identity_from_pem(chain).not_after.timestamp())
    given = tuple(fingerprint(pem) for pem in authorities(folder))
    return Issued(chain, not_after, fingerprint(ca_pem), given)


def with_tls(member: Member, issued: Issued) -> Member:
    """The member's record after it was given a certificate."""
    return replace(member, tls_not_after=issued.not_after, tls_ca=issued.ca, tls_cas_given=issued.cas_given)


def renew(directory: Path, token: bytes, *, now: datetime, days: int = DEFAULT_DAYS) -> dict[str, str]:
    """What a node that asks with its federation key is given: tls_chain_pem and tls_ca_pem.

    Raises RenewalRefused: not a member in good standing, a request that does not hold, too soon after the
    last, the CA offline.
    """
    folder = AnchorFolder(directory)
    members = folder.members()
    try:  # before the folder is held: strangers must not keep the operator's commands waiting
        request = read_renewal_request(
            token, anchor=folder.facts().entity_id, now=now, keys_of=lambda who: _keys(members.get(who))
        )
    except TrustError as error:
        raise RenewalRefused(400, "invalid_request", error.detail) from error
    with folder.changing():
        member = folder.members()[request.entity_id]
        _keys(member)  # it may have been revoked meanwhile
        wait_s = _APART_S - (int(now.timestamp()) - member.tls_issued_at)
        if 0 < wait_s <= _APART_S:
            raise RenewalRefused(
                429, "temporarily_unavailable", f"asked too soon, again in {wait_s} s", retry_after_s=wait_s
            )
        if not folder.has_key(active_name(folder, "ca", now)):
            raise RenewalRefused(
                503, "temporarily_unavailable", "the CA is offline: its operator issues with yrd anchor issue"
            )
        return _give(folder, member, request.csr_pem, now, days)


def issue_from_file(
    directory: Path, request: bytes | Mapping[str, Any], *, now: datetime, days: int = DEFAULT_DAYS
) -> dict[str, str]:
    """The same at an offline CA, by its operator: from a node's signed request, which may be some days old, or
    from its enrolment request, whose TLS key the operator has compared.

    Raises AnchorRefused.
    """
    folder = AnchorFolder(directory)
    with folder.changing():
        members = folder.members()
        if isinstance(request, Mapping):
            entity_id, csr = request.get("entity_id"), request.get("tls_csr_pem")
            if not isinstance(entity_id, str) or not isinstance(csr, str) or not csr.isascii():
                raise AnchorRefused("the request names no entity_id and tls_csr_pem")
            csr_pem = csr.encode("ascii")
        else:
            entity_id, csr_pem = _read_filed(request, folder.facts().entity_id, members, now)
        if _keys(members.get(entity_id)) is None:
            raise AnchorRefused(f"{entity_id} is not a node that is a member")
        return _give(folder, members[entity_id], csr_pem, now, days)


def _read_filed(token: bytes, anchor: str, members: Mapping[str, Member], now: datetime) -> tuple[str, bytes]:
    """A signed request that took some days to get here is checked as of when it was made."""
    try:
        made_at = time_of(read_token(token.strip(), max_bytes=RENEWAL_MAX_BYTES).claims, "iat")
        if not -timedelta(seconds=SKEW_S) <= now - made_at <= _OLDEST_FILE:
            raise AnchorRefused(f"the request is of {made_at.isoformat()}: ask the node for a new one")
        request = read_renewal_request(
            token.strip(), anchor=anchor, now=made_at, keys_of=lambda who: _keys(members.get(who))
        )
    except TrustError as error:
        raise AnchorRefused(error.detail) from error
    return request.entity_id, request.csr_pem


def _keys(member: Member | None) -> Mapping[str, VerificationKey] | None:
    if member is not None and member.is_revoked:
        raise RenewalRefused(403, "access_denied", f"{member.entity_id} was revoked: {member.reason}")
    return keys_from_jwks(member.federation_jwks) if member is not None and member.is_node else None


def _give(folder: AnchorFolder, member: Member, csr_pem: bytes, now: datetime, days: int) -> dict[str, str]:
    issued = issue(folder, member.entity_id, csr_pem, now, days=days)
    folder.write_member(replace(with_tls(member, issued), tls_issued_at=int(now.timestamp())))
    return {
        "tls_chain_pem": issued.chain_pem.decode("ascii"),
        "tls_ca_pem": ca_bundle(folder, now).decode("ascii"),
    }
