"""Every refusal of this room has its line in the one error table."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from federation.errors import TABLE, code_of, detail_of
from trust.algorithms import b64url
from trust.errors import BadSignature, ForeignKey, TrustError
from trust.keys import SigningKey
from trust.tokens import read_token, sign_token, verify_token


def _all_below(cls: type[TrustError]) -> Iterator[type[TrustError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _all_below(child)


def test_every_refusal_is_in_the_table() -> None:
    assert {cls.code for cls in _all_below(TrustError)} <= TABLE.keys()


def test_a_refusal_keeps_its_words() -> None:
    error = BadSignature("does not verify")
    assert (code_of(error), detail_of(error)) == ("peer.bad_signature", "does not verify")


def test_what_a_refusal_quotes_steers_no_terminal_and_fills_no_log() -> None:
    token = sign_token({}, SigningKey.generate(), typ="t+jwt")
    header = {"alg": "ES256", "typ": "t+jwt", "kid": "k\x1b[2J\n" + "x" * 9000}
    hostile = read_token(f"{b64url(orjson.dumps(header))}.{token.partition('.')[2]}")
    with pytest.raises(ForeignKey) as refused:
        verify_token(hostile, keys={}, typ="t+jwt")
    assert "the token's key k\ufffd[2J\ufffdxxx" in refused.value.detail
    assert str(refused.value) == refused.value.detail
    assert refused.value.detail.isprintable()
    assert len(refused.value.detail) < 200
