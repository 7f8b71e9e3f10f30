"""Running a node, and checking what it would run with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from node.cli.say import config_option, say, warn
from node.config import Config, ConfigFaults, Fault, read_config
from node.config.lines import KeyPath, key_lines

__all__ = ["check_config", "serve"]


@click.command("check-config")
@config_option
def check_config(config_path: Path) -> None:
    """检查配置及其所指的文件，一次说明全部错误及行号。

    Check a configuration and the files it names; tell every fault, each with its line. Exit code 2 when
    there are any. What a node runs with, but is hardly meant, is a warning.
    """
    faults: list[Fault] = []
    config: Config | None = None
    try:
        config = read_config(config_path)
    except ConfigFaults as error:
        faults.extend(error.faults)
        config = _without_files(config_path)
    if config is not None:
        faults.extend(_content_faults(config))
    warnings = 0 if config is None else warn(config)
    if faults:
        raise ConfigFaults(faults)
    if warnings:
        plural = "" if warnings == 1 else "s"
        say(
            f"{config_path} 没有错误，有 {warnings} 处警告",
            f"{config_path} has no faults, and {warnings} warning{plural}",
        )
    else:
        say(f"{config_path} 没有错误", f"{config_path} is fine")


def _without_files(config_path: Path) -> Config | None:
    """The settings alone, where only a file is missing: what the other files hold can be checked still."""
    try:
        return read_config(config_path, check_files=False)
    except ConfigFaults:
        return None


def _content_faults(config: Config) -> list[Fault]:
    """What is wrong inside the access rules and the dialect, as the node would find it when it starts."""
    return [*_access_faults(config), *_dialect_faults(config)]


def _access_faults(config: Config) -> list[Fault]:
    from federation.access import AccessFaults, parse_access

    faults: list[Fault] = []
    policy = config.access.policy
    text = ""
    try:
        text = policy.read_text("utf-8")
        parse_access(text)
    except AccessFaults as error:
        lines = _lines(text)
        faults.extend(
            Fault(str(policy), fault.line or lines.get((fault.key,), 0), fault.key, "规则有误", fault.message)
            for fault in error.faults
        )
    except UnicodeDecodeError:
        faults.append(Fault(str(policy), 0, "", "不是 UTF-8", "is not UTF-8"))
    except FileNotFoundError:
        pass  # said already, on the line that names it
    return faults


def _dialect_faults(config: Config) -> list[Fault]:
    from mapping.errors import RuleSetFaults
    from node.clock import SystemClock
    from node.steering import checked_dialect

    try:
        checked_dialect(config, SystemClock().now().date())
    except RuleSetFaults as error:
        return [Fault(str(config.path), 0, "dialect", "方言数据有误", fault) for fault in error.faults]
    except FileNotFoundError:
        pass
    return []


def _lines(text: str) -> Mapping[KeyPath, int]:
    try:
        return key_lines(text)
    except (ValueError, IndexError):  # not TOML at all; that fault has its line already
        return {}


@click.command()
@config_option
def serve(config_path: Path) -> None:
    """运行节点，直到 SIGTERM 或 Ctrl-C，随后有序停止。

    Run a node until SIGTERM or Ctrl-C; then it finishes what it has begun and stops. Logs are JSON on
    standard error.
    """
    config = read_config(config_path)
    from federation.access import AccessFaults
    from mapping.errors import RuleSetFaults
    from node.clock import SystemClock
    from node.lifecycle import run_until_stopped, serve_node
    from node.logs import configure_logs

    configure_logs(config.log.level)
    try:
        run_until_stopped(serve_node(config, SystemClock()))
    except (AccessFaults, RuleSetFaults):
        raise ConfigFaults(_content_faults(config)) from None
