"""The tree of trust as page and as text, over every standing that a branch can have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from federation.trust_picture import Branch, KeyLine, Standing, StatementLine, TrustPicture
from node.cli.trust_tree import draw_tree
from node.trust_page import trust_page
from node.trust_words import STANDINGS, span
from tests.support.clock import NOON
from trust.policy import Change

LATER = NOON + timedelta(days=1)
MEMBER = Branch(
    "https://node.zj.example",
    Standing.MEMBER,
    name="浙江省节点",
    province="330000",
    expires_at=LATER,
    keys=(KeyLine("envelope", "kid-of-envelope", "ES256", LATER),),
    statements=(StatementLine("entity-configuration", "https://node.zj.example", NOON, LATER, NOON),),
    policy=(Change("openid_provider", "scope", "a b", "a", ("subset_of",)),),
)
PICTURE = TrustPicture(
    NOON,
    Branch("https://anchor.example", Standing.ANCHOR, name="锚", expires_at=LATER),
    7,
    NOON - timedelta(seconds=30),
    LATER,
    (MEMBER,),
)


class Structure(HTMLParser):
    """Collects what a page is made of, and refuses a tag that is not closed."""

    _VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(picture: TrustPicture) -> Structure:
    structure = Structure()
    structure.feed(trust_page(picture).decode())
    assert structure.open == []
    return structure


def test_the_page_tells_who_until_when_and_what_policy_changed() -> None:
    page = parsed(PICTURE)
    for said in ("浙江省节点", "330000", "kid-of-envelope", "30 s", "24 h", "openid_provider.scope: a b → a"):
        assert said in page.text
    assert ("html", {"lang": "zh-CN"}) in page.seen
    assert ("main", {"id": "main"}) in page.seen
    assert not any(tag in ("script", "img", "iframe") for tag, _ in page.seen)


def test_every_table_has_a_caption_and_heads_and_can_be_reached_by_keyboard() -> None:
    page = parsed(PICTURE)
    tags = [tag for tag, _ in page.seen]
    assert tags.count("caption") == tags.count("table") == 3
    regions = [attrs for tag, attrs in page.seen if tag == "div"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)
    assert all(attrs == {"scope": "col"} for tag, attrs in page.seen if tag == "th")


@pytest.mark.parametrize("standing", list(Standing))
def test_each_standing_is_told_in_words_on_page_and_in_text(standing: Standing) -> None:
    picture = replace(PICTURE, members=(replace(MEMBER, standing=standing, reason="原因甲"),))
    for word in (*STANDINGS[standing], "原因甲"):
        assert word in parsed(picture).text
        assert word in "\n".join(draw_tree(picture))


def test_what_a_peer_says_cannot_become_markup() -> None:
    hostile = replace(MEMBER, name="<script>x</script>", problem="<b>", reason='"><i>')
    page = parsed(replace(PICTURE, members=(hostile,)))
    assert not any(tag in ("script", "b", "i") for tag, _ in page.seen)
    assert "<script>x</script>" in page.text


def test_nor_can_it_steer_a_terminal_or_add_a_line() -> None:
    said = Change(
        "openid_provider", "scope\x1b[2J", "a\n└─ 上海市节点  [成员 member]", "b" * 5000, ("value",)
    )
    lines = list(draw_tree(replace(PICTURE, members=(replace(MEMBER, reason="\r\x9b", policy=(said,)),))))
    assert len(lines) == len(list(draw_tree(replace(PICTURE, members=(replace(MEMBER, reason="x"),)))))
    assert all(line.isprintable() and len(line) <= 1000 for line in lines)


def test_a_node_that_knows_nothing_has_a_picture_too() -> None:
    empty = TrustPicture(
        NOON, Branch("https://anchor.example", Standing.ANCHOR, problem="away"), 0, None, None, ()
    )
    assert "away" in parsed(empty).text
    assert any("away" in line for line in draw_tree(empty))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172800, "2 d"),
        (86400 * 30, "30 d"),
    ],
)
def test_a_span_is_told_in_the_unit_that_fits(seconds: int, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said
