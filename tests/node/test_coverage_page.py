"""The page of what the rule sets cover: whole HTML, no script, every figure and every open end on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

from mapping.codelists import code_lists
from mapping.coverage import RuleSetCoverage, Told, coverage_of
from node.coverage_page import coverage_page
from tests.mapping.rule_sets import shipped
from tests.mapping.samples import PROVINCES

VOID = {"meta", "br"}


class Whole(HTMLParser):
    """Every element is closed in its turn; what would fetch or run something is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.strange: list[str] = []
        self.heads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "img", "link", "iframe") or any(name.startswith("on") for name in said):
            self.strange.append(tag)
        self.ids += [said["id"] or ""] if "id" in said else []
        self.links += [said["href"] or ""] if "href" in said else []
        if tag == "th":
            self.heads.append(said.get("scope") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def measured(province: str) -> RuleSetCoverage:
    return coverage_of(shipped(province), code_lists(), date(2026, 11, 22))


def parsed(page: bytes) -> Whole:
    whole = Whole()
    whole.feed(page.decode())
    whole.close()
    assert whole.open == []
    return whole


def test_the_page_is_whole_and_fetches_nothing() -> None:
    whole = parsed(coverage_page([measured(province) for province in PROVINCES]))
    assert whole.strange == []
    assert len(whole.ids) == len(set(whole.ids))
    assert {link.removeprefix("#") for link in whole.links} <= set(whole.ids)
    assert set(whole.heads) == {"col", "row"}


def test_every_list_type_and_open_end_is_on_it() -> None:
    found = measured("320000")
    page = coverage_page([found]).decode()
    for codes in found.lists:
        assert codes.title in page
        assert f"{codes.with_row}/{codes.sources}" in page
        for told in (*codes.none, *codes.lossy_to_shared):
            assert told.code in page
    for kind in found.kinds:
        assert kind.name in page


def test_a_gap_is_told_in_words_and_what_is_told_is_escaped() -> None:
    found = measured("330000")
    gap = replace(found.lists[0], without_row=(Told("<b>x", "&"),))
    page = coverage_page([replace(found, lists=(gap,))]).decode()
    assert "有缺" in page
    assert "&lt;b&gt;x &amp;" in page
    assert "<b>x" not in page
