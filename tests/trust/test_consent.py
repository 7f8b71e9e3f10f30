"""The consent token: what is read, and each claim that is missing, not of its kind, or not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.clock import NOON
from trust.consent import (
    CONSENT_TYPE,
    MAX_CONSENT_BYTES,
    Consent,
    check_time,
    read_consent,
    read_holder,
    sign_consent,
    verify_consent,
)
from trust.errors import ConsentExpired, ConsentRejected, ForeignKey, KeyRejected
from trust.keys import SigningKey
from trust.tokens import read_token, sign_token

KEY = SigningKey.generate()
HOME, ZJ = "https://node.js.example", "https://node.zj.example"
CONSENT = Consent(
    iss=HOME,
    jti="j-1",
    issued_at=NOON,
    expires_at=NOON + timedelta(days=30),
    answering=(ZJ,),
    asking="https://node.ah.example",
    platform="portal",
    basis="holders_consent",
    service_item_name="出生一件事",
    service_item_code="",
    case_number="C-1",
    purpose="核验",
    certificate_types=("11100000000013127D001",),
    fields=("姓名",),
    uses=1,
    holders={ZJ: "a.b.c.d.e"},
    status_uri=f"{HOME}/oidc/status-list",
    status_index=7,
)
CLAIMS: Mapping[str, Any] = read_token(sign_consent(CONSENT, KEY)).claims


def signed(**changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return sign_token(claims, KEY, typ=CONSENT_TYPE)


@pytest.mark.parametrize("fields", [("姓名",), None], ids=["some fields", "every field"])
def test_what_is_signed_is_read_again(fields: tuple[str, ...] | None) -> None:
    consent = replace(CONSENT, fields=fields)
    unverified = read_consent(sign_consent(consent, KEY))
    assert unverified.iss == HOME
    assert verify_consent(unverified, keys={KEY.kid: KEY.verification_key}) == consent
    with pytest.raises(ForeignKey):
        verify_consent(unverified, keys={})


def test_an_altered_one_is_not_verified() -> None:
    head, _, signature = sign_consent(CONSENT, KEY).split(".")
    body = sign_consent(replace(CONSENT, case_number="C-2"), KEY).split(".")[1]
    unverified = read_consent(f"{head}.{body}.{signature}")
    with pytest.raises(ConsentRejected):
        verify_consent(unverified, keys={KEY.kid: KEY.verification_key})


def test_a_key_for_envelopes_only_signs_none() -> None:
    class Sm2(SigningKey):
        __slots__ = ()

    key = Sm2.generate()
    key.alg = "SM2"
    with pytest.raises(KeyRejected):
        sign_consent(CONSENT, key)


WRONG: dict[str, dict[str, Any]] = {
    **{f"no {name}": {name: ...} for name in sorted(CLAIMS) if name != "fields"},
    "a claim more": {"scope": "all"},
    "an empty text": {"platform": ""},
    "a number as text": {"case_number": 7},
    "a long text": {"purpose": "x" * 513},
    "a basis that is none": {"basis": "official_duty"},
    "no use": {"uses": 0},
    "true uses": {"uses": True},
    "too many uses": {"uses": 1001},
    "a time as text": {"exp": "tomorrow"},
    "a time beyond all": {"exp": 2**60},
    "one audience as text": {"aud": ZJ},
    "no types": {"certificate_types": []},
    "a type twice": {"certificate_types": ["a", "a"]},
    "types that are no texts": {"certificate_types": [1]},
    "too many fields": {"fields": [str(number) for number in range(65)]},
    "empty fields": {"fields": []},
    "an item without name": {"service_item": {"code": ""}},
    "an item of numbers": {"service_item": {"code": 1, "name": 2}},
    "a holder less": {"holders": {}},
    "a holder more": {"holders": {ZJ: "a", HOME: "b"}},
    "a holder that is no text": {"holders": {ZJ: 1}},
    "a long holder": {"holders": {ZJ: "a" * 5000}},
    "no place": {"status": {"status_list": {"uri": "https://x"}}},
    "a place below 0": {"status": {"status_list": {"uri": "https://x", "idx": -1}}},
    "another status": {"status": {"status_list": {"uri": "https://x", "idx": 1}, "more": {}}},
    "a list as status": {"status": []},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_claim_that_is_not_as_it_must_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConsentRejected):
        read_consent(signed(**changes))


@pytest.mark.parametrize(
    "token",
    ["", "a.b", sign_token(dict(CLAIMS), KEY, typ="JWT"), "a" * (MAX_CONSENT_BYTES + 1)],
    ids=["empty", "two parts", "another type", "long"],
)
def test_what_is_no_consent_is_refused(token: str) -> None:
    with pytest.raises(ConsentRejected):
        read_consent(token)


@pytest.mark.parametrize(
    ("consent", "error"),
    [
        (replace(CONSENT, expires_at=NOON), ConsentRejected),
        (replace(CONSENT, expires_at=NOON + timedelta(days=30, seconds=1)), ConsentRejected),
        (replace(CONSENT, issued_at=NOON + timedelta(seconds=61)), ConsentRejected),
        (
            replace(CONSENT, issued_at=NOON - timedelta(hours=1), expires_at=NOON),
            ConsentExpired,
        ),
    ],
    ids=["no life", "longer than any", "from the future", "ended"],
)
def test_a_time_that_does_not_fit(consent: Consent, error: type[Exception]) -> None:
    check_time(CONSENT, NOON, skew_s=60)
    with pytest.raises(error):
        check_time(consent, NOON, skew_s=60)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"[]",
        b"{}",
        b'{"holder_id_type": "111", "holder_id": 7}',
        b'{"holder_id_type": "", "holder_id": "x"}',
    ],
    ids=range(5),
)
def test_a_holder_that_is_none(plain: bytes) -> None:
    with pytest.raises(ConsentRejected):
        read_holder(plain)
