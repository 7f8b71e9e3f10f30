"""The shared words as data: code lists, elements, certificate types, and divisions by code and date.

Everything is read once from the tables in `codelists/` and never changes afterwards. A row of a list may have
days from and to which it is valid; where it has none, it is valid as long as the list. What a division code
meant on a day and what became of it is in `CodeLists.divisions` (see `mapping.divisions`); the lists `division`
and `township` have the table of today.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct, field

from mapping.division_facts import read_divisions
from mapping.divisions import Divisions
from mapping.errors import UnknownList
from mapping.tables import read_columns, read_rows

__all__ = [
    "SERVICE_ITEM",
    "CertificateKind",
    "CodeList",
    "CodeLists",
    "CodeRow",
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
_VALID_FROM, _VALID_TO = "valid_from", "valid_to"
_Bounds = Mapping[str, tuple[date | None, date | None]]
_ELEMENT_WORD = re.compile(r"([^\s\[\]]+)(?:\[([^\[\]]*)\])?")


class CodeRow(NamedTuple):
    """One row of a list: its days of validity, both included, are None where the list sets no bound."""

    code: str
    label: str
    valid_from: date | None
    valid_to: date | None
    cells: Mapping[str, str]

    def holds_on(self, on: date) -> bool:
        """Whether the row is valid on a day."""
        return (self.valid_from or date.min) <= on <= (self.valid_to or date.max)


class CodeList:
    """One list: name, version, source, what is known of its rows' days, and the rows by code."""

    __slots__ = (
        "_bounds",
        "_cells",
        "_labels",
        "columns",
        "label_columns",
        "name",
        "source",
        "validity",
        "version",
    )

    def __init__(
        self,
        name: str,
        version: str,
        source: str,
        columns: tuple[str, ...],
        cells: Mapping[str, tuple[str, ...]],
        label_columns: tuple[str, ...],
        validity: str,
        bounds: _Bounds,
    ) -> None:
        self.name = name
        self.version = version
        self.source = source
        self.validity = validity
        self.label_columns = label_columns
        self.columns = columns
        self._cells = cells
        self._labels = tuple(map(columns.index, label_columns))
        self._bounds = bounds

    def with_validity(self, bounds: _Bounds) -> CodeList:
        """The same list with other days of validity, by code."""
        return CodeList(
            self.name,
            self.version,
            self.source,
            self.columns,
            self._cells,
            self.label_columns,
            self.validity,
            bounds,
        )

    def __contains__(self, code: object) -> bool:
        return code in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def rows(self) -> Mapping[str, Mapping[str, str]]:
        """The rows by code, each a mapping of column to text."""
        return _Rows(self.columns, self._cells)

    def label(self, code: str) -> str:
        """The label of a code from the first column that has one; empty when the list has no such code."""
        row = self._cells.get(code, ())
        return next((row[place] for place in self._labels if row and row[place]), "")

    def at(self, code: str, on: date) -> CodeRow | None:
        """The row of a code if it is valid on a day, else None."""
        cells = self._cells.get(code)
        if cells is None:
            return None
        bounds = self._bounds.get(code, (None, None))
        row = CodeRow(code, self.label(code), *bounds, dict(zip(self.columns, cells, strict=True)))
        return row if row.holds_on(on) else None


class _Rows(Mapping[str, Mapping[str, str]]):
    """Rows kept as tuples, seen as mappings."""

    __slots__ = ("_cells", "_columns")

    def __init__(self, columns: tuple[str, ...], cells: Mapping[str, tuple[str, ...]]) -> None:
        self._columns = columns
        self._cells = cells

    def __getitem__(self, code: str) -> Mapping[str, str]:
        return dict(zip(self._columns, self._cells[code], strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __contains__(self, code: object) -> bool:
        return code in self._cells


class ElementRule(Struct, frozen=True):
    """One shared element: its type (`text`, `date`, `code:sex` …); `common`: every certificate carries it."""

    name: str
    type: str
    common: bool
    source: str

    @property
    def code_list(self) -> str:
        """The list its codes are from, or an empty text."""
        return self.type.removeprefix("code:") if self.type.startswith("code:") else ""


class CertificateKind(Struct, frozen=True):
    """A certificate type, or the service item: its shared elements, and for each group those of its rows."""

    code: str
    name: str
    authority_code: str
    authority: str
    synthetic: bool
    elements: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


class CodeLists(Struct, frozen=True):
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

    list = get


@cache
def code_lists() -> CodeLists:
    """The code lists that are shipped, read once."""
    return load_code_lists(_HERE)


def load_code_lists(directory: Path) -> CodeLists:
    """Read the tables of a directory. Raises OSError, KeyError or ValueError when they are not whole."""
    described = tomllib.loads((directory / "lists.toml").read_text("utf-8"))
    version = str(described["version"])
    lists = {name: _read_list(directory, name, version, about) for name, about in described["lists"].items()}
    township = lists["township"]
    divisions = read_divisions(directory, {code: township.label(code) for code in township})
    lists["division"] = _since(lists["division"], divisions)
    elements = {
        row["name"]: ElementRule(row["name"], row["type"], row["common"] == "yes", row["source"])
        for row in read_rows(directory / "elements.csv")
    }
    return CodeLists(
        version=version,
        lists=MappingProxyType(lists),
        elements=MappingProxyType(elements),
        kinds=MappingProxyType(_kinds(lists["certificate_type"], elements)),
        divisions=divisions,
    )


def _read_list(directory: Path, name: str, version: str, about: Mapping[str, Any]) -> CodeList:
    columns, rows = read_columns(directory / about["file"])
    code = columns.index(about.get("code", "code"))
    cells = {row[code]: row for row in rows}
    if len(cells) != len(rows):
        raise ValueError(f"the code list {name} has a code twice")
    label = about.get("label", "name")
    labels = (label,) if isinstance(label, str) else tuple(label)
    bounds = {row[code]: _bounds(columns, row) for row in rows} if _VALID_FROM in columns else {}
    return CodeList(name, version, about["source"], columns, cells, labels, about["validity"], bounds)


def _bounds(columns: tuple[str, ...], row: tuple[str, ...]) -> tuple[date | None, date | None]:
    first, last = (row[columns.index(name)] for name in (_VALID_FROM, _VALID_TO))
    return (date.fromisoformat(first) if first else None, date.fromisoformat(last) if last else None)


def _since(current: CodeList, divisions: Divisions) -> CodeList:
    """The list of today's divisions, each valid from the first day that its history allows."""
    bounds: dict[str, tuple[date | None, date | None]] = {}
    for code in current:
        name = divisions.history(code)[-1]
        bounds[code] = (None if name.begins.earliest == date.min else name.begins.earliest, None)
    return current.with_validity(bounds)


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
