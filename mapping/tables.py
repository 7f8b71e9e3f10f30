"""Reads the CSV tables that code lists and dialects are kept in.

People open them with spreadsheet programs, which take a cell that begins with ``= + - @`` for a formula. Where one is
written it is guarded with an apostrophe, as these programs do themselves, and reading takes the apostrophe off.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

__all__ = ["guarded", "read_columns", "read_rows", "read_table", "unguarded"]

_GUARD = "'"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(cell: str) -> str:
    """A cell that no spreadsheet program takes for a formula; `unguarded` gives it back as it was."""
    return _GUARD + cell if cell.lstrip(_GUARD).startswith(_FORMULA) else cell


def unguarded(cell: str) -> str:
    """The opposite of `guarded`, for any text; texts that never were guarded stay as they are."""
    is_guarded = cell.startswith(_GUARD) and cell.lstrip(_GUARD).startswith(_FORMULA)
    return cell[1:] if is_guarded else cell


def read_columns(path: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of a CSV table, cells stripped, each row as long as the header.

    Raises OSError, csv.Error or UnicodeError.
    """
    text = path.read_bytes().decode()
    lines = csv.reader(io.StringIO(text, newline=""))
    header = tuple(cell.strip() for cell in next(lines, ()))
    width, padding = len(header), ("",) * len(header)
    rows = [(*map(str.strip, line), *padding)[:width] for line in lines if line]
    return header, [tuple(map(unguarded, row)) for row in rows] if _GUARD in text else rows


def read_table(path: Path, first: str, second: str, *others: str) -> Iterator[tuple[str, ...]]:
    """The cells of at least two named columns, row by row. Raises as `read_columns`, and KeyError."""
    header, rows = read_columns(path)
    places = {name: place for place, name in enumerate(header)}
    return map(itemgetter(*(places[name] for name in (first, second, *others))), rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table by column. Raises as `read_columns`."""
    header, rows = read_columns(path)
    return [dict(zip(header, row, strict=True)) for row in rows]
