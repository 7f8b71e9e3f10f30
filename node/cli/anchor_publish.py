"""The anchor's commands that sign ahead: publish everything, keep the status, give one member a new statement."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.anchor_folder import dir_option, quorum_option, refusals_told, root_key_option, write_public
from node.cli.say import Failed, say

if TYPE_CHECKING:
    from node.anchor import AnchorFolder

__all__ = ["publish", "status", "update"]

_WARN_WITHIN = timedelta(days=14)
_MOST_SHOWN = 20


@click.command()
@dir_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="另写入可由任意网站服务器提供的目录 / Also lay out a folder for any web server",
)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 366), help="天数 / Signed for")
@quorum_option
@root_key_option
def publish(
    directory: Path, out: Path | None, days: int, witness_quorum: int | None, root_key: Path | None
) -> None:
    """预先重签全部声明；需要根密钥。

    Sign every statement anew, ahead of time; needs the root key. New federation keys that members have
    published are taken over. --out lays out all plain files for any web server; then keep `yrd anchor status`
    running for the status. --witness-quorum changes how many nodes must cosign another's log from now on.
    """
    from node.anchor import AnchorFolder, pending_of, write_out
    from node.anchor import publish as sign_all

    now, folder = datetime.now(UTC), AnchorFolder(directory)
    with refusals_told():
        folder.facts()
        taking_over = [member for member in folder.members().values() if pending_of(folder, member, now)]
        count = sign_all(
            directory, now=now, life_s=days * 86400, root_path=root_key, witness_quorum=witness_quorum
        )
        paths = write_out(folder, out, now=now) if out else []
    write_public(directory)
    for member in taking_over:
        say(f"{member.name} 的新联邦密钥已生效", f"new federation keys of {member.entity_id}")
    say(f"已签 {count} 份声明", f"{count} statements signed")
    if out:
        say(f"{len(paths)} 个文件已写入 {out}", f"serve it at {folder.facts().entity_id}")
    _say_endings(folder, now)


def _say_endings(folder: AnchorFolder, now: datetime) -> None:
    """What ends first, and loudly what ends soon."""
    from node.anchor import endings

    found = endings(folder)
    soon = [ending for ending in found if ending.at - now < _WARN_WITHIN]
    for ending in (soon or found[:1])[:_MOST_SHOWN]:
        mark = "注意 " if ending in soon else ""
        say(f"{mark}{ending.zh}：{ending.at:%Y-%m-%d %H:%M}Z", f"{ending.en} ends then: {ending.remedy}")


@click.command()
@dir_option
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="目录 / The folder"
)
@click.option("--once", is_flag=True, help="只签一次 / Sign once and end")
@click.option("--every", "every_s", default=60, show_default=True, type=click.IntRange(1, 600), help="秒 / s")
def status(directory: Path, out: Path, once: bool, every_s: int) -> None:
    """持续签发状态到 publish --out 的目录；只需状态密钥。

    Sign the status into a published folder every minute, with the status key alone, and lay out there what
    commands have changed since: a revocation takes effect so. The root key may be away.
    """
    from node.anchor import AnchorFolder
    from node.logs import configure_logs

    folder = AnchorFolder(directory)
    if once:
        from node.anchor import write_out

        with refusals_told():
            folder.facts()
            write_out(folder, out, now=datetime.now(UTC))
        say(f"状态已写入 {out}", "the status is signed")
        return
    configure_logs("info")
    with refusals_told():
        folder.facts()
        asyncio.run(_keep_status(folder, out, every_s))


async def _keep_status(folder: AnchorFolder, out: Path, every_s: int) -> None:
    """Until SIGTERM or Ctrl-C."""
    from node.anchor import keep_status
    from node.clock import SystemClock

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await keep_status(folder, out, SystemClock(), every_s=every_s)


@click.command()
@dir_option
@click.argument("entity_id")
@click.option(
    "--configuration",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="该成员的实体声明文件 / The file that the member serves as its configuration",
)
@root_key_option
def update(directory: Path, entity_id: str, configuration: Path | None, root_key: Path | None) -> None:
    """采用成员新公布的联邦密钥并重签其声明；需要根密钥。

    Take over the federation keys that ENTITY_ID has published, signed with one that the anchor vouches for,
    and sign its statement anew. They are fetched from it now; where there is no network, --configuration
    shows them.
    """
    from node.anchor import AnchorFolder
    from node.anchor import update as update_member

    folder = AnchorFolder(directory, root_key=root_key)
    with refusals_told():
        loopback = folder.facts().allow_http_on_loopback
        folder.key("federation")
        if entity_id not in folder.members():
            raise Failed(f"{entity_id} 不是成员", f"{entity_id} is not a member")
    token = configuration.read_text("utf-8").strip() if configuration else ""
    token = token or asyncio.run(_fetched(entity_id, loopback))
    with refusals_told():
        member = update_member(
            directory, entity_id, now=datetime.now(UTC), configuration=token, root_path=root_key
        )
    for key in member.federation_jwks["keys"]:
        say(f"联邦密钥 {key['kid']}", "federation key")
    say(f"{member.name} 的声明已重签", f"the statement about {entity_id} is signed anew")


async def _fetched(entity_id: str, allow_http_on_loopback: bool) -> str:
    """What a member serves as its configuration now; empty when it cannot be had, which is said."""
    import aiohttp

    from federation.statements import StatementUnavailable
    from node.connectors.statements import HttpStatementSource
    from trust.entity import configuration_url
    from trust.tokens import MAX_TOKEN_BYTES

    async with aiohttp.ClientSession() as http:
        source = HttpStatementSource(http, allow_http_on_loopback=allow_http_on_loopback)
        try:
            fetched = await source.fetch(
                configuration_url(entity_id), etag="", max_bytes=MAX_TOKEN_BYTES, timeout_s=5.0
            )
        except StatementUnavailable as error:
            say("未能取得其实体声明，按已知内容重签", f"{error}: signing what is known")
            return ""
    return (fetched.body or b"").decode("ascii", "replace")
