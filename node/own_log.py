"""The own log of a running node, put together: sequencer, tree, what operators see of it and do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from federation.ports import CheckpointRow, Clock, LogGate, LogGeneration, Tree
from node.config import Config
from node.control import CommandRefused, Handler
from node.ground import Ground
from node.health import Reason, Warner
from node.keystore import Keystore, Purpose
from node.keystore.releasing import releasing_signer
from node.sequencer import Sequencer
from node.store.database import Database
from node.store.log_gate import StoreLogGate
from node.store.log_mark import MARK_FILE, FileMark
from node.store.tree import TreeStore
from node.store.tree_growth import TreeGrowth

__all__ = ["LogMetrics", "LogSteering", "OwnLog", "log_warner", "open_own_log", "own_sequencer"]

LATE_AFTER: Final = timedelta(seconds=60)
"""For so long records may wait for a checkpoint before somebody should look."""

_MOST_REASON = 200


@dataclass(frozen=True, slots=True)
class OwnLog:
    """The parts of the own log that a node is made of."""

    sequencer: Sequencer
    tree: TreeStore
    steering: LogSteering


async def open_own_log(stack: AsyncExitStack, ground: Ground) -> OwnLog:
    """Compare the store with the mark, before anything is written; `stack` closes what was opened.

    A store that does not fit closes the gate. Raises OwnStoreUnavailable.
    """
    sequencer = own_sequencer(
        stack, ground.config, ground.database, ground.keystore, ground.gate, ground.clock
    )
    await sequencer.begin()
    tree = TreeStore(ground.database)
    ground.metrics.registry.register(LogMetrics(sequencer, ground.gate))
    ground.health.add_warner(log_warner(sequencer, ground.clock))
    return OwnLog(sequencer, tree, LogSteering(sequencer, tree, ground.gate))


def own_sequencer(
    stack: ExitStack | AsyncExitStack,
    config: Config,
    database: Database,
    keystore: Keystore,
    gate: StoreLogGate,
    clock: Clock,
) -> Sequencer:
    """The sequencer of this node's log, in a running node or beside one that is not running."""
    growth = TreeGrowth(database)
    stack.callback(growth.close)
    mark = FileMark(config.path.parent / MARK_FILE)
    signer = releasing_signer(keystore, Purpose.LOG)
    return Sequencer(growth, mark, gate, signer, clock, entity_id=config.node.entity_id)


class LogMetrics(Collector):
    """The figures of the own log, from memory."""

    def __init__(self, sequencer: Sequencer, gate: LogGate) -> None:
        self._sequencer = sequencer
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        """As the last turn saw it."""
        state = self._sequencer.state
        made_at = state.checkpoint_at.timestamp() if state.checkpoint_at else float("nan")
        for name, text, value in (
            ("yrd_log_generation", "The open generation of the own log.", state.generation),
            ("yrd_log_records", "Records of the open generation.", state.records),
            ("yrd_log_size", "Records that the last checkpoint holds.", state.size),
            ("yrd_log_unsettled_records", "Records whose time is not proven yet.", state.unsettled),
            ("yrd_log_checkpoint_timestamp_seconds", "When the last checkpoint was made.", made_at),
            ("yrd_log_closed", "Whether the own log is closed.", float(bool(self._gate.reason))),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def log_warner(sequencer: Sequencer, clock: Clock) -> Warner:
    """Warns when records wait for a checkpoint: the log key is away, the store is slow, or the loop stands."""

    def warn() -> list[Reason]:
        state = sequencer.state
        since = state.waits_since
        if since is None or clock.now() - since < LATE_AFTER:
            return []
        at = since.isoformat(timespec="seconds")
        return [
            Reason(
                "log_checkpoint_late",
                f"{at} 以来的记录未列入已签名的检查点，见 yrd log status 与节点日志",
                f"records wait for a signed checkpoint since {at}: see yrd log status and the node's log",
            )
        ]

    return warn


async def _nobody_to_ask() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class LogSteering:
    """What an operator asks of the own log, and does with it (`yrd log`).

    `seen_elsewhere` gives the highest generation that others know of this log, as far as they can be asked.
    """

    sequencer: Sequencer
    tree: Tree
    gate: LogGate
    seen_elsewhere: Callable[[], Awaitable[int]] = _nobody_to_ask

    def handlers(self) -> Mapping[str, Handler]:
        """The commands by name."""
        return {"log.status": self.status, "log.restart": self.restart}

    async def status(self, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The generations, and how far the open one is."""
        await self.sequencer.look()
        settled, signed = await self.tree.latest_settled(), await self.tree.latest()
        return {
            **self.summary(),
            "signed": _told_checkpoint(signed),
            "settled": _told_checkpoint(settled),
            "generations": [_told(one) for one in await self.tree.generations()],
        }

    def summary(self) -> Mapping[str, Any]:
        """The log in a few figures, from memory."""
        state = self.sequencer.state
        return {
            "generation": state.generation,
            "closed": self.gate.reason,
            "records": state.records,
            "size": state.size,
            "unsettled": state.unsettled,
            "checkpoint_at": state.checkpoint_at.isoformat() if state.checkpoint_at else None,
        }

    async def restart(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Close the open generation, open the next. `reason` is kept with it and shown to whoever looks."""
        reason = _reason(arguments)
        closed, opened = await self.sequencer.restart(reason, above=await self.seen_elsewhere())
        return {"closed": _told(closed), "opened": _told(opened)}


def _reason(arguments: Mapping[str, Any]) -> str:
    """Raises CommandRefused without a reason: years later nobody would know why the log was begun anew."""
    reason = " ".join(str(arguments.get("reason") or "").split())
    if not 0 < len(reason) <= _MOST_REASON:
        raise CommandRefused(
            "log.reason",
            f"须写明原因，至多 {_MOST_REASON} 字",
            f"say why, in at most {_MOST_REASON} characters",
        )
    return reason


def _told_checkpoint(row: CheckpointRow | None) -> Mapping[str, Any] | None:
    if row is None:
        return None
    return {
        "size": row.size,
        "root": row.root.hex(),
        "made_at": row.made_at.isoformat(),
        "settled_at": row.settled_at.isoformat() if row.settled_at else None,
    }


def _told(row: LogGeneration) -> Mapping[str, Any]:
    return {
        "generation": row.generation,
        "first_index": row.first_index,
        "opened_at": row.opened_at.isoformat(),
        "reason": row.reason,
        "halted": row.halted,
        "closed_at": row.closed_at.isoformat() if row.closed_at else None,
        "closed_size": row.closed_size,
        "closed_root": row.closed_root.hex() if row.closed_root is not None else None,
    }
