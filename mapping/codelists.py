"""The shared words as data: code lists, elements, certificate types, and divisions by code and date.

Everything is read once from the tables in `codelists/` and never changes afterwards. A division code is not a
key: the same six digits have named different places (320705 was 海州区 in 1981 and 新浦区 in 1990), so it is
looked up with the date it was written on. The history is known from published snapshots; between two
snapshots a change can have happened on any day, and then both names are given and none is picked.
"""

from __future__ import annotations

import csv
import re
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mapping.errors import UnknownList

__all__ = [
    "SERVICE_ITEM",
    "CertificateKind",
    "CodeList",
    "CodeLists",
    "DivisionName",
    "Divisions",
    "ElementRule",
    "code_lists",
    "load_code_lists",
    "read_rows",
]

SERVICE_ITEM = "service_item"
"""The document kind of a service item; all other kinds are certificate type codes."""

_SERVICE_ITEM_ELEMENTS = (
    "事项名称 实施编码 事项类型 实施机构 行政区划 服务对象 受理条件 法定办结时限 承诺办结时限 咨询电话 "
    "申请材料[材料名称 材料形式 份数 必要性 可用电子证照] 办理地点[地点 办公时间] 收费项目[项目 标准 依据]"
)
_HERE = Path(__file__).parent / "codelists"
_OPEN = 999912
_ELEMENT_WORD = re.compile(r"([^\s\[\]]+)(?:\[([^\[\]]*)\])?")


@dataclass(frozen=True, slots=True)
class CodeList:
    """One list: its rows by code, each a mapping of column to text."""

    name: str
    version: str
    source: str
    label_column: str
    rows: Mapping[str, Mapping[str, str]]

    def __contains__(self, code: object) -> bool:
        return code in self.rows

    def label(self, code: str) -> str:
        """The label of a code, or an empty text when the list has no such code."""
        row = self.rows.get(code)
        return row[self.label_column] if row else ""


@dataclass(frozen=True, slots=True)
class ElementRule:
    """One shared element: its type (`text`, `date`, `code:sex` …); `common`: every certificate carries it."""

    name: str
    type: str
    common: bool
    source: str

    @property
    def code_list(self) -> str:
        """The list its codes are from, or an empty text."""
        return self.type.removeprefix("code:") if self.type.startswith("code:") else ""


@dataclass(frozen=True, slots=True)
class CertificateKind:
    """A certificate type, or the service item: its shared elements, and for each group those of its rows."""

    code: str
    name: str
    authority_code: str
    authority: str
    synthetic: bool
    elements: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class DivisionName:
    """A name that a code carried; first and last snapshot that held it, year and month as in ``198012``."""

    code: str
    name: str
    first_seen: int
    last_seen: int


class Divisions:
    """Which names a division code had, and when."""

    def __init__(self, names: Mapping[str, tuple[DivisionName, ...]]) -> None:
        self._names = names
        self._snapshots = sorted(
            {m for rows in names.values() for n in rows for m in (n.first_seen, n.last_seen)}
        )

    def __contains__(self, code: object) -> bool:
        return code in self._names

    def history(self, code: str) -> tuple[DivisionName, ...]:
        """Every name of the code, oldest first; empty when the code was never used."""
        return self._names.get(code, ())

    def at(self, code: str, on: date) -> tuple[DivisionName, ...]:
        """The names that the code may have carried on a day: none, one, or several if nothing decides."""
        month = on.year * 100 + on.month
        rows = self.history(code)
        seen = tuple(n for n in rows if n.first_seen <= month <= n.last_seen)
        return seen or tuple(n for n in rows if self._earliest(n) <= month <= self._latest(n))

    def _earliest(self, name: DivisionName) -> int:
        """The snapshot before the first that held the name: it began after it."""
        at = bisect_left(self._snapshots, name.first_seen)
        return self._snapshots[at - 1] if at else name.first_seen

    def _latest(self, name: DivisionName) -> int:
        """The snapshot after the last that held the name: it ended before it, or has not ended yet."""
        at = bisect_right(self._snapshots, name.last_seen)
        return self._snapshots[at] if at < len(self._snapshots) else _OPEN


@dataclass(frozen=True, slots=True)
class CodeLists:
    """All shared words of one version."""

    version: str
    lists: Mapping[str, CodeList]
    elements: Mapping[str, ElementRule]
    kinds: Mapping[str, CertificateKind]
    divisions: Divisions

    def get(self, name: str) -> CodeList:
        """The list of that name. Raises UnknownList."""
        found = self.lists.get(name)
        if found is None:
            raise UnknownList(f"there is no code list {name}")
        return found


@cache
def code_lists() -> CodeLists:
    """The code lists that are shipped, read once."""
    return load_code_lists(_HERE)


def load_code_lists(directory: Path) -> CodeLists:
    """Read the tables of a directory. Raises OSError, KeyError or ValueError when they are not whole."""
    described = tomllib.loads((directory / "lists.toml").read_text("utf-8"))
    version = str(described["version"])
    lists = {name: _read_list(directory, name, version, about) for name, about in described["lists"].items()}
    elements = {
        row["name"]: ElementRule(row["name"], row["type"], row["common"] == "yes", row["source"])
        for row in read_rows(directory / "elements.csv")
    }
    return CodeLists(
        version=version,
        lists=MappingProxyType(lists),
        elements=MappingProxyType(elements),
        kinds=MappingProxyType(_kinds(lists["certificate_type"], elements)),
        divisions=_read_divisions(directory / "division_history.csv"),
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table with a header, cells stripped. Raises OSError, csv.Error or UnicodeError."""
    with path.open(encoding="utf-8", newline="") as table:
        return [
            {str(name): (cell or "").strip() for name, cell in row.items() if name is not None}
            for row in csv.DictReader(table)
        ]


def _read_list(directory: Path, name: str, version: str, about: Mapping[str, Any]) -> CodeList:
    column = about.get("code", "code")
    rows = {row[column]: MappingProxyType(row) for row in read_rows(directory / about["file"])}
    return CodeList(name, version, about["source"], about.get("label", "name"), MappingProxyType(rows))


def _read_divisions(path: Path) -> Divisions:
    names: dict[str, list[DivisionName]] = {}
    for row in read_rows(path):
        name = DivisionName(row["code"], row["name"], int(row["first_seen"]), int(row["last_seen"]))
        names.setdefault(name.code, []).append(name)
    return Divisions({code: tuple(sorted(rows, key=lambda n: n.first_seen)) for code, rows in names.items()})


def _kinds(types: CodeList, elements: Mapping[str, ElementRule]) -> dict[str, CertificateKind]:
    """The types whose elements are written down, and the service item."""
    common = tuple(name for name, rule in elements.items() if rule.common)
    kinds = {}
    for code, row in types.rows.items():
        names, groups = _element_words(row["elements"])
        if names:
            kinds[code] = CertificateKind(
                code, row["name"], row["authority_uscc"], row["authority"], row["synthetic"] == "yes",
                common + names, groups,
            )  # fmt: skip
    names, groups = _element_words(_SERVICE_ITEM_ELEMENTS)
    kinds[SERVICE_ITEM] = CertificateKind(SERVICE_ITEM, "政务服务事项", "", "", False, names, groups)
    return kinds


def _element_words(text: str) -> tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]:
    """``姓名 家庭成员[姓名 性别]`` as names, and the names in each group's rows."""
    found = _ELEMENT_WORD.findall(text)
    groups = {name: tuple(inside.split()) for name, inside in found if inside}
    return tuple(name for name, _ in found), MappingProxyType(groups)
