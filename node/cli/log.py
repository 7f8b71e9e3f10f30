"""The node's own log of evidence: how it stands, closing a generation, a full pass over it.

Through the running node when there is one, else straight on its store, with an audit row either way for what changes
something.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.log_conflicts import conflicts
from node.cli.say import Failed, actor, config_option, say
from node.config import Config, read_config
from node.control import CommandRefused, call_control

if TYPE_CHECKING:
    from node.store.log_check import LogFindings

__all__ = ["log"]

_RESTART_S = 600.0
"""A restart first takes the rest of the log into the tree, which may be much after a long stop."""


@click.group()
def log() -> None:
    """存证日志：状态、重新开始、全面核对。

    The log of evidence: how it stands, beginning it anew, a full pass over it, contradictions.
    """


log.add_command(conflicts)


@log.command()
@click.option("--json", "as_json", is_flag=True, help="JSON 输出 / Print JSON")
@config_option
def status(as_json: bool, config_path: Path) -> None:
    """代次、检查点、未确定的记录 / Generations, checkpoints, records that are not settled."""
    state = _carry_out(config_path, "log.status", {})
    if as_json:
        import orjson

        click.echo(orjson.dumps(state, option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(f"第 {state['generation']} 代 generation {state['generation']}")
    if state["closed"]:
        click.echo(f"  ! 已关闭 closed: {state['closed']}")
        click.echo("  ! 查明原因后执行 find out why, then: yrd log restart --reason …")
    click.echo(f"  记录 records {state['records']}, 未确定 unsettled {state['unsettled']}")
    for words, row in (("已签名 signed", state["signed"]), ("已确定 settled", state["settled"])):
        if row:
            at = row["settled_at"] if words.endswith("settled") else row["made_at"]
            click.echo(f"  {words}: {row['size']}  {at}  {row['root']}")
    for row in state["generations"]:
        if row["closed_at"]:
            why = f"; {row['halted']}" if row["halted"] else ""
            click.echo(
                f"  第 {row['generation']} 代 {row['opened_at']} – {row['closed_at']}, {row['closed_size']} 条"
                f" records{why}"
            )
        if row["reason"]:
            click.echo(
                f"  第 {row['generation']} 代因 generation {row['generation']} because: {row['reason']}"
            )


@log.command()
@click.option("--reason", required=True, help="原因，永久保存 / Why; it is kept for ever")
@config_option
def restart(reason: str, config_path: Path) -> None:
    """关闭本代，开始下一代。

    Close the open generation with its last checkpoint and open the next. What is proven stays proven; records that no
    checkpoint held before the log was closed stay without one.
    """
    result = _carry_out(config_path, "log.restart", {"reason": reason}, timeout_s=_RESTART_S)
    closed, opened = result["closed"], result["opened"]
    left = opened["first_index"] - closed["first_index"] - closed["closed_size"]
    say(
        f"第 {closed['generation']} 代已关闭，共 {closed['closed_size']} 条",
        f"generation {closed['generation']} is closed with {closed['closed_size']} records",
    )
    if left > 0:
        say(f"其后 {left} 条未列入任何检查点", f"the {left} records after it are in no checkpoint")
    say(
        f"第 {opened['generation']} 代已开始",
        f"generation {opened['generation']} begins with record {opened['first_index']}",
    )


@log.command()
@config_option
def verify(config_path: Path) -> None:
    """从头核对全部记录、瓦片与检查点。

    A full pass over what is stored: bodies make leaves, leaves make tiles, tiles make the root of every checkpoint.
    The node may be running. Exit code 1 when something differs; the first such records are named.
    """
    findings = asyncio.run(_verify(read_config(config_path, check_files=False)))
    say(
        f"核对 {findings.records} 条记录、{findings.checkpoints} 个检查点；已删 {findings.forgotten}，"
        f"已归档 {findings.archived}，未列入检查点 {findings.unsequenced}",
        f"{findings.records} records, {findings.checkpoints} checkpoints; {findings.forgotten} forgotten, "
        f"{findings.archived} archived, {findings.unsequenced} in no checkpoint",
    )
    if findings.fault_count:
        for fault in findings.faults:
            click.echo(f"  ! {fault}", err=True)
        raise Failed(
            f"{findings.fault_count} 处不符", f"{findings.fault_count} things differ, the first above"
        )


async def _verify(config: Config) -> LogFindings:
    from node.cli.evidence_ground import opened_evidence
    from node.keystore.encrypted_bodies import EncryptedBodies
    from node.store.log_check import LogCheck

    async with opened_evidence(config) as ground:
        bodies = EncryptedBodies(ground.data_keys)
        counting = LogCheck(ground.database, bodies, entity_id=config.node.entity_id)
        with click.progressbar(length=await counting.count(), label="核对 verifying", file=sys.stderr) as bar:
            check = LogCheck(ground.database, bodies, entity_id=config.node.entity_id, seen=bar.update)
            return await check.run()


def _carry_out(
    config_path: Path, command: str, arguments: Mapping[str, Any], *, timeout_s: float = 30.0
) -> Mapping[str, Any]:
    """Have the running node do it, or do it on the store when none runs here."""
    config = read_config(config_path, check_files=False)
    try:
        return call_control(config.listen.control, command, timeout_s=timeout_s, **arguments)
    except (FileNotFoundError, ConnectionError):
        return asyncio.run(_on_the_store(config, command, arguments))
    except TimeoutError:
        raise Failed(
            "节点没有及时应答；先用 yrd log status 查看是否已执行",
            "the node did not answer in time: see with yrd log status whether it was done",
        ) from None


async def _on_the_store(config: Config, command: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    from node.clock import SystemClock
    from node.keystore.configured import opened_keystore
    from node.logs import configure_logs
    from node.own_log import LogSteering, own_sequencer
    from node.store.audit import AuditRows
    from node.store.database import open_database
    from node.store.log_gate import StoreLogGate
    from node.store.tree import TreeStore

    configure_logs("critical")  # what is wrong with the log is in the answer
    clock, gate = SystemClock(), StoreLogGate()
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, clock, whole=False) as keystore:
            with ExitStack() as stack:
                sequencer = own_sequencer(stack, config, database, keystore, gate, clock)
                handlers = LogSteering(sequencer, TreeStore(database), gate).handlers()
                outcome = "internal"
                try:
                    result = await handlers[command](arguments)
                    outcome = "ok"
                except CommandRefused as error:
                    outcome = error.code
                    raise
                finally:
                    if command != "log.status":
                        detail = {"arguments": dict(arguments), "outcome": outcome}
                        await AuditRows(database, clock).note(actor(), command, detail)
    finally:
        await database.close()
    return result
