"""Rule sets as spreadsheets: the same files come back; every fault is told by its cell; nothing large gets in."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from mapping.codelists import code_lists
from mapping.formats import workbook
from mapping.formats.spreadsheet import Imported, import_spreadsheet, sheets_of
from mapping.formats.tables import files_of, read_tables
from mapping.formats.workbook import read_workbook, write_workbook
from tests.mapping.rule_sets import SHIPPED
from tests.mapping.samples import PROVINCES

LISTS = code_lists()


@cache
def template(province: str) -> bytes:
    return write_workbook(sheets_of(read_tables(SHIPPED / province)))


def edited(province: str, change: Callable[[Any], object]) -> bytes:
    """The template as a person changes it."""
    book = load_workbook(io.BytesIO(template(province)))
    change(book)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def set_cell(sheet: str, cell: str, value: object) -> Callable[[Any], object]:
    def change(book: Any) -> None:
        book[sheet][cell] = value

    return change


def told(found: Imported) -> list[tuple[str, str]]:
    return [(fault.sheet, fault.cell) for fault in found.faults]


@pytest.mark.parametrize("province", PROVINCES)
def test_what_is_exported_is_imported_as_the_same_files(province: str) -> None:
    found = import_spreadsheet(template(province), LISTS)
    assert found.faults == ()
    assert found.files == {
        path.relative_to(SHIPPED / province).as_posix(): path.read_bytes()
        for path in (SHIPPED / province).rglob("*")
        if path.is_file()
    }


def test_the_same_rule_set_is_the_same_bytes() -> None:
    assert template("340000") == write_workbook(sheets_of(read_tables(SHIPPED / "340000")))


def test_an_edited_cell_is_in_the_files() -> None:
    data = edited("340000", set_cell("map marital", "F4", "2005-06-30"))
    found = import_spreadsheet(data, LISTS)
    assert found.faults == ()
    assert b"2005-06-30" in found.files["maps/marital.csv"]


def test_a_date_cell_is_its_day() -> None:
    data = edited("340000", set_cell("map marital", "F4", date(2005, 6, 30)))
    assert b",2005-06-30," in import_spreadsheet(data, LISTS).files["maps/marital.csv"]


def test_empty_rows_do_not_matter_and_do_not_shift_the_faults() -> None:
    def change(book: Any) -> None:
        book["map marital"].insert_rows(3, 4)
        book["map marital"]["D8"] = "88"

    assert told(import_spreadsheet(edited("340000", change), LISTS)) == [("map marital", "D8")]


@pytest.mark.parametrize(
    ("sheet", "cell", "value"),
    [
        ("map sex", "A2", "=1+1"),
        ("map sex", "B3", 7),
        ("map sex", "B3", True),
        ("map sex", "B3", "x" * (workbook.MAX_CELL_CHARACTERS + 1)),
        ("map sex", "B3", "a\nb"),
        ("map sex", "C2", "same"),
        ("map sex", "D2", "88"),
        ("map sex", "E2", "2020-13-01"),
        ("map sex", "G2", "sideways"),
        ("map sex", "H2", "maybe"),
        ("map sex", "J2", ""),
        ("fields", "A5", "驾照"),
        ("fields", "D5", "没有的要素"),
        ("fields", "E5", "nope"),
        ("fields", "H5", "often"),
    ],
)
def test_a_fault_is_told_by_its_cell(sheet: str, cell: str, value: object) -> None:
    found = import_spreadsheet(edited("340000", set_cell(sheet, cell, value)), LISTS)
    assert (sheet, cell) in told(found)
    assert not found.files


def test_all_faults_are_told_together() -> None:
    def change(book: Any) -> None:
        book["map sex"]["A2"] = "=A3"
        book["map marital"]["D4"] = "88"
        book["fields"]["E5"] = "nope"
        book["map ethnic"].merge_cells("A2:B2")

    found = told(import_spreadsheet(edited("340000", change), LISTS))
    assert {("map sex", "A2"), ("map marital", "D4"), ("fields", "E5"), ("map ethnic", "A2:B2")} <= set(found)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda book: book.create_sheet("notes"), ("notes", "")),
        (lambda book: book.remove(book["fields"]), ("", "")),
        (lambda book: setattr(book["map sex"], "sheet_state", "hidden"), ("map sex", "")),
        (set_cell("map sex", "A1", "code"), ("map sex", "A1")),
        (set_cell("map sex", "B1", "source"), ("map sex", "B1")),
        (set_cell("map sex", "Q3", "x"), ("map sex", "Q3")),
        (set_cell("dialect", "C9", "nowhere"), ("dialect", "C9")),
        (set_cell("dialect", "B9", ""), ("dialect", "B9")),
    ],
)
def test_faults_of_sheets_and_heads(change: Callable[[Any], object], place: tuple[str, str]) -> None:
    found = import_spreadsheet(edited("340000", change), LISTS)
    assert place in told(found)
    assert not found.files


def test_what_a_file_lacks_is_kept_from_the_base() -> None:
    book = load_workbook(io.BytesIO(template("330000")))
    for sheet in book.worksheets:
        if sheet.title != "map sex":
            book.remove(sheet)
    saved = io.BytesIO()
    book.save(saved)
    base = read_tables(SHIPPED / "330000")
    assert import_spreadsheet(saved.getvalue(), LISTS, base).files == files_of(base)


def test_one_csv_table_over_a_base() -> None:
    base = read_tables(SHIPPED / "330000")
    text = (SHIPPED / "330000" / "maps" / "sex.csv").read_text("utf-8")
    assert import_spreadsheet(text.encode(), LISTS, base, csv_name="map sex").files == files_of(base)
    faulty = text.replace(",exact,1,", ",exact,=1,", 1)
    assert told(import_spreadsheet(faulty.encode(), LISTS, base, csv_name="map sex")) == [("map sex", "D2")]
    latin = text.encode("gb18030")
    assert told(import_spreadsheet(latin, LISTS, base, csv_name="map sex")) == [("map sex", "")]


# --- what is not opened ---------------------------------------------------------------------------


def repacked(change: Callable[[str, bytes], bytes], **more: bytes) -> bytes:
    """The template with its parts changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(template("330000"))) as old, zipfile.ZipFile(made, "w") as new:
        for part in old.infolist():
            new.writestr(part.filename, change(part.filename, old.read(part)), zipfile.ZIP_DEFLATED)
        for name, content in more.items():
            new.writestr(name, content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def bomb(name: str, content: bytes) -> bytes:
    return b" " * (workbook.MAX_UNPACKED_BYTES + 1) if name == "xl/styles.xml" else content


def entities(name: str, content: bytes) -> bytes:
    declared = b'<!DOCTYPE x [<!ENTITY a "b">]>'
    return content.replace(b"<workbook", declared + b"<workbook", 1) if name == "xl/workbook.xml" else content


def wide(rows: int, columns: int) -> bytes:
    book = Workbook()
    book.worksheets[0].cell(rows, columns, "x")
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"not a spreadsheet",
        b"\x00" * (workbook.MAX_FILE_BYTES + 1),
        repacked(bomb),
        repacked(entities),
        repacked(lambda name, content: b"<x/>" if name == "xl/workbook.xml" else content),
        repacked(lambda name, content: b"<x" if name == "xl/worksheets/sheet1.xml" else content),
        repacked(lambda _, content: content, **{"xl/vbaProject.bin": b"macro"}),
        wide(workbook.MAX_ROWS + 1, 1),
        wide(1, workbook.MAX_COLUMNS + 1),
    ],
    ids=[
        "empty",
        "cut",
        "text",
        "large",
        "bomb",
        "entities",
        "no workbook",
        "broken",
        "macros",
        "long",
        "wide",
    ],
)
def test_what_is_no_plain_small_spreadsheet_is_refused(data: bytes) -> None:
    found = import_spreadsheet(data, LISTS)
    assert found.faults
    assert not found.files


@given(st.binary(max_size=300), st.integers(0, 10_000), st.integers(0, 255))
@settings(deadline=None, max_examples=30)
def test_no_bytes_raise(data: bytes, at: int, byte: int) -> None:
    read_workbook(data)
    whole = bytearray(template("330000"))
    whole[at % len(whole)] = byte
    read_workbook(bytes(whole))


def test_a_text_like_a_formula_stays_a_text() -> None:
    tables = read_tables(SHIPPED / "330000")
    sheets = list(sheets_of(tables))
    at = next(number for number, sheet in enumerate(sheets) if sheet.name == "map sex")
    first = sheets[at].rows[0]
    rows = (type(first)(first.number, ("=男", *first.cells[1:])), *sheets[at].rows[1:])
    sheets[at] = type(sheets[at])(sheets[at].name, sheets[at].heads, rows)
    read, faults = read_workbook(write_workbook(sheets))
    assert faults == ()
    assert read[at].rows[0].cells[0] == "=男"
