"""Steering a running node through its control socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from node.cli.map_reload import reload_command
from node.cli.running import call_node
from node.cli.say import config_option, say

__all__ = ["reload", "status", "trust"]


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
def status(config_path: Path, as_json: bool) -> None:
    """运行中的节点的状态。

    What a running node is doing.
    """
    state = call_node(config_path, "status")
    if as_json:
        import orjson

        click.echo(orjson.dumps(state, option=orjson.OPT_INDENT_2).decode())
        return
    ready = "就绪 ready" if state["ready"] else "未就绪 not ready"
    click.echo(f"{state['name']} ({state['province']})  {state['entity_id']}")
    click.echo(f"  {ready} · {state['stage']} · yrd {state['version']} · pid {state['pid']}")
    for reason in state["reasons"]:
        click.echo(f"  ! {reason['zh']} / {reason['en']}")
    for warning in state.get("warnings", ()):
        click.echo(f"  ? {warning['zh']} / {warning['en']}")
    trusted = state["trust"]
    click.echo(
        f"  信任 trust: 序号 sequence {trusted['sequence']}, 更新于 refreshed {trusted['refreshed_at']}"
    )
    for peer in trusted["peers"]:
        click.echo(f"    {peer['province']} {peer['standing']:8} {peer['entity_id']}  {peer['grpc_target']}")
    click.echo(f"  规则 access: {state['access']['version']}    方言 dialect: {state['dialect']['version']}")
    click.echo(f"  转换 translated: {_translated(state['dialect'])}")
    own_log = state["log"]
    closed = f" · ! 已关闭 closed: {own_log['closed']}" if own_log["closed"] else ""
    click.echo(
        f"  存证日志 log: 第 {own_log['generation']} 代 generation, 记录 records {own_log['records']},"
        f" 未确定 unsettled {own_log['unsettled']}{closed}"
    )
    click.echo(f"  TLS 证书至 TLS certificate until: {state['tls_not_after']}")
    in_flight = state["in_flight"]
    click.echo(f"  在途 in flight: 询问 asking {in_flight['ask']}, 应答 answering {in_flight['answer']}")
    if state["outcomes"]:
        ended = ", ".join(f"{code} {count}" for code, count in sorted(state["outcomes"].items()))
        click.echo(f"  已完成 finished: {ended}")


def _translated(dialect: Mapping[str, Any]) -> str:
    """``读入 to shared exact 1200, unmapped 3; … · 规则集没有的代码 codes without a row: 2``."""
    ways = [("读入 to shared", "to_shared"), ("写出 to local", "to_local")]
    told = [
        f"{way} "
        + (", ".join(f"{word} {count}" for word, count in dialect["translations"][name].items()) or "0")
        for way, name in ways
    ]
    return f"{'; '.join(told)} · 规则集没有的代码 codes without a row: {dialect['unmapped_codes']}"


@click.group()
def trust() -> None:
    """信任：查看，刷新，停止或恢复信任某节点。

    Trust: show the tree, refresh it now, deny or allow a peer at once and without the anchor.
    """


@trust.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
def show_trust(config_path: Path, as_json: bool) -> None:
    """信任树：谁，凭谁的声明，哪些密钥到何时，策略改了什么。

    The tree of trust: who, by whose word, which keys until when, how old, what policy changed.
    """
    import msgspec

    from federation.trust_picture import TrustPicture
    from node.cli.trust_tree import draw_tree

    picture = call_node(config_path, "trust.show")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(picture), indent=2).decode())
        return
    for line in draw_tree(msgspec.convert(picture, TrustPicture)):
        click.echo(line)


@trust.command()
@config_option
def refresh(config_path: Path) -> None:
    """立即刷新 / Fetch the federation's statements now."""
    result = call_node(config_path, "trust.refresh")
    say(
        f"已刷新：成员 {result['members']}，撤销 {result['revoked']}，停用 {result['denied']}",
        f"{result['members']} members, {result['revoked']} revoked, {result['denied']} denied",
    )
    for entity_id, problem in result["problems"].items():
        click.echo(f"  ! {entity_id}: {problem}")


@trust.command()
@click.argument("entity_id")
@click.option("--reason", default="", help="原因 / Why")
@config_option
def deny(entity_id: str, reason: str, config_path: Path) -> None:
    """立即停止信任 ENTITY_ID / Stop dealing with a peer at once."""
    call_node(config_path, "trust.deny", entity_id=entity_id, reason=reason)
    say(f"已停止信任 {entity_id}", f"{entity_id} is denied")


@trust.command()
@click.argument("entity_id")
@config_option
def allow(entity_id: str, config_path: Path) -> None:
    """恢复信任 ENTITY_ID / Take a denial back."""
    call_node(config_path, "trust.allow", entity_id=entity_id)
    say(f"已恢复 {entity_id}", f"{entity_id} is allowed again")


@click.group()
def reload() -> None:
    """重新读取规则、方言或 TLS 证书；有错误时旧的继续有效。

    Read the access rules, the dialect or the TLS certificate again; when they have faults the old ones stay.
    """


@reload.command()
@config_option
def access(config_path: Path) -> None:
    """重新读取 access.toml / Read access.toml again."""
    result = call_node(config_path, "reload.access")
    say(f"访问规则现为 {result['version']}", f"the access rules are now {result['version']}")


reload.add_command(reload_command, "maps")


@reload.command()
@config_option
def tls(config_path: Path) -> None:
    """采用 enrolled.json 中新的 TLS 证书 / Take up the TLS certificate of a new enrolled.json."""
    result = call_node(config_path, "reload.tls")
    say(f"TLS 证书至 {result['tls_not_after']}", "the TLS certificate that is shown ends then")
