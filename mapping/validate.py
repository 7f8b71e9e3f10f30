"""What a dialect must fulfil before anything is translated with it. Each check names its rule and the line.

1. The shared code lists are the ones that it was written against.
2. A code map leads to codes of its list only; one source has one target on any day; where several sources
   lead to one target, exactly one of them is the way back on any day.
3. A field's converter exists, takes its parameters, and fits the shared element's type; a code map leads to
   the element's own list.
4. A local path and a field's own name occur once; nothing lies under a path that is a value itself.
5. Every kind covers every shared element, and every certificate tells its type and id in one way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

from mapping.codelists import SERVICE_ITEM, CodeLists
from mapping.converters import Settings, build_converter
from mapping.errors import MappingError, RuleSetFaults
from mapping.ruleset import CodeMap, FieldRule, MapRow, RuleSet, read_rule_set

__all__ = ["load_rule_set", "rule_set_faults"]

_CODE_PARAMETERS = {"map"}


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
            f"dialect.toml: written against code lists {written_against}, these are {lists.version}"
        )
    for code_map in rules.maps.values():
        faults += _map_faults(code_map, lists)
    for kind, fields in rules.fields.items():
        faults += _kind_faults(kind, fields, rules, lists)
    faults += _parameter_faults(rules, lists)
    missing = [kind.name for code, kind in lists.kinds.items() if code not in rules.fields]
    faults += [f"fields.csv: nothing about {name}" for name in missing]
    return list(dict.fromkeys(faults))


# --- 2: code maps ---------------------------------------------------------------------------------


def _map_faults(code_map: CodeMap, lists: CodeLists) -> Iterator[str]:
    targets = lists.lists[code_map.list_name]
    for row in code_map.rows:
        if row.target and row.target not in targets:
            yield f"{row.where}: {row.target} is not in the list {code_map.list_name}"
        if row.valid_from and row.valid_to and row.valid_from > row.valid_to:
            yield f"{row.where}: valid_from is after valid_to"
        if row.preferred and not row.writes:
            yield f"{row.where}: preferred_reverse on a row that is not used to_local"
    for source, rows in _grouped(code_map.rows, by_source=True).items():
        for one, other in combinations(rows, 2):
            if one.overlaps(other):
                yield f"{other.where}: {source} already leads elsewhere on the same days ({one.where})"
    for target, rows in _grouped(code_map.rows, by_source=False).items():
        yield from _reverse_faults(target, rows)


def _grouped(rows: Iterable[MapRow], *, by_source: bool) -> dict[str, list[MapRow]]:
    grouped: dict[str, list[MapRow]] = {}
    for row in rows:
        if row.reads if by_source else row.writes:
            grouped.setdefault(row.source if by_source else row.target, []).append(row)
    return grouped


def _reverse_faults(target: str, rows: list[MapRow]) -> Iterator[str]:
    for one, other in combinations(rows, 2):
        if one.overlaps(other) and one.preferred == other.preferred:
            if one.preferred:
                yield f"{other.where}: {target} has two preferred ways back on the same days ({one.where})"
            elif not any(row.preferred and row.overlaps(one) and row.overlaps(other) for row in rows):
                yield f"{other.where}: {target} has two ways back and none is preferred ({one.where})"


# --- 3, 4, 5: fields ------------------------------------------------------------------------------


def _kind_faults(kind: str, fields: tuple[FieldRule, ...], rules: RuleSet, lists: CodeLists) -> Iterator[str]:
    for rule in fields:
        yield from _field_faults(rule, fields, rules, lists)
    for group in sorted({rule.group for rule in fields}):
        rows = [rule for rule in fields if rule.group == group]
        yield from _name_faults(rows)
        if group and not any(rule.converter == "group" and rule.element == group for rule in fields):
            yield f"{rows[0].where}: there is no list field for the group {group}"
    shared = lists.kinds[kind]
    wanted = {("", element) for element in shared.elements}
    wanted |= {(group, element) for group, elements in shared.groups.items() for element in elements}
    for group, element in sorted(wanted - {(rule.group, rule.element) for rule in fields}):
        yield f"fields.csv: {shared.name} does not cover {group + '/' if group else ''}{element}"


def _field_faults(
    rule: FieldRule, fields: tuple[FieldRule, ...], rules: RuleSet, lists: CodeLists
) -> Iterator[str]:
    element = lists.elements.get(rule.element)
    if element is None:
        yield f"{rule.where}: there is no shared element {rule.element!r}"
        return
    if rule.default and element.code_list and rule.default not in lists.lists[element.code_list]:
        yield f"{rule.where}: the default {rule.default} is not in the list {element.code_list}"
    if not all(segment.removesuffix("|json") for segment in rule.local.split(".")):
        yield f"{rule.where}: the local path {rule.local!r} has an empty segment"
    yield from _converter_faults(
        rule.where, rule.converter, dict(rule.conversion), element.type, rules, lists
    )
    on = rule.parameters.get("on")
    if on and not any(other.element == on and other.converter == "date" for other in fields):
        yield f"{rule.where}: on={on} is no date field of the kind"


def _converter_faults(
    where: str,
    converter: str,
    parameters: dict[str, str],
    element_type: str,
    rules: RuleSet,
    lists: CodeLists,
) -> Iterator[str]:
    if converter == "group":
        if element_type != "group" or parameters:
            yield f"{where}: converter group is for group elements and takes no parameters"
    elif converter == "code":
        code_map = rules.maps.get(parameters.get("map", ""))
        if set(parameters) - _CODE_PARAMETERS or code_map is None:
            yield f"{where}: converter code takes map=<a map of dialect.toml>, and on=<a date element>"
        elif element_type != f"code:{code_map.list_name}":
            yield f"{where}: map {code_map.name} leads to {code_map.list_name}, the element is {element_type}"
    else:
        try:
            build_converter(converter, Settings(parameters, element_type, rules.version, lists.divisions))
        except MappingError as refused:
            yield f"{where}: {refused.detail}"


def _name_faults(rows: list[FieldRule]) -> Iterator[str]:
    for attribute in ("local", "element", "leaf"):
        seen: dict[str, FieldRule] = {}
        for rule in rows:
            first = seen.setdefault(getattr(rule, attribute), rule)
            if first is not rule:
                yield f"{rule.where}: {getattr(rule, attribute)} occurs twice in one kind ({first.where})"
    paths = {tuple(rule.local.split(".")): rule for rule in rows}
    for path, rule in paths.items():
        if any(path[:length] in paths for length in range(1, len(path))):
            yield f"{rule.where}: {rule.local} lies under a path that is a value itself"


def _parameter_faults(rules: RuleSet, lists: CodeLists) -> Iterator[str]:
    for rule in rules.parameters.values():
        where = f"dialect.toml: [parameters.{rule.name}]"
        element_type = rule.element_type
        if rule.converter == "code" and rule.parameters.get("map", "") in rules.maps:
            element_type = f"code:{rules.maps[rule.parameters['map']].list_name}"
        yield from _converter_faults(where, rule.converter, dict(rule.parameters), element_type, rules, lists)
    for element in ("证照类型代码", "证照标识"):
        paths = {
            (rule.local, rule.converter, tuple(sorted(rule.parameters.items())))
            for kind, fields in rules.fields.items()
            for rule in fields
            if kind != SERVICE_ITEM and rule.element == element and not rule.group
        }
        if len(paths) > 1:
            yield f"fields.csv: {element} must be told in one way by every certificate"
