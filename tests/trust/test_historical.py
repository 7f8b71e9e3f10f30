"""Historical keys: until when a key counted and why no more; and each refusal."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jwk, jws

from tests.support.clock import NOON
from tests.trust.federation import ANHUI, ANHUI_KEY, ZHEJIANG, ZHEJIANG_KEY, bend
from trust.errors import ForeignKey, KeyRejected, StatementRejected, TrustError
from trust.historical import (
    HISTORICAL_KEYS_TYPE,
    MAX_HISTORICAL_KEYS,
    REASONS,
    HistoricalKey,
    HistoricalKeys,
    build_historical_keys,
    verify_historical_keys,
)
from trust.keys import SigningKey

DAY = timedelta(days=1)
OLD, STOLEN = SigningKey.generate().verification_key, SigningKey.generate("EdDSA").verification_key
KEYS = [
    HistoricalKey(OLD, expires_at=NOON, issued_at=NOON - 30 * DAY),
    HistoricalKey(
        STOLEN,
        expires_at=NOON + DAY,
        issued_at=NOON - 30 * DAY,
        revoked_at=NOON - DAY,
        reason="compromised",
        purpose="envelope",
    ),
]


def _build(keys: list[HistoricalKey] | None = None) -> str:
    return build_historical_keys(
        entity_id=ZHEJIANG, keys=KEYS if keys is None else keys, signer=ZHEJIANG_KEY, now=NOON
    )


def _verify(token: str, **other: Any) -> HistoricalKeys:
    facts: dict[str, Any] = {
        "entity_id": ZHEJIANG,
        "keys": {ZHEJIANG_KEY.kid: ZHEJIANG_KEY.verification_key},
        "now": NOON,
    }
    return verify_historical_keys(token, **{**facts, **other})


def test_what_was_built_is_read() -> None:
    found = _verify(_build())
    assert found.issued_at == NOON
    assert found.keys == {OLD.kid: KEYS[0], STOLEN.kid: KEYS[1]}
    assert _verify(_build([])).keys == {}


def test_an_independent_reader_finds_the_claims_of_the_standard() -> None:
    key = jwk.import_key(dict(ZHEJIANG_KEY.verification_key.jwk))
    opened = jws.deserialize_compact(_build(), key, algorithms=["ES256"])
    claims = json.loads(opened.payload or b"")
    assert opened.headers()["typ"] == "jwk-set+jwt"
    assert set(claims) == {"iss", "iat", "keys"}
    assert claims["keys"][0]["exp"] == int(NOON.timestamp())
    assert claims["keys"][1]["revoked"] == {
        "revoked_at": int((NOON - DAY).timestamp()),
        "reason": "compromised",
    }
    assert "compromised" in REASONS
    assert [jwk.import_key(entry).kid for entry in claims["keys"]] == [OLD.kid, STOLEN.kid]


@pytest.mark.parametrize(
    ("key", "at", "valid"),
    [
        (KEYS[0], NOON - 31 * DAY, False),
        (KEYS[0], NOON - 30 * DAY, True),
        (KEYS[0], NOON - timedelta(seconds=1), True),
        (KEYS[0], NOON, False),
        (KEYS[1], NOON - 2 * DAY, True),
        (KEYS[1], NOON - DAY, False),
        (HistoricalKey(OLD, NOON), NOON - 9999 * DAY, True),
    ],
)
def test_a_key_counts_from_its_issue_until_it_ends_or_is_revoked(
    key: HistoricalKey, at: datetime, valid: bool
) -> None:
    assert key.is_valid_at(at) is valid


def _entry(**members: Any) -> dict[str, Any]:
    entry = {**OLD.jwk, "exp": 1, **members}
    return {name: value for name, value in entry.items() if value is not None}


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": ANHUI}, StatementRejected),
        ({"iat": None}, StatementRejected),
        ({"iat": int(NOON.timestamp()) + 61}, StatementRejected),
        ({"keys": None}, StatementRejected),
        ({"keys": {}}, StatementRejected),
        ({"keys": [1]}, StatementRejected),
        ({"keys": [_entry(), _entry()]}, StatementRejected),
        ({"keys": [_entry(kid=None)]}, StatementRejected),
        ({"keys": [_entry(kid="other")]}, KeyRejected),
        ({"keys": [_entry(d="AA")]}, KeyRejected),
        ({"keys": [_entry(exp=None)]}, StatementRejected),
        ({"keys": [_entry(exp="1")]}, StatementRejected),
        ({"keys": [_entry(iat="1")]}, StatementRejected),
        ({"keys": [_entry(revoked=True)]}, StatementRejected),
        ({"keys": [_entry(revoked={})]}, StatementRejected),
        ({"keys": [_entry(revoked={"revoked_at": 1, "reason": 7})]}, StatementRejected),
        ({"keys": [_entry(revoked={"revoked_at": 1, "reason": "x" * 201})]}, StatementRejected),
        ({"keys": [{}] * (MAX_HISTORICAL_KEYS + 1)}, StatementRejected),
        ({"typ": "JWT"}, StatementRejected),
        ({"signer": ANHUI_KEY}, ForeignKey),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value.__name__,
)
def test_what_breaks_a_rule_is_refused(claims: dict[str, Any], error: type[TrustError]) -> None:
    options = {"signer": ZHEJIANG_KEY, "typ": HISTORICAL_KEYS_TYPE, **claims}
    with pytest.raises(error):
        _verify(bend(_build(), **options))


def test_as_many_as_allowed_fit() -> None:
    keys = [HistoricalKey(SigningKey.generate("EdDSA").verification_key, NOON, NOON) for _ in range(1000)]
    assert len(_verify(_build(keys)).keys) == MAX_HISTORICAL_KEYS


def test_too_long_a_list_is_refused_unread() -> None:
    with pytest.raises(StatementRejected, match="at most 100"):
        _verify(_build(), max_bytes=100)
