"""What the fields of a dialect must fulfil: rules 3 to 5 of `validate`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mapping.codelists import SERVICE_ITEM, CodeLists
from mapping.converters import Settings, build_converter
from mapping.errors import MappingError
from mapping.ruleset import TODAY, WAYS, FieldRule, RuleSet

__all__ = ["kind_faults", "parameter_faults"]

_PART = re.compile(r"([1-9])/([2-9])")
_DATED = ("code", "division")
_TEXTS = ("text", "name", "width")
_ANNOUNCING = ("证照类型代码", "证照标识")


def kind_faults(kind: str, fields: tuple[FieldRule, ...], rules: RuleSet, lists: CodeLists) -> Iterator[str]:
    """What is wrong with the fields of one kind, alone and together."""
    for rule in fields:
        yield from _field_faults(rule, fields, rules, lists)
    for group in sorted({rule.group for rule in fields}):
        rows = [rule for rule in fields if rule.group == group]
        yield from _element_faults(rows)
        yield from _path_faults(rows)
        if group and not any(rule.converter == "group" and rule.element == group for rule in fields):
            yield (
                f"{rows[0].where}, group: 没有组 {group} 的列表字段，请补充该行 / "
                f"there is no list field for the group {group}; add its row"
            )
        if group and _holds_itself(group, fields):
            yield (
                f"{rows[0].where}, group: 组 {group} 包含自身（循环），请从其行中去掉 / "
                f"the group {group} holds itself (a cycle); take it out of its rows"
            )
    shared = lists.kinds[kind]
    wanted = {("", element) for element in shared.elements}
    wanted |= {(group, element) for group, elements in shared.groups.items() for element in elements}
    for group, element in sorted(wanted - {(rule.group, rule.element) for rule in fields}):
        name = f"{group}/{element}" if group else element
        yield (
            f"fields.csv, element: {shared.name} 缺要素 {name}，请补充该行 / "
            f"{shared.name} does not cover {name}; add its row"
        )


def parameter_faults(rules: RuleSet, lists: CodeLists) -> Iterator[str]:
    """What is wrong with the request parameters, and with how certificates tell what they are."""
    for rule in rules.parameters.values():
        where = f"dialect.toml, [parameters.{rule.name}]"
        element_type = rule.element_type
        if rule.converter == "code" and rule.parameters.get("map", "") in rules.maps:
            element_type = f"code:{rules.maps[rule.parameters['map']].list_name}"
        yield from _converter_faults(where, rule.converter, dict(rule.parameters), element_type, rules, lists)
    for element in _ANNOUNCING:
        paths = {
            (rule.local, rule.converter, tuple(sorted(rule.parameters.items())))
            for kind, fields in rules.fields.items()
            for rule in fields
            if kind != SERVICE_ITEM and rule.element == element and not rule.group and rule.way == "both"
        }
        if len(paths) > 1:
            yield (
                f"fields.csv, element: 所有证照须以同一方式给出 {element}，请用一行 * / "
                f"{element} must be told in one way by every certificate; use one row for *"
            )


def _holds_itself(group: str, fields: Sequence[FieldRule]) -> bool:
    inside = {rule.element for rule in fields if rule.group == group and rule.converter == "group"}
    seen: set[str] = set()
    while inside - seen:
        seen |= inside
        inside = {rule.element for rule in fields if rule.group in seen and rule.converter == "group"}
    return group in seen


# --- 3: one field ---------------------------------------------------------------------------------


def _field_faults(
    rule: FieldRule, fields: tuple[FieldRule, ...], rules: RuleSet, lists: CodeLists
) -> Iterator[str]:
    element = lists.elements.get(rule.element)
    if element is None:
        yield (
            f"{rule.where}, element: 没有共享要素 {rule.element!r}，请用 elements.csv 中的名称 / "
            f"there is no shared element {rule.element!r}; name one of elements.csv"
        )
        return
    if rule.default and element.code_list and rule.default not in lists.lists[element.code_list]:
        yield (
            f"{rule.where}, default: 缺省值 {rule.default} 不在代码表 {element.code_list} 中，请用共享代码 / "
            f"the default {rule.default} is not in the list {element.code_list}; "
            "name a shared code"
        )
    if not all(segment.removesuffix("|json") for segment in (*rule.parents, *rule.keys)):
        yield (
            f"{rule.where}, local: 本地路径 {rule.local!r} 有空段，请写明每一级 / "
            f"the local path {rule.local!r} has an empty segment; name every object"
        )
    yield from _converter_faults(
        f"{rule.where}, converter", rule.converter, dict(rule.conversion), element.type, rules, lists
    )
    yield from (f"{rule.where}, parameters: {fault}" for fault in _shape_faults(rule))
    yield from (f"{rule.where}, parameters: {fault}" for fault in _day_faults(rule, fields))


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
            yield (
                f"{where}: 转换器 group 只用于列表要素，且没有参数 / "
                f"converter group is for group elements and takes no parameters; use another"
            )
    elif converter == "code":
        code_map = rules.maps.get(parameters.get("map", ""))
        if set(parameters) != {"map"} or code_map is None:
            yield (
                f"{where}: 转换器 code 的参数为 map=<dialect.toml 中的代码表> 和 on=<日期要素> / "
                f"converter code takes map=<a map of dialect.toml>, and on=<a date element>"
            )
        elif element_type != f"code:{code_map.list_name}":
            yield (
                f"{where}: 代码表 {code_map.name} 对应 {code_map.list_name}，要素却是 {element_type}，请更换 / "
                f"map {code_map.name} leads to {code_map.list_name}, the element is {element_type}; "
                "name a map that leads to its list"
            )
    else:
        try:
            build_converter(converter, Settings(parameters, element_type, rules.version, lists.divisions))
        except MappingError as refused:
            yield f"{where}: {refused.detail}"


def _shape_faults(rule: FieldRule) -> Iterator[str]:
    """Whether path and parameters say one shape, and one that the converter can have."""
    parameters = rule.parameters
    shapes = [name for name in ("join", "part", "list") if name in parameters]
    if rule.way not in WAYS:
        yield (
            f"way 为 {rule.way!r}，只能是 {'、'.join(WAYS)} / "
            f"way is {rule.way!r}; expected one of {', '.join(WAYS)}"
        )
    if len(shapes) > 1 or (shapes and (rule.converter == "group" or rule.local.endswith("|json"))):
        yield (
            f"{'、'.join(shapes)} 在此不能并用，一个字段只有一种形式 / "
            f"{' and '.join(shapes)} do not go together here; a field has one shape"
        )
    if (len(rule.keys) > 1) != ("join" in parameters):
        yield (
            "join 用于多个字段 a+b，写明其间的分隔，'' 为无 / "
            "join is for several fields, a+b, and says what stands between them; '' for nothing"
        )
    if rule.converter in ("date", "number") and parameters.get("join", "-") == "":
        yield (
            "合为日期或数字的字段之间须有分隔：join=- / "
            "fields that are joined to a date or number need something between them: join=-"
        )
    if ("part" in parameters) != bool(parameters.get("split")):
        yield "part 与 split 须并用：part=1/2; split=- / part and split go together: part=1/2; split=-"
    if "part" in parameters and not _is_part(parameters["part"]):
        yield (
            f"part {parameters['part']!r} 不是 n/m，最多 9；两段之一写 1/2 / "
            f"part {parameters['part']!r} is not n/m, at most 9; write 1/2 for the first of two"
        )
    if "list" in parameters and (not parameters["list"] or rule.converter not in _TEXTS):
        yield (
            "list 用于文本，写明各项之间的分隔：list=、 / "
            "list is for texts, and says what stands between the items: list=、"
        )


def _is_part(text: str) -> bool:
    found = _PART.fullmatch(text)
    return found is not None and int(found[1]) <= int(found[2])


def _day_faults(rule: FieldRule, fields: tuple[FieldRule, ...]) -> Iterator[str]:
    if rule.parameters.get("forward") == "today" and not rule.on:
        yield (
            "forward 需要代码书写之日，请加 on=<日期要素> 或 on=today / "
            "forward needs the day that the code was written on; add on=<a date element>, or on=today"
        )
    if "on" not in rule.parameters or rule.on == TODAY:
        return
    if rule.converter not in _DATED:
        yield f"on 只用于 {'、'.join(_DATED)}，请删除 / on is for {' and '.join(_DATED)}; take it out"
    if not any(
        other.element == rule.on and other.converter == "date" and other.group in ("", rule.group)
        for other in fields
    ):
        yield (
            f"on={rule.on} 不是该类的日期字段，请用日期字段或 today / "
            f"on={rule.on} is no date field of the kind; name one, or today"
        )


# --- 4: fields together ---------------------------------------------------------------------------


def _element_faults(rows: list[FieldRule]) -> Iterator[str]:
    """An element is read and written at one place; further places only read it."""
    first: dict[str, FieldRule] = {}
    for rule in rows:
        known = first.setdefault(rule.element, rule)
        if known is rule:
            continue
        if rule.way != "to_shared":
            yield (
                f"{rule.where}, element: 要素 {rule.element} 出现两次，请在第二行写 way=to_shared，或删除 / "
                f"element {rule.element} occurs twice in one kind ({known.where}); "
                "say way=to_shared in the second row, or take it out"
            )
        elif rule.default or rule.required:
            yield (
                f"{rule.where}, default: 第二处没有缺省，也不能必填，请清空这两列 / "
                f"a second place has no default and is not required; empty both columns"
            )


def _path_faults(rows: list[FieldRule]) -> Iterator[str]:
    cells: dict[tuple[str, ...], list[FieldRule]] = {}
    for rule in rows:
        for key in rule.keys:
            cells.setdefault((*_plain(rule.parents), key), []).append(rule)
    for path, sharing in cells.items():
        yield from _cell_faults(".".join(path), sharing)
        above = next((path[:length] for length in range(1, len(path)) if path[:length] in cells), None)
        if above is not None:
            yield (
                f"{sharing[0].where}, local: {sharing[0].local} 位于一个本身有值的路径之下，请删除其一 / "
                f"{sharing[0].local} lies under a path that is a value itself "
                f"({cells[above][0].where}); take one of them out"
            )
    leaves: dict[str, FieldRule] = {}
    for rule in rows:
        known = leaves.setdefault(rule.leaf, rule)
        if known.local != rule.local:
            yield (
                f"{rule.where}, local: 末段名 {rule.leaf} 出现两次（{known.where}），字段以路径末段为名 / "
                f"leaf {rule.leaf} occurs twice in one kind ({known.where}); "
                "fields are named by the last segment of their path"
            )


def _plain(segments: Sequence[str]) -> tuple[str, ...]:
    return tuple(segment.removesuffix("|json") for segment in segments)


def _cell_faults(path: str, sharing: list[FieldRule]) -> Iterator[str]:
    """Several rules for one field are each for a part of it, or all but one only read or mirror it."""
    writing = [rule for rule in sharing if rule.way == "both"]
    parts = [rule for rule in writing if "part" in rule.parameters]
    if parts:
        yield from _parts_faults(path, parts)
    rest = [rule for rule in writing if "part" not in rule.parameters]
    if len(rest) + bool(parts) > 1:
        other = rest[1] if len(rest) > 1 else rest[0]
        yield (
            f"{other.where}, local: 本地字段 {path} 出现两次（{writing[0].where}），"
            f"请写明各是哪一部分，或除一行外写 way=mirror 或 way=to_shared / "
            f"local {path} occurs twice in one kind ({writing[0].where}); say which part of it "
            "each is, or way=mirror or way=to_shared in all but one"
        )


def _parts_faults(path: str, parts: list[FieldRule]) -> Iterator[str]:
    told = sorted(rule.parameters["part"] for rule in parts)
    total = told[0].partition("/")[2]
    wanted = [f"{number}/{total}" for number in range(1, int(total) + 1)] if total.isdecimal() else []
    if told != wanted or len({rule.parameters.get("split", "") for rule in parts}) > 1:
        yield (
            f"{parts[0].where}, parameters: {path} 的各部分为 {'、'.join(told)}，请每部分写一次，split 相同 / "
            f"the parts of {path} are {', '.join(told)}; name each part once, "
            "with one split"
        )
