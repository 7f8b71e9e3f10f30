"""The page for the people who keep the dialect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from federation.translator import Direction
from federation.unmapped_codes import NotShown, UnmappedCode
from node.translation_view import OUTCOMES, TranslationView
from node.translations_page import WORDS, translations_page
from tests.node.test_trust_page import Structure
from tests.support.clock import NOON

TO_SHARED, TO_LOCAL = Direction.TO_SHARED, Direction.TO_LOCAL
VIEW = TranslationView(
    at=NOON,
    province="330000",
    name="浙江省",
    version="330000@2026.2",
    digest="ab" * 32,
    since=NOON - timedelta(hours=3),
    counted_since=NOON - timedelta(days=2),
    outcomes={(TO_SHARED, "exact"): 123456, (TO_SHARED, "unmapped"): 9, (TO_LOCAL, "carried"): 2},
    codes=(
        UnmappedCode(TO_SHARED, "certificate_state", "停用", 1204, NOON - timedelta(minutes=1)),
        UnmappedCode(TO_LOCAL, "education", "93", 3, NOON),
    ),
    not_shown={(TO_SHARED, "sex", NotShown.NUMBER): 17},
)


def parsed(view: TranslationView) -> Structure:
    structure = Structure()
    structure.feed(translations_page(view).decode())
    assert structure.open == []
    return structure


def test_the_page_tells_what_is_in_force_what_is_missing_and_what_to_do() -> None:
    page = parsed(VIEW)
    for said in (
        "浙江省",
        "330000@2026.2",
        "ab" * 32,
        "3 h",
        "停用",
        "1,204",
        "2026-11-02 11:59:00Z",
        "123,456",
    ):
        assert said in page.text
    for command in ("yrd map check", "yrd map diff", "yrd map reload"):
        assert command in page.text
    assert ("html", {"lang": "zh-CN"}) in page.seen
    assert ("main", {"id": "main"}) in page.seen
    assert not any(tag in ("script", "img", "iframe") for tag, _ in page.seen)


def test_every_table_has_a_caption_and_heads_and_can_be_reached_by_keyboard() -> None:
    page = parsed(VIEW)
    tags = [tag for tag, _ in page.seen]
    assert tags.count("caption") == tags.count("table") == 3
    regions = [attrs for tag, attrs in page.seen if tag == "div"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)
    assert all(attrs == {"scope": "col"} for tag, attrs in page.seen if tag == "th")


def test_every_outcome_and_every_reason_has_its_words() -> None:
    assert set(WORDS) == set(OUTCOMES)
    every = {(TO_SHARED, "sex", why): 1 for why in NotShown}
    assert len(set(parsed(replace(VIEW, not_shown=every)).text.split("sex"))) > len(NotShown)


@pytest.mark.parametrize("code", ["<script>x</script>", '"><i>', "&amp;"])
def test_a_code_cannot_become_markup(code: str) -> None:
    hostile = UnmappedCode(TO_SHARED, code, code, 1, NOON)
    page = parsed(replace(VIEW, codes=(hostile,), name=code, version=code))
    assert not any(tag in ("script", "i") for tag, _ in page.seen)
    assert code in page.text


def test_where_nothing_is_missing_the_page_says_so() -> None:
    page = parsed(replace(VIEW, codes=(), not_shown={}, outcomes={}, since=None, counted_since=None))
    assert "没有 none" in page.text
    assert "yrd map reload" not in page.text
