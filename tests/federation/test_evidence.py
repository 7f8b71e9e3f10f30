"""Evidence files: what they prove, and what makes them fail, each with the part named."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import EvidenceBroken as NotExportable
from federation.errors import OwnNotFound
from federation.evidence_checks import checks_of
from federation.evidence_report import NamedNode
from federation.evidence_text import render_report
from federation.ports import RecordKind
from federation.query import (
    Answer,
    CertificateAnswer,
    CertificateGet,
    CertificateTypes,
    CertificateTypesAnswer,
    CertificateVerify,
    Operation,
    ServiceGet,
    ServiceItemAnswer,
    ServicesAnswer,
    ServiceSearch,
    StateAnswer,
    StateQuery,
    Verdict,
    VerifyAnswer,
)
from federation.statements import StatementKind
from tests.support.clock import NOON
from tests.support.evidence import (
    ANCHOR,
    ANSWERING,
    ASKING,
    CODEC,
    HOLDER_ID,
    PAPERS,
    SETTLED_AT,
    Exchange,
    World,
    only,
    resealed,
)
from tests.support.replacing import replace
from trust.container import (
    INDEX,
    MANIFEST,
    ROLL_OVERS,
    STATUS,
    answer_part,
    read_container,
    request_part,
    write_container,
)
from trust.envelope import parse, seal
from trust.errors import EvidenceBroken
from trust.keys import SigningKey, jwks_of
from trust.status import Revocation

REQUEST, ANSWER = request_part(1), answer_part(1)
OF_A_CHAIN = "statements/"


@pytest.fixture
def world() -> World:
    return World()


def broken(world: World, data: bytes, anchor: Mapping[str, Any] | None = None) -> EvidenceBroken:
    with pytest.raises(EvidenceBroken) as caught:
        only(data, anchor or world.anchor_jwks)
    return caught.value


# --- what holds ---


async def test_an_exchange_verifies_from_the_anchors_key_alone(world: World) -> None:
    exchange = Exchange(world)
    report = only(await world.export(exchange), world.anchor_jwks)
    assert report.request_id == exchange.request_id
    assert report.asking == NamedNode(ASKING, "310000", "上海市节点")
    assert report.answering == NamedNode(ANSWERING, "330000", "浙江省节点")
    assert (report.outcome, report.anchor, report.log_indices) == ("answered", ANCHOR, (41, 42))
    assert [check.number for check in checks_of(report)] == list(range(1, 12))
    assert report.status_sequence == 7


async def test_the_answering_node_exports_the_same_exchange(world: World) -> None:
    exchange = Exchange(world, exported_by=ANSWERING)
    report = only(await world.export(exchange, ANSWERING), world.anchor_jwks)
    assert report.exported_by.entity_id == ANSWERING


async def test_the_same_export_is_the_same_file(world: World) -> None:
    exchange = Exchange(world)
    first = read_container(await world.export(exchange))
    second = read_container(await world.export(exchange))
    del first[MANIFEST], second[MANIFEST]
    assert first == second


async def test_the_report_says_it_in_plain_words(world: World) -> None:
    text = render_report(only(await world.export(Exchange(world)), world.anchor_jwks))
    for words in (
        "存证成立",
        "上海市节点",
        "浙江省节点",
        "依职能",
        "出生一件事",
        "沪-2026-0001",
        "demo-portal",
        "经办-017",
        "1 份电子证照：结婚证",
        "for-310000",
        "2026-11-02 12:00:00.080000 UTC",
        "official duty",
        "1 certificate(s): 结婚证",
        "330*************79",
    ):
        assert words in text
    assert HOLDER_ID not in text
    assert text.index("存证成立") < text.index("The evidence holds")


async def test_a_signed_refusal_is_evidence(world: World) -> None:
    exchange = Exchange(world, refusal=("access.denied", "no rule for 310000"))
    report = only(await world.export(exchange), world.anchor_jwks)
    assert report.outcome == "refused"
    text = render_report(report)
    assert "访问规则不允许（access.denied）" in text
    assert "no rule for 310000" in text


async def test_a_request_without_an_answer_says_so(world: World) -> None:
    report = only(await world.export(Exchange(world, answered=False)), world.anchor_jwks)
    assert (report.outcome, report.log_indices) == ("no_answer", (41,))
    text = render_report(report)
    assert "本文件中没有答复" in text
    assert "whether it was answered is not proven" in text


async def test_an_answer_to_other_bytes_is_not_taken_for_the_answer(world: World) -> None:
    exchange = Exchange(world, answer_says={"request_identity": b"?" * 32})
    assert only(await world.export(exchange), world.anchor_jwks).outcome == "no_answer"


async def test_it_verifies_after_keys_and_statements_were_replaced(world: World) -> None:
    exchange = Exchange(world)
    data = await world.export(exchange)
    world.clock.advance(days=4000)
    world.envelope_keys[ASKING] = SigningKey.generate()
    world.publish(world.clock.at)
    assert only(data, world.anchor_jwks).outcome == "answered"


@pytest.mark.parametrize(
    ("operation", "body", "answer", "words"),
    [
        (Operation.CERTIFICATES_GET, CertificateGet("1.2.156.3005.2.1"), CertificateAnswer(), "没有这份证照"),
        (
            Operation.CERTIFICATES_VERIFY,
            CertificateVerify("1.2.156.3005.2.1", bytes(32)),
            VerifyAnswer(Verdict.ALTERED, altered=("性别",)),
            "已被改动",
        ),
        (Operation.CERTIFICATES_TYPES, CertificateTypes(), CertificateTypesAnswer(), "0 种证照类型"),
        (Operation.SERVICES_SEARCH, ServiceSearch(words="落户"), ServicesAnswer(total=3), "共 3 个事项"),
        (
            Operation.SERVICES_GET,
            ServiceGet("11330000002482107X333070100"),
            ServiceItemAnswer(),
            "没有这个事项",
        ),
        (Operation.NODE_STATE, StateQuery(), StateAnswer("1.2.3", NOON), "节点版本 1.2.3"),
    ],
)
async def test_every_operation_has_its_words(
    world: World, operation: Operation, body: Any, answer: Any, words: str
) -> None:
    exchange = Exchange(world, operation=operation, body=body, answer=answer)
    assert words in render_report(only(await world.export(exchange), world.anchor_jwks))


# --- what cannot be exported ---


async def test_an_unknown_exchange_is_not_found(world: World) -> None:
    exchange = Exchange(world)
    with pytest.raises(OwnNotFound):
        await world.exporter(exchange).export("0193-unknown")
    with pytest.raises(OwnNotFound):
        await world.exporter(exchange).export(exchange.request_id, asking="https://other.example")


@pytest.mark.parametrize(
    "missing",
    [
        (ANCHOR, ANCHOR, StatementKind.CONFIGURATION),
        (ANCHOR, ANSWERING, StatementKind.SUBORDINATE),
        (ASKING, ASKING, StatementKind.CONFIGURATION),
    ],
)
async def test_a_missing_statement_is_named(world: World, missing: tuple[str, str, StatementKind]) -> None:
    del world.statements[missing]
    with pytest.raises(NotExportable, match=missing[1]):
        await world.export(Exchange(world))


# --- what fails ---


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_flipped_bit_anywhere_fails_and_names_a_part(data: st.DataObject) -> None:
    file = _FILE
    place = data.draw(st.integers(0, len(file) - 1))
    flipped = bytearray(file)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    error = broken(_WORLD, bytes(flipped))
    named = {*read_container(file), "container"}
    assert error.part in named
    assert error.detail.startswith(f"{error.part}: ")
    inside = [name for name, content in read_container(file).items() if _holds(file, content, place)]
    if inside:
        assert error.part == inside[0]


def _holds(file: bytes, content: bytes, place: int) -> bool:
    return any(start <= place < start + len(content) for start in _starts(file, content))


def _starts(file: bytes, content: bytes) -> list[int]:
    found, at = [], file.find(content)
    while at >= 0:
        found.append(at)
        at = file.find(content, at + 1)
    return found if len(found) == 1 else []


_WORLD = World()
_FILE = asyncio.run(_WORLD.export(Exchange(_WORLD)))


@given(st.binary(max_size=400))
def test_garbage_is_refused(garbage: bytes) -> None:
    assert broken(_WORLD, garbage).part


@given(st.integers(0, len(_FILE) - 1))
@settings(max_examples=50, deadline=None)
def test_a_file_that_is_cut_off_is_refused(size: int) -> None:
    assert broken(_WORLD, _FILE[:size]).part


async def test_another_anchor_proves_nothing(world: World) -> None:
    other = jwks_of([SigningKey.generate().verification_key])
    assert broken(world, await world.export(Exchange(world)), other).part.startswith(OF_A_CHAIN)


async def test_a_part_altered_with_its_checksum_is_caught_by_the_manifest(world: World) -> None:
    parts = read_container(await world.export(Exchange(world)))
    parts[INDEX] = parts[INDEX].replace(b"41", b"40")
    assert broken(world, write_container(parts)).part == INDEX


async def test_a_part_that_is_missing_or_not_named_is_named(world: World) -> None:
    parts = read_container(await world.export(Exchange(world)))
    status = parts.pop(STATUS)
    assert broken(world, write_container(parts)).part == STATUS
    parts = read_container(await world.export(Exchange(world, answered=False)))
    assert broken(world, write_container({**parts, ANSWER: b"x", STATUS: status})).part == ANSWER


async def test_a_manifest_by_anyone_else_is_refused(world: World) -> None:
    data = await world.export(Exchange(world))
    assert broken(world, resealed(world, data, len, key=SigningKey.generate())).part == MANIFEST


async def test_a_manifest_of_another_nodes_name_is_refused(world: World) -> None:
    data = await world.export(Exchange(world))
    assert broken(world, resealed(world, data, len, by=ANSWERING)).part == MANIFEST


async def test_an_index_for_another_request_is_refused(world: World) -> None:
    first, second = Exchange(world), Exchange(world)
    ids = first.request_id.encode(), second.request_id.encode()
    data = resealed(
        world, await world.export(first), lambda parts: parts.update({INDEX: parts[INDEX].replace(*ids)})
    )
    assert broken(world, data).part == INDEX


async def test_a_request_signed_with_another_key_is_refused(world: World) -> None:
    exchange = Exchange(world)
    data = await world.export(exchange)

    def forge(parts: dict[str, bytes]) -> None:
        request = parse(parts[REQUEST], max_bytes=1 << 20)
        parts[REQUEST] = seal(request.payload_type, request.payload, SigningKey.generate()).envelope

    assert broken(world, resealed(world, data, forge)).part == REQUEST


async def test_an_answer_of_another_exchange_is_refused(world: World) -> None:
    first, second = await world.export(Exchange(world)), await world.export(Exchange(world))
    other = read_container(second)[ANSWER]
    data = resealed(world, first, lambda parts: parts.update({ANSWER: other}))
    assert broken(world, data).part == ANSWER


@pytest.mark.parametrize(
    ("request_says", "part"),
    [
        ({"asking": "https://node.ah.example"}, REQUEST),
        ({"answering": "https://node.ah.example"}, REQUEST),
        ({"asked_at": NOON - timedelta(minutes=2)}, "statements/000006.jwt"),
        (
            {"asked_at": NOON + timedelta(hours=24), "expires_at": NOON + timedelta(hours=25)},
            "statements/000006.jwt",
        ),
    ],
)
async def test_a_request_that_does_not_fit_its_signer_is_refused(
    world: World, request_says: dict[str, Any], part: str
) -> None:
    data = await world.export(Exchange(world, request_says=request_says))
    assert broken(world, data).part == part


@pytest.mark.parametrize(
    "answer_says",
    [
        {"request_id": "0193aaaa-0000-7000-8000-000000000000"},
        {"asking": "https://node.ah.example"},
        {"answering": "https://node.ah.example"},
        {"operation": Operation.CERTIFICATES_GET},
    ],
)
async def test_an_answer_that_does_not_fit_its_request_is_refused(
    world: World, answer_says: dict[str, Any]
) -> None:
    answer = CertificateAnswer() if "operation" in answer_says else PAPERS
    exchange = Exchange(world, answer=answer, answer_says=answer_says)
    assert broken(world, await world.export(exchange)).part == ANSWER


async def test_an_answer_whose_payload_is_of_another_operation_than_its_header_is_refused(
    world: World,
) -> None:
    exchange = Exchange(world, answered=False, exported_by=ANSWERING)
    header = exchange.answer_header(Operation.CERTIFICATES_QUERY, exchange.records[0].identity, None)
    payload = CODEC.encode_answer(Answer(header, PAPERS))
    lie = seal(Operation.CERTIFICATES_GET.answer_type, payload, world.envelope_keys[ANSWERING])
    exchange.records.append(exchange.record(1, RecordKind.ANSWERED_ANSWER, lie, Operation.CERTIFICATES_QUERY))
    error = broken(world, await world.export(exchange, ANSWERING))
    assert (error.part, "its type is" in error.detail) == (ANSWER, True)


async def test_a_leaf_of_other_bytes_is_refused(world: World) -> None:
    exchange = Exchange(world)
    other = b"\x01" + hashlib.sha256(b"other").digest()
    exchange.records[1] = replace(exchange.records[1], leaf=other)
    error = broken(world, await world.export(exchange))
    assert (error.part, "leaf of record 42" in error.detail) == (INDEX, True)


@pytest.mark.parametrize("garbage", [b"{}", b"[]", b"[1,2]", b"[ ]", b'[{"kind":1},{"kind":2}]', b"\xff"])
async def test_malformed_records_are_refused(world: World, garbage: bytes) -> None:
    data = resealed(world, await world.export(Exchange(world)), lambda parts: parts.update({INDEX: garbage}))
    assert broken(world, data).part == INDEX


@pytest.mark.parametrize(("entity", "part"), [(ASKING, REQUEST), (ANSWERING, ANSWER)])
async def test_a_node_that_was_revoked_before_is_refused(world: World, entity: str, part: str) -> None:
    world.publish(NOON, [Revocation(entity, NOON - timedelta(days=1), "密钥泄露")])
    error = broken(world, await world.export(Exchange(world)))
    assert (error.part, "密钥泄露" in error.detail) == (part, True)


async def test_a_node_that_was_revoked_later_was_a_member_then(world: World) -> None:
    world.publish(NOON, [Revocation(ANSWERING, NOON + timedelta(days=1), "later")])
    report = only(await world.export(Exchange(world)), world.anchor_jwks)
    assert report.outcome == "answered"


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_revocation_counts_from_its_second_on(world: World, seconds: int) -> None:
    world.publish(NOON, [Revocation(ASKING, SETTLED_AT + timedelta(seconds=seconds), "退出")])
    assert broken(world, await world.export(Exchange(world))).part == REQUEST
    world.publish(NOON, [Revocation(ASKING, SETTLED_AT + timedelta(seconds=1), "退出")])
    assert only(await world.export(Exchange(world)), world.anchor_jwks).answer


async def test_what_was_exported_before_a_revocation_and_after_it_verifies_alike(world: World) -> None:
    exchange = Exchange(world)
    world.clock.at = NOON + timedelta(hours=3)
    before, archived = await world.export(exchange), dict(world.statements)
    world.publish(NOON + timedelta(hours=1), [Revocation(ANSWERING, NOON + timedelta(hours=1), "密钥泄露")])
    status = (ANCHOR, ANCHOR, StatementKind.STATUS)
    world.statements = {**archived, status: world.statements[status]}
    after = await world.export(exchange)
    for data in (before, after):
        assert only(data, world.anchor_jwks).outcome == "answered"


# --- the anchor's key rolled over ---

DAY = timedelta(days=1)


def keys_of_the_anchor(world: World) -> list[dict[str, Any]]:
    """Each key that the anchor had, the first one first, as a JWK set of its own."""
    return [jwks_of([key.verification_key]) for key in (*world.former_anchor_keys, world.anchor_key)]


async def test_it_verifies_from_any_key_the_anchor_ever_had(world: World) -> None:
    """The exchange was in the time of the second of four keys: backward to the first, forward to the last."""
    world.roll_over(NOON - 30 * DAY, old_until=NOON - 23 * DAY)
    world.publish(NOON)
    exchange = Exchange(world)
    archived = dict(world.statements)
    for days in (30, 60):
        world.roll_over(NOON + days * DAY, old_until=NOON + (days + 7) * DAY)
    roll_overs = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
    world.statements = {**archived, roll_overs: world.statements[roll_overs]}
    data = await world.export(exchange)
    for pinned in keys_of_the_anchor(world):
        assert only(data, pinned).outcome == "answered"
    stranger = jwks_of([SigningKey.generate().verification_key])
    assert broken(world, data, stranger).part.startswith(OF_A_CHAIN)


async def test_in_the_overlap_either_key_signs(world: World) -> None:
    old_statements = dict(world.statements)
    world.roll_over(NOON - DAY, old_until=NOON + DAY)
    roll_overs = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
    document = world.statements[roll_overs]
    world.publish(NOON)
    for statements in (old_statements, dict(world.statements)):
        world.statements = {**statements, roll_overs: document}
        data = await world.export(Exchange(world))
        for pinned in keys_of_the_anchor(world):
            assert only(data, pinned).outcome == "answered"


async def test_an_old_key_of_the_anchor_proves_nothing_after_its_end(world: World) -> None:
    """Whoever stole it later can still sign statements, and they are not believed, not even from that key."""
    thief = dict(world.statements)
    world.roll_over(NOON - 9 * DAY, old_until=NOON - DAY)
    roll_overs = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
    world.statements = {**thief, roll_overs: world.statements[roll_overs]}
    data = await world.export(Exchange(world))
    for pinned in keys_of_the_anchor(world):
        assert "not one of the issuer's" in broken(world, data, pinned).detail


async def test_a_new_key_of_the_anchor_proves_nothing_before_its_time(world: World) -> None:
    world.roll_over(NOON + DAY, old_until=NOON + 2 * DAY)
    world.publish(NOON)
    data = await world.export(Exchange(world))
    for pinned in keys_of_the_anchor(world):
        assert broken(world, data, pinned).part.startswith(OF_A_CHAIN)


async def test_without_the_roll_overs_only_the_key_of_that_day_will_do(world: World) -> None:
    world.roll_over(NOON - DAY, old_until=NOON)
    world.publish(NOON)
    del world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    data = await world.export(Exchange(world))
    first, second = keys_of_the_anchor(world)
    assert only(data, second).outcome == "answered"
    assert broken(world, data, first).part.startswith(OF_A_CHAIN)


async def test_a_file_of_before_a_roll_over_verifies_from_the_key_of_after_it(world: World) -> None:
    data = await world.export(Exchange(world))
    world.roll_over(NOON + DAY, old_until=NOON + 2 * DAY)
    since = world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    for pinned in keys_of_the_anchor(world):
        assert only(data, pinned, roll_overs=since).outcome == "answered"
    assert broken(world, data).part.startswith(OF_A_CHAIN), "the file alone does not lead there"


async def test_who_leaves_the_roll_overs_out_revives_no_old_key(world: World) -> None:
    thief = dict(world.statements)
    world.roll_over(NOON - 9 * DAY, old_until=NOON - DAY)
    since = world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    world.statements = thief
    data = await world.export(Exchange(world))
    for pinned in keys_of_the_anchor(world):
        with pytest.raises(EvidenceBroken, match="not one of the issuer's"):
            only(data, pinned, roll_overs=since)


@pytest.mark.parametrize("document", [b"{}", b'["a.b.c"]', b"noise"])
async def test_roll_overs_that_do_not_hold_are_named(world: World, document: bytes) -> None:
    data = resealed(
        world, await world.export(Exchange(world)), lambda parts: parts.update({ROLL_OVERS: document})
    )
    assert broken(world, data).part == ROLL_OVERS


async def test_roll_overs_of_another_anchor_are_refused(world: World) -> None:
    other = World()
    other.roll_over(NOON - DAY, old_until=NOON)
    document = other.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    foreign = document.encode()
    data = resealed(
        world, await world.export(Exchange(world)), lambda parts: parts.update({ROLL_OVERS: foreign})
    )
    assert only(data, world.anchor_jwks).outcome == "answered"  # another line: no use
    assert broken(world, data, keys_of_the_anchor(other)[0]).part.startswith(OF_A_CHAIN)


async def test_an_empty_list_of_roll_overs_changes_nothing(world: World) -> None:
    world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = "[]"
    data = await world.export(Exchange(world))
    assert read_container(data)[ROLL_OVERS] == b"[]"
    assert only(data, world.anchor_jwks).outcome == "answered"


async def test_a_status_from_before_the_exchange_says_nothing_of_what_came_after_it(world: World) -> None:
    world.publish(NOON - timedelta(hours=1))
    text = render_report(only(await world.export(Exchange(world)), world.anchor_jwks))
    assert "before the exchange: later revocation not checked" in text
    assert "neither was revoked" not in text


async def test_a_status_by_anyone_else_is_refused(world: World) -> None:
    kept, status = dict(world.statements), (ANCHOR, ANCHOR, StatementKind.STATUS)
    world.status_key = SigningKey.generate()
    world.publish(NOON)
    world.statements = {**kept, status: world.statements[status]}
    assert broken(world, await world.export(Exchange(world))).part == STATUS


async def test_a_file_without_a_status_says_that_revocation_was_not_checked(world: World) -> None:
    del world.statements[ANCHOR, ANCHOR, StatementKind.STATUS]
    report = only(await world.export(Exchange(world)), world.anchor_jwks)
    assert report.status_sequence is None
    assert "revocation not checked" in render_report(report)


async def test_a_statement_that_is_missing_is_named(world: World) -> None:
    data = resealed(
        world, await world.export(Exchange(world)), lambda parts: parts.pop("statements/000004.jwt")
    )
    assert broken(world, data).part == "statements/000004.jwt"
