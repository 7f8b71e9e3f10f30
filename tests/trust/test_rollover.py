"""Roll-overs of the anchor's key: followed both ways from any pinned key, and a row for each refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import NOON
from tests.trust.federation import ANCHOR, bend
from trust.errors import BadSignature, ForeignKey, KeyRejected, StatementRejected, TrustError
from trust.keys import SigningKey
from trust.rollover import (
    MAX_ROLL_OVERS,
    PROOF_TYPE,
    ROLL_OVER_TYPE,
    anchor_keys,
    build_roll_over,
    read_roll_overs,
    roll_overs_document,
)
from trust.tokens import read_token, sign_token

DAY = timedelta(days=1)
KEYS = [SigningKey.generate(alg) for alg in ("ES256", "EdDSA", "ES256", "ES256")]
STRANGER = SigningKey.generate()


def _begins(number: int) -> datetime:
    return NOON + number * 30 * DAY


def _token(number: int, /, **other: Any) -> str:
    facts: dict[str, Any] = {
        "anchor": ANCHOR,
        "number": number,
        "old": KEYS[number - 1],
        "new": KEYS[number],
        "now": _begins(number),
        "old_until": _begins(number) + 7 * DAY,
        "reason": "每年一次 yearly",
    }
    return build_roll_over(**{**facts, **other})


TOKENS = [_token(number) for number in (1, 2, 3)]


def _read(tokens: list[str]) -> Any:
    return read_roll_overs(roll_overs_document(tokens), anchor=ANCHOR)


ROLL_OVERS = _read(TOKENS)


def _pinned(*keys: SigningKey) -> dict[str, Any]:
    return {key.kid: key.verification_key for key in keys}


def _numbers(keys: object) -> list[int]:
    return [number for number, key in enumerate(KEYS) if key.kid in keys]  # type: ignore[operator]


def test_what_was_built_is_read() -> None:
    first = ROLL_OVERS[0]
    assert [roll_over.number for roll_over in ROLL_OVERS] == [1, 2, 3]
    assert (first.old.kid, first.new.kid, first.token) == (KEYS[0].kid, KEYS[1].kid, TOKENS[0])
    assert (first.at, first.old_until, first.reason) == (_begins(1), _begins(1) + 7 * DAY, "每年一次 yearly")


def test_no_roll_overs_is_an_empty_list() -> None:
    assert roll_overs_document([]) == "[]"
    assert read_roll_overs(b"[]", anchor=ANCHOR) == ()
    assert anchor_keys(_pinned(KEYS[0]), (), NOON) == _pinned(KEYS[0])


@pytest.mark.parametrize("pinned", range(4))
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOON, [0]),
        (_begins(1) - timedelta(seconds=1), [0]),
        (_begins(1), [0, 1]),
        (_begins(1) + 7 * DAY - timedelta(seconds=1), [0, 1]),
        (_begins(1) + 7 * DAY, [1]),
        (_begins(2) + DAY, [1, 2]),
        (_begins(3) + DAY, [2, 3]),
        (_begins(9), [3]),
    ],
    ids=["before", "just before", "begins", "overlap", "old ends", "second", "third", "years later"],
)
def test_from_any_pinned_key_the_keys_of_any_time_are_found(
    pinned: int, at: datetime, expected: list[int]
) -> None:
    assert _numbers(anchor_keys(_pinned(KEYS[pinned]), ROLL_OVERS, at)) == expected


def test_one_from_the_future_counts_for_nothing_yet() -> None:
    assert _numbers(anchor_keys(_pinned(KEYS[0]), ROLL_OVERS[:1], _begins(1) - DAY)) == [0]


def test_where_the_clock_is_anothers_a_new_key_counts_by_the_skew_earlier() -> None:
    at = _begins(1) - timedelta(seconds=60)
    assert _numbers(anchor_keys(_pinned(KEYS[1]), ROLL_OVERS, at, skew_s=60)) == [0, 1]
    assert _numbers(anchor_keys(_pinned(KEYS[1]), ROLL_OVERS, at, skew_s=59)) == [0]
    ended = _begins(1) + 7 * DAY
    assert _numbers(anchor_keys(_pinned(KEYS[1]), ROLL_OVERS, ended, skew_s=60)) == [1]


def test_an_unrelated_line_leaves_what_was_pinned() -> None:
    assert anchor_keys(_pinned(STRANGER), ROLL_OVERS, _begins(9)) == _pinned(STRANGER)


def test_a_pinned_key_outside_of_the_line_stays_beside_it() -> None:
    keys = anchor_keys(_pinned(STRANGER, KEYS[0]), ROLL_OVERS, _begins(9))
    assert keys == _pinned(STRANGER, KEYS[3])


def test_several_pinned_keys_of_the_line_do_not_outlive_it() -> None:
    assert _numbers(anchor_keys(_pinned(*KEYS), ROLL_OVERS, _begins(9))) == [3]


@given(st.integers(0, 3), st.integers(0, 3), st.integers(-10, 200))
def test_it_never_matters_which_key_of_the_line_is_pinned(one: int, other: int, days: int) -> None:
    at = NOON + days * DAY
    keys = anchor_keys(_pinned(KEYS[one]), ROLL_OVERS, at)
    assert keys == anchor_keys(_pinned(KEYS[other]), ROLL_OVERS, at)
    assert 1 <= len(keys) <= 2


def _proof(signer: SigningKey = KEYS[1], **claims: Any) -> str:
    said = {"iss": ANCHOR, "number": 1, "old": KEYS[0].kid, "iat": 1, **claims}
    return sign_token(said, signer, typ=PROOF_TYPE)


def _bent(signer: SigningKey = KEYS[0], **claims: Any) -> list[str]:
    return [bend(TOKENS[0], signer, typ=ROLL_OVER_TYPE, **claims)]


def _tampered() -> list[str]:
    head, body, _ = TOKENS[0].split(".")
    return [f"{head}.{body}.{TOKENS[2].split('.')[2]}"]


REFUSED: list[tuple[str, Callable[[], list[str]], type[TrustError]]] = [
    ("signed by a stranger", lambda: _bent(STRANGER), ForeignKey),
    ("signed by the new key", lambda: _bent(KEYS[1]), ForeignKey),
    ("another signature", _tampered, BadSignature),
    ("no proof", lambda: _bent(proof=None), StatementRejected),
    ("a proof that is no text", lambda: _bent(proof={}), StatementRejected),
    ("a proof by the old key", lambda: _bent(proof=_proof(KEYS[0])), ForeignKey),
    ("a proof by a stranger", lambda: _bent(proof=_proof(STRANGER)), ForeignKey),
    ("a proof for another number", lambda: _bent(proof=_proof(number=2)), StatementRejected),
    ("a proof for another old key", lambda: _bent(proof=_proof(old=STRANGER.kid)), StatementRejected),
    ("a proof for another anchor", lambda: _bent(proof=_proof(iss="https://x.example")), StatementRejected),
    (
        "a token of another type as proof",
        lambda: _bent(proof=sign_token(dict(read_token(_proof()).claims), KEYS[1], typ="JWT")),
        StatementRejected,
    ),
    ("another anchor", lambda: _bent(iss="https://other.example"), StatementRejected),
    ("another type", lambda: [bend(TOKENS[0], KEYS[0], typ="JWT")], StatementRejected),
    ("a new key nobody proved", lambda: _bent(new=dict(STRANGER.verification_key.jwk)), ForeignKey),
    ("a private key", lambda: _bent(new={**KEYS[1].verification_key.jwk, "d": "AA"}), KeyRejected),
    ("no keys", lambda: _bent(old=None), KeyRejected),
    ("number 0", lambda: _bent(number=0), StatementRejected),
    ("a number that is a truth value", lambda: _bent(number=True), StatementRejected),
    ("a number that is text", lambda: _bent(number="1"), StatementRejected),
    ("no reason", lambda: _bent(reason=""), StatementRejected),
    ("a long reason", lambda: _bent(reason="x" * 201), StatementRejected),
    ("no time", lambda: _bent(iat=None), StatementRejected),
    ("an end before the beginning", lambda: _bent(old_until=1), StatementRejected),
    ("a gap", lambda: [TOKENS[0], TOKENS[2]], StatementRejected),
    ("not from the first", lambda: TOKENS[1:], StatementRejected),
    ("out of order", lambda: TOKENS[::-1], StatementRejected),
    ("twice the same", lambda: [TOKENS[0], TOKENS[0]], StatementRejected),
    ("a fork under one number", lambda: [TOKENS[0], _token(1, new=STRANGER)], StatementRejected),
    ("a fork from the first key", lambda: [TOKENS[0], _token(2, old=KEYS[0])], StatementRejected),
    ("a second by a stranger", lambda: [TOKENS[0], _token(2, old=STRANGER)], StatementRejected),
    ("earlier than the one before", lambda: [TOKENS[0], _token(2, now=NOON)], StatementRejected),
    ("a key that comes back", lambda: [TOKENS[0], _token(2, new=KEYS[0])], StatementRejected),
    ("no tokens", lambda: ["a.b.c"], StatementRejected),
]


@pytest.mark.parametrize(("tokens", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_does_not_hold_is_refused(tokens: Callable[[], list[str]], error: type[TrustError]) -> None:
    with pytest.raises(error):
        _read(tokens())


@pytest.mark.parametrize("document", ["", "{}", "[1]", "null", '"a"', "[" * 9000, b"\xff", "[}"])
def test_what_is_no_list_of_tokens_is_refused(document: str | bytes) -> None:
    with pytest.raises(StatementRejected):
        read_roll_overs(document, anchor=ANCHOR)


def test_too_many_and_too_long_are_refused_unread() -> None:
    with pytest.raises(StatementRejected, match="at most 32"):
        read_roll_overs(json.dumps(["x"] * (MAX_ROLL_OVERS + 1)), anchor=ANCHOR)
    with pytest.raises(StatementRejected, match="at most 10 bytes"):
        read_roll_overs(roll_overs_document(TOKENS), anchor=ANCHOR, max_bytes=10)


def test_as_many_as_allowed_fit_into_the_document() -> None:
    keys = [SigningKey.generate() for _ in range(MAX_ROLL_OVERS + 1)]
    tokens = [
        _token(1, number=number, old=keys[number - 1], new=keys[number], reason="因" * 200)
        for number in range(1, MAX_ROLL_OVERS + 1)
    ]
    assert len(_read(tokens)) == MAX_ROLL_OVERS


def test_a_roll_over_that_would_be_refused_is_not_built() -> None:
    with pytest.raises(StatementRejected, match="reason"):
        _token(1, reason="")
    with pytest.raises(StatementRejected, match="number"):
        _token(1, number=MAX_ROLL_OVERS + 1)
