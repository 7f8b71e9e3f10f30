"""`yrd evidence rewrap`: new data keys, and the keys of records wrapped anew under them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.say import actor, config_option, say

if TYPE_CHECKING:
    from node.config import Config
    from node.keeping import Rewrapped

__all__ = ["rewrap"]


@click.command()
@click.option(
    "--new-key",
    type=click.Choice(["records", "holders", "logins"]),
    help="先换一把数据密钥 / First make a new data key of this purpose",
)
@config_option
def rewrap(new_key: str | None, config_path: Path) -> None:
    """用最新的数据密钥重新包裹各记录的密钥；正文不动。

    Wrap the key of every record by the newest data key, and drop older data keys under which nothing is left. Bodies
    are not touched. A running node does the same by itself, every `evidence.keep_every_s`. Hashes of holders cannot be
    made anew, for nobody has the numbers: an older key for them stays, for searching, until its last record is
    forgotten. Rows of logins are not written anew: an older key for them goes when all of them are gone.
    """
    from node.config import read_config

    config = read_config(config_path)
    done = asyncio.run(_rewrap(config, new_key))
    say(
        f"已重新包裹 {done.keys} 把记录密钥、{done.archives} 个归档文件的密钥",
        f"wrapped the keys of {done.keys} records and {done.archives} archive files anew",
    )
    if done.dropped:
        numbers = "、".join(map(str, done.dropped))
        say(f"已销毁数据密钥 {numbers}", "these data keys were destroyed: nothing was left under them")
    if done.damaged:
        say(
            f"{done.damaged} 条记录的密钥已损坏，旧数据密钥保留",
            "the keys of some records are damaged, so the older data key stays; see the log",
        )
    if done.without_folder:
        say(
            "已有归档文件，但未配置 [evidence] archive：旧数据密钥保留",
            "there are archive files, but [evidence] archive is not set here: older data keys stay; set it, run again",
        )
    if new_key or done.waits_s:
        wait = max(done.waits_s, 2 * config.keys.publish_s if new_key else 0)
        say(
            f"新密钥先公布再使用：约 {wait:.0f} 秒后再运行一次，或由节点自行完成",
            "a new key is known everywhere before it is used: run this again then, or leave it to the node",
        )


async def _rewrap(config: Config, new_key: str | None) -> Rewrapped:
    from node.cli.evidence_ground import opened_evidence
    from node.keystore.data_keys import DataPurpose

    async with opened_evidence(config) as ground:
        if new_key:
            key = await ground.data_keys.rotate(DataPurpose(new_key))
            await ground.audit.note(
                actor(), "evidence.new_data_key", {"purpose": new_key, "key_id": key.key_id}
            )
        with click.progressbar(length=1000, label="重新包裹 / Rewrapping", file=sys.stderr) as bar:
            done = await ground.keeping.rewrap(
                lambda at, total: bar.update(at * 1000 // max(1, total) - bar.pos)
            )
        await ground.keeping.drop_holder_keys()
        await ground.audit.note(
            actor(), "evidence.rewrap", {"records": done.keys, "dropped": list(done.dropped)}
        )
        return done
