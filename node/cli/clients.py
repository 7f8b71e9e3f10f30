"""The platforms that may call this node's API, and log citizens in: OAuth 2.0 clients, as rows that every replica
follows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from federation.plain_text import plain
from node.cli.client_login import login_options, login_terms, shown_login
from node.cli.say import Failed, actor, config_option, say
from node.config import read_config

__all__ = ["client"]

T = TypeVar("T")
_MOST_TITLE = 60
_CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")


@click.group()
def client() -> None:
    """平台客户端：谁可以调用本节点的接口、为公民登录。

    Which platforms may call this node's API and log citizens in. A change holds within seconds, in every replica.
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
@login_options
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def add(
    name: str,
    title: str,
    operations: str,
    jwks_path: Path | None,
    as_json: bool,
    config_path: Path,
    **login_said: Any,
) -> None:
    """新增客户端 NAME（即 access.toml 中的 platform）。

    Add a client. NAME is its client id, and the platform that access.toml names. The secret is shown once. With --login
    it may log citizens in; --operations none gives it nothing else.
    """
    wanted = _operations(operations)
    if not _CLIENT_ID.fullmatch(name):
        raise Failed(
            "NAME 须为 2–64 个小写字母、数字、点、横线", "NAME is 2 to 64 of a-z, 0-9, dot, dash, underscore"
        )
    _check_title(title)
    jwks = _read_jwks(jwks_path) if jwks_path else None
    login = login_terms(**login_said, has_keys=jwks is not None)

    async def work(rows: Any) -> str:
        if jwks is not None:
            await rows.add_with_keys(name, title or name, wanted, jwks, login)
            return ""
        secret: str = await rows.add_with_secret(name, title or name, wanted, login)
        return secret

    detail = {"client": name, "operations": sorted(wanted), "login": login is not None}
    secret = _with_rows(config_path, "client.add", detail, work)
    _tell_credentials(name, secret, as_json=as_json)
    if as_json:
        return
    if wanted:
        say(
            f'下一步：在 access.toml 为 platform = "{name}" 写规则，再 yrd reload access',
            "next: give it rules in access.toml, then yrd reload access",
        )


def _tell_credentials(name: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"client_id": name, "client_secret": secret or None}).decode())
        return
    click.echo(f"client_id      {name}")
    if secret:
        click.echo(f"client_secret  {secret}")
        say("口令只显示这一次", "the secret is shown this once and kept as a hash only")


@client.command("list")
@config_option
def list_command(config_path: Path) -> None:
    """全部客户端 / Every client."""

    async def work(rows: Any) -> Any:
        return await rows.all_clients()

    found = _with_rows(config_path, "", {}, work)
    for row in found:
        state = "停用 disabled" if row.disabled_at else "可用 active"
        operations = ",".join(sorted(row.operations)) or "none"
        login = f"  login:{row.login.profile}" if row.login else ""
        click.echo(f"{row.client_id:24} {row.auth_method.value:20} {operations}{login}  {state}  {row.name}")
    if not found:
        say("还没有客户端", "no clients yet")


@client.command()
@click.argument("name")
@config_option
def show(name: str, config_path: Path) -> None:
    """客户端 NAME 的登记内容 / What is registered of a client. Its secret is nowhere to be shown."""

    async def work(rows: Any) -> Any:
        return await rows.find(name)

    row = _with_rows(config_path, "", {}, work)
    if row is None:
        raise Failed(f"没有客户端 {name}", f"there is no client {name}")
    lines = [
        ("client_id", row.client_id),
        ("name", row.name),
        ("auth_method", row.auth_method.value),
        ("operations", ",".join(sorted(row.operations)) or "none"),
        ("created_at", row.created_at.isoformat(timespec="seconds")),
        *([("disabled_at", row.disabled_at.isoformat(timespec="seconds"))] if row.disabled_at else []),
        *(("key", str(key.get("kid", "—"))) for key in (row.jwks or {}).get("keys", [])),
        *(shown_login(row.login) if row.login else [("login", "no")]),
    ]
    for label, value in lines:
        click.echo(plain(f"{label:26} {value}"))


@client.command()
@click.argument("name")
@click.option(
    "--private-key-jwt",
    "jwks_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="新的平台公钥（JWKS）/ The platform's new public keys",
)
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def rotate(name: str, jwks_path: Path | None, as_json: bool, config_path: Path) -> None:
    """更换客户端 NAME 的口令或公钥；旧的随即失效。

    A new secret, or new keys: the old ones end within seconds. To change keys without a gap, give the old and the new
    one together first.
    """
    jwks = _read_jwks(jwks_path) if jwks_path else None

    async def work(rows: Any) -> str:
        if jwks is not None:
            await rows.rotate_keys(name, jwks)
            return ""
        secret: str = await rows.rotate_secret(name)
        return secret

    secret = _with_rows(config_path, "client.rotate", {"client": name}, work)
    _tell_credentials(name, secret, as_json=as_json)


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

    if text.strip() == "none":
        return frozenset()
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
    entries = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(entries, list) or not all(isinstance(key, dict) for key in entries):
        raise Failed(f"{path} 不是 JWKS", f"{path} is not a JWK Set")
    kids = [key.get("kid") for key in entries]
    if len(set(map(str, kids))) != len(kids) or not all(isinstance(kid, str | None) for kid in kids):
        raise Failed("每个公钥须有不同的 kid", "each key needs a kid of its own")
    # Other software names its keys as it likes; here only what a key is decides.
    keys_from_jwks(
        {"keys": [{name: value for name, value in key.items() if name != "kid"} for key in entries]}
    )
    return {"keys": entries}


def _check_title(title: str) -> None:
    if len(title) > _MOST_TITLE or not title.isprintable():
        raise Failed(
            f"显示名称至多 {_MOST_TITLE} 个可见字符",
            f"a name for people has at most {_MOST_TITLE} characters",
        )
