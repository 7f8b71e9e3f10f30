"""The request to the anchor, at any time after `yrd init` made the first one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from node.cli.say import actor, config_option, say, write_new
from node.config import Config, read_config

__all__ = ["enrolment"]


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="输出文件，不覆盖；默认标准输出 / A new file; default: standard output",
)
@config_option
def enrolment(out: Path | None, config_path: Path) -> None:
    """用现用的密钥重新生成入网申请，交给锚方 yrd anchor enroll。

    Make the request for `yrd anchor enroll` with the keys of now: where the anchor lost what it knew of this
    node, or this node its keys. The node may be running or not. Nothing in it is secret; the anchor's operator
    compares the key ids.
    """
    config = read_config(config_path, check_files=False)
    request, kids = asyncio.run(_request(config))
    data = orjson.dumps(request, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if out is None:
        click.echo(data, nl=False)
    else:
        write_new(out, data)
    for purpose, some in kids.items():
        for kid in some:
            click.echo(f"  {purpose:11}{kid}", err=out is None)
    if out is not None:
        say(f"入网申请已写入 {out}", "give it to the anchor's operator, who compares the key ids")


async def _request(config: Config) -> tuple[dict[str, Any], Mapping[str, tuple[str, ...]]]:
    """The request, and the ids of the keys in it by purpose."""
    from node.anchor.enrolment import read_enrolment
    from node.clock import SystemClock
    from node.enrolling import own_enrolment_request
    from node.keystore.configured import opened_keystore
    from node.store.audit import AuditRows
    from node.store.database import open_database

    clock = SystemClock()
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, clock, whole=False) as keystore:
            request = own_enrolment_request(config, keystore)
        kids = read_enrolment(request, allow_http_on_loopback=True).key_ids
        await AuditRows(database, clock).note(actor(), "enrolment", dict(kids))
    finally:
        await database.close()
    return request, kids
