"""`yrd map reload`: have a running node take up the rule set that its files hold now."""

from __future__ import annotations

from pathlib import Path

import click

from node.cli.running import call_node
from node.cli.say import config_option, say

__all__ = ["reload_command"]


@click.command("reload")
@config_option
def reload_command(config_path: Path) -> None:
    """让运行中的节点采用新的规则集：先检查，有错误时旧的继续有效。

    Have the running node take up the rule set that its files hold now: checked first; with faults the old one stays.
    Exchanges at work keep the one they began with. Each process of a node reads its own files.
    """
    result = call_node(config_path, "reload.maps")
    before, digest = result["before"], result["digest"]
    if digest == before["digest"]:
        say(f"规则集未变：{result['version']}", f"unchanged: the rule set is {result['version']} {digest}")
        return
    say(f"规则集原为 {before['version']}", f"the rule set was {before['version']} {before['digest']}")
    say(f"规则集现为 {result['version']}", f"the rule set is now {result['version']} {digest}")
    if result["version"] == before["version"]:
        say(
            "内容变了，版本号未变；应答里两者只差摘要",
            "it changed but its version did not; answers differ by digest alone",
        )
