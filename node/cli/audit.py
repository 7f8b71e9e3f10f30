"""What operators did: the audited rows of every command that steers a node or changes who may call it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from node.cli.say import config_option, say

if TYPE_CHECKING:
    from node.store.audit import AuditEntry

__all__ = ["audit"]


@click.command()
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 10_000), help="条数 / How many")
@config_option
def audit(last: int, config_path: Path) -> None:
    """操作记录，最新在前。

    What operators did, newest first: when, who, which command, with what, and how it ended.
    """
    from node.config import read_config

    config = read_config(config_path, check_files=False)
    entries = asyncio.run(_latest(config.store.url, last))
    for entry in entries:
        detail = orjson.dumps(dict(entry.detail)).decode()
        click.echo(f"{entry.at:%Y-%m-%d %H:%M:%S}Z  {entry.actor:10} {entry.action:16} {detail}")
    if not entries:
        say("还没有操作记录", "nothing was done yet")


async def _latest(url: str, limit: int) -> Sequence[AuditEntry]:
    from node.clock import SystemClock
    from node.store.audit import AuditRows
    from node.store.database import open_database

    database = await asyncio.to_thread(open_database, url)
    try:
        return await AuditRows(database, SystemClock()).latest(limit=limit)
    finally:
        await database.close()
