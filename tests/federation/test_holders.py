"""Whose papers an exchange is about: hashes in both logs, and a number in neither."""

from __future__ import annotations

from federation.holders import (
    HOLDER_ID,
    HOLDER_ID_TYPE,
    MOST_HOLDERS,
    holders_in_answer,
    holders_of_request,
)
from federation.ports import RecordKind
from federation.query import (
    Certificate,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    ServiceGet,
)
from mapping.element import Element
from mapping.identifiers import make_certificate_id
from tests.support.exchange import AUTHORITY, HOLDER, ID_CARD, command, holder_hash, make_country

ASKED = CertificateQuery("111", HOLDER)
CARD_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")


def certificate(*holders: tuple[str, str]) -> Certificate:
    elements = [
        Element(name, value)
        for id_type, number in holders
        for name, value in ((HOLDER_ID, number), (HOLDER_ID_TYPE, id_type))
    ]
    return Certificate(ID_CARD, CARD_ID, tuple(elements))


def test_a_request_is_about_the_holder_it_names() -> None:
    assert holders_of_request(ASKED, holder_hash) == (holder_hash("111", HOLDER),)
    assert holders_of_request(ServiceGet("x"), holder_hash) == ()
    assert holders_of_request(ASKED, None) == ()


def test_an_answer_is_about_those_in_its_certificates_beside_the_one_asked_about() -> None:
    others = [("111", "first"), ("001", "second")]
    answer = CertificatesAnswer((certificate(("111", HOLDER), *others), certificate(others[0])))
    expected = tuple(holder_hash(*one) for one in others)
    assert holders_in_answer(ASKED, answer, holder_hash) == expected
    assert holders_in_answer(ASKED, None, holder_hash) == ()
    assert holders_in_answer(ASKED, CertificateAnswer(None), holder_hash) == ()


def test_holders_in_a_list_are_found_and_an_endless_one_is_cut() -> None:
    rows = tuple((Element(HOLDER_ID, f"{one}"), Element(HOLDER_ID_TYPE, "111")) for one in range(100))
    listed = certificate_with(Element("持证主体", "", groups=rows))
    found = holders_in_answer(CertificateGet(CARD_ID), CertificateAnswer(listed), holder_hash)
    assert found == tuple(holder_hash("111", f"{one}") for one in range(MOST_HOLDERS))


def certificate_with(*elements: Element) -> Certificate:
    return Certificate(ID_CARD, CARD_ID, elements)


def test_a_number_without_its_type_is_nobody() -> None:
    alone = certificate_with(Element(HOLDER_ID, HOLDER), Element(HOLDER_ID_TYPE, ""))
    assert holders_in_answer(CertificateGet(CARD_ID), CertificateAnswer(alone), holder_hash) == ()


async def test_both_logs_find_the_holder_by_one_hash() -> None:
    sh, zj = make_country()
    await sh.asker.ask(command(sh, zj))
    expected = (holder_hash("111", HOLDER),)
    asked = {record.kind: record.meta for record in sh.journal.records}
    assert asked[RecordKind.ASKED_REQUEST].holders == expected
    assert asked[RecordKind.ASKED_ANSWER].holders == ()
    assert {record.meta.holders for record in zj.journal.records} == {expected}
    assert HOLDER not in repr([record.meta for record in (*sh.journal.records, *zj.journal.records)])


async def test_of_a_certificate_asked_for_by_its_id_the_answer_tells_the_holder() -> None:
    sh, zj = make_country()
    result = await sh.asker.ask(command(sh, zj, CertificateGet(CARD_ID)))
    assert result.body
    told_of = (holder_hash("111", HOLDER),)
    asked = {record.kind: record.meta for record in sh.journal.records}
    assert asked[RecordKind.ASKED_REQUEST].holders == ()
    assert asked[RecordKind.ASKED_ANSWER].holders == told_of
    assert {record.meta.holders for record in zj.journal.records} == {told_of}
