"""How commands speak: one line a step, Chinese first; one clear line when something is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from federation.plain_text import plain

if TYPE_CHECKING:
    from node.config import Config

__all__ = [
    "EXIT_FAILED",
    "EXIT_NOT_RUNNING",
    "EXIT_USAGE",
    "Failed",
    "NotRunning",
    "actor",
    "config_option",
    "say",
    "told",
    "warn",
    "write_new",
]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3


class Failed(click.ClickException):
    """The command did not work out, for a reason that can be said in a line."""

    exit_code = EXIT_FAILED

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")

    def show(self, file: object = None) -> None:
        """One line on standard error."""
        click.echo(plain(f"yrd: {self.message}"), err=True)


class NotRunning(Failed):
    """No node serves the control socket."""

    exit_code = EXIT_NOT_RUNNING


def say(zh: str, en: str) -> None:
    """One line of progress or result."""
    click.echo(f"{zh} / {en}")


def warn(config: Config) -> int:
    """Tell on standard error what is no fault of a configuration and hardly meant, and how much of it there is."""
    from node.config.warnings import config_warnings

    warnings = config_warnings(config)
    for one in warnings:
        click.echo(f"警告 / warning: {one}", err=True)
    return len(warnings)


@contextmanager
def told() -> Iterator[None]:
    """Turn the errors that commands may meet into one line each on standard error, and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = _of_the_vocabulary(error) or _of_a_node(error)
        if known is None:
            raise
        _leave(*known)


Explained = tuple[str, str, int]
"""Chinese, English, exit code."""


def _of_the_vocabulary(error: Exception) -> Explained | None:
    """What can be said of an error without knowing a node's parts.

    The classes are looked up only now, so that a command that succeeds need not load them.
    """
    from federation.errors import FederationError, row_of
    from trust.errors import TrustError

    if isinstance(error, FederationError | TrustError):
        row = row_of(error)
        return row.zh, f"{row.en}: {error.detail}" if error.detail else row.en, EXIT_FAILED
    if isinstance(error, OSError):
        place = f" {error.filename}" if error.filename else ""
        reason = error.strerror or str(error)
        return f"系统错误{place}：{reason}", f"the system refused{place}: {reason}", EXIT_FAILED
    return None


def _of_a_node(error: Exception) -> Explained | None:
    """What a node's parts say when they refuse or cannot be used; None for what is not theirs."""
    from sqlalchemy.exc import DBAPIError

    from node.config import ConfigFaults
    from node.control import CommandRefused, ControlInUse
    from node.enrolled import EnrolmentUnusable
    from node.keystore import KeystoreError

    match error:
        case ConfigFaults(faults=faults):
            for fault in faults:
                click.echo(str(fault), err=True)
            plural = "" if len(faults) == 1 else "s"
            return (
                f"配置有 {len(faults)} 处错误",
                f"the configuration has {len(faults)} fault{plural}",
                EXIT_USAGE,
            )
        case CommandRefused():
            for line in error.faults:
                click.echo(line, err=True)
            return error.zh, error.en, EXIT_FAILED
        case ControlInUse():
            return f"节点已在运行（{error}）", f"the node is already running ({error})", EXIT_FAILED
        case KeystoreError():
            return "节点密钥不可用", str(error), EXIT_FAILED
        case EnrolmentUnusable():
            return error.zh, error.en, EXIT_FAILED
        case DBAPIError():
            return "存储不可用", f"the store cannot be used: {error.orig}", EXIT_FAILED
    return None


def _leave(zh: str, en: str, exit_code: int) -> None:
    click.echo(plain(f"yrd: {zh} / {en}"), err=True)
    sys.exit(exit_code)


def actor() -> str:
    """Who is at work here, as an audit row has it."""
    return f"uid:{os.getuid()}"


def write_new(path: Path, data: bytes | str, *, secret: bool = False) -> None:
    """Write a file that must not exist yet; a secret one is only its owner's to read, from the first moment.

    Raises Failed when it exists: nothing is overwritten.
    """
    text = data.encode() if isinstance(data, str) else data
    try:
        with open(path, "xb", opener=_opener(0o600 if secret else 0o644)) as file:
            file.write(text)
    except FileExistsError:
        raise Failed(f"{path} 已存在，不会覆盖", f"{path} exists already and is not overwritten") from None


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)


config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("node.toml"),
    show_default=True,
    envvar="YRD_CONFIG",
    help="节点配置文件 / The node's configuration",
)
