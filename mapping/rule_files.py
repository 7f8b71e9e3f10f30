"""Reads the files of a dialect as `mapping.ruleset` describes them.

Every fault is reported, not only the first. The digest of a dialect is SHA-256 over its files in the order of
their names, each as length, name, length, bytes (lengths are 8 bytes, big endian).
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mapping.codelists import SERVICE_ITEM, CodeList, CodeLists, read_rows
from mapping.element import Relation
from mapping.ruleset import (
    EVERY_CERTIFICATE,
    FIELD_COLUMNS,
    MAP_COLUMNS,
    CodeMap,
    FieldRule,
    MapRow,
    ParameterRule,
    RuleSet,
)

__all__ = ["digest_of", "read_rule_set"]

_RELATIONS = {r.word: r for r in (Relation.EXACT, Relation.NARROWER, Relation.BROADER, Relation.RELATED)}
_DIRECTIONS = ("both", "to_shared", "to_local")
_TOP_KEYS = {"province", "name", "version", "codelists", "maps", "parameters"}
_MAP_KEYS = {"list", "column", "version"}
_PARAMETER = re.compile(r"(?:'[^']*'|[^;'])+")


def digest_of(directory: Path) -> bytes:
    """SHA-256 over a dialect's files, as the module says. Raises OSError."""
    digest = hashlib.sha256()
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    for name in sorted(files):
        for part in (name.encode(), files[name].read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def read_rule_set(directory: Path, lists: CodeLists) -> tuple[RuleSet, str, list[str]]:
    """What the files say, the code list version they were written against, and what could not be read."""
    faults: list[str] = []
    described = _read_described(directory / "dialect.toml", faults)
    rules = RuleSet(
        province=str(described.get("province", "")),
        name=str(described.get("name", "")),
        version=str(described.get("version", "")),
        digest=digest_of(directory) if directory.is_dir() else b"",
        maps=MappingProxyType(_read_maps(directory, _table(described, "maps", faults), lists, faults)),
        fields=MappingProxyType(_read_fields(directory / "fields.csv", lists, faults)),
        parameters=MappingProxyType(_read_parameters(_table(described, "parameters", faults), faults)),
    )
    return rules, str(described.get("codelists", "")), faults


def _read_described(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        described = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as failed:
        faults.append(f"dialect.toml: {failed}")
        return {}
    faults.extend(
        f"dialect.toml, {key}: 不认识的键 {key}，请删除 / unknown key {key}; take it out"
        for key in sorted(set(described) - _TOP_KEYS)
    )
    texts = {key for key, value in described.items() if isinstance(value, str) and value}
    needed = ("province", "name", "version", "codelists")
    faults.extend(
        f"dialect.toml, {key}: {key} 须为文本，请填写 / {key} must be a text; write it"
        for key in needed
        if key not in texts
    )
    return described


def _table(described: Mapping[str, Any], key: str, faults: list[str]) -> dict[str, dict[str, str]]:
    """A TOML table of tables of texts, without what is not that."""
    tables: dict[str, dict[str, str]] = {}
    for name, entry in described.get(key, {}).items() if isinstance(described.get(key, {}), dict) else ():
        if isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values()):
            tables[name] = entry
        else:
            faults.append(
                f"dialect.toml, [{key}.{name}]: 须为文本的表，每个值都加引号 / "
                f"must be a table of texts; put every value in quotes"
            )
    return tables


def _rows(path: Path, name: str, columns: tuple[str, ...], faults: list[str]) -> list[dict[str, str]]:
    try:
        rows = read_rows(path)
    except (OSError, UnicodeError, csv.Error) as failed:
        faults.append(f"{name}: {failed}")
        return []
    if rows and set(rows[0]) != set(columns):
        faults.append(
            f"{name}, header: 列须为 {', '.join(columns)}，请改正第一行 / "
            f"the columns must be {', '.join(columns)}; correct the first line"
        )
        return []
    return rows


# --- maps -----------------------------------------------------------------------------------------


def _read_maps(
    directory: Path, described: Mapping[str, Mapping[str, str]], lists: CodeLists, faults: list[str]
) -> dict[str, CodeMap]:
    maps: dict[str, CodeMap] = {}
    for name, about in described.items():
        faults.extend(
            f"dialect.toml, [maps.{name}]: 不认识的键 {key}，请删除 / unknown key {key}; take it out"
            for key in sorted(set(about) - _MAP_KEYS)
        )
        if about.get("list", "") not in lists.lists:
            faults.append(
                f"dialect.toml, [maps.{name}]: 没有代码表 {about.get('list', '')!r}，请用 lists.toml 中的名称 / "
                f"list {about.get('list', '')!r} does not exist; name a list of lists.toml"
            )
            continue
        claims = _read_claims(directory / "maps" / f"{name}.csv", name, "column" in about, faults)
        base = _column_rows(name, about, lists, faults)
        replaced = {row.source for row in claims if row.reads}
        rows = [row for row in base if row.source not in replaced] + claims
        maps[name] = CodeMap(name, about["list"], tuple(rows), about.get("version", ""))
    known = {f"{name}.csv" for name in described}
    strange = sorted(path.name for path in directory.glob("maps/*") if path.name not in known)
    faults.extend(
        f"maps/{name}, file: dialect.toml 的 [maps] 中没有它，请列入或删除 / "
        f"not named in [maps] of dialect.toml; name it there, or take it out"
        for name in strange
    )
    return maps


def _column_rows(
    name: str, about: Mapping[str, str], lists: CodeLists, faults: list[str]
) -> tuple[MapRow, ...]:
    """The rows that follow from the shared list itself: its column holds the local codes."""
    column = about.get("column", "")
    code_list = lists.lists[about["list"]]
    if not column:
        return ()
    if column not in code_list.columns:
        faults.append(
            f"dialect.toml, [maps.{name}]: 代码表 {about['list']} 没有列 {column!r}，请用它的列 / "
            f"the list {about['list']} has no column {column!r}; name one of its columns"
        )
        return ()
    return _rows_of_column(code_list, column, f"[maps.{name}] column {column}")


@lru_cache(maxsize=64)
def _rows_of_column(code_list: CodeList, column: str, where: str) -> tuple[MapRow, ...]:
    """Several dialects take their codes from one column."""
    return tuple(
        MapRow(
            row[column],
            Relation.EXACT,
            code,
            "",
            "",
            "both",
            preferred=False,
            where=f"{where}, {code}",
            label=code_list.label(code),
            source_of_claim=code_list.source,
            author="yrd",
            reviewer="yrd",
        )
        for code, row in code_list.rows.items()
        if row[column]
    )


def _read_claims(path: Path, name: str, optional: bool, faults: list[str]) -> list[MapRow]:
    if optional and not path.exists():
        return []
    claims = []
    for line, row in enumerate(_rows(path, f"maps/{name}.csv", MAP_COLUMNS, faults), start=2):
        where = f"maps/{name}.csv line {line}"
        faults.extend(f"{where}, {fault}" for fault in _claim_faults(row))
        relation = _RELATIONS.get(row["relation"])
        claims.append(
            MapRow(
                source=row["source"],
                relation=relation,
                target=row["target"],
                valid_from=row["valid_from"],
                valid_to=row["valid_to"],
                direction=row["direction"],
                preferred=row["preferred_reverse"] == "yes",
                where=where,
                label=row["source_label"],
                note=row["note"],
                source_of_claim=row["source_of_claim"],
                author=row["author"],
                reviewer=row["reviewer"],
            )
        )
    return claims


def _claim_faults(row: Mapping[str, str]) -> list[str]:
    """What a row cannot say, by column."""
    faults = []
    if not row["source"]:
        faults.append("source: source 为空，请写本地代码 / source is empty; write the local code")
    if row["relation"] != "none" and row["relation"] not in _RELATIONS:
        faults.append(
            f"relation: relation {row['relation']!r} 不是 exact、narrower、broader、related、none 之一 / "
            f"relation {row['relation']!r} is none of exact, narrower, broader, related, none; take one"
        )
    if (row["relation"] == "none") != (not row["target"]):
        faults.append(
            "target: 一行要么有 target，要么 relation 为 none / "
            "a row has a target, or the relation none; fill one and empty the other"
        )
    if row["direction"] not in _DIRECTIONS:
        faults.append(
            f"direction: direction {row['direction']!r} 不是 both、to_shared、to_local 之一 / "
            f"direction {row['direction']!r} is none of both, to_shared, to_local; take one"
        )
    if row["preferred_reverse"] not in ("", "yes"):
        faults.append(
            "preferred_reverse: preferred_reverse 只能是 yes 或空，请改正 / "
            "preferred_reverse is yes or empty; correct it"
        )
    faults.extend(
        f"{name}: {name} {row[name]!r} 不是日期，请写 yyyy-MM-dd 或留空 / "
        f"{name} {row[name]!r} is not a day; write yyyy-MM-dd, or leave it empty"
        for name in ("valid_from", "valid_to")
        if not _is_day(row[name])
    )
    faults.extend(
        f"{name}: {name} 为空，请说明出自何处 / {name} is empty; say whose claim it is"
        for name in ("source_of_claim", "author", "reviewer")
        if not row[name]
    )
    return faults


def _is_day(text: str) -> bool:
    try:
        return not text or date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# --- fields ---------------------------------------------------------------------------------------


def _read_fields(path: Path, lists: CodeLists, faults: list[str]) -> dict[str, tuple[FieldRule, ...]]:
    """The rules of every kind that the file names, with those for every certificate in front of its own."""
    codes = {kind.name: code for code, kind in lists.kinds.items()} | {SERVICE_ITEM: SERVICE_ITEM}
    common: list[FieldRule] = []
    own: dict[str, list[FieldRule]] = {}
    for line, row in enumerate(_rows(path, "fields.csv", FIELD_COLUMNS, faults), start=2):
        where = f"fields.csv line {line}"
        if row["kind"] == EVERY_CERTIFICATE:
            common.append(_field_rule(row, EVERY_CERTIFICATE, where, faults))
        elif row["kind"] in codes:
            code = codes[row["kind"]]
            own.setdefault(code, []).append(_field_rule(row, code, where, faults))
        else:
            faults.append(
                f"{where}, kind: kind {row['kind']!r} 不是共享证照类型，请用其名称 / "
                f"kind {row['kind']!r} is no certificate type of the shared list; use its name there"
            )
    return {code: _merged(common if code != SERVICE_ITEM else [], rules) for code, rules in own.items()}


def _merged(common: list[FieldRule], own: list[FieldRule]) -> tuple[FieldRule, ...]:
    replaced = {rule.element for rule in own if not rule.group}
    return (*(rule for rule in common if rule.element not in replaced), *own)


def _field_rule(row: Mapping[str, str], kind: str, where: str, faults: list[str]) -> FieldRule:
    if row["required"] not in ("", "yes"):
        faults.append(
            f"{where}, required: required 只能是 yes 或空，请改正 / required is yes or empty; correct it"
        )
    return FieldRule(
        kind=kind,
        group=row["group"],
        local=row["local"],
        element=row["element"],
        converter=row["converter"],
        parameters=MappingProxyType(_parse_parameters(row["parameters"], where, faults)),
        default=row["default"],
        required=row["required"] == "yes",
        where=where,
    )


def _parse_parameters(text: str, where: str, faults: list[str]) -> dict[str, str]:
    """``map=sex; on=颁发日期; join=' '`` as a mapping."""
    parameters: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in _PARAMETER.findall(text))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        quoted = len(value) >= 2 and value[0] == value[-1] == "'"
        if not sign or not name or not value or name in parameters:
            faults.append(
                f"{where}, parameters: 参数 {part!r} 不是 name=value，或重复，请改正 / "
                f"parameter {part!r} is not name=value, once; correct it"
            )
        parameters[name] = value[1:-1] if quoted else value
    return parameters


def _read_parameters(
    described: Mapping[str, Mapping[str, str]], faults: list[str]
) -> dict[str, ParameterRule]:
    parameters = {}
    for name, about in described.items():
        if "converter" not in about:
            faults.append(
                f"dialect.toml, [parameters.{name}]: 没有转换器，请写 converter = … / "
                f"names no converter; say converter = …"
            )
            continue
        rest = {key: value for key, value in about.items() if key not in ("converter", "type")}
        parameters[name] = ParameterRule(
            name, about["converter"], about.get("type", "text"), MappingProxyType(rest)
        )
    return parameters
