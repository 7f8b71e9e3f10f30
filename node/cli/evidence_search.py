"""`yrd evidence search`: what this node asked and answered, newest first."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from node.cli.say import Failed, config_option

if TYPE_CHECKING:
    from node.config import Config
    from node.store.database import Database
    from node.store.search import Found, Page, Wanted

__all__ = ["read_holder", "read_moment", "search"]

_PAGES = 40
"""Pages that stopped at a bound which one call reads on from, before it says where it is."""


def read_moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    """A day or a time; UTC where it does not say."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            "须为 2026-11-02 或 2026-11-02T12:00+08:00 / must be a day or a time"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_holder() -> str:
    """A holder's number, from a prompt that does not show it or from standard input: never from the command line,
    which others on the machine can see. Raises Failed when there is none.
    """
    if sys.stdin.isatty():
        number = str(click.prompt("证件号码 / Holder's number", hide_input=True, err=True))
    else:
        number = sys.stdin.readline()
    if not number.strip():
        raise Failed("没有证件号码", "no holder's number was given on standard input")
    return number.strip()


def _conditions(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what is wanted."""
    options = (
        click.option(
            "--since", callback=read_moment, help="自（含）/ From that time on; UTC without an offset"
        ),
        click.option("--until", callback=read_moment, help="至（不含）/ Before that time"),
        click.option("--peer", default="", help="对方节点的实体标识 / The other node's entity id"),
        click.option(
            "--direction", type=click.Choice(["asked", "answered"]), help="本节点发问或应答 / By this node"
        ),
        click.option("--operation", default="", help="操作 / For example certificates.query"),
        click.option(
            "--outcome", type=click.Choice(["answered", "refused", "unanswered"]), help="结果 / Outcome"
        ),
        click.option("--client", default="", help="平台 / The platform that asked here"),
        click.option("--case", "case_number", default="", help="办件编号 / Case number"),
        click.option("--request-id", default="", help="请求编号 / Request id"),
        click.option(
            "--holder",
            "holder_type",
            metavar="TYPE",
            help="持证主体，按证件类型代码；号码另行输入 / A holder, by the id's type; the number is asked for",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_conditions
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="条数 / How many")
@click.option("--after", default="", metavar="CURSOR", help="接着上一页 / Go on from the page before")
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def search(
    holder_type: str | None, limit: int, after: str, as_json: bool, config_path: Path, **said: Any
) -> None:
    """按时间、对方、操作、办件、持证主体、结果查找，最新在前。

    Find exchanges in this node's log, newest first; all conditions must hold. A holder's number is read from a
    prompt or from standard input, and is shown and kept nowhere. The node may be running or not.
    """
    from node.config import read_config
    from node.store.search import Wanted

    config = read_config(config_path, check_files=holder_type is not None)
    number = read_holder() if holder_type else ""
    wanted = Wanted(**{name: value for name, value in said.items() if value})
    page = asyncio.run(_search(config, wanted, holder_type or "", number, after, limit))
    if as_json:
        click.echo(orjson.dumps(_as_json(page)).decode())
    else:
        _show(page)


async def _search(
    config: Config, wanted: Wanted, holder_type: str, number: str, after: str, limit: int
) -> Page:
    if not holder_type:
        from node.store.database import open_database

        database = await asyncio.to_thread(open_database, config.store.url)
        try:
            return await _read_on(database, wanted, after, limit)
        finally:
            await database.close()

    from msgspec.structs import replace

    from node.cli.evidence_ground import opened_evidence

    async with opened_evidence(config) as ground:
        hashes = ground.holders.to_search(holder_type, number)
        return await _read_on(ground.database, replace(wanted, holders=hashes), after, limit)


async def _read_on(database: Database, wanted: Wanted, after: str, limit: int) -> Page:
    """Pages until there is what was asked for, or for so many."""
    from msgspec.structs import replace

    from node.store.search import EvidenceSearch

    search = EvidenceSearch(database)
    found: list[Found] = []
    for _ in range(_PAGES):
        page = await search.page(wanted, after=after, limit=limit - len(found))
        found += page.found
        after = page.next
        if not after or len(found) >= limit:
            break
    return replace(page, found=tuple(found))


def _as_json(page: Page) -> dict[str, Any]:
    return {
        "found": [
            {
                **{name: getattr(one, name) for name in one.__struct_fields__},
                "recorded_at": one.recorded_at.isoformat(),
                "answered_at": one.answered_at.isoformat() if one.answered_at else None,
            }
            for one in page.found
        ],
        "next": page.next or None,
        "looked_back_until": page.reached_at.isoformat() if page.reached_at else None,
        "archived_until": page.archived_until.isoformat() if page.archived_until else None,
    }


_DIRECTIONS = {"asked": "发问 asked", "answered": "应答 answered"}
_OUTCOMES = {"answered": "已答 answered", "refused": "拒绝 refused", "unanswered": "未答 unanswered"}


def _show(page: Page) -> None:
    from node.cli.columns import show_columns

    heads = (
        "时间 time (UTC)",
        "方向",
        "对方 peer",
        "操作 operation",
        "结果 outcome",
        "平台",
        "办件 case",
        "请求 request id",
    )
    if page.found:
        show_columns(heads, [_line(one) for one in page.found])
    else:
        _note("没有找到", "nothing was found")
    if page.archived_until:
        day = f"{page.archived_until:%Y-%m-%d}"
        _note(
            f"{day} 以前的记录在归档文件中，此处查不到",
            f"records of before {day} are in archive files, not here",
        )
    if page.reached_at:
        moment = f"{page.reached_at:%Y-%m-%dT%H:%M:%SZ}"
        _note(
            f"已查到 {moment}，更早的还没有看",
            f"looked back until {moment}; what is older was not looked at yet",
        )
    if page.next:
        _note(f"下一页：--after {page.next}", "the next page")


def _line(one: Found) -> tuple[str, ...]:
    outcome = _OUTCOMES.get(one.outcome, one.outcome) + (" · 已遗忘 forgotten" if one.forgotten else "")
    return (
        f"{one.recorded_at:%Y-%m-%d %H:%M:%S}",
        _DIRECTIONS[one.direction],
        one.peer,
        one.operation,
        outcome,
        one.client,
        one.case_number,
        one.request_id,
    )


def _note(zh: str, en: str) -> None:
    """Beside the result: standard output carries that alone."""
    click.echo(f"{zh} / {en}", err=True)
