"""A province's service items with their guides, in shared words (GB/T 39554.1), and the search over them.

Every province offers each kind of business once itself and in two of its counties. Guides differ from
province to province in promised days, places and telephone numbers, as they do. All of it is synthetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from mapping.codelists import code_lists
from mapping.element import Element
from mapping.identifiers import make_service_item_code, make_uscc
from simulators.divisions import counties, division_name, townships
from simulators.faces import elements
from simulators.permutation import Draws
from simulators.service_templates import TEMPLATES, ItemTemplate

__all__ = ["ServiceCatalogue", "ServiceEntry", "catalogue_of"]

PROVINCIAL, OF_COUNTY = "2", "4"
"""Levels in an item code (GB/T 39554.1): province and county."""

_COUNTIES_PER_ITEM = 2
_AREA_CODES = {"310000": "021", "320000": "025", "330000": "0571", "340000": "0551"}
_OPEN = ("周一至周五 9:00-17:00", "周一至周五 8:30-12:00，13:30-17:00", "周一至周六 9:00-16:30")


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One service item in shared words."""

    item_code: str
    name: str
    division: str
    elements: tuple[Element, ...]
    synthetic: bool = True


class ServiceCatalogue:
    """The items of one province, in the order of their codes."""

    def __init__(self, entries: Iterator[ServiceEntry]) -> None:
        self._by_code = {
            entry.item_code: entry for entry in sorted(entries, key=lambda entry: entry.item_code)
        }

    @property
    def entries(self) -> tuple[ServiceEntry, ...]:
        """All items."""
        return tuple(self._by_code.values())

    def get(self, item_code: str) -> ServiceEntry | None:
        """The item with that code of 31 or 33 characters."""
        return self._by_code.get(item_code)

    def search(
        self, words: str = "", item_code: str = "", division: str = "", page: int = 1, page_size: int = 20
    ) -> tuple[tuple[ServiceEntry, ...], int]:
        """One page of what fits, and how many fit in all.

        Every word must be in the name; `item_code` is the beginning of a code; a division holds what is in
        its counties too.
        """
        wanted = words.split()
        within = _stem(division)
        found = [
            entry
            for entry in self._by_code.values()
            if all(word in entry.name for word in wanted)
            and entry.item_code.startswith(item_code)
            and entry.division.startswith(within)
        ]
        first = (max(page, 1) - 1) * max(page_size, 1)
        return tuple(found[first : first + max(page_size, 1)]), len(found)


def _stem(division: str) -> str:
    """The digits that all divisions within this one begin with."""
    while division.endswith("00"):
        division = division[:-2]
    return division


@cache
def catalogue_of(province: str, seed: int) -> ServiceCatalogue:
    """The items of a province."""
    return ServiceCatalogue(_entries(province, seed))


def _entries(province: str, seed: int) -> Iterator[ServiceEntry]:
    for number, template in enumerate(TEMPLATES, start=1):
        draws = Draws(seed, province, "service", number)
        start = draws.below("county", len(counties(province)))
        some = [counties(province)[start - turn] for turn in range(_COUNTIES_PER_ITEM)]
        for division in (province, *some):
            yield _entry(province, division, number, template, Draws(seed, division, "service", number))


def _entry(province: str, division: str, number: int, template: ItemTemplate, draws: Draws) -> ServiceEntry:
    place = division_name(division)
    authority_name = place + template.authority
    level = PROVINCIAL if division == province else OF_COUNTY
    # Every third kind of business is split into handling items, which have 33 characters.
    handling = f"{1 + draws.below('handling', 3):02d}" if number % 3 == 0 else ""
    authority = make_uscc("1", "1", division, f"{20 + number:02d}{division}")
    code = make_service_item_code(
        authority, level, f"{province[:2]}{template.item_type}{number:05d}000", handling
    )
    promised = max(1, template.legal_days * (30 + draws.below("promise", 60)) // 100)
    guide = elements(
        [
            ("事项名称", template.name),
            ("实施编码", code),
            ("事项类型", template.item_type),
            ("实施机构", authority_name),
            ("行政区划", division),
            ("服务对象", template.applicant),
            ("受理条件", template.condition),
            ("法定办结时限", str(template.legal_days)),
            ("承诺办结时限", str(promised)),
            ("咨询电话", f"{_AREA_CODES[province]}-0000{draws.digits('telephone', 4)}"),
        ]
    )
    groups = (_materials(template), _places(division, place, draws), _fees(template))
    return ServiceEntry(code, template.name, division, (*guide, *groups))


def _materials(template: ItemTemplate) -> Element:
    codes = {kind.name: code for code, kind in code_lists().kinds.items()}
    rows = [
        (f"{template.name}申请表", "3", "1", "1", ""),
        *(
            (name, "2", "1", "1" if rank == 0 else "3", codes[name])
            for rank, name in enumerate(template.papers)
        ),
    ]
    names = ("材料名称", "材料形式", "份数", "必要性", "可用电子证照")
    groups = tuple(elements((n, v) for n, v in zip(names, row, strict=True) if v) for row in rows)
    return Element("申请材料", "", groups=groups)


def _places(division: str, place: str, draws: Draws) -> Element:
    streets = townships(division) or ("",)
    windows = [f"{place}政务服务中心综合窗口", f"{place}{draws.pick('township', streets)}便民服务中心"]
    hours = draws.pick("hours", _OPEN)
    rows = tuple(
        elements([("地点", window), ("办公时间", hours)]) for window in windows[: 1 + draws.below("count", 2)]
    )
    return Element("办理地点", "", groups=rows)


def _fees(template: ItemTemplate) -> Element:
    if template.fee is None:
        return Element("收费项目", "")
    return Element(
        "收费项目", "", groups=(elements(zip(("项目", "标准", "依据"), template.fee, strict=True)),)
    )
