"""What the root key signs: the anchor's configuration (OpenID Federation 1.1 §3.1.2), the statement about each
member (§3.1.3), and its former keys (§8.7). All of it is signed ahead, so that the key can go away again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from node.anchor.changing import authorities, status_keys
from node.anchor.folder import ROOT, AnchorFacts, AnchorFolder, Member
from node.anchor.member import AnchorRefused
from trust.documents import (
    FETCH_PATH,
    HISTORICAL_KEYS_PATH,
    LIST_PATH,
    RESOLVE_PATH,
    STATUS_PATH,
)
from trust.entity import (
    STATEMENT_LIFE_S,
    UnverifiedStatement,
    build_entity_configuration,
    build_subordinate_statement,
    read_statement,
)
from trust.errors import TrustError
from trust.historical import HistoricalKey, build_historical_keys
from trust.keys import SigningKey, VerificationKey, jwks_of, keys_from_jwks
from trust.rollover import RollOver, read_roll_overs
from trust.status import ANCHOR_TYPE

__all__ = [
    "EXTENDED_LIST_PATH",
    "former_keys",
    "is_due",
    "read_own",
    "root_key",
    "sign_configuration",
    "sign_former_keys",
    "sign_statement",
]

EXTENDED_LIST_PATH = "/federation/extended-list"


def read_own(token: str) -> UnverifiedStatement:
    """A statement that lies in the anchor's own folder."""
    return read_statement(token, allow_http_on_loopback=True)


def root_key(folder: AnchorFolder) -> SigningKey:
    """The root key, which must be the one that the anchor's configuration is signed with.

    Raises AnchorRefused: it is away, others may read it, it is another one.
    """
    key, configuration, roll_overs = folder.key(ROOT), folder.configuration(), former_keys(folder)
    expected = read_own(configuration).token.kid if configuration else key.kid
    if roll_overs:
        expected = roll_overs[-1].new.kid
    if key.kid != expected:
        raise AnchorRefused(f"the key {key.kid} is not this anchor's root key, which is {expected}")
    return key


def former_keys(folder: AnchorFolder) -> tuple[RollOver, ...]:
    """How the root key passed on so far. Raises AnchorRefused when the file does not hold."""
    try:
        return read_roll_overs(folder.roll_overs(), anchor=folder.facts().entity_id)
    except TrustError as error:
        raise AnchorRefused(f"roll-overs.json does not hold: {error.detail}") from error


def sign_configuration(
    folder: AnchorFolder, root: SigningKey, now: datetime, *, life_s: int = STATEMENT_LIFE_S
) -> str:
    """The anchor's configuration of `now`: every key that counts, with those that come and those that go."""
    facts = folder.facts()
    return build_entity_configuration(
        entity_id=facts.entity_id,
        signer=root,
        metadata=_metadata(folder, facts, now),
        now=now,
        authority_hints=[facts.superior] if facts.superior else (),
        published=_published(folder, root, now),
        life_s=life_s,
    )


def _published(folder: AnchorFolder, root: SigningKey, now: datetime) -> Sequence[VerificationKey]:
    """Former root keys that still count, and an authority's next one."""
    keys = [roll_over.old for roll_over in former_keys(folder) if roll_over.old_until > now]
    if folder.has_key(f"{ROOT}.next"):
        keys.append(folder.key(f"{ROOT}.next").verification_key)
    return [key for key in keys if key != root.verification_key]


def _metadata(folder: AnchorFolder, facts: AnchorFacts, now: datetime) -> dict[str, dict[str, Any]]:
    base = facts.entity_id
    federation = {
        "organization_name": facts.name,
        "federation_fetch_endpoint": base + FETCH_PATH,
        "federation_list_endpoint": base + LIST_PATH,
        "federation_extended_list_endpoint": base + EXTENDED_LIST_PATH,
        "federation_historical_keys_endpoint": base + HISTORICAL_KEYS_PATH,
    }
    if facts.is_authority:
        return {"federation_entity": federation}
    return {
        "federation_entity": {**federation, "federation_resolve_endpoint": base + RESOLVE_PATH},
        ANCHOR_TYPE: {
            "status_endpoint": base + STATUS_PATH,
            "status_jwks": jwks_of(status_keys(folder, now)),
            "tls_ca_pem": [pem.decode("ascii") for pem in authorities(folder)],
            "witness_quorum": facts.witness_quorum,
        },
    }


def sign_statement(
    facts: AnchorFacts, root: SigningKey, member: Member, now: datetime, *, life_s: int = STATEMENT_LIFE_S
) -> str:
    """What the anchor says about a member now."""
    return build_subordinate_statement(
        issuer=facts.entity_id,
        subject=member.entity_id,
        subject_keys=keys_from_jwks(member.federation_jwks).values(),
        metadata_policy=member.policy,
        constraints=member.constraints,
        signer=root,
        now=now,
        life_s=life_s,
    )


def sign_former_keys(folder: AnchorFolder, root: SigningKey, now: datetime) -> str:
    """The root keys of before, each with the time it ended and why (§8.7)."""
    roll_overs = former_keys(folder)
    began = [None, *(roll_over.at for roll_over in roll_overs)]
    keys = [
        HistoricalKey(
            key=roll_over.old,
            expires_at=roll_over.old_until,
            issued_at=since,
            revoked_at=roll_over.at if roll_over.old_until == roll_over.at else None,
            reason=roll_over.reason if roll_over.old_until == roll_over.at else "",
        )
        for since, roll_over in zip(began, roll_overs, strict=False)
    ]
    return build_historical_keys(entity_id=folder.facts().entity_id, keys=keys, signer=root, now=now)


def is_due(token: str, fresh: str, now: datetime, renew_within_s: int | None) -> bool:
    """Whether `token` is to be replaced by `fresh`: it ends soon, or it says something else, or another key
    signed it; None: always.
    """
    if not token or renew_within_s is None:
        return True
    old, new = read_own(token), read_own(fresh)
    if old.expires_at - now <= timedelta(seconds=renew_within_s):
        return True
    return old.token.kid != new.token.kid or _said(old.claims) != _said(new.claims)


def _said(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if name not in ("iat", "exp")}
