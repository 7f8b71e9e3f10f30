"""Every refusal of this room has its line in the one error table."""

from __future__ import annotations

from collections.abc import Iterator

from federation.errors import TABLE, code_of, detail_of
from trust.errors import BadSignature, TrustError


def _all_below(cls: type[TrustError]) -> Iterator[type[TrustError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _all_below(child)


def test_every_refusal_is_in_the_table() -> None:
    assert {cls.code for cls in _all_below(TrustError)} <= TABLE.keys()


def test_a_refusal_keeps_its_words() -> None:
    error = BadSignature("does not verify")
    assert (code_of(error), detail_of(error)) == ("peer.bad_signature", "does not verify")
