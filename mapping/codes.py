"""A code map as a converter: which shared code a local code means on a day, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mapping.conversion import Converter, Reading, Writing, text_of
from mapping.element import Relation
from mapping.notes import Note
from mapping.ruleset import CodeMap, MapRow

__all__ = ["build_code_converter"]

_INVERSE = {Relation.NARROWER: Relation.BROADER, Relation.BROADER: Relation.NARROWER}


def build_code_converter(code_map: CodeMap, version: str) -> Converter:
    """The converter of a code map.

    A code without a row, with a ``none`` row, or with rows of different meaning when the day is not known, is
    UNMAPPED and carried. The two directions are opposites for rows that are exact and the only or preferred
    way back.
    """
    table = f"{code_map.name}@{version}"
    readings = _by(code_map.rows, lambda row: row.source if row.reads else "")
    writings = _by(code_map.rows, lambda row: row.target if row.writes else "")

    def read(raw: Any, on: str, note: Note | None = None) -> Reading:
        text = text_of(raw)
        rows = readings.get(text) or readings.get(text.strip()) or ()
        row = _deciding(rows, on, _target, note)
        if row is None or row.relation is None:
            return text, Relation.UNMAPPED
        return row.target, row.relation

    def write(value: str, on: str, note: Note | None = None) -> Writing:
        row = _deciding(_preferred(writings.get(value, ()), on, note), on, _source, note)
        if row is None or row.relation is None:
            return value, Relation.UNMAPPED
        return row.source, _INVERSE.get(row.relation, row.relation)

    known = {source: read(source, "") for source in _undated(readings)}
    written = {target: write(target, "") for target in _undated(writings)}
    return Converter(table, read, write, MappingProxyType(known), MappingProxyType(written))


def _target(row: MapRow) -> str:
    return row.target


def _source(row: MapRow) -> str:
    return row.source


def _by(rows: tuple[MapRow, ...], key: Callable[[MapRow], str]) -> Mapping[str, tuple[MapRow, ...]]:
    grouped: dict[str, list[MapRow]] = {}
    for row in rows:
        name = key(row)
        if name:
            grouped.setdefault(name, []).append(row)
    return {name: tuple(found) for name, found in grouped.items()}


def _undated(grouped: Mapping[str, tuple[MapRow, ...]]) -> list[str]:
    """The codes whose rows hold on every day."""
    return [code for code, rows in grouped.items() if not any(row.valid_from or row.valid_to for row in rows)]


def _preferred(rows: tuple[MapRow, ...], on: str, note: Note | None) -> tuple[MapRow, ...]:
    if len(rows) < 2:
        return rows
    holding = tuple(row for row in rows if row.holds_on(on)) if on else rows
    preferred = tuple(row for row in holding if row.preferred)
    if note and preferred and len(holding) > 1:
        note("preferred", preferred[0].where)
    return preferred or holding


def _deciding(
    rows: tuple[MapRow, ...], on: str, meaning: Callable[[MapRow], str], note: Note | None
) -> MapRow | None:
    """The row that holds on the day; without a day, the row only if all rows mean the same."""
    if note:
        note("on" if on else "no_day_known", on)
    elif len(rows) == 1:
        return rows[0] if not on or rows[0].holds_on(on) else None
    holding = []
    for row in rows:
        if not on or row.holds_on(on):
            holding.append(row)
        elif note:
            note("passed_over", _claim(row))
    if not holding:
        if note:
            note("no_row", "")
        return None
    first = holding[0]
    if any((meaning(row), row.relation) != (meaning(first), first.relation) for row in holding):
        if note:
            note("ambiguous", "; ".join(map(_claim, holding)))
        return None
    if note:
        note("none" if first.relation is None else "row", _claim(first))
    return first


def _claim(row: MapRow) -> str:
    """A row as people read it: what it says, since and until when, on whose word, and where it stands."""
    said = f"{row.source} {row.relation.word if row.relation else 'none'} {row.target}".rstrip()
    days = f" [{row.valid_from or '…'} – {row.valid_to or '…'}]" if row.valid_from or row.valid_to else ""
    told = "; ".join(filter(None, (row.label, row.note, row.source_of_claim)))
    return f"{said}{days} ({told}; {row.where})" if told else f"{said}{days} ({row.where})"
