"""Historical keys (OpenID Federation 1.1 §8.7): which keys an entity used once, until when, and why no more.

A JWS of type ``jwk-set+jwt``, signed with a federation key of today. What was signed with an old key stays
verifiable by it, for the time in which the key counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from trust.entity import SKEW_S, check_issued, time_of
from trust.errors import StatementRejected
from trust.keys import Signer, VerificationKey
from trust.tokens import read_token, sign_token, verify_token

__all__ = [
    "HISTORICAL_KEYS_TYPE",
    "MAX_HISTORICAL_BYTES",
    "MAX_HISTORICAL_KEYS",
    "REASONS",
    "HistoricalKey",
    "HistoricalKeys",
    "build_historical_keys",
    "verify_historical_keys",
]

HISTORICAL_KEYS_TYPE = "jwk-set+jwt"
MAX_HISTORICAL_KEYS = 1000
MAX_HISTORICAL_BYTES = 1024 * 1024
REASONS = ("unspecified", "compromised", "superseded")
"""Those that the standard names (§8.7.3); others may be used."""
_MOST_REASON = 200
_PURPOSE = "yrd_purpose"


@dataclass(frozen=True, slots=True)
class HistoricalKey:
    """A key that counts no more from `expires_at` on, or from `revoked_at`, whichever is first."""

    key: VerificationKey
    expires_at: datetime
    issued_at: datetime | None = None
    revoked_at: datetime | None = None
    reason: str = ""
    """Why it was revoked."""
    purpose: str = ""
    """What the node used it for; empty for a federation key. Not in the standard."""

    def is_valid_at(self, at: datetime) -> bool:
        """Whether the key counted at that time."""
        return (
            (self.issued_at is None or self.issued_at <= at)
            and at < self.expires_at
            and (self.revoked_at is None or at < self.revoked_at)
        )


@dataclass(frozen=True, slots=True)
class HistoricalKeys:
    """A document whose signature holds: the old keys by key id."""

    issued_at: datetime
    keys: Mapping[str, HistoricalKey]


def build_historical_keys(
    *, entity_id: str, keys: Iterable[HistoricalKey], signer: Signer, now: datetime
) -> str:
    """Sign the list of an entity's old keys."""
    claims = {"iss": entity_id, "iat": int(now.timestamp()), "keys": [_jwk(key) for key in keys]}
    return sign_token(claims, signer, typ=HISTORICAL_KEYS_TYPE)


def verify_historical_keys(
    token: str | bytes,
    *,
    entity_id: str,
    keys: Mapping[str, VerificationKey],
    now: datetime,
    skew_s: int = SKEW_S,
    max_bytes: int = MAX_HISTORICAL_BYTES,
) -> HistoricalKeys:
    """Verify the list under the entity's federation keys of today.

    Raises StatementRejected (form, type, issuer, time, a key without its times, one twice), KeyRejected,
    ForeignKey, SignatureForm, BadSignature.
    """
    unverified = read_token(token, max_bytes=max_bytes)
    claims = verify_token(unverified, keys=keys, typ=HISTORICAL_KEYS_TYPE).claims
    if claims.get("iss") != entity_id:
        raise StatementRejected(f"the historical keys are of {claims.get('iss')!r}, not of {entity_id}")
    issued_at = time_of(claims, "iat")
    check_issued(issued_at, now, "the list of historical keys", skew_s)
    entries = claims.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_HISTORICAL_KEYS:
        raise StatementRejected(f"historical keys are a list of at most {MAX_HISTORICAL_KEYS} (§8.7.2)")
    found = [_read(entry) for entry in entries]
    by_kid = {old.key.kid: old for old in found}
    if len(by_kid) != len(found):
        raise StatementRejected("a key is in the list of historical keys twice")
    return HistoricalKeys(issued_at, MappingProxyType(by_kid))


def _jwk(old: HistoricalKey) -> dict[str, Any]:
    entry: dict[str, Any] = {**old.key.jwk, "exp": int(old.expires_at.timestamp())}
    if old.issued_at is not None:
        entry["iat"] = int(old.issued_at.timestamp())
    if old.revoked_at is not None:
        entry["revoked"] = {"revoked_at": int(old.revoked_at.timestamp())}
        if old.reason:
            entry["revoked"]["reason"] = old.reason
    if old.purpose:
        entry[_PURPOSE] = old.purpose
    return entry


def _read(entry: object) -> HistoricalKey:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        raise StatementRejected("a historical key is a JWK with a kid (§8.7.2)")
    key = VerificationKey.from_jwk(entry)
    revoked = entry.get("revoked")
    if "revoked" in entry and not isinstance(revoked, dict):
        raise StatementRejected("revoked is not an object (§8.7.2)")
    return HistoricalKey(
        key,
        time_of(entry, "exp"),
        time_of(entry, "iat") if "iat" in entry else None,
        time_of(revoked, "revoked_at") if revoked is not None else None,
        _text(revoked or {}, "reason"),
        _text(entry, _PURPOSE),
    )


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str) or len(value) > _MOST_REASON:
        raise StatementRejected(f"{name} of a historical key is not a short text")
    return value
