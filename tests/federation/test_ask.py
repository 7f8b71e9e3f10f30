"""Asking on behalf of a platform: local words in, stored and checked, local words out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from federation.answer import Answerer
from federation.errors import (
    AccessConsentUnsupported,
    AccessDenied,
    FederationError,
    OwnBadValue,
    OwnBusy,
    OwnDeadline,
    OwnNotFound,
    OwnOverQuota,
    OwnStoreUnavailable,
    OwnTooLarge,
    PeerForeignKey,
    PeerInternal,
    PeerNoAnswer,
    PeerTimeout,
    PeerUnreachable,
)
from federation.exchange import ExchangeLimits
from federation.face import face_digest
from federation.observe import Side
from federation.ports import RecordKind, StoredRecord
from federation.query import (
    Basis,
    BasisKind,
    CertificateAnswer,
    CertificateGet,
    CertificateQuery,
    CertificatesAnswer,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    RequestBody,
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
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import (
    AUTHORITY,
    DUTY,
    HOLDER,
    ID_CARD,
    DirectTransport,
    command,
    id_card,
    id_card_elements,
    make_country,
)
from tests.support.replacing import replace
from trust.envelope import parse
from trust.keys import SigningKey

ID_TYPE = "公民身份号码"  # as Shanghai says it
CARD_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")
ITEM_CODE = make_service_item_code(AUTHORITY, "4", "020100101000")


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
    [(DUTY, AccessDenied), (Basis(BasisKind.HOLDERS_CONSENT), AccessConsentUnsupported)],
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


# --- refusals and faults of the other side --------------------------------------------------------------


async def test_a_signed_refusal_is_stored_as_evidence_and_then_raised() -> None:
    sh, zj = make_country()
    zj.govern('version = "closed"')
    with pytest.raises(AccessDenied) as caught:
        await sh.asker.ask(command(sh, zj))
    assert "closed" in caught.value.detail
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    assert sh.journal.records[1].meta.outcome == "refused"
    assert sh.observer.outcomes == [(Side.ASK, "certificates.query", "330000", "access.denied")]


async def test_with_the_store_down_nothing_leaves() -> None:
    sh, zj = make_country()
    sh.journal.is_down = True
    with pytest.raises(OwnStoreUnavailable):
        await sh.asker.ask(command(sh, zj))
    assert sh.transport.sent == []
    sh.journal.is_down = False
    await sh.asker.ask(command(sh, zj))


async def test_an_answer_that_cannot_be_stored_is_not_released() -> None:
    sh, zj = make_country()

    def fill_the_disk(envelope: bytes) -> bytes:
        sh.journal.is_down = True
        return envelope

    sh.transport.tamper = fill_the_disk
    with pytest.raises(OwnStoreUnavailable):
        await sh.asker.ask(command(sh, zj, request_id=sh.asker.new_request_id()))


async def test_no_time_left_is_said_before_sending() -> None:
    sh, zj = make_country()
    with pytest.raises(OwnDeadline):
        await sh.asker.ask(command(sh, zj, timeout_s=0))
    assert sh.transport.sent == []


@pytest.mark.parametrize("fault", [PeerUnreachable("down"), PeerInternal("incident 1")])
async def test_a_peers_fault_passes_through(fault: FederationError) -> None:
    sh, zj = make_country()
    sh.transport.faults = [fault]
    with pytest.raises(type(fault)):
        await sh.asker.ask(command(sh, zj))
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]


async def test_a_clock_that_differs_is_told_with_both_clocks() -> None:
    sh, zj = make_country()
    slow = replace(zj.parts, clock=FixedClock(NOON - timedelta(minutes=10)))
    answerer = Answerer(slow, zj.registry, version="1", now_s=lambda: 0.0)
    sh.transport.answerers = {zj.entity_id: answerer}
    with pytest.raises(FederationError) as caught:
        await sh.asker.ask(command(sh, zj))
    assert caught.value.code == "peer.from_future"
    assert caught.value.detail.count("+00:00") == 2


# --- keys that change -----------------------------------------------------------------------------------


async def test_a_key_the_peer_does_not_know_yet_is_repeated_once_after_a_refresh() -> None:
    sh, zj = make_country()
    sh.transport.faults = [PeerForeignKey("unknown")]
    await sh.asker.ask(command(sh, zj))
    assert sh.refreshes == ["awaited"]
    assert sh.transport.sent[0] == sh.transport.sent[1]
    assert len(sh.journal.records) == 2


async def test_an_answer_under_a_new_key_is_believed_after_a_refresh() -> None:
    sh, zj = make_country()
    known = zj.peer()
    zj.journal.signer = SigningKey.generate()
    new = zj.journal.signer.verification_key
    sh.on_refresh.append(lambda: sh.know(replace(known, envelope_keys={new.kid: new})))
    await sh.asker.ask(command(sh, zj))
    assert sh.refreshes == ["awaited"]
    assert len(zj.registry.looked_up) == 1


async def test_a_key_that_stays_unknown_is_refused_after_one_repeat() -> None:
    sh, zj = make_country()
    zj.journal.signer = SigningKey.generate()
    with pytest.raises(PeerForeignKey):
        await sh.asker.ask(command(sh, zj))
    assert sh.refreshes == ["awaited"]
    assert len(sh.transport.sent) == 2
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST]


# --- callers that go away, answers that come later --------------------------------------------------------


async def test_when_the_caller_goes_away_the_answer_is_still_stored_and_can_be_fetched() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    request_id = sh.asker.new_request_id()
    caller = asyncio.create_task(sh.asker.ask(command(sh, zj, request_id=request_id)))
    await zj.registry.reached()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    zj.registry.hold.set()
    await sh.asker.drain()
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    result = await sh.asker.fetch(request_id, client="portal")
    assert isinstance(result.body, CertificatesAnswer)
    assert result.body.certificates[0].certificate_type == "居民身份证"
    assert len(sh.transport.sent) == 1


async def test_a_timeout_says_what_to_fetch_and_the_answer_comes_later() -> None:
    sh, zj = make_country()
    request_id = sh.asker.new_request_id()
    reach = sh.transport.tamper

    def lose(_envelope: bytes) -> bytes:  # only the way back is cut
        raise PeerTimeout("deadline")

    sh.transport.tamper = lose
    with pytest.raises(PeerTimeout) as caught:
        await sh.asker.ask(command(sh, zj, request_id=request_id))
    assert request_id in caught.value.detail
    sh.transport.tamper = reach
    zj.clock.advance(hours=1)
    result = await sh.asker.fetch(request_id, client="portal")
    assert isinstance(result.body, CertificatesAnswer)
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]
    assert len(zj.registry.looked_up) == 1


async def test_fetching_while_it_is_asked_waits_for_the_same_result() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    request_id = sh.asker.new_request_id()
    asked = asyncio.create_task(sh.asker.ask(command(sh, zj, request_id=request_id)))
    await zj.registry.reached()
    fetched = asyncio.create_task(sh.asker.fetch(request_id))
    zj.registry.hold.set()
    assert await asked == await fetched
    assert len(sh.journal.records) == 2


async def test_two_who_fetch_at_once_get_one_answer_that_is_stored_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sh, zj = make_country()
    find_records = sh.journal.find_records

    async def read_as_a_store_does(request_id: str) -> Sequence[StoredRecord]:
        records = await find_records(request_id)
        await asyncio.sleep(0)
        return records

    monkeypatch.setattr(sh.journal, "find_records", read_as_a_store_does)
    request_id = sh.asker.new_request_id()
    reach = sh.transport.tamper

    def lose(_envelope: bytes) -> bytes:
        raise PeerTimeout("deadline")

    sh.transport.tamper = lose
    with pytest.raises(PeerTimeout):
        await sh.asker.ask(command(sh, zj, request_id=request_id))
    sh.transport.tamper = reach
    first, second = await asyncio.gather(sh.asker.fetch(request_id), sh.asker.fetch(request_id))
    assert first == second
    assert sh.journal.kinds() == [RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER]


async def test_only_the_own_requests_can_be_fetched_and_only_what_is_finished() -> None:
    sh, zj = make_country()
    sh.transport.faults = [PeerUnreachable("down")]
    request_id = sh.asker.new_request_id()
    with pytest.raises(PeerUnreachable):
        await sh.asker.ask(command(sh, zj, request_id=request_id))
    with pytest.raises(OwnNotFound):
        await sh.asker.fetch(request_id, client="other")
    with pytest.raises(OwnNotFound):
        await sh.asker.fetch(sh.asker.new_request_id())
    with pytest.raises(PeerNoAnswer):
        await sh.asker.fetch(request_id, client="portal")
    sh.govern('version = "closed"')
    with pytest.raises(AccessDenied):
        await sh.asker.fetch(request_id, client="portal")


async def test_a_stored_refusal_is_fetched_as_the_refusal_it_is() -> None:
    sh, zj = make_country()
    zj.govern('version = "closed"')
    request_id = sh.asker.new_request_id()
    for call in (sh.asker.ask(command(sh, zj, request_id=request_id)), sh.asker.fetch(request_id)):
        with pytest.raises(AccessDenied):
            await call


# --- the other operations ---------------------------------------------------------------------------------


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


async def test_nothing_is_left_in_flight() -> None:
    sh, zj = make_country()
    await asyncio.gather(*(sh.asker.ask(command(sh, zj)) for _ in range(5)))
    assert sh.observer.in_flight == zj.observer.in_flight == 0
    assert len(sh.observer.outcomes) == 5
    assert isinstance(sh.transport, DirectTransport)
