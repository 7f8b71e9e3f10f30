"""A rule set as a spreadsheet that people edit, and back.

Sheets: ``dialect`` (table, key, value: what stands in ``dialect.toml``; the key ``#`` is a line of the comment
at its head), ``fields`` (the columns of ``fields.csv``), and ``map <name>`` for each code map (the columns of
``maps/<name>.csv``). The first row names the columns, in any order. What a file lacks is kept from a base, if
there is one. All faults are told by cell; only without any are there files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from mapping.codelists import CodeLists
from mapping.formats.tables import DialectTables, Row, files_of
from mapping.formats.workbook import (
    CellFault,
    Sheet,
    SheetRow,
    cell_name,
    read_csv_sheet,
    read_workbook,
)
from mapping.rule_files import read_rule_set
from mapping.ruleset import FIELD_COLUMNS, MAP_COLUMNS
from mapping.validate import rule_set_faults

__all__ = ["Imported", "import_sheets", "import_spreadsheet", "sheets_of"]

_DIALECT, _FIELDS, _MAP = "dialect", "fields", "map "
_DIALECT_COLUMNS = ("table", "key", "value")
_EMPTY = DialectTables((), MappingProxyType({}), (), MappingProxyType({}))
_PLACE = re.compile(
    r"(?P<file>maps/\S+\.csv|fields\.csv|dialect\.toml)(?: line (?P<line>[0-9]+))?"
    r"(?:,? (?P<table>\[[^\]]+\]))?(?:,? (?P<column>\w+))?: (?P<fault>.*)"
)
_MAP_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True, slots=True)
class Imported:
    """The files, or the faults: one of them is empty."""

    files: Mapping[str, bytes]
    faults: tuple[CellFault, ...]


# --- out ------------------------------------------------------------------------------------------


def sheets_of(tables: DialectTables) -> tuple[Sheet, ...]:
    """The sheets of a rule set; `import_sheets` makes the same files of them."""
    described = [("", "#", line) for line in tables.comment]
    described += [(name, key, value) for name, row in tables.described.items() for key, value in row.items()]
    return (
        _numbered(_DIALECT, _DIALECT_COLUMNS, described),
        _numbered(
            _FIELDS, FIELD_COLUMNS, [[row.get(name, "") for name in FIELD_COLUMNS] for row in tables.fields]
        ),
        *(
            _numbered(
                _MAP + name, MAP_COLUMNS, [[row.get(column, "") for column in MAP_COLUMNS] for row in rows]
            )
            for name, rows in tables.maps.items()
        ),
    )


def _numbered(name: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Sheet:
    return Sheet(
        name,
        tuple(heads),
        tuple(SheetRow(number, tuple(cells)) for number, cells in enumerate(rows, start=2)),
    )


# --- in -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reader:
    """Gathers tables and faults, and remembers where in the spreadsheet each line of a file came from."""

    faults: list[CellFault] = field(default_factory=list)
    comment: list[str] = field(default_factory=list)
    described: dict[str, dict[str, str]] = field(default_factory=dict)
    fields: list[Row] | None = None
    maps: dict[str, list[Row]] = field(default_factory=dict)
    sheets: dict[str, Sheet] = field(default_factory=dict)
    cells: dict[tuple[str, str], str] = field(default_factory=dict)

    def read(self, sheet: Sheet) -> None:
        name = sheet.name
        if name == _DIALECT:
            self._read_dialect(sheet)
        elif name == _FIELDS:
            self.fields = list(self._rows(sheet, FIELD_COLUMNS))
            self.sheets["fields.csv"] = sheet
        elif name.startswith(_MAP) and _MAP_NAME.fullmatch(name[len(_MAP) :]):
            self.maps[name[len(_MAP) :]] = list(self._rows(sheet, MAP_COLUMNS))
            self.sheets[f"maps/{name[len(_MAP) :]}.csv"] = sheet
        else:
            self.faults.append(
                CellFault(
                    name, "", "不是 dialect、fields 或 map <名称> / is none of dialect, fields, map <name>"
                )
            )

    def _read_dialect(self, sheet: Sheet) -> None:
        self.sheets["dialect.toml"] = sheet
        for row, cells in zip(sheet.rows, self._rows(sheet, _DIALECT_COLUMNS), strict=False):
            table, key, value = (cells[name] for name in _DIALECT_COLUMNS)
            place = cell_name(row.number, sheet.heads.index("key") + 1)
            if key == "#":
                self.comment.append(value)
            elif not key or key in self.described.get(table, {}):
                self.faults.append(
                    CellFault(sheet.name, place, f"键 {key!r} 为空或重复 / key is empty or there twice")
                )
            else:
                self.described.setdefault(table, {})[key] = value
                self.cells.setdefault((table, ""), place)
                self.cells[table, key] = cell_name(row.number, sheet.heads.index("value") + 1)

    def _rows(self, sheet: Sheet, columns: Sequence[str]) -> Iterator[Row]:
        """The rows by column; nothing when the first row does not name each column once."""
        faulty = False
        for number, head in enumerate(sheet.heads, start=1):
            if head not in columns or sheet.heads.index(head) != number - 1:
                faulty = True
                fault = f"列 {head!r} 不认识或重复 / column is unknown or there twice"
                self.faults.append(CellFault(sheet.name, cell_name(1, number), fault))
        for missing in (name for name in columns if name not in sheet.heads):
            faulty = True
            self.faults.append(CellFault(sheet.name, "1:1", f"缺列 {missing} / the column is missing"))
        if faulty:
            return
        for row in sheet.rows:
            for number, text in enumerate(row.cells[len(sheet.heads) :], start=len(sheet.heads) + 1):
                if text:
                    fault = "该列没有名称 / stands in a column without a name"
                    self.faults.append(CellFault(sheet.name, cell_name(row.number, number), fault))
            cells = (*row.cells, *("",) * (len(sheet.heads) - len(row.cells)))
            yield dict(zip(sheet.heads, cells, strict=False))

    def tables(self, base: DialectTables) -> DialectTables:
        """What was read, over what the base has."""
        known = "dialect.toml" in self.sheets
        return DialectTables(
            comment=tuple(self.comment) if known else base.comment,
            described=_in_order(self.described) if known else base.described,
            fields=tuple(self.fields) if self.fields is not None else base.fields,
            maps={**base.maps, **{name: tuple(rows) for name, rows in self.maps.items()}},
        )

    def located(self, fault: str) -> CellFault:
        """A fault of the files, by its cell in the spreadsheet; as it is where the file came from the base."""
        found = _PLACE.fullmatch(fault)
        sheet = self.sheets.get(found["file"]) if found else None
        if found is None or sheet is None:
            return CellFault("", "", fault)
        table, column = (found["table"] or "").strip("[]"), found["column"] or ""
        if sheet.name == _DIALECT:
            words = [column, *re.findall(r"\w+", found["fault"])]
            keys = [word for word in words if word and (table, word) in self.cells]
            cell = self.cells.get((table, keys[0] if keys else ""), "")
            return CellFault(sheet.name, cell, fault.partition(", ")[2] or fault)
        return CellFault(sheet.name, _cell_of(sheet, found["line"], column), found["fault"])


def _in_order(described: Mapping[str, Row]) -> dict[str, Row]:
    """TOML has the keys without a table first."""
    return {"": described.get("", {}), **{name: row for name, row in described.items() if name}}


def _cell_of(sheet: Sheet, line: str | None, column: str) -> str:
    """Line 2 of the file is the first row below the heads; without a column, the first cell that holds a text."""
    at = sheet.heads.index(column) if column in sheet.heads else -1
    if line is None:
        return cell_name(1, at + 1) if at >= 0 else ""
    if not 0 <= int(line) - 2 < len(sheet.rows):
        return ""
    row = sheet.rows[int(line) - 2]
    first = next((number for number, text in enumerate(row.cells) if text), 0)
    return cell_name(row.number, (at if at >= 0 else first) + 1)


def import_spreadsheet(
    data: bytes, lists: CodeLists, base: DialectTables | None = None, *, csv_name: str = ""
) -> Imported:
    """The files of an xlsx file; or of one CSV table, which is the sheet `csv_name` and needs a base."""
    sheets, unread = read_csv_sheet(data, csv_name) if csv_name else read_workbook(data)
    if not sheets:
        return Imported({}, unread or (CellFault("", "", "没有工作表 / there is no sheet"),))
    found = import_sheets(sheets, lists, base)
    if not unread:
        return found
    # A cell that could not be read is empty; what follows from that in its row is not told as well.
    seen = {(fault.sheet, _row_of(fault)) for fault in unread}
    further = [fault for fault in found.faults if (fault.sheet, _row_of(fault)) not in seen]
    return Imported({}, (*unread, *further))


def _row_of(fault: CellFault) -> str:
    return fault.cell.partition(":")[0].lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def import_sheets(sheets: Iterable[Sheet], lists: CodeLists, base: DialectTables | None = None) -> Imported:
    """The files of the rule set that the sheets describe, checked as every rule set is; or every fault."""
    reader = _Reader()
    for sheet in sheets:
        reader.read(sheet)
    missing = [name for name in ("dialect.toml", "fields.csv") if base is None and name not in reader.sheets]
    reader.faults += [
        CellFault("", "", f"缺工作表 {name.partition('.')[0]} / the sheet is missing") for name in missing
    ]
    if reader.faults:
        return Imported({}, tuple(reader.faults))
    files = files_of(reader.tables(base or _EMPTY))
    with TemporaryDirectory() as made:
        directory = Path(made)
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        rules, written_against, faults = read_rule_set(directory, lists)
        faults += rule_set_faults(rules, written_against, lists)
    if faults:
        return Imported({}, tuple(reader.located(fault) for fault in dict.fromkeys(faults)))
    return Imported(files, ())
