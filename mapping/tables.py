"""Reads the CSV tables that code lists and dialects are kept in."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

__all__ = ["read_columns", "read_rows", "read_table"]


def read_columns(path: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of a CSV table, cells stripped, each row as long as the header.

    Raises OSError, csv.Error or UnicodeError.
    """
    with path.open(encoding="utf-8", newline="") as table:
        lines = csv.reader(table)
        header = tuple(cell.strip() for cell in next(lines, ()))
        width, padding = len(header), ("",) * len(header)
        return header, [(*map(str.strip, line), *padding)[:width] for line in lines if line]


def read_table(path: Path, first: str, second: str, *others: str) -> Iterator[tuple[str, ...]]:
    """The cells of at least two named columns, row by row. Raises as `read_columns`, and KeyError."""
    header, rows = read_columns(path)
    places = {name: place for place, name in enumerate(header)}
    return map(itemgetter(*(places[name] for name in (first, second, *others))), rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table by column. Raises as `read_columns`."""
    header, rows = read_columns(path)
    return [dict(zip(header, row, strict=True)) for row in rows]
