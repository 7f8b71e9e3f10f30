"""Spreadsheets that are made to fill the memory of whoever opens them are refused before they are unpacked."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from mapping.formats.tables import DialectTables, files_of
from mapping.formats.workbook import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_ROWS,
    MAX_UNPACKED_BYTES,
    Sheet,
    SheetRow,
    read_csv_sheet,
    read_workbook,
    write_workbook,
)
from mapping.ruleset import MAP_COLUMNS
from mapping.tables import guarded, read_rows, unguarded


def _package(after_rows: bytes = b"", extra: dict[str, bytes] | None = None) -> bytes:
    book, made, changed = Workbook(), io.BytesIO(), io.BytesIO()
    book.worksheets[0]["A1"] = "table"
    book.save(made)
    with zipfile.ZipFile(made) as package, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as written:
        for part in package.infolist():
            content = package.read(part).replace(b"</sheetData>", b"</sheetData>" + after_rows)
            written.writestr(part.filename, content)
        for name, content in (extra or {}).items():
            written.writestr(name, content)
    return changed.getvalue()


def _refusal(data: bytes) -> str:
    sheets, faults = read_workbook(data)
    assert sheets == ()
    (fault,) = faults
    return fault.fault


def test_a_part_that_says_less_of_its_size_than_it_holds_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(_package(extra={"xl/more.xml": b"<a>" + b" " * (MAX_UNPACKED_BYTES + 1)}))
    last = data.rindex(b"PK\x01\x02")
    data[last + 24 : last + 28] = (100).to_bytes(4, "little")
    asked: list[int] = []
    read = zipfile.ZipExtFile.read

    def watched(part: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        asked.append(-1 if n is None else n)
        return read(part, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", watched)
    assert "no xlsx file" in _refusal(bytes(data))
    assert asked
    assert all(0 <= n <= MAX_UNPACKED_BYTES + 1 for n in asked)


@pytest.mark.parametrize(
    "reference", ["A1:XFD1048576", "A1:B1048576", "A1:XFD2", "A1:XFD&#49;048576", "A1:AN20001"]
)
def test_merged_cells_without_end_are_refused_before_they_are_made(reference: str) -> None:
    merged = f'<mergeCells count="1"><mergeCell ref="{reference}"/></mergeCells>'.encode()
    assert "merges too many cells" in _refusal(_package(merged))


def test_a_few_merged_cells_are_told_by_their_place() -> None:
    _, faults = read_workbook(_package(b'<mergeCells count="1"><mergeCell ref="A1:B2"/></mergeCells>'))
    assert [(fault.cell, "merged" in fault.fault) for fault in faults] == [("A1:B2", True)]


def test_a_document_type_is_refused_whatever_the_part_is_called() -> None:
    assert "plain XML" in _refusal(_package(extra={"xl/sheet.dat": b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'}))


def test_more_cells_than_the_limit_are_refused_before_they_are_made() -> None:
    rows = b"".join(b'<row r="%d"><c/><c /></row>' % row for row in range(1, MAX_CELLS // 2 + 2))
    assert f"more than {MAX_CELLS} cells" in _refusal(_package(extra={"xl/worksheets/sheet2.xml": rows}))


def test_empty_cells_between_others_count_too() -> None:
    """A cell far out in each of many sheets would have the reader make every one before it."""
    book, made = Workbook(), io.BytesIO()
    for sheet in [book.worksheets[0], *(book.create_sheet() for _ in range(5))]:
        sheet.cell(MAX_ROWS, MAX_COLUMNS).value = "x"
    book.save(made)
    assert f"more than {MAX_CELLS} cells" in _refusal(made.getvalue())


def test_what_unpacks_to_more_than_the_limit_is_refused() -> None:
    data = _package(extra={"xl/more.xml": b"<a>" + b" " * MAX_UNPACKED_BYTES})
    assert f"more than {MAX_UNPACKED_BYTES} bytes" in _refusal(data)


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"a\n" * (MAX_ROWS + 1), f"more than {MAX_ROWS} rows"),
        (b"," * MAX_COLUMNS, f"or {MAX_COLUMNS} columns"),
        (b",,,,,,,,,\n" * (MAX_CELLS // 10 + 1), f"more than {MAX_CELLS} cells"),
    ],
)
def test_a_csv_file_beyond_the_limits_is_refused(data: bytes, limit: str) -> None:
    sheets, faults = read_csv_sheet(data, "map sex")
    assert sheets == ()
    assert [limit in fault.fault for fault in faults] == [True]


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''-1", "=cmd|' /C calc'!A0")


def test_a_text_that_looks_like_a_formula_is_a_text_in_xlsx() -> None:
    sheet = Sheet(
        "fields", ("kind", "local"), tuple(SheetRow(n, (text, "x")) for n, text in enumerate(FORMULAS, 2))
    )
    data = write_workbook([sheet])
    assert load_workbook(io.BytesIO(data))["fields"]["A2"].data_type == "s"
    assert read_workbook(data) == ((sheet,), ())


def test_a_formula_in_xlsx_is_refused() -> None:
    book, made = Workbook(), io.BytesIO()
    book.worksheets[0]["B2"] = "=1+1"
    book.save(made)
    _, faults = read_workbook(made.getvalue())
    assert [(fault.cell, "a formula" in fault.fault) for fault in faults] == [("B2", True)]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_csv_table_is_written_so_that_no_spreadsheet_runs_it_and_read_unharmed(
    text: str, tmp_path: Path
) -> None:
    row = dict.fromkeys(MAP_COLUMNS, "a") | {"source": text, "note": f" {text}".strip()}
    files = files_of(DialectTables((), {}, (), {"sex": (row,)}))
    written = files["maps/sex.csv"].decode()
    assert not any(
        cell.startswith(("=", "+", "-", "@")) for line in written.splitlines() for cell in line.split(",")
    )
    (tmp_path / "sex.csv").write_bytes(files["maps/sex.csv"])
    assert read_rows(tmp_path / "sex.csv") == [row]
    (sheet,), faults = read_csv_sheet(files["maps/sex.csv"], "map sex")
    assert faults == ()
    assert sheet.rows[0].cells == tuple(row.values())


@given(st.text())
def test_a_guarded_cell_is_the_same_again(text: str) -> None:
    assert unguarded(guarded(text)) == text
