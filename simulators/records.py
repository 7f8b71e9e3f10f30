"""What a province's registry holds, asked and answered in local words: the population through the dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.element import Element, Relation
from mapping.translate import Dialect, load_dialect
from simulators.papers import Paper
from simulators.population import Population
from simulators.services import ServiceCatalogue, ServiceEntry, catalogue_of

__all__ = ["Found", "Records", "open_records"]

_KEPT_HOLDERS = 4096
_UNKNOWN_CODE = "Z9"
_CODED = ("证照状态", "性别", "事项类型")
"""The elements that get a code no dialect knows, when that fault is on."""

_ONLY_IN_JIANGSU = (Element("可信等级", "A"), Element("行政区划", "", relation=Relation.INVALID))
"""Only Jiangsu's registry says how far a certificate is to be trusted; its division is there, and empty."""


@dataclass(frozen=True, slots=True)
class Found:
    """Local documents, and how many there are in all."""

    documents: tuple[Mapping[str, Any], ...]
    total: int


class Records:
    """One province's certificates and service items. All parameters and documents are in local words."""

    def __init__(self, dialect: Dialect, population: Population, services: ServiceCatalogue) -> None:
        self._dialect = dialect
        self._population = population
        self._services = services
        self._papers = lru_cache(maxsize=_KEPT_HOLDERS)(self._population.papers_in)

    def certificates(self, asked: Mapping[str, str], *, unknown_code: bool = False) -> Found:
        """By ``holder_id_type``, ``holder_id`` and, where given, ``certificate_type``."""
        papers = self._papers(
            self._dialect.province,
            self._shared("holder_id_type", asked.get("holder_id_type", "")),
            asked.get("holder_id", ""),
        )
        kind = self._shared("certificate_type", asked.get("certificate_type", ""))
        chosen = [paper for paper in papers if kind in ("", paper.certificate_type)]
        return self._found([self._paper(paper, unknown_code) for paper in chosen])

    def certificate(self, asked: Mapping[str, str], *, unknown_code: bool = False) -> Found:
        """By ``certificate_id``; one or none."""
        shared = self._shared("certificate_id", asked.get("certificate_id", ""))
        paper = self._population.paper_in(self._dialect.province, shared)
        return self._found([self._paper(paper, unknown_code)] if paper else [])

    def service_items(self, asked: Mapping[str, str], *, unknown_code: bool = False) -> Found:
        """By ``words``, ``item_code`` and ``division``; one page of them."""
        entries, total = self._services.search(
            words=asked.get("words", ""),
            item_code=self._shared("item_code", asked.get("item_code", "")),
            division=self._shared("division", asked.get("division", "")),
            page=_count(asked.get("page"), 1),
            page_size=_count(asked.get("page_size"), 20),
        )
        return Found(tuple(self._item(entry, unknown_code) for entry in entries), total)

    def service_item(self, asked: Mapping[str, str], *, unknown_code: bool = False) -> Found:
        """By ``item_code``; one or none."""
        entry = self._services.get(self._shared("item_code", asked.get("item_code", "")))
        return self._found([self._item(entry, unknown_code)] if entry else [])

    def _found(self, documents: Sequence[Mapping[str, Any]]) -> Found:
        return Found(tuple(documents), len(documents))

    def _shared(self, parameter: str, value: str) -> str:
        return self._dialect.code_to_shared(parameter, value).value if value else ""

    def _paper(self, paper: Paper, unknown_code: bool) -> Mapping[str, Any]:
        extra = _ONLY_IN_JIANGSU if self._dialect.province == "320000" else ()
        document = self._render(paper.certificate_type, (*paper.elements, *extra), unknown_code)
        if self._dialect.province == "340000" and not unknown_code:
            # Anhui says the state in words as well; nothing but the code is ever written from shared words.
            return {**document, "handleStateName": code_lists().get("certificate_state").label(paper.state)}
        return document

    def _item(self, entry: ServiceEntry, unknown_code: bool) -> Mapping[str, Any]:
        extra = _only_in_anhui(entry) if self._dialect.province == "340000" else ()
        return self._render(SERVICE_ITEM, (*entry.elements, *extra), unknown_code)

    def _render(self, kind: str, elements: Sequence[Element], unknown_code: bool) -> Mapping[str, Any]:
        if unknown_code:
            elements = [
                Element(element.name, _UNKNOWN_CODE, relation=Relation.UNMAPPED)
                if element.name in _CODED
                else element
                for element in elements
            ]
        return self._dialect.render_local(kind, elements)


def _only_in_anhui(entry: ServiceEntry) -> tuple[Element, ...]:
    """What the item code says already; Anhui's items say it again, with their version."""
    return (
        Element("事项版本", "1"),
        Element("基本编码", entry.item_code[19:31]),
        Element("实施机构代码", entry.item_code[:18]),
    )


def open_records(province: str, population: Population) -> Records:
    """The records of a province in the dialect that is shipped."""
    return Records(load_dialect(province), population, catalogue_of(province, population.seed))


def _count(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else default
