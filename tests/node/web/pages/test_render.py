"""Each page in both languages: whole, escaped, with nothing inline and nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from federation.login.model import OnBehalf
from federation.login.refusals import PageRefusal, Turn
from node.config import NodeSection
from node.web.pages import (
    ChooserPage,
    ConsentPage,
    ErrorPage,
    Form,
    FormPostPage,
    Page,
    Pages,
    ProvinceChoice,
)
from node.web.pages.phrases import LANGUAGES, PROVINCES, Lang
from node.web.pages.problems import PROBLEMS
from tests.support.page_samples import HOSTILE, HOSTILE_PAGES, NODE, PAGES

NAMES = {"platform": "平台{x}", "Platform": "平台{x}"}
VOID = frozenset({"meta", "link", "img", "input"})
ALL = [*PAGES.items(), *((f"hostile-{name}", page) for name, page in HOSTILE_PAGES.items())]


@pytest.mark.parametrize(("days", "said"), [(1, "for 1 day without"), (2, "for 2 days without")])
def test_one_has_its_noun_in_the_singular(days: int, said: str) -> None:
    page = PAGES["consent"]
    assert isinstance(page, ConsentPage)
    one = replace(page, platform=OnBehalf("ah-portal", "安徽政务服务网", days))
    assert said in Pages(NODE).html(one, "en")
    assert f"保持登录 {days} 天，" in Pages(NODE).html(one, "zh")


class Outline(HTMLParser):
    """The elements of a page, and whether all of them are closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def close(self) -> None:
        super().close()
        assert self._open == []

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def outline(page: Page, lang: Lang, *, node: NodeSection = NODE) -> Outline:
    read = Outline()
    read.feed(Pages(node).html(page, lang, here="/login/i/4fzS"))
    read.close()
    return read


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("name", "page"), ALL, ids=[name for name, _page in ALL])
def test_a_page_is_whole_and_runs_and_loads_nothing_but_its_own(name: str, page: Page, lang: Lang) -> None:
    read = outline(page, lang)
    assert read.every("html") == [{"lang": "zh-CN" if lang == "zh" else "en"}]
    assert len(read.every("h1")) == 1
    assert read.every("style") == []
    assert all("style" not in attrs for _tag, attrs in read.elements)
    assert not [attr for _tag, attrs in read.elements for attr in attrs if attr.startswith("on")]
    scripts = read.every("script")
    assert len(scripts) == (1 if "form-post" in name else 0)
    loaded = [one["src"] for one in scripts + read.every("img")] + [one["href"] for one in read.every("link")]
    assert all(str(one).startswith("/login/static/") for one in loaded)
    ids = [attrs["id"] for _tag, attrs in read.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_what_came_from_elsewhere_stays_text(name: str, lang: Lang) -> None:
    html = Pages(NODE).html(HOSTILE_PAGES[name], lang)
    assert "<script>" not in html
    assert "<img src=x" not in html
    assert "{{7*7}}" in html
    assert "49" not in re.findall(r"\b49\b", html)
    known = {attr for _tag, attrs in outline(PAGES["front"], lang).elements for attr in attrs}
    read = outline(HOSTILE_PAGES[name], lang)
    assert "onerror" not in known | {attr for _tag, attrs in read.elements for attr in attrs}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_form_carries_the_token_of_its_page(lang: Lang) -> None:
    for name, page in PAGES.items():
        read = outline(page, lang)
        forms = read.every("form")
        assert all(form["method"] == "post" for form in forms)
        tokens = [one for one in read.every("input") if one.get("name") == "csrf"]
        expected = 0 if name == "form-post" else len(forms)
        assert [one["value"] for one in tokens] == ["c5-token"] * expected


def test_the_chooser_offers_every_province_and_not_the_one_that_is_away() -> None:
    read = outline(PAGES["chooser"], "zh")
    buttons = {one["value"]: one for one in read.every("button") if one["name"] == "province"}
    assert list(buttons) == ["310000", "320000", "330000", "340000"]
    assert [code for code, one in buttons.items() if "disabled" in one] == ["330000"]
    for chinese, _english in PROVINCES.values():
        assert chinese in read.text


def test_a_province_that_the_pages_do_not_know_has_the_name_that_was_given() -> None:
    page = ChooserPage(
        form=Form("/login/i/x", "t"),
        platform_name="p",
        provinces=[ProvinceChoice(code="350000", name="福建省节点")],
    )
    assert "福建省节点" in outline(page, "en").text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_consent_shows_each_attribute_to_whom_and_for_what_and_hides_the_number(lang: Lang) -> None:
    text = outline(PAGES["consent-papers"], lang).text
    for said in (
        "安徽政务服务网",
        "欧阳志强",
        "不动产权证书",
        "结婚证",
        "住房公积金异地贷款",
        "340100-2026-000123",
        "11340000MB0000000X4442014005000",
        "委托授权" if lang == "zh" else "delegated consent",
    ):
        assert said in text
    page = PAGES["consent"]
    assert isinstance(page, ConsentPage)
    text = outline(page, lang).text
    assert "320********1234" in text
    assert "320102198803071234" not in text
    assert ("男" if lang == "zh" else "male") in text
    assert ("安徽省" if lang == "zh" else "Anhui") in text
    assert ("汉族" if lang == "zh" else "Han") in text, "codes are read out"
    order = ("姓名", "性别", "出生日期") if lang == "zh" else ("Name", "Sex", "Date of birth")
    assert sorted(order, key=text.index) == list(order)
    stays = "保持登录 30 天" if lang == "zh" else "stay logged in there for 30 days"
    assert stays not in text
    assert stays in outline(replace(page, platform=OnBehalf("p", "P", 30)), lang).text


def test_nothing_on_a_page_hides_or_turns_round_what_is_read() -> None:
    page = ChooserPage(form=Form("/a", "t"), platform_name="税务局\u202egnihsihp\u200b", provinces=[])
    text = outline(page, "zh").text
    assert "税务局\\x202egnihsihp\\x200b" in text
    answer = FormPostPage(redirect_uri="https://a.example/cb", parameters=[("state", "\u202e\t")])
    sent = {one["name"]: one["value"] for one in outline(answer, "zh").every("input")}
    assert sent == {"state": "\u202e\t"}, "what is sent on stays as it is"


def test_an_error_tells_both_languages_the_chosen_one_first_and_a_number() -> None:
    zh, en = outline(PAGES["error-peer"], "zh").text, outline(PAGES["error-peer"], "en").text
    assert zh.index("暂时连不上浙江省") < zh.index("Zhejiang cannot be reached")
    assert en.index("Zhejiang cannot be reached") < en.index("暂时连不上浙江省")
    assert zh.count("7K3M-Q9RD") == 2


def test_an_error_that_knows_no_names_is_whole_sentences() -> None:
    text = outline(PAGES["error-platform"], "en").text
    assert "\nThe service asked to return" in text
    assert "无法返回办事平台" in text


@pytest.mark.parametrize("turn", Turn)
def test_an_error_without_texts_of_its_own_says_whose_turn_it_is(turn: Turn) -> None:
    refusal = PageRefusal("login.of_tomorrow", turn=turn, detail="the reason", status=418)
    page = ErrorPage.of(refusal, number="ABCD2345")
    text = outline(page, "zh").text
    assert "ABCD2345" in text
    assert "the reason" in text
    assert page.status == 418
    assert text.index("接下来") < text.index("What now")


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_error_text_can_be_filled_in(code: str) -> None:
    page = ErrorPage(
        code=code, turn=Turn.CITIZEN, number="ABCD2345", platform_name="平台{x}", peer_name="浙江省节点"
    )
    text = outline(page, "zh").text
    assert PROBLEMS[code].zh.title.format_map(NAMES | {"peer": "浙江省", "Peer": "浙江省"}) in text
    assert PROBLEMS[code].en.title.format_map(NAMES | {"peer": "Zhejiang", "Peer": "Zhejiang"}) in text


def test_times_are_those_of_beijing() -> None:
    assert "2026年11月23日 09:30" in outline(PAGES["me"], "zh").text
    assert "23\xa0Nov\xa02026, 09:30" in outline(PAGES["me"], "en").text


def test_the_page_of_a_node_with_a_path_keeps_to_it() -> None:
    node = NodeSection(province="330000", name="浙江省", entity_id="https://example.cn/yrd")
    read = outline(PAGES["signed-out"], "zh", node=node)
    assert all(str(one["href"]).startswith("/yrd/login/static/") for one in read.every("link"))
    assert "/yrd/me" in [one["href"] for one in read.every("a")]


def test_hostile_text_is_hostile() -> None:
    """The tests above would pass on anything if this were tame."""
    read = Outline()
    read.feed(f'<p title="{HOSTILE}">')
    assert "onerror" in {attr for _tag, attrs in read.elements for attr in attrs}
