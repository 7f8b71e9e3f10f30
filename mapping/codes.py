"""A code map as a converter: which shared code a local code means on a day, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mapping.converters import Converter, Reading, Writing, text_of
from mapping.element import Relation
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

    def read(raw: Any, on: str) -> Reading:
        text = text_of(raw)
        rows = readings.get(text) or readings.get(text.strip()) or ()
        row = _deciding(rows, on, lambda row: row.target)
        return (
            (text, Relation.UNMAPPED) if row is None or row.relation is None else (row.target, row.relation)
        )

    def write(value: str, on: str) -> Writing:
        row = _deciding(_preferred(writings.get(value, ()), on), on, lambda row: row.source)
        if row is None or row.relation is None:
            return value, Relation.UNMAPPED
        return row.source, _INVERSE.get(row.relation, row.relation)

    known = {source: read(source, "") for source in _undated(readings)}
    written = {target: write(target, "") for target in _undated(writings)}
    return Converter(table, read, write, MappingProxyType(known), MappingProxyType(written))


def _by(rows: tuple[MapRow, ...], key: Callable[[MapRow], str]) -> Mapping[str, tuple[MapRow, ...]]:
    grouped: dict[str, tuple[MapRow, ...]] = {}
    for row in rows:
        name = key(row)
        if name:
            grouped[name] = (*grouped.get(name, ()), row)
    return grouped


def _undated(grouped: Mapping[str, tuple[MapRow, ...]]) -> list[str]:
    """The codes whose rows hold on every day."""
    return [code for code, rows in grouped.items() if not any(row.valid_from or row.valid_to for row in rows)]


def _preferred(rows: tuple[MapRow, ...], on: str) -> tuple[MapRow, ...]:
    holding = tuple(row for row in rows if row.holds_on(on)) if on else rows
    return tuple(row for row in holding if row.preferred) or holding


def _deciding(rows: tuple[MapRow, ...], on: str, meaning: Callable[[MapRow], str]) -> MapRow | None:
    """The row that holds on the day; without a day, the row only if all rows mean the same."""
    holding = [row for row in rows if row.holds_on(on)] if on else list(rows)
    if not holding or any(
        (meaning(row), row.relation) != (meaning(holding[0]), holding[0].relation) for row in holding
    ):
        return None
    return holding[0]
