"""The platforms that may call this node's API: OAuth 2.0 clients, as rows that every replica follows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from node.cli.say import Failed, actor, config_option, say
from node.config import read_config

__all__ = ["client"]

T = TypeVar("T")
_CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")


@click.group()
def client() -> None:
    """平台客户端：谁可以调用本节点的接口。

    Which platforms may call this node's API. A change holds within seconds, in every replica.
    """


@client.command()
@click.argument("name")
@click.option("--title", default="", help="显示名称 / A name for people")
@click.option("--operations", default="*", show_default=True, help="操作，逗号分隔 / Operations, by comma")
@click.option(
    "--private-key-jwt",
    "jwks_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="平台公钥（JWKS），代替口令 / The platform's public keys, instead of a secret",
)
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def add(
    name: str, title: str, operations: str, jwks_path: Path | None, as_json: bool, config_path: Path
) -> None:
    """新增客户端 NAME（即 access.toml 中的 platform）。

    Add a client. NAME is its client id, and the platform that access.toml names. The secret is shown once.
    """
    wanted = _operations(operations)
    if not _CLIENT_ID.fullmatch(name):
        raise Failed(
            "NAME 须为 2–64 个小写字母、数字、点、横线", "NAME is 2 to 64 of a-z, 0-9, dot, dash, underscore"
        )
    jwks = _read_jwks(jwks_path) if jwks_path else None

    async def work(rows: Any) -> str:
        if jwks is not None:
            await rows.add_with_keys(name, title or name, wanted, jwks)
            return ""
        secret: str = await rows.add_with_secret(name, title or name, wanted)
        return secret

    secret = _with_rows(config_path, "client.add", {"client": name, "operations": sorted(wanted)}, work)
    if as_json:
        click.echo(orjson.dumps({"client_id": name, "client_secret": secret or None}).decode())
        return
    click.echo(f"client_id      {name}")
    if secret:
        click.echo(f"client_secret  {secret}")
        say("口令只显示这一次", "the secret is shown this once and kept as a hash only")
    say(
        f'下一步：在 access.toml 为 platform = "{name}" 写规则，再 yrd reload access',
        "next: give it rules in access.toml, then yrd reload access",
    )


@client.command("list")
@config_option
def list_command(config_path: Path) -> None:
    """全部客户端 / Every client."""

    async def work(rows: Any) -> Any:
        return await rows.all_clients()

    found = _with_rows(config_path, "", {}, work)
    for row in found:
        state = "停用 disabled" if row.disabled_at else "可用 active"
        operations = ",".join(sorted(row.operations))
        click.echo(f"{row.client_id:24} {row.auth_method.value:20} {operations}  {state}  {row.name}")
    if not found:
        say("还没有客户端", "no clients yet")


@client.command()
@click.argument("name")
@config_option
def remove(name: str, config_path: Path) -> None:
    """停用客户端 NAME / Disable a client; what it asked stays its own, its name is not given again."""

    async def work(rows: Any) -> bool:
        done: bool = await rows.disable(name)
        return done

    if not _with_rows(config_path, "client.remove", {"client": name}, work):
        raise Failed(f"没有可用的客户端 {name}", f"there is no active client {name}")
    say(f"已停用 {name}", f"{name} may not call any more")


def _with_rows(
    config_path: Path, action: str, detail: dict[str, Any], work: Callable[[Any], Awaitable[T]]
) -> T:
    """Run `work` on the rows of clients, and leave an audit row when there is an `action`."""
    from node.clock import SystemClock
    from node.store.audit import AuditRows
    from node.store.clients import ClientRows
    from node.store.database import open_database

    config = read_config(config_path, check_files=False)
    database = open_database(config.store.url)

    async def run() -> T:
        try:
            result = await work(ClientRows(database, SystemClock()))
            if action:
                await AuditRows(database, SystemClock()).note(actor(), action, detail)
            return result
        finally:
            await database.close()

    return asyncio.run(run())


def _operations(text: str) -> frozenset[str]:
    from federation.query import PLATFORM_OPERATIONS

    wanted = frozenset(part.strip() for part in text.split(",") if part.strip())
    known = {"*", *(operation.value for operation in PLATFORM_OPERATIONS)}
    if not wanted or wanted - known:
        said = ", ".join(sorted(wanted - known)) or "—"
        raise Failed(
            f"没有这些操作：{said}", f"no such operations: {said}; known: {', '.join(sorted(known))}"
        )
    return wanted


def _read_jwks(path: Path) -> dict[str, Any]:
    from trust.keys import keys_from_jwks

    try:
        jwks = orjson.loads(path.read_bytes())
    except ValueError:
        raise Failed(f"{path} 不是 JSON", f"{path} is not JSON") from None
    keys_from_jwks(jwks)
    return {"keys": jwks["keys"]}
