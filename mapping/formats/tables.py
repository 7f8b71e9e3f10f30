"""A dialect's files as plain tables, and back: the same tables are always the same bytes.

`dialect.toml` is kept as texts by table and key, with the comment at its head; comments further down are not.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mapping.codelists import read_rows
from mapping.errors import MappingError
from mapping.ruleset import FIELD_COLUMNS, MAP_COLUMNS
from mapping.tables import guarded

__all__ = ["DialectTables", "Row", "files_of", "read_tables"]

Row = Mapping[str, str]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class DialectTables:
    """What the files say, cell by cell. `described` is by table (``""``, ``maps.sex``), then by key."""

    comment: tuple[str, ...]
    described: Mapping[str, Row]
    fields: tuple[Row, ...]
    maps: Mapping[str, tuple[Row, ...]]


def read_tables(directory: Path) -> DialectTables:
    """The tables of a dialect's directory. Raises OSError, ValueError, csv.Error; MappingError for a value of
    ``dialect.toml`` that is no text.
    """
    text = (directory / "dialect.toml").read_text("utf-8")
    head = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        head.append(line.removeprefix("#").strip())
    maps = {path.stem: tuple(read_rows(path)) for path in sorted((directory / "maps").glob("*.csv"))}
    return DialectTables(
        comment=tuple(head),
        described=MappingProxyType(_flat(tomllib.loads(text))),
        fields=tuple(read_rows(directory / "fields.csv")),
        maps=MappingProxyType(maps),
    )


def _flat(table: Mapping[str, Any], name: str = "") -> dict[str, Row]:
    found: dict[str, Row] = {name: {key: value for key, value in table.items() if isinstance(value, str)}}
    for key, value in table.items():
        inner = f"{name}.{key}" if name else key
        if isinstance(value, dict):
            found |= _flat(value, inner)
        elif not isinstance(value, str):
            raise MappingError(f"dialect.toml: {inner} is no text")
    return {name: row for name, row in found.items() if row or name == ""}


def files_of(tables: DialectTables) -> dict[str, bytes]:
    """Every file by its path in the directory."""
    files = {"dialect.toml": _toml(tables).encode(), "fields.csv": _csv(FIELD_COLUMNS, tables.fields)}
    for name, rows in tables.maps.items():
        files[f"maps/{name}.csv"] = _csv(MAP_COLUMNS, rows)
    return files


def _toml(tables: DialectTables) -> str:
    blocks = []
    for name, row in tables.described.items():
        lines = [f"[{name}]"] if name else [f"# {line}".rstrip() for line in tables.comment]
        lines += [f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in row.items()]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows({column: guarded(text) for column, text in row.items()} for row in rows)
    return table.getvalue().encode()
