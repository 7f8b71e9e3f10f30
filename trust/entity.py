"""Entity statements of OpenID Federation 1.0 (§3; the wire of 1.1 is the same): how they are made and read.

A statement is a JWS of type ``entity-statement+jwt``. Issuer and subject the same: an entity configuration,
which an entity says about itself. Different: a subordinate statement, which a superior says about the one
below. What is read here is only well-formed; `trust.chain` says what is proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from trust.algorithms import b64url
from trust.errors import StatementRejected
from trust.identity import check_entity_id
from trust.keys import Signer, VerificationKey, jwks_of, keys_from_jwks
from trust.tokens import MAX_TOKEN_BYTES, UnverifiedToken, read_token, sign_token

__all__ = [
    "CONFIGURATION_LIFE_S",
    "SKEW_S",
    "STATEMENT_LIFE_S",
    "STATEMENT_TYPE",
    "WELL_KNOWN",
    "UnverifiedStatement",
    "build_entity_configuration",
    "build_subordinate_statement",
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
_MOST_HINTS = 4
_LATEST_TIME = 253402300799  # 9999-12-31, where datetime ends

# Claims that this room understands; one outside of them in `crit` breaks the statement (§3.1.1).
_UNDERSTOOD = frozenset(
    {"iss", "sub", "iat", "exp", "jwks", "metadata", "crit", "authority_hints", "metadata_policy"}
    | {"metadata_policy_crit", "constraints", "source_endpoint"}
)
_CONFIGURATION_ONLY = ("authority_hints", "trust_anchor_hints")
_SUBORDINATE_ONLY = ("metadata_policy", "metadata_policy_crit", "constraints", "source_endpoint")


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
) -> str:
    """What a superior says about `subject` (§3.1.3): its keys, and the policy on what it may claim."""
    claims = _claims(issuer, subject, now, life_s) | {"jwks": jwks_of(subject_keys)}
    if metadata_policy:
        claims["metadata_policy"] = dict(metadata_policy)
    return sign_token(claims, signer, typ=STATEMENT_TYPE)


def _claims(issuer: str, subject: str, now: datetime, life_s: int) -> dict[str, Any]:
    issued_at = int(now.timestamp())
    return {"iss": issuer, "sub": subject, "iat": issued_at, "exp": issued_at + life_s}


def read_statement(
    token: str | bytes, *, allow_http_on_loopback: bool = False, max_bytes: int = MAX_TOKEN_BYTES
) -> UnverifiedStatement:
    """The form of a statement, by §3.1 and §3.2: claims there, of their type, on the right kind of statement.

    Raises StatementRejected (EntityIdRejected for iss and sub), KeyRejected for its key set.
    """
    unverified = read_token(token, max_bytes=max_bytes)
    claims = unverified.claims
    if unverified.header.get("typ") != STATEMENT_TYPE:
        raise StatementRejected(
            f"a statement is of type {STATEMENT_TYPE}, not {unverified.header.get('typ')!r} (§3.2)"
        )
    iss, sub = (_entity(claims, name, allow_http_on_loopback) for name in ("iss", "sub"))
    issued_at, expires_at = time_of(claims, "iat"), time_of(claims, "exp")
    if expires_at <= issued_at:
        raise StatementRejected("the statement ends before it begins")
    _check_critical(claims)
    _check_kind(claims, is_configuration=iss == sub)
    keys = keys_from_jwks(claims.get("jwks"))
    return UnverifiedStatement(unverified, iss, sub, issued_at, expires_at, keys, _hints(claims))


def _entity(claims: Mapping[str, Any], name: str, allow_http_on_loopback: bool) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise StatementRejected(f"the statement has no {name} (§3.1.1)")
    return check_entity_id(value, allow_http_on_loopback=allow_http_on_loopback)


def time_of(claims: Mapping[str, Any], name: str) -> datetime:
    """A NumericDate claim in whole seconds, as aware UTC. Raises StatementRejected."""
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= _LATEST_TIME:
        raise StatementRejected(f"{name} is not a time in whole seconds")
    return datetime.fromtimestamp(value, UTC)


def _check_critical(claims: Mapping[str, Any]) -> None:
    """§3.1.1: a statement with a critical claim that is not understood must be refused."""
    critical = claims.get("crit", ())
    if not isinstance(critical, list | tuple) or ("crit" in claims and not critical):
        raise StatementRejected("crit is not a list of names (§3.1.1)")
    unknown = [str(name) for name in critical if not isinstance(name, str) or name not in _UNDERSTOOD]
    if unknown:
        raise StatementRejected(
            f"critical claims that are not understood here: {', '.join(unknown)} (§3.1.1)"
        )


def _check_kind(claims: Mapping[str, Any], *, is_configuration: bool) -> None:
    """§3.1.2 and §3.1.3: some claims belong to one kind only, and must not be on the other."""
    misplaced = [
        name for name in (_SUBORDINATE_ONLY if is_configuration else _CONFIGURATION_ONLY) if name in claims
    ]
    if misplaced:
        kind = "an entity configuration" if is_configuration else "a subordinate statement"
        raise StatementRejected(f"{', '.join(misplaced)} must not be in {kind} (§3.2)")
    metadata = claims.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, dict) for value in metadata.values()):
        raise StatementRejected("metadata is not an object of objects (§5)")


def _hints(claims: Mapping[str, Any]) -> tuple[str, ...]:
    hints = claims.get("authority_hints", [])
    if (
        not isinstance(hints, list)
        or len(hints) > _MOST_HINTS
        or not all(isinstance(hint, str) for hint in hints)
    ):
        raise StatementRejected(f"authority_hints is a list of at most {_MOST_HINTS} entity ids")
    return tuple(hints)


def mapping_of(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A claim that is an object; absent is empty. Raises StatementRejected."""
    value = claims.get(name, {})
    if not isinstance(value, dict):
        raise StatementRejected(f"{name} is not an object")
    return MappingProxyType(value)
