"""The anchor's commands that only look: who belongs, and one member in full."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from node.cli.anchor_folder import dir_option, refusals_told
from node.cli.say import Failed, say

__all__ = ["list_command", "show"]

_LABELS = {
    "entity_id": "实体标识 entity id",
    "name": "名称 name",
    "kind": "类别 kind",
    "province": "行政区划 province",
    "grpc_endpoint": "gRPC 地址 endpoint",
    "entity_types": "实体类型 entity types",
    "standing": "状态 standing",
    "revoked_at": "撤销时间 revoked at",
    "reason": "撤销原因 reason",
    "enrolled_at": "入网 enrolled",
    "updated_at": "密钥更新 keys updated",
    "federation_keys": "联邦密钥 federation keys",
    "pending_keys": "待采用的密钥 pending keys",
    "statement_issued_at": "声明签发 statement issued",
    "statement_expires_at": "声明到期 statement ends",
    "statement_key": "声明的签名密钥 signed with",
    "tls_expires_at": "TLS 到期 TLS ends",
    "tls_renewed_at": "TLS 续期 TLS renewed",
    "tls_ca_is_current": "TLS 出自现用 CA / by the current CA",
    "seen_at": "最近看到 last seen",
    "seen_problem": "看到的问题 problem",
}


@click.command("list")
@dir_option
def list_command(directory: Path) -> None:
    """成员 / The members."""
    from node.anchor import AnchorFolder, list_members, pending_of

    now, folder = datetime.now(UTC), AnchorFolder(directory)
    with refusals_told():
        folder.facts()
        members = list_members(directory)
    for member in members:
        state = f"已撤销 revoked ({member.reason})" if member.is_revoked else "成员 member"
        if pending_of(folder, member, now):
            state += "，有待采用的新联邦密钥 new federation keys pending: yrd anchor update"
        if member.is_node:
            ends = datetime.fromtimestamp(member.tls_not_after, UTC).date()
            click.echo(f"{member.province}  {member.entity_id}  {member.grpc_endpoint}  TLS→{ends}  {state}")
        else:
            kind = "机构 authority" if member.is_authority else "实体 entity"
            click.echo(f"{kind}  {member.entity_id}  {', '.join(member.entity_types)}  {state}")
    if not members:
        say("还没有成员", "no members yet")


@click.command()
@dir_option
@click.argument("entity_id")
@click.option("--json", "as_json", is_flag=True, help="JSON")
def show(directory: Path, entity_id: str, as_json: bool) -> None:
    """一个成员的全部情况 / One member in full: keys, what ends when, policy, what is pending."""
    from node.anchor import AnchorFolder, member_in_full

    folder = AnchorFolder(directory)
    with refusals_told():
        folder.facts()
        member = folder.members().get(entity_id)
    if member is None:
        raise Failed(f"{entity_id} 不是成员", f"{entity_id} is not a member")
    full = member_in_full(folder, member, datetime.now(UTC))
    if as_json:
        click.echo(orjson.dumps(full, option=orjson.OPT_INDENT_2))
        return
    for name, label in _LABELS.items():
        if full[name] not in ("", [], None):
            click.echo(f"{label}: {_text(full[name])}")
    for kind, parameters in full["policy"].items():
        for parameter, operators in parameters.items():
            click.echo(f"策略 policy {kind}.{parameter}: {_text(operators)}")
    if full["constraints"]:
        click.echo(f"约束 constraints: {_text(full['constraints'])}")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else orjson.dumps(value).decode()
