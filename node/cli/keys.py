"""The node's own keys: look, rotate, retire; and the passphrase of the key-encryption key.

Through the running node when there is one, else straight on its store: the same rules, the same rows, and an audit
row either way. Replicas that run elsewhere follow within their poll.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from node.cli.key_loss import begin_again
from node.cli.say import Failed, actor, config_option, say
from node.config import Config, read_config
from node.control import CommandRefused, call_control

__all__ = ["keys"]

_PURPOSES = ("federation", "envelope", "openid", "dpop", "consent", "log", "witness", "tls")
_STATES = {"published": "已公布", "active": "使用中", "passive": "仅验证", "retired": "已停用"}
_WAITS = {
    "anchor": ("等待锚在声明中列入", "waits until the anchor's statement lists it"),
    "x509": ("等待锚签发证书", "waits for X.509 from the anchor"),
}
_HYPHENED_KID = re.compile(r"-[A-Za-z0-9_-]{42}")


@click.group()
def keys() -> None:
    """密钥：查看、轮换、停用，以及密钥文件的口令。

    Keys: list, rotate, retire; protect the key file by a passphrase. A change holds in every replica within
    [keys] poll_s.
    """


@keys.command("list")
@click.option("--all", "with_retired", is_flag=True, help="含已停用的 / Also the retired ones")
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def list_command(with_retired: bool, as_json: bool, config_path: Path) -> None:
    """全部密钥 / Every key, and what is planned for it."""
    found = _carry_out(config_path, "keys.list", {})["keys"]
    shown = [key for key in found if with_retired or key["state"] != "retired"]
    if as_json:
        _print_json(shown)
        return
    for key in shown:
        state = f"{_STATES[key['state']]} {key['state']}"
        click.echo(f"{key['purpose']:11}{key['kid']}  {key['alg']:6}{key['backend']:9}{state}")
        for line in _planned(key):
            click.echo(f"             {line}")


def _planned(key: Mapping[str, Any]) -> list[str]:
    """What is to be known of a key beside its state."""
    lines = []
    if key["state"] == "active":
        lines.append(f"启用于 since {key['activated_at']}")
    if key["state"] == "published":
        waits = _WAITS.get(key["waits_for"])
        lines.append(" ".join(waits) if waits else f"将启用于 used from {key['activates_at']}")
    if key["state"] == "passive":
        lines.append(f"验证至 verifies until {key['retires_at']}")
    if key["state"] == "retired":
        lines.append(f"停用于 retired {key['retired_at']}: {key['reason']}")
    if key["fault"]:
        lines.append(f"! 不可用 unusable: {key['fault']}")
    return lines


@keys.command()
@click.argument("purpose", type=click.Choice(_PURPOSES))
@click.option("--alg", help="算法，默认同前 / Algorithm; default: that of the one before")
@click.option(
    "--publish-s", type=click.FloatRange(min=0), help="公布多少秒后启用 / Seconds between publishing and use"
)
@click.option("--now", is_flag=True, help="尽快启用 / Use it as soon as that is safe")
@click.option("--force", is_flag=True, help="不等他人知晓 / Do not wait until others know it")
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def rotate(
    purpose: str,
    alg: str | None,
    publish_s: float | None,
    now: bool,
    force: bool,
    as_json: bool,
    config_path: Path,
) -> None:
    """轮换 PURPOSE 的密钥：先公布，到时启用，旧的随后仅供验证。

    Make the next key of a purpose: published now, used later, the old one verifies a while longer.
    """
    if now and publish_s is not None:
        raise click.UsageError("--now 与 --publish-s 不能同用 / --now and --publish-s do not go together")
    arguments = {"purpose": purpose, "alg": alg, "publish_s": publish_s, "now": now, "force": force}
    given = {name: value for name, value in arguments.items() if value}
    if publish_s is not None:
        given["publish_s"] = publish_s
    plan = _carry_out(config_path, "keys.rotate", given)
    if as_json:
        _print_json(plan)
        return
    _say_plan(plan, read_config(config_path, check_files=False).node.entity_id)


def _say_plan(plan: Mapping[str, Any], entity_id: str) -> None:
    new, old = plan["new"], plan["old"]
    say(f"新的 {new['purpose']} 密钥 {new['kid']}（{new['alg']}）", "the new key is published")
    if plan["waits_for"] == "anchor":
        say(
            f"  请锚认可：yrd anchor update {entity_id}；看到后再公布 {plan['publish_s']:g} 秒启用",
            f"have the anchor vouch for it with that command; the key is used {plan['publish_s']:g} s after that was"
            " seen",
        )
    elif plan["waits_for"] == "x509":
        say(
            "  节点将自行申请证书，到达即启用",
            "the node asks the anchor for X.509 and uses it when it is there",
        )
    else:
        say(f"  启用于 {plan['used_at']}", f"used from {plan['used_at']}")
    if old and plan["old_ends_at"]:
        say(f"  旧密钥 {old['kid']} 验证至 {plan['old_ends_at']}", "the old one verifies until then")
    elif old:
        overlap = f"{plan['overlap_s']:g}"
        say(
            f"  旧密钥 {old['kid']} 在新密钥启用后再验证 {overlap} 秒",
            f"the old one verifies {overlap} s beyond the new one's start",
        )


class _TakesKeyIds(click.Command):
    """A key id is base64url and may begin with a hyphen; it is an argument all the same."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put key ids behind the end of the options."""
        kids = [arg for arg in args if _HYPHENED_KID.fullmatch(arg)]
        others = [arg for arg in args if arg not in kids]
        return super().parse_args(ctx, [*others, "--", *kids] if kids else args)


@keys.command(cls=_TakesKeyIds)
@click.argument("kid")
@click.option("--reason", required=True, help="原因，会公开 / Why; this is published")
@click.option("--replace", is_flag=True, help="立即换用新密钥 / Have a new key take over at once")
@click.option(
    "--force", is_flag=True, help="即使锚尚未认可后继 / Even before the anchor vouches for a successor"
)
@config_option
def retire(kid: str, reason: str, replace: bool, force: bool, config_path: Path) -> None:
    """立即停用密钥 KID（例如已泄露） / Have nobody take a key any more, from now on."""
    result = _carry_out(
        config_path, "keys.retire", {"kid": kid, "reason": reason, "replace": replace, "force": force}
    )
    say(f"已停用 {kid}", f"retired: {result['retired']['reason']}")
    if result["successor"]:
        say(f"接替的密钥 {result['successor']}", "takes over from now on")


@keys.command()
@config_option
def protect(config_path: Path) -> None:
    """为密钥文件加口令 / Protect the key file by a passphrase.

    口令取自 [keys] passphrase_file 或环境变量 YRD_KEY_PASSPHRASE；设 keys.pkcs11.protect_key_file 则由令牌计算。
    The passphrase is in the file that [keys] passphrase_file names, or in YRD_KEY_PASSPHRASE; with
    keys.pkcs11.protect_key_file the token computes it.
    """
    from node.keystore.configured import key_file_passphrase
    from node.keystore.key_file import protect_key_file

    section = read_config(config_path, check_files=False).keys
    with key_file_passphrase(section, make=True) as passphrase:
        protect_key_file(section.key_encryption_key, passphrase)
    say(f"{section.key_encryption_key} 已加口令", "without the passphrase no key of this node can be used")


@keys.command()
@config_option
def unprotect(config_path: Path) -> None:
    """去掉密钥文件的口令 / Take the passphrase off the key file."""
    from node.keystore.configured import key_file_passphrase
    from node.keystore.key_file import unprotect_key_file

    section = read_config(config_path, check_files=False).keys
    with key_file_passphrase(section) as passphrase:
        unprotect_key_file(section.key_encryption_key, passphrase)
    say(f"{section.key_encryption_key} 已去掉口令", "it is plain again, of mode 0600")


keys.add_command(begin_again)


def _carry_out(config_path: Path, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Have the running node do it, or do it on the store when none runs here."""
    config = read_config(config_path, check_files=False)
    try:
        return call_control(config.listen.control, command, **arguments)
    except (FileNotFoundError, ConnectionError):
        return asyncio.run(_on_the_store(config, command, arguments))
    except TimeoutError:
        raise Failed(
            "节点没有及时应答；先用 yrd keys list 查看是否已执行",
            "the node did not answer in time: see with yrd keys list whether it was done",
        ) from None


async def _on_the_store(config: Config, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from node.clock import SystemClock
    from node.key_steering import key_steering
    from node.keystore.configured import opened_keystore
    from node.logs import configure_logs
    from node.store.audit import AuditRows
    from node.store.database import open_database

    configure_logs("critical")  # what is wrong with a key is in the answer
    clock = SystemClock()
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, clock, whole=False) as keystore:
            handler = key_steering(config, database, keystore, clock).handlers()[command]
            outcome = "internal"
            try:
                result = await handler(arguments)
                outcome = "ok"
            except CommandRefused as error:
                outcome = error.code
                raise
            finally:
                detail = {"arguments": dict(arguments), "outcome": outcome}
                await AuditRows(database, clock).note(actor(), command, detail)
    finally:
        await database.close()
    return dict(result)


def _print_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
