from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.clock import NOON
from trust.authentication import (
    AUTHENTICATION_TYPE,
    Authentication,
    open_authentication,
    seal_authentication,
)
from trust.envelope import seal
from trust.errors import AuthenticationRejected, BadSignature, EnvelopeMalformed, ForeignKey, TrustError
from trust.evidence import canonical_json
from trust.keys import SigningKey

KEY = SigningKey.generate()
HERE, NUMBER = "https://node.sh.example", "330102199003077896"
REQUEST_ID = "01a19c21-7200-7000-8000-000000000001"
SAID = Authentication(
    holder_id_type="111",
    holder_id=NUMBER,
    acr="urn:yrd:acr:high",
    auth_time=NOON - timedelta(minutes=5),
    aud=HERE,
    iat=NOON,
    exp=NOON + timedelta(seconds=300),
    jti=REQUEST_ID,
)


def opened(envelope: bytes, **changes: Any) -> Authentication:
    """Open it as the node that it is for does."""
    asked: dict[str, Any] = {
        "keys": {KEY.kid: KEY.verification_key},
        "audience": HERE,
        "holder": ("111", NUMBER),
        "request_id": REQUEST_ID,
        "now": NOON,
        "skew_s": 60,
    }
    return open_authentication(envelope, **{**asked, **changes})


def test_an_honest_statement_says_what_was_signed() -> None:
    assert opened(seal_authentication(SAID, KEY).envelope) == SAID


REJECTED: list[tuple[dict[str, Any], str]] = [
    ({"aud": "https://node.zj.example"}, "it is for https://node.zj.example"),
    ({"holder_id": "110101199003077715"}, "another holder"),
    ({"holder_id_type": "112"}, "another holder"),
    ({"jti": REQUEST_ID[:-1] + "2"}, "for request"),
    ({"iat": NOON + timedelta(seconds=61), "exp": NOON + timedelta(seconds=120)}, "from the future"),
    ({"exp": NOON + timedelta(seconds=301)}, "at most 300 s"),
    ({"exp": NOON}, "at most 300 s"),
    ({"iat": NOON - timedelta(seconds=400), "exp": NOON - timedelta(seconds=101)}, "expired"),
    ({"auth_time": NOON - timedelta(seconds=3601)}, "log in again"),
    ({"auth_time": NOON + timedelta(seconds=61)}, "auth_time"),
    ({"acr": ""}, "does not say"),
]


@pytest.mark.parametrize(("changes", "why"), REJECTED, ids=lambda value: str(value)[:40])
def test_each_check_refuses(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(AuthenticationRejected, match=why) as refused:
        opened(seal_authentication(replace(SAID, **changes), KEY).envelope)
    assert NUMBER not in str(refused.value)


@pytest.mark.parametrize(("skew", "refused"), [(59, False), (60, False), (61, True)])
def test_an_expired_statement_is_taken_within_the_skew_only(skew: int, refused: bool) -> None:
    envelope = seal_authentication(SAID, KEY).envelope
    now: datetime = SAID.exp + timedelta(seconds=skew)
    if refused:
        with pytest.raises(AuthenticationRejected, match="expired"):
            opened(envelope, now=now)
    else:
        opened(envelope, now=now)


def test_another_signer_and_a_changed_byte_are_refused() -> None:
    with pytest.raises(ForeignKey):
        opened(seal_authentication(SAID, SigningKey.generate()).envelope)
    sealed = seal_authentication(SAID, KEY)
    changed = sealed.envelope.replace(b"urn:yrd:acr:high", b"urn:yrd:acr:HIGH")
    with pytest.raises(BadSignature):
        opened(changed)
    with pytest.raises(EnvelopeMalformed):
        opened(sealed.envelope + b"\0")


def test_another_kind_of_message_of_the_same_node_is_no_statement() -> None:
    payload = seal_authentication(SAID, KEY).payload
    with pytest.raises(AuthenticationRejected, match="type"):
        opened(seal("application/vnd.yrd.other.v1+json", payload, KEY).envelope)


def claims(**changes: Any) -> dict[str, Any]:
    """The claims as JSON, with changes; None takes one out."""
    said: dict[str, Any] = {
        **{name: getattr(SAID, name) for name in ("holder_id_type", "holder_id", "acr", "aud", "jti")},
        **{name: int(getattr(SAID, name).timestamp()) for name in ("auth_time", "iat", "exp")},
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"acr": None},
        {"more": 1},
        {"iat": "1"},
        {"iat": 1.5},
        {"exp": True},
        {"exp": 10**18},
        {"holder_id": 7},
    ],
    ids=str,
)
def test_a_statement_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    sealed = seal(AUTHENTICATION_TYPE, canonical_json(claims(**changes)), KEY)
    with pytest.raises(AuthenticationRejected, match="does not say"):
        opened(sealed.envelope)


SPELLINGS: list[Callable[[bytes], bytes]] = [
    lambda raw: raw.replace(b":", b": ", 1),
    lambda raw: b"[]",
    lambda raw: b"[" * 5000,
    lambda raw: raw[:-1],
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_is_refused(spelling: Callable[[bytes], bytes]) -> None:
    sealed = seal(AUTHENTICATION_TYPE, spelling(canonical_json(claims())), KEY)
    with pytest.raises(AuthenticationRejected, match="does not say"):
        opened(sealed.envelope)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_our_words(payload: bytes) -> None:
    with pytest.raises(TrustError):
        opened(payload)
    with pytest.raises(AuthenticationRejected):
        opened(seal(AUTHENTICATION_TYPE, payload, KEY).envelope)
