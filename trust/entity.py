"""Entity statements of OpenID Federation 1.1 (§3; the wire of 1.0 is the same): how they are made and read.

A statement is a JWS of type ``entity-statement+jwt``. Issuer and subject the same: an entity configuration,
which an entity says about itself. Different: a subordinate statement, which a superior says about the one
below. What is read here is only well-formed; `trust.chain` says what is proven. Form is, by §3.2:

 a. a JWS within its size, of that type, with a key id (`trust.tokens`), and no trust chain in its header (§4.3)
 b. iss and sub are entity ids; iat and exp are times, in this order
 c. a JWK Set of 1 to 16 public keys, each with a key id of its own (`trust.keys`)
 d. `crit` names only extensions that are understood, never a claim of the standard; here that is none
 e. claims that belong to the other kind of statement are not there
 f. authority and trust anchor hints: at least one each, if any, at most `MAX_HINTS`, none twice
 g. metadata is an object of objects without null
 h. metadata policy and constraints are objects, `metadata_policy_crit` names extensions only; whether they
    are understood is for `trust.policy`, `trust.constraints` and `trust.chain`
 i. `source_endpoint` is a URL; `trust_anchor` is not there, since no registration is answered here
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from trust.algorithms import b64url
from trust.errors import KeyRejected, StatementRejected
from trust.identity import check_entity_id
from trust.keys import Signer, VerificationKey, jwks_of, keys_from_jwks
from trust.tokens import MAX_TOKEN_BYTES, UnverifiedToken, read_token, sign_token

__all__ = [
    "CONFIGURATION_LIFE_S",
    "LATEST_TIME",
    "MAX_HINTS",
    "SKEW_S",
    "STATEMENT_LIFE_S",
    "STATEMENT_TYPE",
    "WELL_KNOWN",
    "UnverifiedStatement",
    "build_entity_configuration",
    "build_subordinate_statement",
    "check_issued",
    "configuration_url",
    "mapping_of",
    "read_statement",
    "statement_digest",
    "time_of",
]

STATEMENT_TYPE = "entity-statement+jwt"
WELL_KNOWN = "/.well-known/openid-federation"
CONFIGURATION_LIFE_S = 24 * 3600
STATEMENT_LIFE_S = 30 * 24 * 3600
SKEW_S = 60
MAX_HINTS = 4
"""How many superiors an entity may name: each would be a branch to follow."""
LATEST_TIME = 253370764799
"""The last second of 9998, the latest that is read: a year before datetime ends, so that a skew can be added."""

_DEFINED = frozenset(
    {"iss", "sub", "iat", "exp", "jwks", "metadata", "crit", "authority_hints", "trust_anchor_hints"}
    | {"trust_marks", "trust_mark_issuers", "trust_mark_owners", "constraints", "metadata_policy"}
    | {"metadata_policy_crit", "source_endpoint", "trust_anchor"}
)
"""The claims of the standard (§3.1). They are always understood, and must not be in `crit`."""
_CONFIGURATION_ONLY = (
    "authority_hints",
    "trust_anchor_hints",
    "trust_marks",
    "trust_mark_issuers",
    "trust_mark_owners",
)
_SUBORDINATE_ONLY = ("metadata_policy", "metadata_policy_crit", "constraints", "source_endpoint")
_REFUSED_HEADERS = ("trust_chain", "peer_trust_chain")


@dataclass(frozen=True, slots=True)
class UnverifiedStatement:
    """A statement that is well-formed by §3. Who made it is not proven; times meet no clock yet."""

    token: UnverifiedToken
    iss: str
    sub: str
    issued_at: datetime
    expires_at: datetime
    keys: Mapping[str, VerificationKey]
    """The federation keys of the subject, by key id."""
    authority_hints: tuple[str, ...]

    @property
    def is_configuration(self) -> bool:
        """Whether the subject itself says it."""
        return self.iss == self.sub

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims."""
        return self.token.claims


def configuration_url(entity_id: str) -> str:
    """Where an entity serves its own configuration (§9)."""
    return entity_id + WELL_KNOWN


def statement_digest(token: str) -> str:
    """Base64url of the token's SHA-256: how a trust status names the current statement."""
    return b64url(sha256(token.encode("ascii")).digest())


def build_entity_configuration(
    *,
    entity_id: str,
    signer: Signer,
    metadata: Mapping[str, Any],
    now: datetime,
    authority_hints: Sequence[str] = (),
    published: Iterable[VerificationKey] = (),
    life_s: int = CONFIGURATION_LIFE_S,
) -> str:
    """What an entity says about itself (§3.1.2). `published` are federation keys beside the signer's own."""
    keys = dict.fromkeys([signer.verification_key, *published])
    claims = _claims(entity_id, entity_id, now, life_s) | {"jwks": jwks_of(keys), "metadata": dict(metadata)}
    if authority_hints:
        claims["authority_hints"] = list(authority_hints)
    return sign_token(claims, signer, typ=STATEMENT_TYPE)


def build_subordinate_statement(
    *,
    issuer: str,
    subject: str,
    subject_keys: Iterable[VerificationKey],
    metadata_policy: Mapping[str, Any],
    signer: Signer,
    now: datetime,
    life_s: int = STATEMENT_LIFE_S,
    metadata: Mapping[str, Any] | None = None,
    constraints: Mapping[str, Any] | None = None,
    metadata_policy_crit: Sequence[str] = (),
    crit: Sequence[str] = (),
    extensions: Mapping[str, Any] | None = None,
) -> str:
    """What a superior says about `subject` (§3.1.3): its keys, and the policy on what it may claim.

    `metadata` goes before the subject's own; `constraints` bind it and all below it. `crit` names those of
    `extensions`, further claims, that whoever reads the statement must understand.
    """
    claims = _claims(issuer, subject, now, life_s) | {"jwks": jwks_of(subject_keys), **(extensions or {})}
    for name, value in (
        ("metadata", metadata),
        ("metadata_policy", metadata_policy),
        ("constraints", constraints),
        ("metadata_policy_crit", list(metadata_policy_crit)),
        ("crit", list(crit)),
    ):
        if value:
            claims[name] = value
    return sign_token(claims, signer, typ=STATEMENT_TYPE)


def _claims(issuer: str, subject: str, now: datetime, life_s: int) -> dict[str, Any]:
    issued_at = int(now.timestamp())
    return {"iss": issuer, "sub": subject, "iat": issued_at, "exp": issued_at + life_s}


def read_statement(
    token: str | bytes, *, allow_http_on_loopback: bool = False, max_bytes: int = MAX_TOKEN_BYTES
) -> UnverifiedStatement:
    """The form of a statement (rules a to i): claims there, of their type, on the right kind of statement.

    Raises StatementRejected (EntityIdRejected for iss and sub), KeyRejected for its key set.
    """
    unverified = read_token(token, max_bytes=max_bytes)
    claims = unverified.claims
    _check_header(unverified.header)  # a
    iss, sub = (_entity(claims, name, allow_http_on_loopback) for name in ("iss", "sub"))  # b
    issued_at, expires_at = time_of(claims, "iat"), time_of(claims, "exp")
    if expires_at <= issued_at:
        raise StatementRejected("the statement ends before it begins")
    keys = _keys(claims)  # c
    _check_critical(claims)  # d
    _check_kind(claims, is_configuration=iss == sub)  # e
    hints = _hints(claims, "authority_hints")  # f
    _hints(claims, "trust_anchor_hints")
    _check_metadata(claims)  # g
    _check_limits(claims)  # h, i
    return UnverifiedStatement(unverified, iss, sub, issued_at, expires_at, keys, hints)


def _check_header(header: Mapping[str, Any]) -> None:
    if header.get("typ") != STATEMENT_TYPE:
        raise StatementRejected(f"a statement is of type {STATEMENT_TYPE}, not {header.get('typ')!r} (§3.2)")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise StatementRejected(f"{name} must not be in the header of a statement (§4.3)")


def _entity(claims: Mapping[str, Any], name: str, allow_http_on_loopback: bool) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise StatementRejected(f"the statement has no {name} (§3.1.1)")
    return check_entity_id(value, allow_http_on_loopback=allow_http_on_loopback)


def time_of(claims: Mapping[str, Any], name: str) -> datetime:
    """A NumericDate claim in whole seconds, as aware UTC. Raises StatementRejected."""
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= LATEST_TIME:
        raise StatementRejected(f"{name} is not a time in whole seconds")
    return datetime.fromtimestamp(value, UTC)


def check_issued(issued_at: datetime, now: datetime, what: str, skew_s: int = SKEW_S) -> None:
    """Return when `what` is not from the future, give or take the skew. Raises StatementRejected."""
    if issued_at > now + timedelta(seconds=skew_s):
        raise StatementRejected(
            f"{what} is from the future: issued at {issued_at.isoformat()}, "
            f"own clock {now.isoformat()}, allowed skew {skew_s} s (§3.2)"
        )


def _keys(claims: Mapping[str, Any]) -> Mapping[str, VerificationKey]:
    """§3.1.1: every key of the set has a kid; that it is the thumbprint, and unique, is checked with it."""
    keys = keys_from_jwks(claims.get("jwks"))
    if not all("kid" in entry for entry in claims["jwks"]["keys"]):
        raise KeyRejected("a key of the statement's set has no kid (§3.1.1)")
    return keys


def _check_critical(claims: Mapping[str, Any]) -> None:
    """§3.1.1, §3.2: a statement with a critical claim that is not understood must be refused."""
    critical = _names(claims, "crit")
    defined = [name for name in critical if name in _DEFINED]
    if defined:
        raise StatementRejected(
            f"crit names {', '.join(defined)}, which the standard itself defines (§3.1.1)"
        )
    if critical:
        raise StatementRejected(
            f"critical claims that are not understood here: {', '.join(critical)} (§3.1.1)"
        )


def _names(claims: Mapping[str, Any], name: str) -> list[str]:
    """A claim that lists names: absent, or at least one, none twice."""
    names = claims.get(name, [])
    if (
        not isinstance(names, list)
        or (name in claims and not names)
        or not all(isinstance(entry, str) for entry in names)
        or len(set(names)) != len(names)
    ):
        raise StatementRejected(f"{name} is not a list of names, each once (§3.2)")
    return names


def _check_kind(claims: Mapping[str, Any], *, is_configuration: bool) -> None:
    """§3.1.2 and §3.1.3: some claims belong to one kind only, and must not be on the other."""
    misplaced = [
        name for name in (_SUBORDINATE_ONLY if is_configuration else _CONFIGURATION_ONLY) if name in claims
    ]
    if misplaced:
        kind = "an entity configuration" if is_configuration else "a subordinate statement"
        raise StatementRejected(f"{', '.join(misplaced)} must not be in {kind} (§3.2)")


def _hints(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    hints = claims.get(name, [])
    if isinstance(hints, list) and len(hints) > MAX_HINTS:
        raise StatementRejected(f"{name} has at most {MAX_HINTS} entity ids, not {len(hints)}")
    return tuple(_names(claims, name))


def _check_metadata(claims: Mapping[str, Any]) -> None:
    metadata = claims.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, dict) for value in metadata.values()):
        raise StatementRejected("metadata is not an object of objects (§5)")
    for entity_type, parameters in metadata.items():
        for parameter, value in parameters.items():
            if value is None:
                raise StatementRejected(f"{entity_type}.{parameter} is null, which is no metadata (§5)")


def _check_limits(claims: Mapping[str, Any]) -> None:
    """What only a superior says (§3.1.3), and what nobody says here."""
    mapping_of(claims, "metadata_policy")
    mapping_of(claims, "constraints")
    _names(claims, "metadata_policy_crit")
    source = claims.get("source_endpoint", "https://")
    if not isinstance(source, str) or not source.startswith(("https://", "http://")):
        raise StatementRejected("source_endpoint is not a URL (§3.2)")
    if "trust_anchor" in claims:
        raise StatementRejected("trust_anchor is only in the response to a registration (§3.1.4)")


def mapping_of(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A claim that is an object; absent is empty. Raises StatementRejected."""
    value = claims.get(name, {})
    if not isinstance(value, dict):
        raise StatementRejected(f"{name} is not an object")
    return MappingProxyType(value)
