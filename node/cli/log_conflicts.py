"""`yrd log conflicts`: what logs did that no log may do, and an operator taking note of it.

Straight on the store, which all replicas share; a running node tells nothing of it within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from node.cli.columns import show_columns
from node.cli.say import Failed, actor, config_option, say

if TYPE_CHECKING:
    from federation.log_conflicts import Conflict, ConflictKind

__all__ = ["conflicts"]

_MOST_REASON = 200
_MOST_SHOWN = 200


@click.command()
@click.option("--all", "every", is_flag=True, help="包括已知悉的 / Also those that somebody took note of")
@click.option(
    "--acknowledge", "number", type=int, help="已知悉该编号 / Take note of the one with this number"
)
@click.option("--acknowledge-all", is_flag=True, help="已知悉该类全部 / Take note of all of one --kind")
@click.option("--kind", default="", help="类别，如 shrunk / The kind, as it is listed")
@click.option("--reason", default="", help="查明的原因 / What was found out")
@click.option(
    "--json", "as_json", is_flag=True, help="JSON，含双方签名的检查点 / JSON, with the signed checkpoints"
)
@config_option
def conflicts(
    every: bool,
    number: int | None,
    acknowledge_all: bool,
    kind: str,
    reason: str,
    as_json: bool,
    config_path: Path,
) -> None:
    """日志冲突：列出，或记为已知悉。

    Contradictions in logs, the newest first. Each keeps the two signed checkpoints that contradict each other: show
    them to the other province, and to the anchor. Taking note ends the alarm, changes nothing else, and is audited.
    """
    from node.config import read_config

    if (number is not None and acknowledge_all) or acknowledge_all != bool(kind):
        raise click.UsageError(
            "--acknowledge-all 须与 --kind 同用，不与 --acknowledge 同用 / --acknowledge-all goes with --kind, and not "
            "with --acknowledge"
        )
    url = read_config(config_path, check_files=False).store.url
    if acknowledge_all:
        _acknowledge_kind(url, kind, " ".join(reason.split()))
        return
    if number is not None:
        _acknowledge(url, number, " ".join(reason.split()))
        return
    found = asyncio.run(_read(url, every))
    if as_json:
        click.echo(orjson.dumps([_told(one) for one in found], option=orjson.OPT_INDENT_2).decode())
        return
    rows = [
        (str(one.number), f"{one.at:%Y-%m-%d %H:%M:%S}Z", one.kind.value, one.origin, _noted(one), one.detail)
        for one in found
    ]
    if rows:
        show_columns(("编号 no.", "时间 at", "类别 kind", "日志 log", "知悉 noted", "说明 detail"), rows)
    else:
        say("没有冲突", "no conflicts")


def _acknowledge(url: str, number: int, reason: str) -> None:
    _require_reason(reason)
    found = asyncio.run(_note(url, number, reason))
    if found is None:
        raise Failed(f"没有编号 {number} 的冲突", f"there is no conflict {number}")
    say(f"已知悉 {number}：{found.entity_id}", f"noted: {found.kind.value} of {found.origin}")


def _acknowledge_kind(url: str, kind: str, reason: str) -> None:
    from federation.log_conflicts import ConflictKind

    _require_reason(reason)
    kinds = [one.value for one in ConflictKind]
    if kind not in kinds:
        raise click.UsageError(f"--kind 须为其一 / --kind is one of: {', '.join(kinds)}")
    count = asyncio.run(_note_all(url, ConflictKind(kind), reason))
    say(f"已知悉 {count} 个 {kind}", f"noted: {count} of kind {kind}")


def _require_reason(reason: str) -> None:
    if not 0 < len(reason) <= _MOST_REASON:
        raise click.UsageError(
            f"须以 --reason 写明，至多 {_MOST_REASON} 字 / say what was found out by --reason, in at most "
            f"{_MOST_REASON} characters"
        )


def _noted(conflict: Conflict) -> str:
    return f"{conflict.acknowledged_at:%Y-%m-%d %H:%M}Z" if conflict.acknowledged_at else "-"


def _told(conflict: Conflict) -> dict[str, Any]:
    return {
        "number": conflict.number,
        "at": conflict.at.isoformat(),
        "kind": conflict.kind.value,
        "entity_id": conflict.entity_id,
        "origin": conflict.origin,
        "detail": conflict.detail,
        "known": conflict.known,
        "offered": conflict.offered,
        "acknowledged_at": conflict.acknowledged_at.isoformat() if conflict.acknowledged_at else None,
    }


async def _read(url: str, every: bool) -> Sequence[Conflict]:
    from node.store.database import open_database
    from node.store.witness import ConflictRows

    database = await asyncio.to_thread(open_database, url)
    try:
        rows = ConflictRows(database)
        return await (rows.newest if every else rows.unacknowledged)(limit=_MOST_SHOWN)
    finally:
        await database.close()


async def _note(url: str, number: int, reason: str) -> Conflict | None:
    from node.clock import SystemClock
    from node.store.audit import AuditRows
    from node.store.database import open_database
    from node.store.witness import ConflictRows

    database, clock = await asyncio.to_thread(open_database, url), SystemClock()
    try:
        found = await ConflictRows(database).acknowledge(number, clock.now())
        if found is not None:
            detail = {"number": number, "kind": found.kind.value, "origin": found.origin, "reason": reason}
            await AuditRows(database, clock).note(actor(), "log.conflicts", detail)
        return found
    finally:
        await database.close()


async def _note_all(url: str, kind: ConflictKind, reason: str) -> int:
    from node.clock import SystemClock
    from node.store.audit import AuditRows
    from node.store.database import open_database
    from node.store.witness import ConflictRows

    database, clock = await asyncio.to_thread(open_database, url), SystemClock()
    try:
        count = await ConflictRows(database).acknowledge_all(kind, clock.now())
        detail = {"all": True, "kind": kind.value, "count": count, "reason": reason}
        await AuditRows(database, clock).note(actor(), "log.conflicts", detail)
        return count
    finally:
        await database.close()
