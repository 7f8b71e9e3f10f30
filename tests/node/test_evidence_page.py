"""The evidence page over everything that can be wrong with a log, and over nothing at all."""

from __future__ import annotations

from dataclasses import replace as replace_dataclass
from datetime import timedelta

import pytest
from msgspec.structs import replace

from federation.log_conflicts import ConflictKind, conflict_of
from federation.pair_log import HourState, Reconciled
from federation.ports import CheckpointRow, Cosignature
from federation.reconcile import ADVICE, Finding, FindingKind, Place, hour_of
from federation.reconciling import PeerLook
from node.evidence_page import KINDS, evidence_page
from node.evidence_view import EvidenceView, PeerView
from tests.node.test_trust_page import Structure
from tests.support.clock import NOON
from tests.support.exchange import make_country

REQUEST_ID = "01a19c21-7200-7000-8000-000000000001"
ZJ = replace_dataclass(make_country()[1].peer(), name="浙江省节点 <b>")
FINDINGS = tuple(Finding(REQUEST_ID, kind, place, True) for kind, place in ADVICE)
HOURS = (
    Reconciled(ZJ.entity_id, hour_of(NOON), NOON, 12, HourState.ALARM, FINDINGS, 3),
    Reconciled(ZJ.entity_id, hour_of(NOON) - 1, NOON, 5, HourState.EXPLAINED, FINDINGS[-1:]),
    Reconciled(ZJ.entity_id, hour_of(NOON) - 2, NOON, 4, HourState.AGREE),
    Reconciled(ZJ.entity_id, hour_of(NOON) - 3, NOON, 9, HourState.UNFINISHED),
)
AGO = NOON - timedelta(seconds=30)
FULL = EvidenceView(
    at=NOON,
    own_entity="https://node.310000.example",
    province="310000",
    closed="a witness knows more",
    generations=2,
    signed=CheckpointRow(2, 120, bytes(32), AGO, "note"),
    settled=CheckpointRow(2, 100, bytes(32), AGO, "note", AGO),
    quorum=2,
    peers=(
        PeerView(
            ZJ,
            Cosignature(ZJ.entity_id, AGO, "line"),
            PeerLook(NOON, AGO, HOURS, 30, "peer.unreachable: <away>"),
            HOURS,
        ),
    ),
    conflicts=(
        replace(
            conflict_of(
                *(ConflictKind.RECORD_ALTERED, ZJ.entity_id, "node/records/1", NOON),
                known="",
                offered="",
                detail="request <1>",
            ),
            number=7,
        ),
    ),
)
EMPTY = EvidenceView(NOON, "https://node.310000.example", "310000", "", 1, None, None, 0, (), ())


def structure(view: EvidenceView) -> Structure:
    """The page, parsed; every tag closed."""
    page = Structure()
    page.feed(evidence_page(view).decode())
    assert page.open == []
    return page


@pytest.mark.parametrize("view", [FULL, EMPTY, replace(FULL, peers=(PeerView(ZJ, None, None, ()),))])
def test_the_page_is_whole_and_quotes_what_it_shows(view: EvidenceView) -> None:
    page = structure(view)
    tags = [tag for tag, _ in page.seen]
    assert tags.count("h1") == tags.count("main") == 1
    assert not {"b", "script", "away", "img"} & set(tags)
    assert page.seen[0] == ("html", {"lang": "zh-CN"})


def test_everything_is_told_in_words_with_what_to_do() -> None:
    text = structure(FULL).text
    for zh, en in KINDS.values():
        assert zh in text or en in text
    assert "yrd log restart" in text
    assert "yrd log conflicts --acknowledge 7" in text
    assert "peer.unreachable: <away>" in text
    assert "120 条记录" in text
    assert "20 条待见证" in text
    assert text.count(REQUEST_ID) == 11  # ten of an hour, and one
    assert "另有 4 项" in text


@pytest.mark.parametrize(("size", "said"), [(1, "1 条记录 record ·"), (2, "2 条记录 records ·")])
def test_one_record_is_no_records(size: int, said: str) -> None:
    checkpoint = CheckpointRow(2, size, bytes(32), AGO, "note")
    assert said in structure(replace(FULL, signed=checkpoint)).text


def test_what_is_alarming_comes_first() -> None:
    text = structure(FULL).text
    kinds = [kind for kind in FindingKind if kind.is_alarming]
    last_alarming = max(text.index(KINDS[kind][0]) for kind in kinds)
    assert last_alarming < text.index(KINDS[FindingKind.ONE_SIDED][0])
    assert ADVICE[FindingKind.MISSING_HERE, Place.HERE][0] in text


def test_an_empty_log_is_told_as_such() -> None:
    text = structure(EMPTY).text
    assert "尚无" in text
    assert "没有未处理的冲突" in text
    assert "锚未给出" in text
