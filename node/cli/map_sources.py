"""Which rule set a command of `yrd map` is about: one that is shipped, a directory, or a node's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import click
import orjson

import mapping
from mapping.codelists import code_lists
from mapping.errors import MappingError, RuleSetFaults
from mapping.ruleset import RuleSet
from mapping.validate import load_rule_set
from node.cli.say import EXIT_FAILED, Failed

__all__ = [
    "Source",
    "json_option",
    "leave_if",
    "loaded",
    "named",
    "one_source",
    "print_json",
    "refused",
    "shipped",
    "source_options",
    "sources",
    "tell_faults",
]

_SHIPPED = Path(mapping.__file__).parent / "dialects"


@dataclass(frozen=True, slots=True)
class Source:
    """A rule set's directory, and how people call it."""

    name: str
    directory: Path


def shipped() -> tuple[Source, ...]:
    """The rule sets that come with the node."""
    return tuple(
        Source(path.name, path) for path in sorted(_SHIPPED.iterdir()) if (path / "dialect.toml").is_file()
    )


def named(text: str) -> Source:
    """A rule set by the code of a province that is shipped, or by its directory. Raises UsageError."""
    for source in shipped():
        if source.name == text:
            return source
    if Path(text).is_dir():
        return Source(text, Path(text))
    known = ", ".join(source.name for source in shipped())
    raise click.UsageError(
        f"{text} 既不是随附的省份（{known}），也不是目录 / is neither a province that is shipped nor a directory"
    )


def sources(province: str | None, directory: Path | None, config_path: Path | None) -> tuple[Source, ...]:
    """Those that the options name; all that are shipped when they name none. Raises UsageError, ConfigFaults."""
    given = [option for option in (province, directory, config_path) if option is not None]
    if len(given) > 1:
        raise click.UsageError(
            "--province、--dir、--config 只能给一个 / give one of --province, --dir and --config"
        )
    if province is not None:
        return (named(province),)
    if directory is not None:
        return (Source(str(directory), directory),)
    if config_path is not None:
        from node.config import read_config

        section = read_config(config_path, check_files=False).dialect
        return (Source(section.province, section.directory or _SHIPPED / section.province),)
    return shipped()


def one_source(province: str | None, directory: Path | None, config_path: Path | None) -> Source:
    """The one that the options name. Raises UsageError when they name none."""
    found = sources(province, directory, config_path)
    if len(found) != 1:
        raise click.UsageError(
            "请用 --province、--dir 或 --config 指定规则集 / name a rule set with --province, --dir or --config"
        )
    return found[0]


def loaded(source: Source) -> RuleSet:
    """The rule set, checked. Raises Failed after telling every fault."""
    try:
        return load_rule_set(source.directory, code_lists())
    except RuleSetFaults as refusal:
        tell_faults(source, refusal.faults)
        count = len(refusal.faults)
        raise Failed(f"{source.name} 有 {count} 处错误", f"{source.name} has {count} fault(s)") from None


def tell_faults(source: Source, faults: Sequence[str]) -> None:
    """One line each on standard error."""
    for fault in faults:
        click.echo(f"{source.name}: {fault}", err=True)


def refused(error: MappingError) -> Failed:
    """What the mapping refused, as a command says it."""
    return Failed("无法转换", error.detail)


def print_json(value: Any) -> None:
    """JSON for programs, on standard output."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def leave_if(failed: bool) -> None:
    """Exit with the code for what did not work out."""
    if failed:
        sys.exit(EXIT_FAILED)


_Command = Callable[..., Any]
_OPTIONS = (
    click.option("--province", help="随附规则集的省份代码 / The province of a rule set that is shipped"),
    click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="规则集目录 / The directory of a rule set",
    ),
    click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="节点配置：用该节点的规则集 / A node's configuration: the rule set that it uses",
    ),
)


def source_options(command: _Command) -> _Command:
    """The three options that name a rule set."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


json_option = click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
