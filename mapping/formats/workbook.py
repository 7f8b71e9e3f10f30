"""Spreadsheets as bytes: xlsx and CSV into sheets of texts, with every fault by its cell, and sheets into xlsx.

A cell is a text or empty. Refused: formulas and their results, numbers (01 would have become 1), error values,
merged cells, hidden sheets, macros, document types in the XML. A date is taken as its ISO day. What is larger
than the named limits is refused before it is unpacked or walked: the reader needs a few hundred bytes for each cell.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from mapping.tables import unguarded

__all__ = [
    "MAX_CELLS",
    "MAX_CELL_CHARACTERS",
    "MAX_COLUMNS",
    "MAX_FILE_BYTES",
    "MAX_ROWS",
    "MAX_SHEETS",
    "MAX_UNPACKED_BYTES",
    "CellFault",
    "Sheet",
    "SheetRow",
    "cell_name",
    "read_csv_sheet",
    "read_workbook",
    "write_workbook",
]

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_UNPACKED_BYTES = 16 * 1024 * 1024
MAX_CELLS = 100_000
"""In all sheets together, empty ones between others included; a map of every township has half as many."""
MAX_SHEETS = 100
MAX_ROWS = 20_000
MAX_COLUMNS = 40
MAX_CELL_CHARACTERS = 2_000
_DAY_ZERO = (1980, 1, 1, 0, 0, 0)
_MADE_AT = datetime(2000, 1, 1)  # noqa: DTZ001  openpyxl writes it as UTC
_CELLS = re.compile(rb"<(?:\w+:)?c[\s>/]").findall
_TOO_MANY_CELLS = f"多于 {MAX_CELLS} 个单元格 / more than {MAX_CELLS} cells"
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\b[^>]*").findall
_MERGE_REFERENCE = re.compile(
    rb"""\sref\s*=\s*["'][A-Z]{1,2}([0-9]{1,7}):(?:[A-Z]|A[A-N])([0-9]{1,7})["']"""
).search
_TOO_MANY_ROWS = f"多于 {MAX_ROWS} 行或 {MAX_COLUMNS} 列 / more than {MAX_ROWS} rows or {MAX_COLUMNS} columns"
_TEXT_TYPES = ("s", "inlineStr")


@dataclass(frozen=True, slots=True)
class CellFault:
    """What is wrong, and where: a sheet and a cell as people name it (``B7``), empty for the whole."""

    sheet: str
    cell: str
    fault: str

    def __str__(self) -> str:
        place = " ".join(filter(None, (self.sheet, self.cell)))
        return f"{place}: {self.fault}" if place else self.fault


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row with its number in the sheet; rows without any text are left out."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: its first row, and those below it."""

    name: str
    heads: tuple[str, ...]
    rows: tuple[SheetRow, ...]


def cell_name(row: int, column: int) -> str:
    """``B7`` for row 7, column 2."""
    return f"{get_column_letter(column)}{row}"


# --- xlsx in --------------------------------------------------------------------------------------


def read_workbook(data: bytes) -> tuple[tuple[Sheet, ...], tuple[CellFault, ...]]:
    """The sheets of an xlsx file, and every fault. With a fault the sheets are not to be used."""
    refusal = _package_refusal(data)
    if refusal:
        return (), (CellFault("", "", refusal),)
    try:
        book = load_workbook(io.BytesIO(data), data_only=False, keep_links=False)
    except Exception:
        # The reader promises nothing about files that are not well made: it raises whatever it meets.
        return (), (CellFault("", "", "不是可读的 xlsx 文件 / is no xlsx file that can be read"),)
    if len(book.worksheets) > MAX_SHEETS:
        return (), (CellFault("", "", f"多于 {MAX_SHEETS} 个工作表 / more than {MAX_SHEETS} sheets"),)
    if sum((sheet.max_row or 0) * (sheet.max_column or 0) for sheet in book.worksheets) > MAX_CELLS:
        return (), (CellFault("", "", _TOO_MANY_CELLS),)
    faults: list[CellFault] = []
    sheets = [_read_sheet(sheet, faults) for sheet in book.worksheets]
    return tuple(sheet for sheet in sheets if sheet is not None), tuple(faults)


def _package_refusal(data: bytes) -> str:
    """Why the file is not even opened; empty when it may be."""
    if len(data) > MAX_FILE_BYTES:
        return f"文件大于 {MAX_FILE_BYTES} 字节 / the file is larger than {MAX_FILE_BYTES} bytes"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            parts = package.infolist()
            if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
                return (
                    f"解压后大于 {MAX_UNPACKED_BYTES} 字节 / unpacks to more than {MAX_UNPACKED_BYTES} bytes"
                )
            cells = 0
            for part in parts:
                content = _unpacked(package, part)
                refusal = _part_refusal(part, content)
                if refusal:
                    return refusal
                cells += len(_CELLS(content))
            return _TOO_MANY_CELLS if cells > MAX_CELLS else ""
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        return "不是 xlsx 文件 / is no xlsx file"


def _part_refusal(part: zipfile.ZipInfo, content: bytes) -> str:
    if part.filename.lower().endswith(".bin") and "vba" in part.filename.lower():
        return "含宏 / holds macros"
    if _is_strange_xml(content, part.filename):
        return f"{part.filename} 不是简单的 UTF-8 XML / is no plain XML in UTF-8"
    if sum(map(_merged_rows, _MERGED(content))) > MAX_ROWS:
        return f"{part.filename} 的合并区域过大 / merges too many cells"
    return ""


def _unpacked(package: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    """What a part holds, never more than it says of itself.

    Raises BadZipFile when it says less than it holds, NotImplementedError when it is packed in another way than xlsx
    files are: only these two are bounded while they are unpacked.
    """
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError(part.filename)
    with package.open(part) as file:
        return file.read(part.file_size + 1)


def _is_strange_xml(text: bytes, name: str) -> bool:
    """Document types define entities; other encodings could hide them. Any part can be XML, whatever its name."""
    is_named_so = name.lower().endswith((".xml", ".rels"))
    return b"<!DOCTYPE" in text or b"<!ENTITY" in text or (is_named_so and b"\x00" in text)


def _merged_rows(tag: bytes) -> int:
    """How many rows merged cells cover: the reader makes every one of them before anybody can refuse it."""
    found = _MERGE_REFERENCE(tag)
    return int(found[2]) - int(found[1]) + 1 if found else MAX_ROWS + 1


def _read_sheet(sheet: Worksheet, faults: list[CellFault]) -> Sheet | None:
    name = sheet.title
    if sheet.sheet_state != "visible":
        faults.append(CellFault(name, "", "工作表被隐藏 / the sheet is hidden"))
        return None
    if (sheet.max_row or 0) > MAX_ROWS or (sheet.max_column or 0) > MAX_COLUMNS:
        faults.append(CellFault(name, "", _TOO_MANY_ROWS))
        return None
    faults += [
        CellFault(name, str(merged), "合并的单元格 / merged cells") for merged in sheet.merged_cells.ranges
    ]
    rows = []
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        texts = tuple(_text(cell, name, faults) for cell in cells if isinstance(cell, Cell))
        rows.append(SheetRow(number, texts))
    return _sheet(name, rows)


def _sheet(name: str, rows: Sequence[SheetRow]) -> Sheet:
    heads = rows[0].cells if rows else ()
    while heads and not heads[-1]:
        heads = heads[:-1]
    return Sheet(name, heads, tuple(row for row in rows[1:] if any(row.cells)))


def _text(cell: Cell, sheet: str, faults: list[CellFault]) -> str:
    value: Any = cell.value
    fault = ""
    if value is None:
        return ""
    if cell.data_type == "f":
        fault = "公式 / a formula; put its text there"
    elif cell.data_type == "e":
        fault = f"错误值 {value} / an error value"
    elif isinstance(value, datetime | date):
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    elif cell.data_type not in _TEXT_TYPES or not isinstance(value, str):
        fault = (
            f"{value} 是数字或逻辑值而不是文本 / is a number or a truth value and no text; 01 and 1 differ"
        )
    else:
        fault = _text_fault(value)
    if fault:
        faults.append(CellFault(sheet, cell.coordinate, fault))
        return ""
    return str(value).strip()


def _text_fault(value: str) -> str:
    if len(value) > MAX_CELL_CHARACTERS:
        return f"多于 {MAX_CELL_CHARACTERS} 个字符 / more than {MAX_CELL_CHARACTERS} characters"
    if any(ord(letter) < 32 or letter == "\x7f" for letter in value.strip()):
        return "含换行或控制字符 / holds line ends or control characters"
    return ""


# --- CSV in ---------------------------------------------------------------------------------------


def read_csv_sheet(data: bytes, name: str) -> tuple[tuple[Sheet, ...], tuple[CellFault, ...]]:
    """One CSV table in UTF-8 as a sheet. A formula is refused; what was guarded against becoming one is taken."""
    if len(data) > MAX_FILE_BYTES:
        return (), (
            CellFault(
                name, "", f"文件大于 {MAX_FILE_BYTES} 字节 / the file is larger than {MAX_FILE_BYTES} bytes"
            ),
        )
    try:
        found = _csv_rows(data)
    except (UnicodeDecodeError, csv.Error) as failed:
        return (), (CellFault(name, "", f"不是 UTF-8 的 CSV / is no CSV in UTF-8: {failed}"),)
    except _TooLargeError as refused:
        return (), (CellFault(name, "", str(refused)),)
    faults = []
    rows = []
    for number, cells in enumerate(found, start=1):
        for column, text in enumerate(cells, start=1):
            fault = "公式 / a formula" if text.startswith("=") else _text_fault(text)
            if fault:
                faults.append(CellFault(name, cell_name(number, column), fault))
        rows.append(SheetRow(number, tuple(unguarded(text.strip()) for text in cells)))
    return (_sheet(name, rows),), tuple(faults)


class _TooLargeError(Exception):
    """More rows, columns or cells than the limits."""


def _csv_rows(data: bytes) -> list[list[str]]:
    """The rows, as long as they are within the limits. Raises UnicodeDecodeError, csv.Error, _TooLargeError."""
    found: list[list[str]] = []
    cells = 0
    for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True):
        cells += len(row)
        if len(found) == MAX_ROWS or len(row) > MAX_COLUMNS:
            raise _TooLargeError(_TOO_MANY_ROWS)
        if cells > MAX_CELLS:
            raise _TooLargeError(_TOO_MANY_CELLS)
        found.append(row)
    return found


# --- xlsx out -------------------------------------------------------------------------------------


def write_workbook(sheets: Iterable[Sheet]) -> bytes:
    """An xlsx file of text cells with a fixed first row, the same bytes each time."""
    book = Workbook()
    book.remove(book.worksheets[0])
    book.properties.creator = "yrd"
    book.properties.created = book.properties.modified = _MADE_AT
    for sheet in sheets:
        _write_sheet(book.create_sheet(sheet.name), sheet)
    written = io.BytesIO()
    book.save(written)
    return _with_fixed_dates(written.getvalue())


def _write_sheet(target: Worksheet, sheet: Sheet) -> None:
    target.freeze_panes = "A2"
    for row in (SheetRow(1, sheet.heads), *sheet.rows):
        for column, text in enumerate(row.cells, start=1):
            cell = target.cell(row.number, column)
            if not isinstance(cell, Cell):
                continue
            if text:
                # As text even when it begins like a formula or looks like a number.
                cell.value = text
                cell.data_type = "s"
            cell.number_format = "@"
            if row.number == 1:
                cell.font = Font(bold=True)
    for column, head in enumerate(sheet.heads, start=1):
        longest = max(
            [len(head), *(len(row.cells[column - 1]) for row in sheet.rows if len(row.cells) >= column)]
        )
        target.column_dimensions[get_column_letter(column)].width = min(60, longest + 4)


def _with_fixed_dates(data: bytes) -> bytes:
    """The package without the moment in which it was made."""
    fixed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as package,
        zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as written,
    ):
        for part in package.infolist():
            content = package.read(part)
            if part.filename == "docProps/core.xml":
                content = _without_moment(content)
            written.writestr(zipfile.ZipInfo(part.filename, _DAY_ZERO), content, zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


def _without_moment(core: bytes) -> bytes:
    """openpyxl writes the time of saving into the properties, whatever was set before."""
    head, tag, rest = core.partition(b"<dcterms:modified")
    moment, end, tail = rest.partition(b"</dcterms:modified>")
    opening = moment.partition(b">")[0]
    return head + tag + opening + b">2000-01-01T00:00:00Z" + end + tail if end else core
