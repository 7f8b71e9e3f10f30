"""Evidence files: what they prove, in words, and what cannot be exported."""

from __future__ import annotations

from typing import Any

import pytest

from federation.errors import EvidenceBroken as NotExportable
from federation.errors import OwnNotFound
from federation.evidence_checks import checks_of
from federation.evidence_report import NamedNode
from federation.evidence_text import render_report
from federation.query import (
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
    HOLDER_ID,
    Exchange,
    World,
    only,
)
from trust.container import (
    MANIFEST,
    read_container,
)
from trust.keys import SigningKey

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
