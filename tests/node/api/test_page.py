"""The reference page: well-formed, in both languages, with a heading and a target for every link."""

from __future__ import annotations

from html.parser import HTMLParser

from federation.errors import TABLE
from mapping.translate import load_dialect
from node.api.examples import Examples
from node.api.openapi import openapi_document
from node.api.page import docs_page

VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """Follows open elements, and notes ids and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if "href" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_page() -> tuple[str, Reader]:
    examples = Examples.of("310000", load_dialect("310000"))
    text = docs_page(openapi_document("http://x<y>", "1", examples)).decode()
    reader = Reader()
    reader.feed(text)
    return text, reader


def test_every_element_is_closed_and_every_link_has_its_target() -> None:
    _, reader = read_page()
    assert not reader.open
    assert len(set(reader.ids)) == len(reader.ids)
    for link in reader.links:
        assert link == "/openapi.json" or link.removeprefix("#") in reader.ids
    assert not {"script", "img", "link", "iframe"} & set(reader.tags)


def test_all_error_codes_are_told_in_both_languages() -> None:
    text, _ = read_page()
    for row in TABLE.values():
        assert row.code in text
        assert row.zh in text
    assert '<html lang="zh-CN">' in text
