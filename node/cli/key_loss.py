"""`yrd keys begin-again`: new keys for a node whose old ones nobody can open any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from node.cli.say import Failed, actor, config_option, say
from node.config import Config, read_config

if TYPE_CHECKING:
    from node.key_loss import Loss
    from node.store.database import Database

__all__ = ["begin_again"]

_CONTENT_LOST = (
    "日志与归档中此前的内容也无法再读，记录仍可证明存在，对端仍存有各自一份 / what the log and its archives hold can be"
    " read by nobody any more either; its records stay proven, and the peers hold their side"
)


@dataclass(frozen=True, slots=True)
class _Begun:
    """`aside` is where what was left of the key file is now."""

    kids: Mapping[str, str]
    request: Mapping[str, Any]
    aside: Path | None


@click.command("begin-again")
@click.option("--reason", required=True, help="原因，会公开 / Why; this is published")
@click.option("--yes", is_flag=True, help="不再询问 / Do not ask whether to go on")
@config_option
def begin_again(reason: str, yes: bool, config_path: Path) -> None:
    """密钥打不开且没有备份时，换用全新的密钥；节点须已停止。

    Where keys can be opened by nobody any more, since the key-encryption key is lost with every copy: retire
    them for ever, make new ones, and a new enrolment.json, with which the anchor has to take the node in again.
    The log, clients and trust stay; what lies in the log or in archives under lost data keys can be read by nobody
    any more, and peers still hold their side. Every process of the node must be down.
    """
    from node.key_steering import check_reason
    from node.logs import configure_logs

    configure_logs("critical")  # what is wrong with a key is in the answer
    reason = check_reason(reason)
    config = read_config(config_path, check_files=False)
    loss = asyncio.run(_look(config))
    if not loss:
        raise Failed(
            "每把密钥都能打开，无须重新开始：用 yrd keys rotate 或 retire",
            "every key can be opened, so there is nothing to begin again: yrd keys rotate, or retire; yrd "
            "enrolment makes a new request",
        )
    _say_loss(loss)
    if not yes:
        click.confirm("永久停用这些密钥？ Give these keys up for ever?", abort=True, err=True)
    begun = asyncio.run(_begin_again(config, loss, reason))
    _replace(config_path.with_name("enrolment.json"), begun.request)
    _say_begun(begun, config, config_path)


def _say_loss(loss: Loss) -> None:
    if loss.key_file:
        click.echo(f"! {loss.key_file}", err=True)
        click.echo(f"! {_CONTENT_LOST}", err=True)
    for row in loss.keys:
        click.echo(f"- {row.purpose:11}{row.kid}  {row.state}: {loss.faults[row.kid]}", err=True)


def _say_begun(begun: _Begun, config: Config, config_path: Path) -> None:
    for purpose, kid in begun.kids.items():
        click.echo(f"  {purpose:11}{kid}")
    if begun.aside:
        say(f"原密钥文件移至 {begun.aside}", "what was left of the key file is there")
    key_file = config.keys.key_encryption_key
    say(
        f"新密钥已启用，由 {key_file} 保护",
        "the new keys are there; back that file up now, apart from the store",
    )
    request = config_path.with_name("enrolment.json")
    say("下一步", "next")
    click.echo(f"  1. yrd anchor enroll --dir ANCHOR {request} --out enrolled.json")
    click.echo(f"  2. mv enrolled.json {config.trust.enrolment}")
    click.echo(f"  3. yrd serve --config {config_path}")


async def _look(config: Config) -> Loss:
    from node.clock import SystemClock
    from node.key_loss import find_loss

    async with _stopped(config) as database:
        return await find_loss(config.keys, database, SystemClock())


async def _begin_again(config: Config, loss: Loss, reason: str) -> _Begun:
    from node.clock import SystemClock
    from node.enrolling import own_enrolment_request
    from node.key_loss import begin_again as with_new_keys
    from node.key_loss import renew_key_file
    from node.keystore.configured import opened_keystore
    from node.keystore.data_keys import DataKeys
    from node.store.audit import AuditRows
    from node.store.data_keys import DataKeyRows

    clock = SystemClock()
    async with _stopped(config) as database:
        aside = renew_key_file(config.keys.key_encryption_key, clock.now()) if loss.key_file else None
        async with opened_keystore(config.keys, database, clock, whole=False) as keystore:
            new = await with_new_keys(keystore, loss, reason)
            data_keys = DataKeys(
                DataKeyRows(database), keystore.wrapping, clock, cipher=config.evidence.cipher
            )
            lost_data_keys = await data_keys.begin_again()
            kids = dict(zip(loss.wanted, (key.kid for key in new), strict=True))
            request = own_enrolment_request(config, keystore)
        detail = {
            "reason": reason,
            "key_file": "new" if loss.key_file else "kept",
            "retired": [row.kid for row in loss.keys],
            "new": kids,
            "data_keys_given_up": lost_data_keys,
        }
        await AuditRows(database, clock).note(actor(), "keys.begin-again", detail)
    return _Begun(kids, request, aside)


@asynccontextmanager
async def _stopped(config: Config) -> AsyncIterator[Database]:
    """The store of a node that is down here, and cannot come up meanwhile. Raises ControlInUse."""
    from node.control import serve_control
    from node.store.database import open_database

    async with serve_control(config.listen.control, {}, _no_command):
        database = await asyncio.to_thread(open_database, config.store.url)
        try:
            yield database
        finally:
            await database.close()


async def _no_command(*_: object) -> None:
    """Nothing is carried out meanwhile, so there is nothing to keep."""


def _replace(path: Path, request: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(orjson.dumps(request, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    beside.replace(path)
