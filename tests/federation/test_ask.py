"""Asking on behalf of a platform: local words in, stored and checked, local words out."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from federation.errors import (
    AccessDenied,
    FederationError,
    OwnBusy,
    OwnOverQuota,
    OwnTooLarge,
)
from federation.exchange import ExchangeLimits
from federation.ports import RecordKind
from federation.query import (
    Basis,
    BasisKind,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateVerify,
    RequestBody,
    ServiceGet,
    ServiceSearch,
)
from mapping.element import Element
from tests.support.exchange import (
    AUTHORITY,
    CARD_ID,
    DUTY,
    HOLDER,
    ID_CARD,
    DirectTransport,
    command,
    make_country,
)
from tests.support.replacing import replace
from trust.envelope import parse

ID_TYPE = "公民身份号码"  # as Shanghai says it


async def test_local_words_go_out_as_shared_ones_and_come_back_in_local_ones() -> None:
    sh, zj = make_country()
    result = await sh.asker.ask(command(sh, zj, CertificateQuery(ID_TYPE, HOLDER, "居民身份证")))
    assert zj.registry.looked_up[0][1] == {
        "holder_id_type": "111",
        "holder_id": HOLDER,
        "certificate_type": ID_CARD,
    }
    assert isinstance(result.body, CertificatesAnswer)
    (card,) = result.body.certificates
    assert card.certificate_type == "居民身份证"
    values = {element.name: element for element in card.elements}
    assert values["sex"].value == "男"
    assert values["birthDate"].value == "19901102"
    assert values["birthDate"].original == "1990-11-2"
    assert result.peer.province == "330000"
    assert result.answer_header.request_id == result.request_id == result.request_header.request_id
    assert UUID(result.request_id).version == 7


async def test_both_records_are_stored_before_the_result_is_released() -> None:
    sh, zj = make_country()
    result = await sh.asker.ask(command(sh, zj))
    request, answer = sh.journal.records
    assert [request.kind, answer.kind] == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    assert request.meta.client == answer.meta.client == "portal"
    assert (answer.meta.outcome, answer.meta.case_number) == ("answered", "C-1")
    assert request.envelope == zj.journal.records[0].envelope == sh.transport.sent[0]
    assert answer.envelope == zj.journal.records[1].envelope
    assert answer.identity == parse(answer.envelope, max_bytes=1 << 20).identity
    assert result.answer_header.request_identity == request.identity


async def test_the_worse_of_both_relations_is_told() -> None:
    sh, zj = make_country()
    zj.registry.documents[0]["MZ"] = "Q9"
    body = (await sh.asker.ask(command(sh, zj))).body
    assert isinstance(body, CertificatesAnswer)
    nation = next(e for e in body.certificates[0].elements if e.name == "nation")
    assert (nation.value, nation.original, nation.relation.word) == ("Q9", "Q9", "unmapped")


async def test_the_asking_nodes_own_rules_cut_too() -> None:
    sh, zj = make_country()
    sh.govern(
        'version = "1"\n[[asking]]\nrule = "names"\nplatform = "portal"\nprovince = "*"\noperations = ["*"]\n'
        'certificate_types = ["*"]\nfields = ["姓名"]\nservice_items = ["*"]\nbases = ["official_duty"]\n'
    )
    body = (await sh.asker.ask(command(sh, zj))).body
    assert isinstance(body, CertificatesAnswer)
    assert [element.name for element in body.certificates[0].elements] == ["name"]


# --- what is wrong is refused before anything leaves ----------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (CertificateQuery("护身符", HOLDER), "own.unknown_code", "holder.id_type"),
        (CertificateQuery(ID_TYPE, HOLDER[:-1] + "0"), "own.bad_value", "holder.id"),
        (CertificateQuery("统一社会信用代码", AUTHORITY[:-1] + "7"), "own.bad_value", "holder.id"),
        (CertificateQuery(ID_TYPE, HOLDER, "飞行执照"), "own.unknown_code", "certificate_type"),
        (CertificateGet(CARD_ID[:-1] + "0"), "own.bad_value", "certificate_id"),
        (CertificateGet("x"), "own.bad_value", "certificate_id"),
        (CertificateVerify(CARD_ID), "own.bad_value", "face"),
        (CertificateVerify(CARD_ID, digest=b"short"), "own.bad_value", "digest"),
        (CertificateVerify(CARD_ID, face=(Element("colour", "red"),)), "own.unknown_code", "face.colour"),
        (CertificateVerify(CARD_ID, face=(Element("sex", "Q"),)), "own.unknown_code", "face.sex"),
        (ServiceSearch(item_code="123"), "own.bad_value", "item_code"),
        (ServiceSearch(division="999999"), "own.unknown_code", "division"),
        (ServiceSearch(page=0), "own.bad_value", "page"),
        (ServiceSearch(page_size=101), "own.bad_value", "page_size"),
        (ServiceGet("11330000MB"), "own.bad_value", "item_code"),
    ],
)
async def test_a_wrong_value_names_its_field_and_nothing_leaves(
    body: RequestBody, code: str, field: str
) -> None:
    sh, zj = make_country()
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj, body))
    assert (caught.value.code, caught.value.field) == (code, field)
    assert HOLDER[:-1] not in caught.value.detail
    assert sh.transport.sent == []
    assert sh.journal.records == []


@pytest.mark.parametrize(
    ("province", "code"),
    [
        ("310000", "own.own_province"),
        ("上海市", "own.own_province"),
        ("440000", "own.unknown_province"),
        ("桃花源", "own.unknown_province"),
    ],
)
async def test_unknown_and_own_provinces_are_not_asked(province: str, code: str) -> None:
    sh, zj = make_country()
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(replace(command(sh, zj), province=province))
    assert (caught.value.code, caught.value.field) == (code, "province")
    assert sh.transport.sent == []


async def test_a_province_can_be_named_in_local_words() -> None:
    sh, zj = make_country()
    assert (await sh.asker.ask(command(sh, zj, province="浙江省"))).peer.province == "330000"


async def test_a_wrong_item_code_in_the_basis_is_refused() -> None:
    sh, zj = make_country()
    basis = replace(DUTY, service_item_code="1234")
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj, basis=basis))
    assert (caught.value.code, caught.value.field) == ("own.bad_value", "basis.service_item_code")


@pytest.mark.parametrize(
    ("basis", "error"),
    [(DUTY, AccessDenied), (Basis(BasisKind.HOLDERS_CONSENT), AccessDenied)],
)
async def test_what_the_own_rules_do_not_allow_does_not_leave(
    basis: Basis, error: type[FederationError]
) -> None:
    sh, zj = make_country()
    sh.govern('version = "closed"')
    with pytest.raises(error):
        await sh.asker.ask(command(sh, zj, basis=basis))
    assert sh.transport.sent == []
    assert sh.journal.records == []


@pytest.mark.parametrize(("standing", "code"), [("revoked", "peer.revoked"), ("denied", "peer.denied")])
async def test_a_peer_without_good_standing_is_not_asked(standing: str, code: str) -> None:
    sh, zj = make_country()
    sh.know(zj.peer(standing=standing))
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj))
    assert caught.value.code == code
    assert sh.transport.sent == []


async def test_a_request_that_is_too_large_does_not_leave() -> None:
    sh, zj = make_country(limits=ExchangeLimits(message_in_bytes=2048))
    with pytest.raises(OwnTooLarge):
        await sh.asker.ask(command(sh, zj, ServiceSearch(words="长" * 1000)))
    assert sh.journal.records == []


async def test_platforms_have_quotas_and_places() -> None:
    sh, zj = make_country(limits=ExchangeLimits(platform_quota_per_s=1, platform_quota_burst=1))
    await sh.asker.ask(command(sh, zj))
    with pytest.raises(OwnOverQuota):
        await sh.asker.ask(command(sh, zj))
    await sh.asker.ask(command(sh, zj, client="other"))

    sh, zj = make_country(limits=ExchangeLimits(in_flight=2))
    zj.registry.hold = asyncio.Event()
    first = asyncio.create_task(sh.asker.ask(command(sh, zj)))
    await zj.registry.reached()
    with pytest.raises(OwnBusy):
        await sh.asker.ask(command(sh, zj))
    zj.registry.hold.set()
    await first


async def test_nothing_is_left_in_flight() -> None:
    sh, zj = make_country()
    await asyncio.gather(*(sh.asker.ask(command(sh, zj)) for _ in range(5)))
    assert sh.observer.in_flight == zj.observer.in_flight == 0
    assert len(sh.observer.outcomes) == 5
    assert isinstance(sh.transport, DirectTransport)
