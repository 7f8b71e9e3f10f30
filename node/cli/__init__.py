"""The command `yrd`: for who coordinates the federation, for a node's operator, and for who checks evidence.

Every command is loaded when it is called, so `yrd verify` needs nothing that only a server needs, and the
help is there at once. Further commands come from the entry point group ``yrd.commands``; the node imports
none of them.

Exit codes: 0 it worked; 1 it did not, and the one line on standard error says why; 2 the command line or a
configuration file is not right; 3 no running node could be reached. Messages are Chinese first, English
second. Standard output carries what a command was asked for and nothing else; what is logged meanwhile goes to
standard error.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click

__all__ = ["cli", "main"]

_OWN: dict[str, tuple[str, str]] = {
    "anchor": ("node.cli.anchor:anchor", "锚方：成立、接纳、撤销 / The anchor: begin, enrol, revoke, serve"),
    "init": ("node.cli.make:init", "新建节点 / Make a node: keys, configuration, request to the anchor"),
    "check-config": ("node.cli.serve:check_config", "检查配置 / Check a configuration and tell every fault"),
    "serve": ("node.cli.serve:serve", "运行节点 / Run a node until it is told to stop"),
    "client": ("node.cli.clients:client", "平台客户端 / The platforms that may call this node"),
    "keys": ("node.cli.keys:keys", "密钥 / This node's keys: list, rotate, retire"),
    "enrolment": (
        "node.cli.enrolment:enrolment",
        "入网申请 / The request to the anchor, made anew with the keys of now",
    ),
    "tls": ("node.cli.tls:tls", "TLS 证书 / The TLS certificate, where the anchor's CA is offline"),
    "status": ("node.cli.steer:status", "节点状态 / What a running node is doing"),
    "trust": ("node.cli.steer:trust", "信任 / Refresh trust, deny or allow a peer"),
    "reload": ("node.cli.steer:reload", "重新加载 / Read access rules or the dialect again"),
    "map": (
        "node.cli.map:map_commands",
        "规则集 / Rule sets: check, translate, explain, coverage, diff, reload",
    ),
    "audit": ("node.cli.audit:audit", "操作记录 / What operators did"),
    "log": ("node.cli.log:log", "存证日志 / The log of evidence: status, restart, verify"),
    "evidence": ("node.cli.evidence:evidence", "存证 / Export the evidence of an exchange"),
    "verify": ("node.cli.verify:verify", "核验存证文件 / Check an evidence file, offline"),
}

_ADDED_HELP = {
    "demo": "演示：四省联邦 / The whole federation on this machine",
    "simulate": "模拟器 / One simulator by itself",
}


class _Commands(click.Group):
    """Knows the names of all commands and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, own ones first."""
        return [*_OWN, *sorted(_added().keys() - _OWN.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded now."""
        if cmd_name in _OWN:
            module, _, name = _OWN[cmd_name][0].partition(":")
            command = getattr(import_module(module), name)
        elif cmd_name in _added():
            command = _added()[cmd_name].load()
        else:
            return None
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without loading any."""
        rows = [
            (name, _OWN[name][1] if name in _OWN else _ADDED_HELP.get(name, ""))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("命令 / Commands"):
            formatter.write_dl(rows)


def _added() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group="yrd.commands")}


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from node.metrics import node_version

        click.echo(f"yrd {node_version()}")
        ctx.exit()


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="退出码 / Exit codes: 0 成功 worked · 1 未成 did not · 2 用法或配置有误 usage or configuration · "
    "3 节点未运行 no running node",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="版本 / Version"
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """长三角“一网通办”联邦节点。

    The federation node of the Yangtze Delta.
    """
    if ctx.obj is _OWN_PROCESS:
        from node.logs import configure_logs

        configure_logs("warning")


_OWN_PROCESS = object()
"""Tells the group that this process is one command's alone, so that the log is its to set."""


def main() -> None:
    """The entry point: run a command and turn what went wrong into one clear line and an exit code."""
    from node.cli.say import told

    with told():
        try:
            cli.main(prog_name="yrd", standalone_mode=False, obj=_OWN_PROCESS)
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)
        except click.Abort:
            sys.exit(130)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read the output has gone; the interpreter must not try to flush it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
