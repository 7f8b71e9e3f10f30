"""`yrd map translate` and `yrd map explain`: what a document's values become, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.element import Element
from mapping.errors import MappingError
from mapping.trace import (
    Explanation,
    explain_field_to_local,
    explain_field_to_shared,
    explain_parameter_to_local,
    explain_parameter_to_shared,
    explain_to_local,
    explain_to_shared,
)
from mapping.translate import Dialect, compile_dialect
from node.cli.columns import plain, show_columns
from node.cli.map_sources import (
    Source,
    json_option,
    loaded,
    named,
    one_source,
    print_json,
    refused,
    source_options,
)
from node.cli.say import Failed, say

__all__ = ["explain_command", "translate_command"]

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
_RELATIONS = {
    "exact": "等同 exact",
    "narrower": "更窄 narrower",
    "broader": "更宽 broader",
    "related": "相关 related",
    "defaulted": "缺省 defaulted",
    "unmapped": "未能对应 unmapped",
    "invalid": "不合规 invalid",
}

_kind_option = click.option(
    "--kind",
    help="证照类型的名称或代码；默认看文档自己 / The certificate type; default: as the document tells",
)
_document_argument = click.argument(
    "document",
    required=False,
    type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
)


# --- translate ------------------------------------------------------------------------------------


@click.command("translate")
@_document_argument
@_kind_option
@click.option(
    "--to", "target", help="目标省份或规则集目录 / On to this province's words, or those of a directory"
)
@source_options
@json_option
def translate_command(
    document: Path | None,
    kind: str | None,
    target: str | None,
    province: str | None,
    directory: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """转换一个 JSON 文档（文件或标准输入）：本地到共同标准，或再到另一省。

    Translate a JSON document from a file or standard input: local to shared words, or on to another province's.
    """
    source = one_source(province, directory, config_path)
    local = _dialect(source)
    other = _dialect(named(target)) if target else None
    found = _document(document)
    try:
        code = _kind(kind, local, found)
        shared = local.to_shared(code, found)
        written = other.to_local(code, shared) if other else ()
        rendered = other.render_local(code, shared) if other else None
    except MappingError as error:
        raise refused(error) from None
    if as_json:
        print_json(_translation(code, local, other, shared, written, rendered))
    else:
        _show_translation(code, local, other, shared, written)


def _translation(
    kind: str,
    local: Dialect,
    other: Dialect | None,
    shared: Sequence[Element],
    written: Sequence[Element],
    rendered: Mapping[str, Any] | None,
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "kind": kind,
        "kind_name": code_lists().kinds[kind].name,
        "from": _map_set(local),
        "shared": [_as_json(element) for element in shared],
    }
    if other is not None:
        said |= {
            "to": _map_set(other),
            "local": [_as_json(element) for element in written],
            "document": rendered,
        }
    return said


def _map_set(dialect: Dialect) -> dict[str, str]:
    return {"province": dialect.province, "map_set": dialect.version, "digest": dialect.digest.hex()}


def _as_json(element: Element) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": element.name,
        "value": element.value,
        "original": element.original,
        "relation": element.relation.word,
        "table": element.table,
    }
    if element.groups:
        said["groups"] = [[_as_json(inner) for inner in row] for row in element.groups]
    return said


def _show_translation(
    kind: str,
    local: Dialect,
    other: Dialect | None,
    shared: Sequence[Element],
    written: Sequence[Element],
) -> None:
    say(f"{code_lists().kinds[kind].name}，{local.version}", f"{kind}, in shared words")
    heads = ("要素 element", "值 value", "关系 relation", "原值 original", "表 table")
    show_columns(heads, [_cells(name, element) for name, element in _leaves(shared)])
    if other is not None:
        say(f"\n到 {other.version}", "on to that dialect")
        heads = ("字段 field", "值 value", "关系 relation", "共同值 shared", "表 table")
        show_columns(heads, [_cells(name, element) for name, element in _leaves(written)])


def _leaves(elements: Sequence[Element], lead: str = "") -> Iterator[tuple[str, Element]]:
    """Each value with its name; those in the rows of a list as ``家庭成员[1].姓名``."""
    for element in elements:
        if not element.groups:
            yield lead + element.name, element
        for number, row in enumerate(element.groups, start=1):
            yield from _leaves(row, f"{lead}{element.name}[{number}].")


def _cells(name: str, element: Element) -> tuple[str, ...]:
    return name, element.value, _RELATIONS[element.relation.word], element.original, element.table


# --- explain --------------------------------------------------------------------------------------


@click.command("explain")
@_document_argument
@_kind_option
@click.option("--element", help="只看此要素或字段 / Only this element or local field")
@click.option("--group", default="", help="该字段所在的列表 / The list whose rows have the field")
@click.option("--parameter", help="请求参数，例如 certificate_type / A request parameter")
@click.option("--value", help="单独一个值，不要文档 / One value alone, without a document")
@click.option(
    "--on", "on_day", default="", metavar="YYYY-MM-DD", help="该值书写之日 / The day the value was written on"
)
@click.option("--back", is_flag=True, help="反向：共同值到本地 / The other way: shared to local")
@click.option("--to", "target", help="文档再到此省 / A document on to this province, too")
@source_options
@json_option
def explain_command(
    document: Path | None,
    kind: str | None,
    element: str | None,
    group: str,
    parameter: str | None,
    value: str | None,
    on_day: str,
    back: bool,
    target: str | None,
    province: str | None,
    directory: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """解释为何某值变成了另一值，逐步说明。

    Why a value became that one, step by step: each value of a document, or one --value of an --element or --parameter.
    """
    local = _dialect(one_source(province, directory, config_path))
    try:
        if value is not None:
            one = _explained_value(local, kind, element, group, parameter, value, on_day, back)
            told: tuple[Explanation, ...] = (one,)
        else:
            told = _explained_document(local, document, kind, element, target)
    except MappingError as error:
        raise refused(error) from None
    if as_json:
        print_json([_explanation_json(one) for one in told])
        return
    for one in told:
        _show_explanation(one, "")


def _explained_value(
    local: Dialect,
    kind: str | None,
    element: str | None,
    group: str,
    parameter: str | None,
    value: str,
    on_day: str,
    back: bool,
) -> Explanation:
    day = _day(on_day)
    if parameter is not None:
        if back:
            return explain_parameter_to_local(local, parameter, value, day)
        return explain_parameter_to_shared(local, parameter, value, day)
    if kind is None or element is None:
        raise click.UsageError(
            "--value 需要 --parameter，或 --kind 与 --element / --value needs --parameter, or --kind and --element"
        )
    code = _kind(kind, local, {})
    if back:
        return explain_field_to_local(local, code, element, value, on_day, group)
    return explain_field_to_shared(local, code, element, value, on_day, group)


def _explained_document(
    local: Dialect, document: Path | None, kind: str | None, element: str | None, target: str | None
) -> tuple[Explanation, ...]:
    found = _document(document)
    code = _kind(kind, local, found)
    told = explain_to_shared(local, code, found)
    if target is not None:
        told += explain_to_local(_dialect(named(target)), code, local.to_shared(code, found))
    if element is None:
        return told
    chosen = tuple(one for one in told if element in (one.shared, one.local))
    if not chosen:
        raise Failed(f"文档中没有 {element}", f"there is no {element} in the document")
    return chosen


def _explanation_json(one: Explanation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "local": one.local,
        "shared": one.shared,
        "rule": one.where,
        "original": one.original,
        "value": one.value,
        "relation": one.relation.word,
        "table": one.table,
        "restored": one.restored,
        "steps": [{"step": step.word, "detail": step.detail, "text": step.text} for step in one.steps],
    }
    if one.groups:
        said["groups"] = [[_explanation_json(inner) for inner in row] for row in one.groups]
    return said


def _show_explanation(one: Explanation, indent: str) -> None:
    arrow = f"{one.local} → {one.shared}" if one.local != one.shared else one.shared
    said = f"{arrow}: {one.original!r} → {one.value!r}  {_RELATIONS[one.relation.word]}  {one.table}"
    click.echo(indent + plain(said.rstrip()))
    for number, line in enumerate(one.lines, start=1):
        click.echo(f"{indent}  {number}. {plain(line)}")
    if one.restored is False:
        click.echo(f"{indent}  ! 反向得不到原值 / the way back gives another value")
    for number, row in enumerate(one.groups, start=1):
        click.echo(f"{indent}  [{number}]")
        for inner in row:
            _show_explanation(inner, indent + "    ")


# --- what is given --------------------------------------------------------------------------------


def _dialect(source: Source) -> Dialect:
    return compile_dialect(loaded(source), code_lists())


def _day(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise click.UsageError(f"--on {text} 不是日期 yyyy-mm-dd / is no day") from None


def _document(path: Path | None) -> Mapping[str, Any]:
    """The JSON object of a file or of standard input. Raises Failed when it is none, or too large."""
    if path is None or str(path) == "-":
        data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
    else:
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Failed(
            f"文档大于 {MAX_DOCUMENT_BYTES} 字节", f"the document is larger than {MAX_DOCUMENT_BYTES} bytes"
        )
    try:
        found = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as failed:
        raise Failed("不是 JSON 文档", f"no JSON document: {failed}") from None
    if not isinstance(found, dict):
        raise Failed("文档不是 JSON 对象", "the document is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names occur once: of two values under one name none is picked."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in an object")
    return found


def _kind(given: str | None, local: Dialect, document: Mapping[str, Any]) -> str:
    """The shared certificate type: as given by name or code, or as the document tells."""
    if given is None:
        return local.document_kind(document)
    kinds = code_lists().kinds
    for code, kind in kinds.items():
        if given in (code, kind.name):
            return code
    known = "、".join(kind.name for code, kind in kinds.items() if code != SERVICE_ITEM)
    raise click.UsageError(
        f"没有证照类型 {given} / there is no such certificate type; {known}, {SERVICE_ITEM}"
    )
