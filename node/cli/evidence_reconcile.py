"""`yrd evidence reconcile`: compare this node's log with a peer's now, hour by hour."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from federation.plain_text import plain
from node.cli.evidence_search import read_moment
from node.cli.say import EXIT_FAILED, Failed, config_option

__all__ = ["reconcile"]

_BLOCK_HOURS = 24
_TIMEOUT_S = 600.0
_MOST_HOURS = 24 * 366 * 4
_HOUR_S = 3600
_STATES = {
    "agree": "一致 agree",
    "explained": "可解释 explained",
    "alarm": "须查 look into it",
    "unfinished": "未比完 unfinished",
}


@click.command()
@click.option(
    "--peer", required=True, help="对方节点：实体标识或省代码 / The other node: its entity id or province"
)
@click.option(
    "--from", "since", callback=read_moment, help="自（缺省：一日前） / From that time on; default: a day ago"
)
@click.option("--until", callback=read_moment, help="至（缺省：现在） / Until that time; default: now")
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def reconcile(
    peer: str, since: datetime | None, until: datetime | None, as_json: bool, config_path: Path
) -> None:
    """与另一节点核对双方的存证日志。

    Compare this node's log with a peer's over the exchange itself. Exit code 1 when something is alarming.
    """
    end = until or datetime.now(UTC)
    begin = since or end - timedelta(days=1)
    if not begin < end or end - begin > timedelta(hours=_MOST_HOURS):
        raise Failed("起止时间有误", "--from must be before --until, by four years at most")
    blocks = list(_compared(config_path, peer, begin, end, quiet=as_json))
    hours = [hour for block in blocks for hour in block["hours"]]
    if as_json:
        import orjson

        told = {"peer": blocks[0]["peer"], "province": blocks[0]["province"], "hours": hours}
        told["checked"] = sum(block["checked"] for block in blocks)
        told["archived_before"] = _archived_before(blocks)
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(blocks[0], hours)
        _show_archived(blocks)
    if any(hour["state"] == "alarm" for hour in hours):
        sys.exit(EXIT_FAILED)


def _compared(
    config_path: Path, peer: str, begin: datetime, end: datetime, *, quiet: bool
) -> Iterator[Mapping[str, Any]]:
    """Block by block, newest first, so that what is recent is told first when it is broken off."""
    from node.cli.running import call_node

    first, last = int(begin.timestamp()) // _HOUR_S, (int(end.timestamp()) - 1) // _HOUR_S
    while last >= first:
        start = max(first, last - _BLOCK_HOURS + 1)
        if not quiet and last - first >= _BLOCK_HOURS:
            day = datetime.fromtimestamp(start * _HOUR_S, UTC)
            click.echo(f"… {day:%Y-%m-%d %H:%M}Z", err=True)
        yield call_node(
            config_path,
            "evidence.reconcile",
            peer=peer,
            first_hour=start,
            hours=last - start + 1,
            timeout_s=_TIMEOUT_S,
        )
        last = start - 1


def _show(block: Mapping[str, Any], hours: Sequence[Mapping[str, Any]]) -> None:
    from node.cli.columns import show_columns

    exchanges = sum(hour["exchanges"] for hour in hours)
    click.echo(plain(f"与 {block['province']} {block['peer']} 核对 / compared"))
    if not hours:
        click.echo("这段时间没有交换 / no exchange in that time")
        return
    rows = [
        (f"{hour['hour'][:13]}:00Z", str(hour["exchanges"]), _STATES[hour["state"]], str(_count(hour)))
        for hour in hours
    ]
    show_columns(("小时 hour", "交换 exchanges", "结果 result", "发现 findings"), rows)
    for hour in hours:
        for finding in hour["findings"]:
            mark = "!" if finding["alarming"] else "-"
            click.echo(plain(f"{mark} {finding['request_id']} {finding['kind']} ({finding['place']})"))
            click.echo(plain(f"    {finding['zh']} / {finding['en']}"))
        if hour["more"]:
            click.echo(f"  … {hour['more']} 项未列出 / more are not listed")
    alarming = sum(finding["alarming"] for hour in hours for finding in hour["findings"])
    click.echo(
        f"{exchanges} 次交换，{alarming} 项须查 / {exchanges} exchanges, {alarming} findings to look into"
    )


def _archived_before(blocks: Sequence[Mapping[str, Any]]) -> str | None:
    return max((block["archived_before"] for block in blocks if block["archived_before"]), default=None)


def _show_archived(blocks: Sequence[Mapping[str, Any]]) -> None:
    if archived := _archived_before(blocks):
        click.echo(
            f"{archived[:13]}:00Z 以前的存证在一方已归档，未核对 / what is older is in archives on one side:"
            " not compared"
        )


def _count(hour: Mapping[str, Any]) -> int:
    return len(hour["findings"]) + int(hour["more"])
