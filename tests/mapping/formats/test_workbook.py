"""Spreadsheets that are made to fill the memory of whoever opens them are refused before they are unpacked."""

from __future__ import annotations

import io
import zipfile

import pytest
from openpyxl import Workbook

from mapping.formats.workbook import MAX_UNPACKED_BYTES, read_workbook


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
