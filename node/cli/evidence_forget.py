"""`yrd evidence forget`: delete the content of exchanges for good, and leave every proof whole."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from node.cli.evidence_search import read_holder
from node.cli.say import Failed, actor, config_option, say

if TYPE_CHECKING:
    from node.cli.evidence_ground import EvidenceGround
    from node.config import Config
    from node.keeping import Forgotten

__all__ = ["forget"]

_PAGE = 500


@click.command()
@click.option("--request-id", default="", help="一次交换 / One exchange")
@click.option(
    "--asking", default="", help="发问节点的实体标识；多个节点用了同一编号时须指明 / Which node asked"
)
@click.option(
    "--holder",
    "holder_type",
    metavar="TYPE",
    help="持证主体的全部，按证件类型代码；号码另行输入 / All about a holder; the number is asked for",
)
@click.option("--reason", required=True, help="事由，记入操作记录 / Why; kept in the audit")
@click.option("--yes", is_flag=True, help="不再询问 / Do not ask again")
@config_option
def forget(
    request_id: str, asking: str, holder_type: str | None, reason: str, yes: bool, config_path: Path
) -> None:
    """遗忘：删除内容、盐和密钥，无法恢复；各项证明仍然成立。

    Delete body, salt and key of exchanges in this node's log and its archives. It cannot be undone. What stays is the
    leaf, by which the tree and every proof hold, and who asked whom for what and when. The other node keeps its own
    record. The node may be running or not.
    """
    from node.config import read_config

    if bool(request_id) == (holder_type is not None) or (asking and not request_id):
        raise click.UsageError(
            "须给出 --request-id [--asking] 或 --holder 之一 / give either --request-id [--asking] or --holder"
        )
    if not reason.strip():
        raise click.UsageError("须写明事由 / --reason must say why")
    config = read_config(config_path)
    number = read_holder() if holder_type else ""
    wanted = _Exchange(request_id, asking) if request_id else _Holder(holder_type or "", number)
    done, count = asyncio.run(_forget(config, wanted, reason, yes))
    say(
        f"已遗忘 {count} 条记录（归档文件中 {done.in_archives} 条）",
        f"forgot {count} records, {done.in_archives} of them in archive files; every proof still holds",
    )
    if not done.is_flushed:
        say(
            "数据库日志中或仍有残留，节点下一次写入检查点后消失",
            "the database's write-ahead log may still hold them until it is next emptied, in the course of work",
        )
    if config.store.url.startswith("postgresql"):
        say(
            "PostgreSQL：VACUUM 之后旧行才被覆盖；备份与 WAL 归档须另行处理",
            "PostgreSQL: the old rows are overwritten after VACUUM; backups and archived WAL still hold them",
        )


class _Exchange(NamedTuple):
    request_id: str
    asking: str

    async def find(self, ground: EvidenceGround) -> Sequence[int]:
        return await ground.keeping.records_of(self.request_id, asking=self.asking)

    @property
    def said(self) -> dict[str, Any]:
        """What the audit is told."""
        return {"request_id": self.request_id, **({"asking": self.asking} if self.asking else {})}


class _Holder(NamedTuple):
    id_type: str
    number: str

    async def find(self, ground: EvidenceGround) -> Sequence[int]:
        return await _of_holder(ground, self.id_type, self.number)

    @property
    def said(self) -> dict[str, Any]:
        """What the audit is told: not the number."""
        return {"holder_type": self.id_type}


async def _forget(
    config: Config, wanted: _Exchange | _Holder, reason: str, yes: bool
) -> tuple[Forgotten, int]:
    from node.cli.evidence_ground import opened_evidence

    async with opened_evidence(config) as ground:
        indices = await wanted.find(ground)
        if not indices:
            raise Failed("没有可遗忘的记录", "there is no such exchange in this node's log or archives")
        if not yes:
            _confirm(len(indices))
        # Before: whoever looks later must find it even if this ends half way.
        await ground.audit.note(
            actor(), "evidence.forget", {**wanted.said, "reason": reason, "records": len(indices)}
        )
        return await ground.keeping.forget(indices), len(indices)


async def _of_holder(ground: EvidenceGround, id_type: str, number: str) -> Sequence[int]:
    """All records of the exchanges that were about a holder."""
    hashes = ground.holders.to_search(id_type, number)
    found: set[int] = set()
    after = -1
    while requests := await ground.rows.requests_of(hashes, after=after, limit=_PAGE):
        found.update(requests)
        found.update(await ground.rows.exchange_of(requests))
        after = requests[-1]
    return sorted(found)


def _confirm(count: int) -> None:
    question = f"将永久删除 {count} 条记录的内容 / delete the content of {count} records for good?"
    if not sys.stdin.isatty():
        raise Failed("须加 --yes 确认", "nothing was deleted: confirm with --yes")
    if not click.confirm(question, default=False, err=True):
        raise Failed("未作更改", "nothing was deleted")
