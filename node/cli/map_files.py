"""`yrd map export` and `yrd map import`: rule sets in other people's formats, and as spreadsheets."""

from __future__ import annotations

import csv
import hashlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click
import orjson

from mapping.codelists import code_lists
from mapping.errors import MappingError
from mapping.formats.names import DEFAULT_BASE
from mapping.formats.sssom import UNSPECIFIED_LICENSE
from node.cli.map_sources import (
    Source,
    json_option,
    leave_if,
    loaded,
    named,
    one_source,
    print_json,
    refused,
    source_options,
)
from node.cli.say import Failed, say, write_new

if TYPE_CHECKING:
    from mapping.formats.tables import DialectTables

__all__ = ["export_command", "import_command"]


# --- export ---------------------------------------------------------------------------------------


@click.command("export")
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice(["sssom", "conceptmap", "spreadsheet"]),
    help="SSSOM/TSV、FHIR R5 ConceptMap，或供编辑的 xlsx / For others, or to edit",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="新文件；默认标准输出 / A new file; default: standard output",
)
@click.option(
    "--base", default=DEFAULT_BASE, show_default=True, help="发布者的命名空间 / The publisher's namespace"
)
@click.option(
    "--license",
    "license_uri",
    default=UNSPECIFIED_LICENSE,
    show_default=True,
    help="许可 (URI) / The licence",
)
@click.option("--experimental", is_flag=True, help="ConceptMap 标为试验 / Mark a ConceptMap as experimental")
@source_options
@json_option
def export_command(
    form: str,
    out: Path | None,
    base: str,
    license_uri: str,
    experimental: bool,
    province: str | None,
    directory: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """导出代码表（SSSOM、ConceptMap）或整个规则集（xlsx）。

    Export the code maps (SSSOM, ConceptMap), or the whole rule set as a spreadsheet to edit and import again.
    """
    if as_json and out is None:
        raise click.UsageError("--json 需要 --out / --json needs --out")
    source = one_source(province, directory, config_path)
    try:
        data = _exported(form, source, base, license_uri, experimental)
    except MappingError as error:
        raise refused(error) from None
    if out is None:
        sys.stdout.buffer.write(data)
        return
    write_new(out, data)
    if as_json:
        print_json({"file": str(out), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    else:
        say(f"已写入 {out}", f"{len(data)} bytes are written")


def _exported(form: str, source: Source, base: str, license_uri: str, experimental: bool) -> bytes:
    rules = loaded(source)
    if form == "sssom":
        from mapping.formats.sssom import to_sssom

        return to_sssom(rules, code_lists(), base=base, license_uri=license_uri).encode()
    if form == "conceptmap":
        from mapping.formats.conceptmap import to_conceptmap

        resource = to_conceptmap(rules, code_lists(), base=base, experimental=experimental)
        return orjson.dumps(resource, option=orjson.OPT_INDENT_2) + b"\n"
    from mapping.formats.spreadsheet import sheets_of
    from mapping.formats.tables import read_tables
    from mapping.formats.workbook import write_workbook

    return write_workbook(sheets_of(read_tables(source.directory)))


# --- import ---------------------------------------------------------------------------------------


@click.command("import")
@click.argument("spreadsheet", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option(
    "--base", "base_name", help="缺的工作表取自此规则集 / What the file lacks is kept from this rule set"
)
@click.option(
    "--map", "map_name", help="CSV 文件是哪个代码表，或 fields / Which code map a CSV file is, or fields"
)
@click.option(
    "--replace", is_flag=True, help="替换已有的规则集目录 / Take the place of a rule set that is there"
)
@json_option
def import_command(
    spreadsheet: Path,
    target: Path | None,
    base_name: str | None,
    map_name: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """由 SPREADSHEET（xlsx 或 CSV）生成规则集目录 TARGET；不给 TARGET 则只检查。

    Make the directory of a rule set from a spreadsheet; without TARGET, only check it. Every fault is told by its cell,
    and nothing is written unless there is none.
    """
    from mapping.formats.spreadsheet import import_spreadsheet
    from mapping.formats.workbook import MAX_FILE_BYTES

    _check_target(target, replace)
    is_csv = spreadsheet.suffix.lower() == ".csv"
    if is_csv != (map_name is not None) or (is_csv and base_name is None):
        raise click.UsageError(
            "CSV 需要 --map 与 --base；xlsx 不用 --map / a CSV file needs --map and --base, an xlsx file no --map"
        )
    with spreadsheet.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    base = _base(named(base_name)) if base_name else None
    sheet = ("fields" if map_name == "fields" else f"map {map_name}") if map_name else ""
    found = import_spreadsheet(data, code_lists(), base, csv_name=sheet)
    if not found.faults and target is not None:
        _write(target, found.files)
    if as_json:
        faults = [{"sheet": one.sheet, "cell": one.cell, "fault": one.fault} for one in found.faults]
        written = str(target) if target is not None and not faults else None
        print_json({"faults": faults, "files": sorted(found.files), "written": written})
    else:
        for fault in found.faults:
            click.echo(str(fault), err=True)
        _say_imported(spreadsheet, target, len(found.faults))
    leave_if(bool(found.faults))


def _base(source: Source) -> DialectTables:
    """The tables of a rule set that may have faults, as long as they can be read. Raises Failed."""
    from mapping.formats.tables import read_tables

    try:
        return read_tables(source.directory)
    except (MappingError, ValueError, csv.Error) as error:
        raise Failed(f"{source.name} 无法读取", f"{source.name} cannot be read: {error}") from None


def _say_imported(spreadsheet: Path, target: Path | None, faults: int) -> None:
    if faults:
        say(f"{spreadsheet} 有 {faults} 处错误，什么都没有写", f"{faults} fault(s); nothing is written")
    elif target is None:
        say(f"{spreadsheet} 无误", "no fault; nothing is written, since no directory was named")
    else:
        say(f"已写入 {target}", f"compare with: yrd map diff BEFORE {target}")


def _check_target(target: Path | None, replace: bool) -> None:
    """A directory is only ever replaced when asked to, and when it is a rule set."""
    if target is None or not target.exists():
        return
    if not replace:
        raise Failed(
            f"{target} 已存在；要替换请加 --replace", f"{target} exists already; say --replace to replace it"
        )
    if not (target / "dialect.toml").is_file():
        raise Failed(f"{target} 不是规则集目录", f"{target} is no directory of a rule set")
    other = next(_others(target), None)
    if other is not None:
        raise Failed(
            f"{target} 中有不属于规则集的 {other.name}，替换会失去它",
            f"{target} holds {other.name}, which is of no rule set and would be lost; import elsewhere",
        )


def _others(target: Path) -> Iterator[Path]:
    """What is in a directory besides the files of a rule set."""
    for path in target.iterdir():
        if path.name == "maps" and path.is_dir():
            yield from (inner for inner in path.iterdir() if inner.suffix != ".csv" or not inner.is_file())
        elif path.name not in ("dialect.toml", "fields.csv"):
            yield path


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    """Beside the target first, so that there is never half a rule set there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    made.chmod(0o755)
    try:
        for name, content in files.items():
            path = made / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        if target.exists():
            old = made.with_name(made.name + ".old")
            target.rename(old)
            try:
                made.rename(target)
            except OSError:
                old.rename(target)
                raise
            shutil.rmtree(old)
        else:
            made.rename(target)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise
