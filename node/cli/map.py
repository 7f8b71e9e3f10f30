"""Work on rule sets: check, translate, explain, measure, compare, export, import; and have a node take one up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from mapping.codelists import code_lists
from mapping.coverage import ListCoverage, RuleSetCoverage, coverage_faults, coverage_of
from mapping.difference import NO_DAY, Difference, difference_between
from mapping.errors import RuleSetFaults
from mapping.validate import load_rule_set
from node.cli.columns import show_columns
from node.cli.map_files import export_command, import_command
from node.cli.map_reload import reload_command
from node.cli.map_sources import (
    Source,
    json_option,
    leave_if,
    loaded,
    named,
    print_json,
    source_options,
    sources,
    tell_faults,
)
from node.cli.map_values import explain_command, translate_command
from node.cli.say import say, write_new

__all__ = ["map_commands"]


@click.group("map")
def map_commands() -> None:
    """规则集：检查、转换、解释、覆盖率、比较、导出、导入，无需运行节点；重新加载。

    Rule sets: check, translate, explain, measure, compare, export, import, all without a running node; reload.
    """


map_commands.add_command(translate_command)
map_commands.add_command(explain_command)
map_commands.add_command(export_command)
map_commands.add_command(import_command)
map_commands.add_command(reload_command)


def _day(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> date:
    if value is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} 不是日期 yyyy-mm-dd / is no day") from None


_on_option = click.option(
    "--on", callback=_day, metavar="YYYY-MM-DD", help="哪一天，默认今天 / On which day; default: today"
)


# --- check ----------------------------------------------------------------------------------------


@map_commands.command()
@_on_option
@source_options
@json_option
def check(
    on: date, province: str | None, directory: Path | None, config_path: Path | None, as_json: bool
) -> None:
    """检查规则集，报告全部错误；默认检查所有随附的。

    Check rule sets and tell every fault; without options, all that are shipped. Exit code 1 when one has a fault.
    """
    results = [_checked(source, on) for source in sources(province, directory, config_path)]
    if as_json:
        print_json([result for _, result in results])
    else:
        for source, result in results:
            tell_faults(source, result["faults"])
            if result["faults"]:
                say(f"{source.name}：{len(result['faults'])} 处错误", f"{len(result['faults'])} fault(s)")
            else:
                say(
                    f"{source.name}：无误，{result['version']}，{result['codes']} 个本地代码全部有行",
                    f"no fault; every one of {result['codes']} local codes has a row",
                )
    leave_if(any(result["faults"] for _, result in results))


def _checked(source: Source, on: date) -> tuple[Source, dict[str, Any]]:
    result: dict[str, Any] = {"rule_set": source.name, "directory": str(source.directory), "faults": []}
    try:
        rules = load_rule_set(source.directory, code_lists())
    except RuleSetFaults as refusal:
        return source, result | {"faults": list(refusal.faults)}
    found = coverage_of(rules, code_lists(), on)
    return source, result | {
        "province": rules.province,
        "version": rules.version,
        "digest": rules.digest.hex(),
        "codes": sum(one.sources for one in found.lists),
        "faults": coverage_faults(found),
    }


# --- coverage -------------------------------------------------------------------------------------


@map_commands.command()
@_on_option
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="另写成一个网页 / Write the matrix as a page, too",
)
@click.option(
    "--types", is_flag=True, help="按证照类型列出 / A line for each certificate type and coded field"
)
@source_options
@json_option
def coverage(
    on: date,
    page: Path | None,
    types: bool,
    province: str | None,
    directory: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """覆盖率：每省、每类证照、每个代码表。

    What is covered, by province, certificate type and list: codes with a row, codes that are reached, what is lost,
    what comes back.
    """
    found = [
        coverage_of(loaded(source), code_lists(), on) for source in sources(province, directory, config_path)
    ]
    if page is not None:
        from node.coverage_page import coverage_page

        write_new(page, coverage_page(found))
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    for one in found:
        _show_coverage(one, types)
    if page is not None:
        say(f"已写入 {page}", "the page is written")


def _show_coverage(one: RuleSetCoverage, types: bool) -> None:
    say(f"{one.province} {one.name}，规则集 {one.version}，{one.on}", "rule set, on that day")
    heads = (
        "代码表 list",
        "有行 row",
        "可译 read",
        "none",
        "可达 reached",
        "可写 written",
        "有损 lossy",
        "往返 returns",
    )
    show_columns(heads, [_figures(codes) for codes in one.lists], indent="  ")
    if types:
        type_heads = (
            "证照类型 type",
            "要素 elements",
            "字段 field",
            "代码表 list",
            "有行 row",
            "往返 returns",
        )
        show_columns(type_heads, _type_rows(one), indent="  ")
    for codes in one.lists:
        _show_gaps(codes)


def _figures(codes: ListCoverage) -> tuple[str, ...]:
    day = f" ({codes.on})" if codes.on else ""
    return (
        codes.map_name + day,
        f"{codes.with_row}/{codes.sources}",
        f"{codes.translated}/{codes.sources}",
        str(len(codes.none)),
        f"{codes.reachable}/{codes.targets}",
        f"{codes.writable}/{codes.targets}",
        f"{len(codes.lossy_to_shared)} → · {len(codes.lossy_to_local)} ←",
        f"{codes.returns}/{codes.translated}",
    )


def _type_rows(one: RuleSetCoverage) -> Iterable[tuple[str, ...]]:
    for kind in one.kinds:
        elements = f"{kind.covered}/{kind.elements}"
        for field in kind.fields or (None,):
            if field is None:
                yield kind.name, elements, "", "", "", ""
                continue
            name = f"{field.group}/{field.element}" if field.group else field.element
            codes = field.codes
            yield (
                kind.name, elements, name, codes.map_name,
                f"{codes.with_row}/{codes.sources}", f"{codes.returns}/{codes.translated}",
            )  # fmt: skip


def _show_gaps(codes: ListCoverage) -> None:
    for zh, en, told in (
        ("没有行", "no row", codes.without_row),
        ("无对应", "none", codes.none),
        ("不确定", "undecided", codes.undecided),
        ("写不出", "not written", codes.unwritable),
    ):
        for code in told:
            why = f": {code.note}" if code.note else ""
            click.echo(f"  {codes.map_name}  {zh} {en}  {code.code} {code.label}{why}")


def _as_json(one: RuleSetCoverage) -> dict[str, Any]:
    from dataclasses import asdict

    figures = ("with_row", "translated", "reachable", "writable", "returns", "whole")
    lists = [asdict(codes) | {name: getattr(codes, name) for name in figures} for codes in one.lists]
    kinds = [
        {
            "kind": kind.kind,
            "name": kind.name,
            "elements": kind.elements,
            "covered": kind.covered,
            "missing": list(kind.missing),
            "fields": [
                {
                    "group": field.group, "element": field.element, "local": field.local,
                    "map_name": field.codes.map_name, "on": field.codes.on,
                }
                for field in kind.fields
            ],
        }
        for kind in one.kinds
    ]  # fmt: skip
    return {
        "province": one.province,
        "name": one.name,
        "version": one.version,
        "digest": one.digest.hex(),
        "on": one.on,
        "whole": one.whole,
        "lists": lists,
        "types": kinds,
    }


# --- diff -----------------------------------------------------------------------------------------


@map_commands.command()
@click.argument("before")
@click.argument("after")
@json_option
def diff(before: str, after: str, as_json: bool) -> None:
    """比较规则集的两个版本：哪些值会有不同结果。

    What AFTER would change against BEFORE: claims, fields, and what becomes of which values. Each is the directory of
    a rule set, or the code of a province that is shipped.
    """
    found = difference_between(loaded(named(before)), loaded(named(after)), code_lists())
    if as_json:
        from dataclasses import asdict

        print_json(
            {
                "changes": [asdict(change) | {"what": change.what} for change in found.changes],
                "values": [asdict(change) for change in found.values],
            }
        )
    else:
        show_difference(found)


_WHATS = {"added": "新增 added", "removed": "删除 removed", "changed": "改动 changed"}
_WAYS = {"to_shared": "→", "to_local": "←"}


def show_difference(found: Difference) -> None:
    """What is other, for people."""
    if not found:
        say("没有差别", "no difference")
        return
    for change in found.changes:
        click.echo(f"{_WHATS[change.what]}  {change.part}  {change.name}")
        for sign, text in (("-", change.before), ("+", change.after)):
            if text:
                click.echo(f"    {sign} {text}")
    if found.values:
        heads = ("处 place", "", "值 value", "哪天 days", "原先 before", "今后 after")
        show_columns(heads, [_value_row(change) for change in found.values])
    say(
        f"{len(found.changes)} 处改动，{len(found.values)} 个值结果不同",
        f"{len(found.changes)} changes, {len(found.values)} values become other",
    )


def _value_row(change: Any) -> Sequence[str]:
    days = "—"
    if change.first_day == NO_DAY:
        days = "不明 not known"
    elif change.first_day or change.last_day:
        days = f"{change.first_day or '…'} – {change.last_day or '…'}"
    sides = [f"{value} ({how})" if how else value or "—" for value, how in (change.before, change.after)]
    return change.place, _WAYS[change.direction], change.value or "(缺 missing)", days, *sides
