"""The anchor's commands: it says who belongs. Its folder is `node.anchor.folder`'s.

What the root key signs asks for it: it lies in the folder's ``keys/``, or where ``--root-key`` says, on a
medium that is brought for the ceremony and taken away again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
import orjson

from node.cli.anchor_folder import (
    JWKS_FILE,
    PUBLIC_FILE,
    dir_option,
    out_file_option,
    quorum_option,
    refusals_told,
    root_key_option,
    write_json,
    write_public,
)
from node.cli.anchor_keys import issue, rotate
from node.cli.anchor_publish import publish, status, update
from node.cli.anchor_sight import list_command, show
from node.cli.say import Failed, say

__all__ = ["PUBLIC_FILE", "anchor"]

_PURPOSES = {"federation": "联邦密钥", "tls": "TLS 密钥"}


@click.group()
def anchor() -> None:
    """锚：说明谁是联邦成员。

    The anchor says who belongs. A query or a login never waits for it.
    """


for _command in (issue, list_command, publish, rotate, show, status, update):
    anchor.add_command(_command)


@anchor.command()
@dir_option
@click.option("--entity-id", required=True, help="锚的公开 URL / The anchor's public URL")
@click.option("--name", default="长三角一网通办联邦锚", show_default=True, help="名称 / Name")
@click.option(
    "--allow-http-on-loopback", is_flag=True, help="本机试用可用 http / Plain HTTP on loopback, to try"
)
@click.option("--superior", default="", help="上级锚；建省级机构时用 / The anchor above: makes an authority")
@click.option(
    "--entity-type",
    "entity_types",
    multiple=True,
    default=("openid_provider", "openid_relying_party"),
    show_default=True,
    help="机构之下可有的实体类型 / What entities below an authority may be",
)
@click.option(
    "--replaces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="根密钥已失的旧锚目录 / The folder of an anchor whose root key is lost",
)
@quorum_option
@root_key_option
def init(
    directory: Path,
    entity_id: str,
    name: str,
    allow_http_on_loopback: bool,
    superior: str,
    entity_types: tuple[str, ...],
    replaces: Path | None,
    witness_quorum: int | None,
    root_key: Path | None,
) -> None:
    """成立：生成密钥、签名与公开文件。

    Begin: make the root, status and CA keys (0600), sign the configuration, write the public file. With
    --superior make a province's authority instead, for its cities: it has neither a CA nor a status. With
    --replaces take over the members and the CA of an anchor whose root key is lost; every node pins the new
    key then.
    """
    from node.anchor import init_anchor

    with refusals_told():
        init_anchor(
            directory,
            entity_id,
            name=name,
            now=datetime.now(UTC),
            allow_http_on_loopback=allow_http_on_loopback,
            superior=superior,
            entity_types=entity_types if superior else (),
            replaces=replaces,
            root_path=root_key,
            witness_quorum=witness_quorum,
        )
    write_public(directory)
    _say_made(directory, superior, replaces, root_key)


def _say_made(directory: Path, superior: str, replaces: Path | None, root_key: Path | None) -> None:
    where = root_key or directory / "keys" / "federation.pem"
    say(f"锚已成立：{directory}，根密钥 {where}", "the anchor is there; keep its root key offline")
    if superior:
        say(
            f"下一步：yrd anchor request --dir {directory} --out FILE，交给上级",
            f"next: yrd anchor request, for {superior} to enrol",
        )
    elif replaces:
        say(
            f"下一步：各节点以 {directory / JWKS_FILE} 替换 anchor.jwks.json 并重启",
            f"next: every node's operator puts {JWKS_FILE} in place of its own, and restarts",
        )
    else:
        say(
            f"下一步：把 {directory / PUBLIC_FILE} 交给各节点，并运行 yrd anchor serve",
            f"next: give {PUBLIC_FILE} to the nodes, and run yrd anchor serve",
        )


@anchor.command()
@dir_option
@out_file_option
def request(directory: Path, out: Path) -> None:
    """省级机构的入网申请 / An authority's request to its superior."""
    from node.anchor import authority_request

    with refusals_told():
        wanted = authority_request(directory)
    write_json(out, wanted)
    for key in wanted["federation_jwks"]["keys"]:
        say(f"{_PURPOSES['federation']} {key['kid']}", "federation key, for the superior to compare")
    say(f"申请已写入 {out}", "written; the superior enrols it with yrd anchor enroll")


@anchor.command()
@dir_option
@click.argument("request", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="输出 / Where to")
@click.option(
    "--days",
    default=90,
    show_default=True,
    type=click.IntRange(1, 90),
    help="TLS 证书天数 / Life of the TLS certificate",
)
@click.option(
    "--permit",
    "permitted",
    multiple=True,
    help="机构之下可用的主机名，如 .zj.example.cn / Hosts below an authority",
)
@click.option(
    "--only-show", is_flag=True, help="只显示密钥编号，不接纳 / Only show the key ids, take nobody in"
)
@root_key_option
def enroll(
    directory: Path,
    request: Path,
    out: Path | None,
    days: int,
    permitted: tuple[str, ...],
    only_show: bool,
    root_key: Path | None,
) -> None:
    """接纳 REQUEST（enrolment.json）里的节点或机构；需要根密钥。

    Take the node, authority or city of an enrolment request in, or renew it. Compare its key ids with its
    operator first: --only-show prints them. It needs the root key, and for a node the CA's.
    """
    from node.anchor import enroll as enroll_entity
    from node.anchor import read_request

    if out is None and not only_show:
        raise click.UsageError("--out")
    try:
        wanted = orjson.loads(request.read_bytes())
    except ValueError:
        raise Failed(f"{request} 不是 JSON", f"{request} is not JSON") from None
    with refusals_told():
        key_ids = read_request(directory, wanted).key_ids
    for purpose, kids in key_ids.items():
        for kid in kids:
            say(f"{_PURPOSES[purpose]} {kid}", f"{purpose} key, to compare with its operator")
    if out is None or only_show:
        return
    with refusals_told():
        bundle = enroll_entity(
            directory, wanted, now=datetime.now(UTC), days=days, permitted=permitted, root_path=root_key
        )
    write_json(out, bundle)
    say(f"已接纳 {bundle['entity_id']}，写入 {out}", f"enrolled; give {out.name} to its operator")


@anchor.command()
@dir_option
@click.argument("entity_id")
@click.option("--reason", required=True, help="原因 / Why")
def revoke(directory: Path, entity_id: str, reason: str) -> None:
    """撤销 ENTITY_ID / Take the anchor's word back; nodes know within a minute. Needs no root key."""
    from node.anchor import revoke as revoke_member

    with refusals_told():
        revoke_member(directory, entity_id, reason, now=datetime.now(UTC))
    say(f"已撤销 {entity_id}", f"{entity_id} is revoked")


@anchor.command()
@dir_option
@click.option("--listen", default="", help="监听 host:port，默认取自 entity id / Default: from the entity id")
def serve(directory: Path, listen: str) -> None:
    """提供锚的声明，直到收到停止信号。

    Serve the anchor's statements and status until told to stop. The status key is enough; with the CA's key
    nodes renew their TLS certificates, with the root key statements are renewed and resolve answers.
    """
    from node.anchor import AnchorFolder
    from node.logs import configure_logs

    configure_logs("info")
    with refusals_told():
        facts = AnchorFolder(directory).facts()
        host, port = _address(listen, facts.entity_id)
        asyncio.run(_serve(directory, host, port, facts.allow_http_on_loopback))


async def _serve(directory: Path, host: str, port: int, allow_http_on_loopback: bool) -> None:
    import aiohttp

    from node.anchor import anchor_app
    from node.clock import SystemClock
    from node.connectors.statements import HttpStatementSource
    from node.lifecycle import serve_app

    async with aiohttp.ClientSession() as http:
        source = HttpStatementSource(http, allow_http_on_loopback=allow_http_on_loopback)
        app = anchor_app(directory, SystemClock(), source=source)
        await serve_app(app, host, port, name="anchor")


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
