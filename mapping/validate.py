"""What a dialect must fulfil before anything is translated with it. Each check names its rule and the line.

1. The shared code lists are the ones that it was written against: all of them by version, and a list by its own
   version where the dialect names that.
2. A code map leads to codes of its list only, and only while they are valid; one source has one target on any
   day; where several sources lead to one target, exactly one of them is the way back on any day; a target that is
   reached exactly can be written again; and reading what was written comes to rest.
3. A field's converter exists, takes its parameters, and fits the shared element's type; a code map leads to
   the element's own list.
4. A local path and a field's own name occur once, unless the rules say which part of it each is, or that they only
   read or mirror it; an element is read from one place, or from others that only read; nothing lies under a path
   that is a value itself.
5. Every kind covers every shared element, and every certificate tells its type and id in one way.

Rules 3 to 5 are in `validate_fields`. A fault says file, line and column, what is wrong, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import combinations
from pathlib import Path

from mapping.codelists import CodeList, CodeLists
from mapping.codes import build_code_converter
from mapping.element import Relation
from mapping.errors import RuleSetFaults
from mapping.rule_files import read_rule_set
from mapping.ruleset import CodeMap, MapRow, RuleSet
from mapping.validate_fields import kind_faults, parameter_faults

__all__ = ["load_rule_set", "rule_set_faults"]


def load_rule_set(directory: Path, lists: CodeLists) -> RuleSet:
    """Read and check a dialect. Raises RuleSetFaults with everything that is wrong with it."""
    rules, written_against, faults = read_rule_set(directory, lists)
    faults += rule_set_faults(rules, written_against, lists)
    if faults:
        raise RuleSetFaults(faults)
    return rules


def rule_set_faults(rules: RuleSet, written_against: str, lists: CodeLists) -> list[str]:
    """Everything that is wrong, in the order of the checks; empty when the dialect is good."""
    faults = []
    if written_against != lists.version:
        faults.append(
            f"dialect.toml, codelists: 代码表版本为 {written_against}，现为 {lists.version}，请比较后改写 / "
            f"written against code lists {written_against}, these are {lists.version}; "
            "compare the two, then name the new version"
        )
    for code_map in rules.maps.values():
        faults += _map_faults(code_map, lists.lists[code_map.list_name])
    for kind, fields in rules.fields.items():
        faults += kind_faults(kind, fields, rules, lists)
    faults += parameter_faults(rules, lists)
    missing = [kind.name for code, kind in lists.kinds.items() if code not in rules.fields]
    faults += [
        f"fields.csv, kind: 没有 {name} 的任何行，请补充 / nothing about {name}; add its rows"
        for name in missing
    ]
    return list(dict.fromkeys(faults))


# --- 1, 2: code maps ------------------------------------------------------------------------------


def _map_faults(code_map: CodeMap, targets: CodeList) -> Iterator[str]:
    if code_map.list_version and code_map.list_version != targets.version:
        yield (
            f"dialect.toml, [maps.{code_map.name}] version: "
            f"代码表版本为 {code_map.list_version}，现为 {targets.version}，请比较后改写 / "
            f"written against {targets.name} {code_map.list_version}, "
            f"this is {targets.version}; compare the two, then name the new version"
        )
    for row in code_map.rows:
        yield from _row_faults(row, targets)
    reads = _grouped(code_map.rows, by_source=True)
    writes = _grouped(code_map.rows, by_source=False)
    for source, rows in reads.items():
        for one, other in combinations(rows, 2):
            if one.overlaps(other):
                yield (
                    f"{other.where}, source: {source} 在相同日期已对应别的代码，请错开日期或改为 to_local / "
                    f"{source} already leads elsewhere on the same days ({one.where}); "
                    "give the two rows days that do not overlap, or make one of them to_local"
                )
    for target, rows in writes.items():
        yield from _reverse_faults(target, rows)
    for source, rows in reads.items():
        yield from _no_reverse_faults(source, rows, writes)
    yield from _cycle_faults(code_map)


def _row_faults(row: MapRow, targets: CodeList) -> Iterator[str]:
    if row.valid_from and row.valid_to and row.valid_from > row.valid_to:
        yield (
            f"{row.where}, valid_to: valid_from 晚于 valid_to，请改正 / "
            f"valid_from is after valid_to; swap or correct them"
        )
    elif row.target and row.target not in targets:
        yield (
            f"{row.where}, target: {row.target} 不在代码表 {targets.name} 中，请用其中代码或 none / "
            f"{row.target} is not in the list {targets.name}; name a code of it, or none"
        )
    elif row.target and not _is_valid(row, targets):
        yield (
            f"{row.where}, target: {row.target} 在该行有效期内于 {targets.name} 中无效，请按代码的有效期填写 / "
            f"{row.target} is not valid in {targets.name} while the row is; "
            "give the row the days of the code"
        )
    if row.preferred and not row.writes:
        yield (
            f"{row.where}, preferred_reverse: 该行不用于反向，preferred_reverse 应留空 / "
            f"preferred_reverse on a row that is not used to_local; empty it"
        )


def _is_valid(row: MapRow, targets: CodeList) -> bool:
    """Whether the target is valid on the row's first and last day; an open end asks nothing."""
    days = [date.fromisoformat(day) for day in (row.valid_from, row.valid_to) if _is_day(day)]
    return all(targets.at(row.target, day) is not None for day in days)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _grouped(rows: Iterable[MapRow], *, by_source: bool) -> dict[str, list[MapRow]]:
    grouped: dict[str, list[MapRow]] = {}
    for row in rows:
        if row.reads if by_source else row.writes:
            grouped.setdefault(row.source if by_source else row.target, []).append(row)
    return grouped


def _reverse_faults(target: str, rows: list[MapRow]) -> Iterator[str]:
    for one, other in combinations(rows, 2):
        if one.overlaps(other) and one.preferred == other.preferred:
            where = f"{other.where}, preferred_reverse"
            if one.preferred:
                yield (
                    f"{where}: {target} 在相同日期有两个首选反向（{one.where}），请只选一个 / "
                    f"{target} has two preferred ways back on the same days ({one.where}); "
                    "prefer one of them"
                )
            elif not any(row.preferred and row.overlaps(one) and row.overlaps(other) for row in rows):
                yield (
                    f"{where}: {target} 有两个反向而无首选（{one.where}），请选其一，或把另一行改为 to_shared / "
                    f"{target} has two ways back and none is preferred ({one.where}); "
                    "say yes for one of them, or make the other to_shared"
                )


def _no_reverse_faults(
    source: str, rows: Iterable[MapRow], writes: Mapping[str, list[MapRow]]
) -> Iterator[str]:
    """What a local code was read as must be something that this dialect can say again."""
    for row in rows:
        if row.relation is Relation.EXACT and not any(
            row.overlaps(other) for other in writes.get(row.target, ())
        ):
            yield (
                f"{row.where}, direction: {source} 读作 {row.target}，却没有行写回 {row.target}，"
                f"请改为 both，或加一行 to_local / "
                f"{source} is read as {row.target}, and no row writes {row.target}: its "
                "reverse does not exist; say both, or add a row to_local"
            )


def _cycle_faults(code_map: CodeMap) -> Iterator[str]:
    """Reading what was written must come to rest: A written as x, read as B, written as y, read as A does not."""
    converter = build_code_converter(code_map, "")
    follows = {
        target: converter.known[raw][0]
        for target, (raw, relation) in converter.written.items()
        if relation is not Relation.UNMAPPED and raw in converter.known
    }
    settled: set[str] = set()
    for start in follows:
        way: list[str] = []
        at = start
        while at in follows and at not in settled and at not in way:
            way.append(at)
            at = follows[at]
        if at in way and follows[at] != at:
            circle = " → ".join([*way[way.index(at) :], at])
            yield (
                f"maps/{code_map.name}.csv, target: 写出再读入循环不止：{circle}，请把其中一行改为单向 / "
                f"written and read again, {circle} never comes to rest (a cycle); "
                "make one of these rows one-way"
            )
        settled.update(way)
