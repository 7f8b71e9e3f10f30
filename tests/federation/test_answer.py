"""What an honest peer gets: answers, refusals that are evidence, the first answer again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from federation.errors import (
    AccessDenied,
    FederationError,
    PeerBusy,
    PeerInProgress,
    PeerInternal,
    PeerNoAnswer,
    PeerOverQuota,
    RegistryBadAnswer,
    RegistryNotOffered,
    RegistryTimeout,
    RegistryUnreachable,
)
from federation.exchange import ExchangeLimits
from federation.observe import Side
from federation.ports import RecordKind
from federation.query import (
    Answer,
    Basis,
    BasisKind,
    CertificateQuery,
    CertificatesAnswer,
    CertificateVerify,
    MapSet,
    Operation,
    Outcome,
    Request,
    RequestBody,
    RequestHeader,
)
from federation.rpc.convert import ProtobufCodec
from mapping.element import Element
from mapping.identifiers import make_certificate_id
from tests.support.clock import NOON
from tests.support.exchange import AUTHORITY, DUTY, HOLDER, ID_CARD, MARRIAGE, Node, id_card, make_country
from trust.envelope import Sealed, parse, seal, unseal

QUERY = CertificateQuery("111", HOLDER)
CARD_ID = make_certificate_id(ID_CARD, AUTHORITY, "A1")
RULE = (
    '{{ rule = "{name}", asking = "310000", platform = "{platform}", operations = ["*"], '
    'certificate_types = {types}, fields = {fields}, service_items = ["*"], bases = ["official_duty"] }}'
)


def policy(
    *,
    version: str = "v2",
    platform: str = "*",
    types: str = '["*"]',
    fields: str = '["*"]',
    name: str = "one",
) -> str:
    rule = RULE.format(name=name, platform=platform, types=types, fields=fields)
    return f'version = "{version}"\nanswering = [\n  {rule},\n]\n'


def request(asker: Node, target: Node, body: RequestBody = QUERY, **changes: Any) -> Sealed:
    operation = changes.get("operation", Operation.CERTIFICATES_QUERY)
    described: dict[str, Any] = {
        "request_id": asker.asker.new_request_id(),
        "asking": asker.entity_id,
        "answering": target.entity_id,
        "operation": operation,
        "asked_at": NOON,
        "expires_at": NOON + timedelta(seconds=30),
        "platform": "portal",
        "officer": "officer-7",
        "basis": DUTY,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "map_set": MapSet("v", bytes(32)),
    }
    header = RequestHeader(**(described | changes))
    payload = ProtobufCodec().encode_request(Request(header, body))
    return seal(operation.request_type, payload, asker.key)


async def send(asker: Node, target: Node, sealed: Sealed, *, timeout_s: float = 5.0) -> Answer:
    envelope = await target.answerer.answer(
        sealed.envelope, tls_peer=asker.entity_id, method_operation=None, timeout_s=timeout_s
    )
    return opened(target, envelope)


def opened(signer: Node, envelope: bytes) -> Answer:
    message = unseal(parse(envelope, max_bytes=1 << 20), keys=signer.peer().envelope_keys)
    return ProtobufCodec().decode_answer(message.payload_type, message.payload)


async def test_an_answer_says_whose_request_it_answers_and_under_which_rule() -> None:
    sh, zj = make_country()
    zj.govern(policy())
    sealed = request(sh, zj)
    answer = await send(sh, zj, sealed)
    header = answer.header
    assert (header.outcome, header.request_identity) == (Outcome.ANSWERED, sealed.identity)
    assert (header.asking, header.answering) == (sh.entity_id, zj.entity_id)
    assert (header.decision.rule, header.decision.policy_version) == ("one", "v2")
    assert header.map_set.version == zj.registry.dialect.version
    assert isinstance(answer.body, CertificatesAnswer)
    values = {element.name: element.value for element in answer.body.certificates[0].elements}
    assert values["出生日期"] == "1990-11-02"
    assert zj.journal.kinds() == [RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER]
    assert zj.journal.records[0].envelope == sealed.envelope


async def test_only_granted_fields_and_types_leave() -> None:
    sh, zj = make_country()
    zj.govern(policy(types=f'["{ID_CARD}"]', fields='["姓名", "性别"]'))
    body = (await send(sh, zj, request(sh, zj))).body
    assert isinstance(body, CertificatesAnswer)
    assert [e.name for e in body.certificates[0].elements] == ["姓名", "性别"]
    zj.govern(policy(types=f'["{MARRIAGE}"]'))
    body = (await send(sh, zj, request(sh, zj))).body
    assert body == CertificatesAnswer(())


async def test_certificates_of_other_types_than_asked_do_not_leave_though_the_registry_sends_them() -> None:
    sh, zj = make_country()
    asked = request(sh, zj, CertificateQuery("111", HOLDER, MARRIAGE))
    assert (await send(sh, zj, asked)).body == CertificatesAnswer(())
    assert len(zj.registry.looked_up) == 1


@pytest.mark.parametrize(
    ("basis", "platform", "code"),
    [
        (DUTY, "stranger", "access.denied"),
        (Basis(BasisKind.HOLDERS_CONSENT), "portal", "access.denied"),
        (Basis(BasisKind.DELEGATED_CONSENT), "portal", "access.denied"),
    ],
)
async def test_a_refusal_by_access_is_signed_and_stored_and_nothing_is_looked_up(
    basis: Basis, platform: str, code: str
) -> None:
    sh, zj = make_country()
    zj.govern(policy(platform="portal"))
    answer = await send(sh, zj, request(sh, zj, basis=basis, platform=platform))
    assert (answer.header.outcome, answer.header.refusal_code) == (Outcome.REFUSED, code)
    assert answer.header.refusal_detail
    assert answer.header.decision.policy_version == "v2"
    assert answer.body is None
    assert zj.registry.looked_up == []
    assert zj.journal.records[1].meta.outcome == "refused"


@pytest.mark.parametrize(
    "fault",
    [
        RegistryTimeout("slow"),
        RegistryUnreachable("down"),
        RegistryBadAnswer("garbage"),
        RegistryNotOffered("no"),
    ],
    ids=lambda fault: fault.code,
)
async def test_a_registrys_fault_is_a_signed_refusal(fault: FederationError) -> None:
    sh, zj = make_country()
    zj.registry.fault = fault
    answer = await send(sh, zj, request(sh, zj))
    assert (answer.header.refusal_code, answer.header.refusal_detail) == (fault.code, fault.detail)
    assert zj.journal.kinds() == [RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER]


async def test_no_time_left_is_a_registry_timeout_without_a_look_up() -> None:
    sh, zj = make_country()
    answer = await send(sh, zj, request(sh, zj), timeout_s=0)
    assert answer.header.refusal_code == "registry.timeout"
    assert zj.registry.looked_up == []


async def test_a_code_that_this_province_does_not_have_is_refused_before_the_registry() -> None:
    sh, zj = make_country()
    asked = request(sh, zj, CertificateQuery("111", HOLDER, "11100000000013127D999"))
    assert (await send(sh, zj, asked)).header.refusal_code == "registry.not_offered"
    assert zj.registry.looked_up == []


async def test_what_the_dialect_does_not_know_comes_through_unmapped_with_the_original() -> None:
    sh, zj = make_country()
    zj.registry.documents[0]["MZ"] = "Q9"
    zj.registry.documents.append({"ZZLXDM": "X-1", "inner": {"number": HOLDER}, "list": [1]})
    body = (await send(sh, zj, request(sh, zj))).body
    assert isinstance(body, CertificatesAnswer)
    known, unknown = body.certificates
    nation = next(e for e in known.elements if e.name == "民族")
    assert (nation.value, nation.original, nation.relation.word) == ("Q9", "Q9", "unmapped")
    assert unknown.certificate_type == "unmapped"
    assert {e.name: e.value for e in unknown.elements} == {
        "ZZLXDM": "X-1",
        "inner.number": HOLDER,
        "list": "[1]",
    }
    zj.govern(policy(types=f'["{ID_CARD}"]'))
    body = (await send(sh, zj, request(sh, zj))).body
    assert isinstance(body, CertificatesAnswer)
    assert [one.certificate_type for one in body.certificates] == [ID_CARD]


async def test_a_document_without_an_id_is_a_bad_answer_of_the_registry() -> None:
    sh, zj = make_country()
    del zj.registry.documents[0]["ZZBS"]
    assert (await send(sh, zj, request(sh, zj))).header.refusal_code == "registry.bad_answer"


async def test_a_state_alone_is_refused_and_never_called_valid() -> None:
    sh, zj = make_country()
    body = CertificateVerify(CARD_ID, face=(Element("证照状态", "01"),))
    answer = await send(sh, zj, request(sh, zj, body, operation=Operation.CERTIFICATES_VERIFY))
    assert (answer.header.refusal_code, answer.body) == ("peer.malformed", None)
    assert zj.registry.looked_up == []


async def test_an_answer_that_is_too_large_is_refused() -> None:
    sh, zj = make_country(limits=ExchangeLimits(message_out_bytes=2048))
    answer = await send(sh, zj, request(sh, zj))
    assert answer.header.refusal_code == "peer.too_large"


# --- repeats ----------------------------------------------------------------------------------------


async def test_a_repeat_gets_the_first_answer_and_the_registry_is_asked_once() -> None:
    sh, zj = make_country()
    sealed = request(sh, zj)
    first = await zj.answerer.answer(
        sealed.envelope, tls_peer=sh.entity_id, method_operation=None, timeout_s=5
    )
    zj.registry.documents.clear()
    again = await zj.answerer.answer(
        sealed.envelope, tls_peer=sh.entity_id, method_operation=None, timeout_s=5
    )
    assert again == first
    assert len(zj.registry.looked_up) == 1
    assert len(zj.journal.records) == 2


async def test_a_repeat_is_checked_against_the_rules_of_its_own_time() -> None:
    sh, zj = make_country()
    sealed = request(sh, zj)
    await send(sh, zj, sealed)
    zj.govern('version = "closed"')
    with pytest.raises(AccessDenied):
        await send(sh, zj, sealed)
    zj.govern(policy(fields='["姓名"]'))
    with pytest.raises(AccessDenied):
        await send(sh, zj, sealed)
    zj.govern(policy())
    assert (await send(sh, zj, sealed)).header.outcome is Outcome.ANSWERED


async def test_the_repeat_of_a_refusal_is_the_same_refusal() -> None:
    sh, zj = make_country()
    zj.govern('version = "closed"')
    sealed = request(sh, zj)
    first = await send(sh, zj, sealed)
    assert first.header.refusal_code == "access.denied"
    assert await send(sh, zj, sealed) == first


async def test_a_repeat_while_the_first_is_at_work_waits_for_it() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    sealed = request(sh, zj)
    first = asyncio.create_task(send(sh, zj, sealed))
    await zj.registry.reached()
    second = asyncio.create_task(send(sh, zj, sealed))
    await asyncio.sleep(0)
    zj.registry.hold.set()
    assert await first == await second
    assert len(zj.registry.looked_up) == 1


async def test_a_repeat_that_may_not_wait_is_told_that_the_first_is_at_work() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    sealed = request(sh, zj)
    first = asyncio.create_task(send(sh, zj, sealed))
    await zj.registry.reached()
    with pytest.raises(PeerInProgress):
        await send(sh, zj, sealed, timeout_s=0)
    zj.registry.hold.set()
    await first


async def test_a_task_that_is_cancelled_gives_its_claim_back() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    sealed = request(sh, zj)
    task = asyncio.create_task(send(sh, zj, sealed))
    await zj.registry.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert zj.journal.claims == {}
    assert zj.observer.in_flight == 0
    zj.registry.hold.set()
    assert (await send(sh, zj, sealed)).header.outcome is Outcome.ANSWERED


# --- this node's own troubles ---------------------------------------------------------------------------


async def test_with_the_store_down_nothing_leaves_and_it_recovers() -> None:
    sh, zj = make_country()
    sealed = request(sh, zj)
    zj.journal.is_down = True
    with pytest.raises(PeerBusy):
        await send(sh, zj, sealed)
    zj.journal.is_down = False
    assert (await send(sh, zj, sealed)).header.outcome is Outcome.ANSWERED


async def test_a_store_that_fails_after_the_look_up_gives_the_claim_back() -> None:
    sh, zj = make_country()
    zj.registry.hold = asyncio.Event()
    sealed = request(sh, zj)
    task = asyncio.create_task(send(sh, zj, sealed))
    await zj.registry.reached()
    zj.journal.is_full = True
    zj.registry.hold.set()
    with pytest.raises(PeerBusy):
        await task
    assert zj.journal.claims == {}
    zj.journal.is_full = False
    assert (await send(sh, zj, sealed)).header.outcome is Outcome.ANSWERED


async def test_a_fault_in_the_program_tells_the_peer_an_incident_id_and_no_more() -> None:
    sh, zj = make_country()
    zj.registry.fault = KeyError(HOLDER)
    sealed = request(sh, zj)
    with pytest.raises(PeerInternal) as caught:
        await send(sh, zj, sealed)
    assert caught.value.detail.startswith("incident ")
    assert HOLDER not in caught.value.detail
    zj.registry.fault = None
    assert (await send(sh, zj, sealed)).header.outcome is Outcome.ANSWERED


async def test_signed_refusals_are_so_many_a_minute_and_peer() -> None:
    sh, zj = make_country(limits=ExchangeLimits(signed_refusals_per_minute=2))
    zj.govern('version = "closed"')
    for _ in range(2):
        assert (await send(sh, zj, request(sh, zj))).header.refusal_code == "access.denied"
    sealed = request(sh, zj)
    with pytest.raises(AccessDenied):
        await send(sh, zj, sealed)
    assert len(zj.journal.records) == 4
    assert zj.observer.refused == [(Side.ANSWER, "310000", "access.denied")]
    zj.seconds[0] += 30
    assert (await send(sh, zj, sealed)).header.refusal_code == "access.denied"


async def test_one_peer_cannot_take_all_the_places() -> None:
    sh, zj, ah = make_country("310000", "330000", "340000", limits=ExchangeLimits(in_flight=4))
    zj.registry.hold = asyncio.Event()
    waiting = [asyncio.create_task(send(sh, zj, request(sh, zj))) for _ in range(2)]
    await zj.registry.reached(2)
    with pytest.raises(PeerBusy):
        await send(sh, zj, request(sh, zj))
    other = asyncio.create_task(send(ah, zj, request(ah, zj)))
    await zj.registry.reached()
    zj.registry.hold.set()
    await asyncio.gather(*waiting, other)


# --- fetching ---------------------------------------------------------------------------------------


async def test_a_finished_answer_can_be_fetched_after_the_request_expired() -> None:
    sh, zj = make_country()
    sealed = request(sh, zj)
    first = await zj.answerer.answer(
        sealed.envelope, tls_peer=sh.entity_id, method_operation=None, timeout_s=5
    )
    zj.clock.advance(hours=5)
    assert await zj.answerer.fetch_answer(sealed.identity, "", tls_peer=sh.entity_id) == first


async def test_only_the_original_asker_fetches_and_only_what_is_still_granted() -> None:
    sh, zj, ah = make_country("310000", "330000", "340000")
    sealed = request(sh, zj)
    await send(sh, zj, sealed)
    with pytest.raises(PeerNoAnswer):
        await zj.answerer.fetch_answer(sealed.identity, "", tls_peer=ah.entity_id)
    with pytest.raises(PeerNoAnswer):
        await zj.answerer.fetch_answer(bytes(32), "", tls_peer=sh.entity_id)
    zj.govern('version = "closed"')
    with pytest.raises(AccessDenied):
        await zj.answerer.fetch_answer(sealed.identity, "", tls_peer=sh.entity_id)


async def test_fetching_counts_against_the_quota() -> None:
    sh, zj = make_country(limits=ExchangeLimits(peer_quota_per_s=1, peer_quota_burst=1))
    sealed = request(sh, zj)
    await send(sh, zj, sealed)
    with pytest.raises(PeerOverQuota):
        await zj.answerer.fetch_answer(sealed.identity, "", tls_peer=sh.entity_id)


async def test_what_is_seen_from_outside() -> None:
    sh, zj = make_country()
    await send(sh, zj, request(sh, zj))
    assert zj.observer.outcomes == [(Side.ANSWER, "certificates.query", "310000", "answered")]
    assert [stage for _, stage in zj.observer.stages] == ["admit", "claim", "look_up", "seal_and_store"]
    assert zj.observer.in_flight == 0
    assert id_card(zj.registry.dialect) == zj.registry.documents[0]
