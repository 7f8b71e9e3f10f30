"""Status lists: the draft's own vectors, and what is refused."""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import NOON
from trust.algorithms import b64url
from trust.errors import ForeignKey, StatementRejected
from trust.keys import SigningKey
from trust.status_list import (
    STATUS_LIST_TYPE,
    Statuses,
    StatusList,
    build_status_list,
    verify_status_list,
)
from trust.tokens import sign_token

KEY = SigningKey.generate()
HOME = "https://node.js.example"
URI = f"{HOME}/oidc/status-list"

# draft-ietf-oauth-status-list-21 §4.1, §4.2 and Appendix C.1
SHORT = ({"bits": 1, "lst": "eNrbuRgAAhcBXQ"}, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1])
SHORT_TWO = ({"bits": 2, "lst": "eNo76fITAAPfAgc"}, [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3])
PLACES = (0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345)
LONG = {
    "bits": 1,
    "lst": "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogE"
    "AAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAA"
    "A7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAA"
    "ACAZC8L2AEb",
}


def _list(*places: int, now: Any = NOON, **changes: Any) -> str:
    facts: dict[str, Any] = {"issuer": HOME, "uri": URI, "signer": KEY, "ttl_s": 60} | changes
    return build_status_list(statuses=Statuses.with_set(places, size=64), now=now, **facts)


def _verify(token: str, **changes: Any) -> StatusList:
    keys = {KEY.kid: KEY.verification_key}
    facts: dict[str, Any] = {"issuer": HOME, "uri": URI, "keys": keys, "now": NOON} | changes
    return verify_status_list(token, **facts)


@pytest.mark.parametrize(("claim", "expected"), [SHORT, SHORT_TWO], ids=["1 bit", "2 bits"])
def test_the_drafts_short_lists_are_read_and_written_alike(claim: Any, expected: list[int]) -> None:
    read = Statuses.unpack(claim)
    assert [read[place] for place in range(len(read))] == expected
    assert read.packed() == claim


def test_the_drafts_long_list_is_read() -> None:
    read = Statuses.unpack(LONG)
    assert len(read) == 2**20
    assert {place for place in range(len(read)) if read[place]} == set(PLACES)


def test_what_is_written_for_the_drafts_long_list_is_the_same_bytes() -> None:
    ours = Statuses.with_set(PLACES, size=2**20)
    assert ours._raw == Statuses.unpack(LONG)._raw
    assert ours.packed() == LONG


@given(st.sets(st.integers(0, 999)))
def test_what_is_set_is_read_again_and_nothing_else(places: set[int]) -> None:
    read = Statuses.unpack(Statuses.with_set(places, size=1000).packed())
    assert {place for place in range(1000) if read[place]} == places


def test_a_place_outside_is_none() -> None:
    with pytest.raises(ValueError, match="not in a list"):
        Statuses.with_set([8], size=8)
    with pytest.raises(IndexError):
        Statuses.unpack(SHORT[0])[16]
    assert not _verify(_list()).is_valid(64)
    assert not _verify(_list()).is_valid(-1)


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"bits": 3, "lst": SHORT[0]["lst"]},
        {"bits": True, "lst": SHORT[0]["lst"]},
        {"bits": 1, "lst": 7},
        {"bits": 1, "lst": "!"},
        {"bits": 1, "lst": "bm90IHpsaWI"},
        {"bits": 1, "lst": b64url(zlib.compress(b"abc")[:-1])},
        {"bits": 1, "lst": b64url(zlib.compress(b"abc") + b"more")},
        {"bits": 1, "lst": b64url(zlib.compress(bytes(2**24), 9))},
    ],
    ids=["empty", "3 bits", "true", "no text", "no base64url", "no zlib", "cut off", "more", "bomb"],
)
def test_a_list_without_its_form_is_refused(claim: Any) -> None:
    with pytest.raises(StatementRejected):
        Statuses.unpack(claim)


def test_a_list_says_who_is_not_valid_any_more_and_as_of_when() -> None:
    found = _verify(_list(3, 17))
    assert [found.is_valid(place) for place in (2, 3, 17, 18)] == [True, False, False, True]
    assert (found.issued_at, found.issuer, len(found.digest)) == (NOON, HOME, 32)


def test_another_number_than_valid_is_not_valid() -> None:
    claims = {"sub": URI, "iat": int(NOON.timestamp()), "status_list": SHORT_TWO[0]}
    found = _verify(sign_token(claims, KEY, typ=STATUS_LIST_TYPE))
    assert [found.is_valid(place) for place in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("token", "changes", "error"),
    [
        (_list(), {"uri": f"{HOME}/other"}, StatementRejected),
        (_list(issuer="https://node.ah.example"), {}, StatementRejected),
        (_list(signer=SigningKey.generate()), {}, ForeignKey),
        (_list(now=NOON + timedelta(minutes=2)), {}, StatementRejected),
        (_list(now=NOON - timedelta(days=1)), {}, StatementRejected),
        (sign_token({"sub": URI}, KEY, typ=STATUS_LIST_TYPE), {}, StatementRejected),
        (sign_token({"sub": URI, "iat": 1, "status_list": SHORT[0]}, KEY, typ="JWT"), {}, StatementRejected),
    ],
    ids=["other uri", "other issuer", "foreign key", "future", "expired", "no time", "other type"],
)
def test_a_list_that_is_not_believed(token: str, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        _verify(token, **changes)
