"""The anchor's commands: it says who belongs. Its folder is `node.anchor.folder`'s."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
import orjson

from node.cli.say import Failed, say, write_new

__all__ = ["PUBLIC_FILE", "anchor"]

PUBLIC_FILE = "anchor.public.json"
"""What nodes are given: the anchor's entity id and its public root keys."""

_PURPOSES = {"federation": "联邦密钥", "tls": "TLS 密钥"}

_dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="锚的目录 / The anchor's folder",
)


@contextmanager
def _refusals_told() -> Iterator[None]:
    from node.anchor import AnchorRefused

    try:
        yield
    except AnchorRefused as error:
        raise Failed("锚方未予办理", str(error)) from None


@click.group()
def anchor() -> None:
    """锚：说明谁是联邦成员。

    The anchor says who belongs. A query or a login never waits for it.
    """


@anchor.command()
@_dir_option
@click.option("--entity-id", required=True, help="锚的公开 URL / The anchor's public URL")
@click.option("--name", default="长三角一网通办联邦锚", show_default=True, help="名称 / Name")
@click.option(
    "--allow-http-on-loopback", is_flag=True, help="本机试用可用 http / Plain HTTP on loopback, to try"
)
def init(directory: Path, entity_id: str, name: str, allow_http_on_loopback: bool) -> None:
    """成立：生成密钥、签名与公开文件。

    Begin: make the root, status and CA keys (0600), sign the configuration, write the public file.
    """
    from node.anchor import anchor_jwks, init_anchor

    with _refusals_told():
        init_anchor(
            directory,
            entity_id,
            name=name,
            now=datetime.now(UTC),
            allow_http_on_loopback=allow_http_on_loopback,
        )
        public = {"entity_id": entity_id, "jwks": anchor_jwks(directory)}
    write_new(directory / PUBLIC_FILE, orjson.dumps(public, option=orjson.OPT_INDENT_2) + b"\n")
    say(f"锚已成立：{directory}", "the anchor is there; its keys are in keys/, keep federation.pem offline")
    say(
        f"下一步：把 {directory / PUBLIC_FILE} 交给各节点，并运行 yrd anchor serve",
        f"next: give {PUBLIC_FILE} to the nodes, and run yrd anchor serve",
    )


@anchor.command()
@_dir_option
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="输出 / Where to")
@click.option("--days", default=90, show_default=True, help="TLS 证书天数 / Life of the TLS certificate")
@click.option(
    "--only-show", is_flag=True, help="只显示密钥编号，不接纳 / Only show the key ids, take nobody in"
)
def enroll(directory: Path, request: Path, out: Path | None, days: int, only_show: bool) -> None:
    """接纳 REQUEST（enrolment.json）里的节点。

    Take the node of an enrolment request in, or renew it. Compare its key ids with its operator first:
    --only-show prints them.
    """
    from node.anchor import AnchorFolder, read_enrolment
    from node.anchor import enroll as enroll_node

    if out is None and not only_show:
        raise click.UsageError("--out")

    try:
        wanted = orjson.loads(request.read_bytes())
    except ValueError:
        raise Failed(f"{request} 不是 JSON", f"{request} is not JSON") from None
    with _refusals_told():
        loopback = AnchorFolder(directory).facts().allow_http_on_loopback
        key_ids = read_enrolment(wanted, allow_http_on_loopback=loopback).key_ids
    for purpose, kids in key_ids.items():
        for kid in kids:
            say(f"{_PURPOSES[purpose]} {kid}", f"{purpose} key, to compare with its operator")
    if out is None or only_show:
        return
    with _refusals_told():
        bundle = enroll_node(directory, wanted, now=datetime.now(UTC), days=days)
    out.write_bytes(orjson.dumps(bundle, option=orjson.OPT_INDENT_2) + b"\n")
    say(f"已接纳 {bundle['entity_id']}，写入 {out}", f"enrolled; give {out.name} to the node's operator")


@anchor.command()
@_dir_option
@click.argument("entity_id")
@click.option("--reason", required=True, help="原因 / Why")
def revoke(directory: Path, entity_id: str, reason: str) -> None:
    """撤销 ENTITY_ID / Take the anchor's word back; nodes know within a minute."""
    from node.anchor import revoke as revoke_member

    with _refusals_told():
        revoke_member(directory, entity_id, reason, now=datetime.now(UTC))
    say(f"已撤销 {entity_id}", f"{entity_id} is revoked")


@anchor.command()
@_dir_option
def publish(directory: Path) -> None:
    """重签全部声明 / Sign every statement anew, ahead of time; needs the root key."""
    from node.anchor import publish as sign_all

    with _refusals_told():
        count = sign_all(directory, now=datetime.now(UTC))
    say(f"已签 {count} 份声明", f"{count} statements signed")


@anchor.command("list")
@_dir_option
def list_command(directory: Path) -> None:
    """成员 / The members."""
    from node.anchor import AnchorFolder, list_members

    with _refusals_told():
        AnchorFolder(directory).facts()
        members = list_members(directory)
    for member in members:
        state = f"已撤销 revoked ({member.reason})" if member.is_revoked else "成员 member"
        ends = datetime.fromtimestamp(member.tls_not_after, UTC).date()
        click.echo(f"{member.province}  {member.entity_id}  {member.grpc_endpoint}  TLS→{ends}  {state}")
    if not members:
        say("还没有成员", "no members yet")


@anchor.command()
@_dir_option
@click.option("--listen", default="", help="监听 host:port，默认取自 entity id / Default: from the entity id")
def serve(directory: Path, listen: str) -> None:
    """提供锚的声明，直到收到停止信号。

    Serve the anchor's statements and status until told to stop.
    """
    from node.anchor import AnchorFolder, anchor_app
    from node.clock import SystemClock
    from node.lifecycle import serve_app
    from node.logs import configure_logs

    configure_logs("info")
    with _refusals_told():
        facts = AnchorFolder(directory).facts()
        app = anchor_app(directory, SystemClock())
    host, port = _address(listen, facts.entity_id)
    asyncio.run(serve_app(app, host, port, name="anchor"))


def _address(listen: str, entity_id: str) -> tuple[str, int]:
    if listen:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit():
            raise click.BadParameter("须为 host:port / must be host:port", param_hint="--listen")
        return host.strip("[]"), int(port)
    parts = urlsplit(entity_id)
    if parts.scheme != "http":
        raise click.UsageError(
            "https 的锚在反向代理之后，须指明 --listen / name --listen behind the TLS proxy"
        )
    return parts.hostname or "127.0.0.1", parts.port or 80
