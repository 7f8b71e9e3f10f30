"""Rows as columns on a terminal, where a Chinese character is two cells wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import click

from federation.plain_text import plain

__all__ = ["plain", "show_columns", "width_of"]

_LONGEST = 60


def show_columns(heads: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> None:
    """Print rows under their heads; the last column is never cut, the others at sixty cells."""
    table = [tuple(heads), *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [min(_LONGEST, max(width_of(row[column]) for row in table)) for column in range(len(heads) - 1)]
    for row in table:
        cells = [_fitted(cell, width) for cell, width in zip(row, widths, strict=False)]
        click.echo((indent + "  ".join([*cells, row[-1]])).rstrip())


def width_of(text: str) -> int:
    """How many cells a text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _fitted(text: str, width: int) -> str:
    if width_of(text) > width:
        while width_of(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - width_of(text))
