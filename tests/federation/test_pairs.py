"""Every ordered pair of provinces: what one holds, the other reads and verifies in its own words."""

from __future__ import annotations

from itertools import permutations

import pytest

from federation.errors import FederationError
from federation.face import face_digest
from federation.query import (
    CertificateAnswer,
    CertificateGet,
    CertificatesAnswer,
    CertificateVerify,
    ServiceGet,
    ServiceItemAnswer,
    Verdict,
    VerifyAnswer,
)
from mapping.element import Element, Relation
from mapping.identifiers import make_certificate_id, make_service_item_code
from tests.support.exchange import AUTHORITY, ID_CARD, Node, command, id_card_elements, make_country

PAIRS = list(permutations(("310000", "320000", "330000", "340000"), 2))
CARD_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")
FACE = ("姓名", "性别", "民族", "出生日期", "公民身份号码")


def local_face(node: Node, **changes: str) -> tuple[Element, ...]:
    """The face as a platform of this province has it before it."""
    shared = [element for element in id_card_elements(**changes) if element.name in FACE]
    return tuple(Element(e.name, e.value) for e in node.registry.dialect.to_local(ID_CARD, shared))


@pytest.mark.parametrize(("asking", "answering"), PAIRS)
async def test_what_is_read_is_what_the_own_registry_would_hold(asking: str, answering: str) -> None:
    own, other = make_country(asking, answering)
    body = (await own.asker.ask(command(own, other))).body
    assert isinstance(body, CertificatesAnswer)
    (card,) = body.certificates
    expected = own.registry.dialect.to_local(ID_CARD, id_card_elements())
    assert {e.name: e.value for e in card.elements} == {e.name: e.value for e in expected}
    assert {e.relation for e in card.elements} == {Relation.EXACT}
    local_id = own.registry.dialect.code_to_local("certificate_id", CARD_ID).value
    assert card.certificate_id == local_id
    again = (await own.asker.ask(command(own, other, CertificateGet(local_id)))).body
    assert again == CertificateAnswer(card)


@pytest.mark.parametrize(("asking", "answering"), PAIRS)
async def test_a_face_in_own_words_is_verified_by_the_other_province(asking: str, answering: str) -> None:
    own, other = make_country(asking, answering)
    presented = CertificateVerify(CARD_ID, face=local_face(own))
    assert (await own.asker.ask(command(own, other, presented))).body == VerifyAnswer(Verdict.VALID)
    altered = CertificateVerify(CARD_ID, face=local_face(own, 出生日期="1991-11-02"))
    body = (await own.asker.ask(command(own, other, altered))).body
    birthday = own.registry.dialect.field_name(ID_CARD, "出生日期")
    assert body == VerifyAnswer(Verdict.ALTERED, altered=(birthday,))
    digest = CertificateVerify(CARD_ID, face_digest(id_card_elements()))
    assert (await own.asker.ask(command(own, other, digest))).body == VerifyAnswer(Verdict.VALID)


@pytest.mark.parametrize(("asking", "answering"), PAIRS)
async def test_a_field_of_nobody_is_refused_before_it_leaves(asking: str, answering: str) -> None:
    own, other = make_country(asking, answering)
    strange = (*local_face(own), Element("fortune", "good"))
    with pytest.raises(FederationError) as caught:
        await own.asker.ask(command(own, other, CertificateVerify(CARD_ID, face=strange)))
    assert (caught.value.code, caught.value.field) == ("own.unknown_code", "face.fortune")
    assert own.transport.sent == []


@pytest.mark.parametrize(("asking", "answering"), PAIRS)
async def test_the_rows_of_a_guide_are_translated_too(asking: str, answering: str) -> None:
    own, other = make_country(asking, answering)
    code = make_service_item_code(AUTHORITY, "4", "020100101000")
    material = (Element("材料名称", "居民身份证"), Element("必要性", "1"), Element("可用电子证照", ID_CARD))
    guide = (
        Element("事项名称", "出生一件事"),
        Element("实施编码", code),
        Element("申请材料", "", groups=(material,)),
    )
    other.registry.items = [other.registry.dialect.render_local("service_item", guide)]
    body = (await own.asker.ask(command(own, other, ServiceGet(code)))).body
    assert isinstance(body, ServiceItemAnswer)
    assert body.item is not None
    dialect = own.registry.dialect
    expected = {e.name: e for e in dialect.to_local("service_item", guide)}
    materials = dialect.field_name("service_item", "申请材料")
    (rows,) = [e.groups for e in body.item.elements if e.name == materials]
    assert [[(e.name, e.value) for e in row] for row in rows] == [
        [(e.name, e.value) for e in row] for row in expected[materials].groups
    ]
