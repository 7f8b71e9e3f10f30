"""Whose papers an exchange is about, as keyed hashes: by these alone does the log find a holder again.

Numbers go in and only hashes come out; both nodes take them in shared words, so that one holder is one hash in each
node's log, whoever's registry wrote the number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from federation.ports import HolderHash
from federation.query import (
    AnswerBody,
    CertificateAnswer,
    CertificateQuery,
    CertificatesAnswer,
    HolderRecord,
    RequestBody,
)
from mapping.element import Element

__all__ = [
    "HOLDER_ID",
    "HOLDER_ID_TYPE",
    "MOST_HOLDERS",
    "holders_in_answer",
    "holders_named_in",
    "holders_of_request",
]

HOLDER_ID: Final = "持证主体代码"
HOLDER_ID_TYPE: Final = "持证主体代码类型代码"
"""The elements of GB/T 36903 that say whose certificate it is."""

MOST_HOLDERS: Final = 64
"""As many are kept of one answer; a search for any one further does not find it."""

_Holder = tuple[str, str]


def holders_of_request(body: RequestBody, hashed: HolderHash | None) -> tuple[bytes, ...]:
    """The hash of the holder that the request names; none without a hash, or when it names nobody."""
    return _hashes(_asked_about(body), hashed)


def holders_in_answer(
    request: RequestBody, answer: AnswerBody | None, hashed: HolderHash | None
) -> tuple[bytes, ...]:
    """The hashes of the holders in the answer's certificates, beside the one that the request names."""
    asked_about = set(_asked_about(request))
    return _hashes((one for one in _told_of(answer) if one not in asked_about), hashed)


def _hashes(holders: Iterable[_Holder], hashed: HolderHash | None) -> tuple[bytes, ...]:
    if hashed is None:
        return ()
    distinct = list(dict.fromkeys(holders))[:MOST_HOLDERS]
    return tuple([hashed(id_type, number) for id_type, number in distinct])


def _asked_about(body: RequestBody) -> tuple[_Holder, ...]:
    if isinstance(body, CertificateQuery | HolderRecord):
        return ((body.holder_id_type, body.holder_id),)
    return ()


def _told_of(answer: AnswerBody | None) -> Iterator[_Holder]:
    if isinstance(answer, CertificatesAnswer):
        for certificate in answer.certificates:
            yield from holders_named_in(certificate.elements)
    elif isinstance(answer, CertificateAnswer) and answer.certificate is not None:
        yield from holders_named_in(answer.certificate.elements)


def holders_named_in(elements: Iterable[Element]) -> Iterator[tuple[str, str]]:
    """Whose certificate it is: types and numbers by their order; both may stand in a list of holders too."""
    types, numbers = [], []
    for element in elements:
        if element.name == HOLDER_ID and element.value:
            numbers.append(element.value)
        elif element.name == HOLDER_ID_TYPE and element.value:
            types.append(element.value)
        for row in element.groups:
            yield from holders_named_in(row)
    yield from zip(types, numbers, strict=False)
