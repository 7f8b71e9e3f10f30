"""The operations beside the certificates of a holder, from a platform's question to its answer."""

from __future__ import annotations

import pytest

from federation.errors import (
    AccessDenied,
    OwnBadValue,
)
from federation.face import face_digest
from federation.query import (
    CertificateAnswer,
    CertificateGet,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    ServiceGet,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateAnswer,
    StateQuery,
    Verdict,
    VerifyAnswer,
)
from mapping.element import Element
from mapping.identifiers import make_certificate_id, make_service_item_code
from tests.support.exchange import (
    AUTHORITY,
    CARD_ID,
    ID_CARD,
    command,
    id_card,
    id_card_elements,
    make_country,
)

ITEM_CODE = make_service_item_code(AUTHORITY, "4", "020100101000")


async def test_one_certificate_by_its_id() -> None:
    sh, zj = make_country()
    body = (await sh.asker.ask(command(sh, zj, CertificateGet(CARD_ID)))).body
    assert isinstance(body, CertificateAnswer)
    assert body.certificate is not None
    assert (body.certificate.certificate_id, body.certificate.certificate_type) == (CARD_ID, "居民身份证")
    other = make_certificate_id(ID_CARD, AUTHORITY, "NONE")
    assert (await sh.asker.ask(command(sh, zj, CertificateGet(other)))).body == CertificateAnswer(None)


@pytest.mark.parametrize(
    ("held", "face", "verdict"),
    [
        ({}, {"name": "王芳", "birthDate": "19901102", "sex": "男"}, VerifyAnswer(Verdict.VALID)),
        ({}, {"name": "王方", "sex": "男"}, VerifyAnswer(Verdict.ALTERED, altered=("name",))),
        ({"证照状态": "04"}, {"name": "王芳"}, VerifyAnswer(Verdict.NOT_VALID, "04")),
        (
            {"有效期截止日期": "2026-11-01"},
            {"name": "王芳"},
            VerifyAnswer(Verdict.NOT_VALID, "05", "2026-11-01"),
        ),
        ({"有效期截止日期": "2026-11-02"}, {"name": "王芳"}, VerifyAnswer(Verdict.VALID)),
        ({"有效期截止日期": "长期"}, {"name": "王芳"}, VerifyAnswer(Verdict.VALID)),
        ({"证照标识": make_certificate_id(ID_CARD, AUTHORITY, "B2")}, {"name": "王芳"}, None),
    ],
)
async def test_a_presented_face_is_compared_with_the_one_held(
    held: dict[str, str], face: dict[str, str], verdict: VerifyAnswer | None
) -> None:
    sh, zj = make_country()
    zj.registry.documents[:] = [id_card(zj.registry.dialect, **held)]
    presented = CertificateVerify(CARD_ID, face=tuple(Element(*pair) for pair in face.items()))
    result = await sh.asker.ask(command(sh, zj, presented))
    assert result.body == (verdict or VerifyAnswer(Verdict.UNKNOWN))


async def test_a_state_alone_is_nothing_that_could_be_valid() -> None:
    sh, zj = make_country()
    state = sh.registry.dialect.field_name(ID_CARD, "证照状态")
    value = sh.registry.dialect.to_local(ID_CARD, (Element("证照状态", "01"),))[0].value
    with pytest.raises(OwnBadValue) as caught:
        await sh.asker.ask(command(sh, zj, CertificateVerify(CARD_ID, face=(Element(state, value),))))
    assert caught.value.field == "face"
    assert sh.transport.sent == []


async def test_a_digest_is_compared_with_that_of_the_face_held() -> None:
    sh, zj = make_country()
    digest = face_digest(id_card_elements())
    body = (await sh.asker.ask(command(sh, zj, CertificateVerify(CARD_ID, digest)))).body
    assert body == VerifyAnswer(Verdict.VALID)
    body = (await sh.asker.ask(command(sh, zj, CertificateVerify(CARD_ID, bytes(32))))).body
    assert body == VerifyAnswer(Verdict.ALTERED)


async def test_fields_that_are_not_granted_cannot_be_guessed_by_verifying() -> None:
    sh, zj = make_country()
    zj.govern(
        'version = "1"\n[[answering]]\nrule = "names"\nasking = "310000"\nplatform = "*"\n'
        'operations = ["*"]\ncertificate_types = ["*"]\nfields = ["姓名"]\n'
        'service_items = ["*"]\nbases = ["official_duty"]\n'
    )
    ask = CertificateVerify(CARD_ID, face=(Element("name", "王芳"), Element("birthDate", "19901102")))
    with pytest.raises(AccessDenied):
        await sh.asker.ask(command(sh, zj, ask))
    assert zj.registry.looked_up == []


async def test_the_types_that_a_province_offers_come_in_local_words() -> None:
    sh, zj = make_country()
    body = (await sh.asker.ask(command(sh, zj, CertificateTypes()))).body
    assert isinstance(body, CertificateTypesAnswer)
    (card,) = body.types
    assert (card.code, card.name) == ("居民身份证", "居民身份证")
    assert {"name", "sex", "birthDate"} <= set(card.fields)


async def test_service_items_are_searched_and_fetched_by_code() -> None:
    sh, zj = make_country()
    elements = (Element("事项名称", "出生一件事"), Element("实施编码", ITEM_CODE))
    zj.registry.items = [zj.registry.dialect.render_local("service_item", elements)]
    search = ServiceSearch(words="出生", division="330106", page=2, page_size=10)
    body = (await sh.asker.ask(command(sh, zj, search))).body
    assert isinstance(body, ServicesAnswer)
    assert (body.items[0].item_code, body.items[0].name, body.total, body.page) == (
        ITEM_CODE,
        "出生一件事",
        1,
        2,
    )
    assert {"words", "division", "page", "page_size"} == set(zj.registry.looked_up[0][1])
    body = (await sh.asker.ask(command(sh, zj, ServiceGet(ITEM_CODE)))).body
    assert isinstance(body, ServiceItemAnswer)
    assert body.item is not None
    assert body.item.item_code == ITEM_CODE
    other = make_service_item_code(AUTHORITY, "4", "020100102000")
    assert (await sh.asker.ask(command(sh, zj, ServiceGet(other)))).body == ServiceItemAnswer(None)


async def test_a_nodes_state_and_the_list_of_peers() -> None:
    sh, zj = make_country()
    body = (await sh.asker.ask(command(sh, zj, StateQuery()))).body
    assert isinstance(body, StateAnswer)
    assert (body.version, body.clock) == ("1.2.3", zj.clock.now())
    assert "certificates.query" in body.operations
    assert [peer.province for peer in sh.asker.peers().peers.values()] == ["330000"]
