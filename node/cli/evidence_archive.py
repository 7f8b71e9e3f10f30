"""`yrd evidence archive` and `yrd evidence open`: old months in sealed files, and back out of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.say import Failed, actor, config_option, say, write_new

if TYPE_CHECKING:
    from node.archiving import Archived
    from node.config import Config
    from node.keystore.sealed_files import Unsealer

__all__ = ["archive", "open_command", "unsealer_of"]


def _read_month(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter("须为 2026-11 / must be a month, like 2026-11") from None


@click.command()
@click.option(
    "--before",
    callback=_read_month,
    metavar="MONTH",
    help="此月之前的各月 / The months before this one; default: evidence.archive_after_days",
)
@config_option
def archive(before: datetime | None, config_path: Path) -> None:
    """把旧月份写入封存的归档文件，核验后移出数据库。

    Write old months into sealed files in the folder `evidence.archive`, verify each, and take its records out of the
    database. Exchanges that are not settled stay. Broken off at any point, the next run goes on. A running node does
    the same by itself.
    """
    from node.config import read_config

    config = read_config(config_path)
    if config.evidence.archive is None:
        raise Failed("配置中没有 evidence.archive", "the configuration names no folder: evidence.archive")
    done = asyncio.run(_archive(config, before))
    say(
        f"写成 {done.files} 个文件，{done.records} 条记录移出数据库",
        f"{done.files} files written; {done.records} records left the database",
    )
    if done.left_out:
        say(
            f"{done.left_out} 次交换核验不过，留在数据库中",
            f"{done.left_out} exchanges do not verify and stay in the database; see the log",
        )


async def _archive(config: Config, before: datetime | None) -> Archived:
    from node.archiving import Archivist, month_before
    from node.cli.evidence_ground import opened_evidence
    from node.clock import SystemClock

    async with opened_evidence(config) as ground:
        assert ground.archives is not None
        until = before or month_before(SystemClock().now(), config.evidence.archive_after_days)
        if until > SystemClock().now():
            raise Failed("该月尚未结束", "that month has not ended yet")
        done = await Archivist(ground.archives).archive(
            until, lambda row: click.echo(f"{row.name}  {row.first_index}–{row.last_index}", err=True)
        )
        detail = {"before": f"{until:%Y-%m}", "files": done.files, "records": done.records}
        await ground.audit.note(actor(), "evidence.archive", detail)
        return done


@click.command("open")
@click.argument("path", metavar="ARCHIVE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="输出文件 / Where to"
)
@config_option
def open_command(path: Path, out: Path, config_path: Path) -> None:
    """解封归档文件 ARCHIVE，得到普通的存证文件。

    Write the evidence file inside a sealed archive file, readable by its owner only, for `yrd verify` anywhere.
    """
    data = unsealer_of(config_path, action="evidence.open", name=path.name)(path.read_bytes())
    write_new(out, data, secret=True)
    say(
        f"已写入 {out}（{len(data)} 字节）",
        f"written; check it with yrd verify {out} --anchor anchor.jwks.json",
    )


def unsealer_of(config_path: Path, *, action: str, name: str) -> Unsealer:
    """What opens the sealed files of the node of that configuration; audited."""
    from node.config import read_config

    return asyncio.run(_unsealer(read_config(config_path), action, name))


async def _unsealer(config: Config, action: str, name: str) -> Unsealer:
    from node.cli.evidence_ground import opened_evidence
    from node.keystore.sealed_files import Unsealer

    async with opened_evidence(config) as ground:
        await ground.audit.note(actor(), action, {"file": name})
        return Unsealer.of(ground.data_keys)
