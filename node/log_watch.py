"""What is wrong with logs, own and peers', for metrics and health: read from the store now and then, told from memory.

Every replica reads the same rows, so all of them tell the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from federation.log_conflicts import Conflict, ConflictKind, is_alarming
from federation.peers import Directory
from federation.ports import Clock, LogGate
from node.health import Probe, Reason
from node.store.database import Database
from node.store.settling import SettlingRows, Unsettled
from node.store.witness import ConflictRows, WitnessRows

__all__ = ["CONFLICT_WORDS", "LogWatch", "gate_probe"]

UNSETTLED_AFTER: Final = timedelta(seconds=60)
"""For so long a checkpoint may wait for the quorum before somebody should look."""
_MOST_READ: Final = 50
"""Of each kind."""
_MOST_TOLD: Final = 10
_MOST_WORDS: Final = 300
CONFLICT_WORDS: Final = {
    ConflictKind.FORK: ("为同一大小签署了两个根", "has signed two roots for one size"),
    ConflictKind.SHRUNK: ("交来的树比已见证的小", "offered a smaller tree than was cosigned"),
    ConflictKind.BAD_PROOF: (
        "未能证明其树延续已见证的",
        "did not prove that its tree extends what was cosigned",
    ),
    ConflictKind.GENERATION: ("声称的日志代次倒退", "claims an earlier generation of its log"),
    ConflictKind.RESTART: ("重新开始了日志", "began its log anew"),
    ConflictKind.OWN_AHEAD: (
        "见证人持有本节点签署而本库没有的内容",
        "a witness holds what is not in this store",
    ),
    ConflictKind.OWN_FORK: ("见证人持有本节点签署的另一历史", "a witness holds another history of this log"),
    ConflictKind.OWN_CLAIMED: (
        "见证人称知道另一历史，未予证明",
        "a witness claims another history, unproven",
    ),
    ConflictKind.RECORD_ALTERED: ("库中的记录被改动", "holds a record that was altered"),
    ConflictKind.RECORD_MISSING: ("日志缺少双方的一次交换", "has lost an exchange that the other log has"),
}


def gate_probe(gate: LogGate) -> Probe:
    """Not ready while the own log is closed: nothing can be released."""

    def look() -> Reason | None:
        if not gate.reason:
            return None
        return Reason(
            "log_closed",
            f"存证日志已关闭：{gate.reason}；查明后执行 yrd log restart",
            f"the log of evidence is closed: {gate.reason}; find out why, then yrd log restart",
        )

    return look


class LogWatch(Collector):
    """The conflicts that nobody took note of, and what is not settled yet."""

    def __init__(self, database: Database, directory: Directory, clock: Clock) -> None:
        self._rows = ConflictRows(database)
        self._witnessed = WitnessRows(database)
        self._settling = SettlingRows(database)
        self._directory = directory
        self._clock = clock
        self._alarming: Sequence[Conflict] = ()
        self._unsettled = Unsettled()

    async def refresh(self) -> None:
        """Read the store. Raises OwnStoreUnavailable; what was read last stays then."""
        sizes, now = await self._witnessed.sizes(), self._clock.now()
        found = await self._rows.open_of_each_kind(limit=_MOST_READ)
        self._unsettled = await self._settling.unsettled()
        self._alarming = [one for one in found if is_alarming(one, sizes, now)]

    def warnings(self) -> Sequence[Reason]:
        """What somebody should look at; of conflicts first what the log itself must have brought about."""
        return [*map(_reason, self._alarming[:_MOST_TOLD]), *self._of_quorum(), *self._of_settling()]

    def _of_quorum(self) -> Iterator[Reason]:
        """The anchor names the quorum without knowing who cosigns."""
        quorum, members = self._directory.current.witness_quorum, self._cosigning()
        if self._directory.current.refreshed_at is None or not quorum:
            return
        if quorum > members:
            yield Reason(
                "quorum_out_of_reach",
                f"锚要求 {quorum} 个见证，可见证的成员只有 {members} 个：存证时间无法证明",
                f"the anchor's quorum is {quorum} and {members} members cosign: no time can be proven",
            )
        elif quorum * 2 <= members:
            yield Reason(
                "quorum_too_small",
                f"锚要求 {quorum} 个见证，可见证的成员有 {members} 个：两组互不相干的见证人可为两份历史作证",
                f"the anchor's quorum is {quorum} and {members} members cosign: two groups of witnesses with nobody in"
                " common could settle two histories",
            )

    def _cosigning(self) -> int:
        peers = self._directory.current.peers.values()
        return sum(1 for peer in peers if peer.witness_keys and peer.standing == "member")

    def _of_settling(self) -> Iterator[Reason]:
        since = self._unsettled.since
        if since is None or self._clock.now() - since < UNSETTLED_AFTER:
            return
        snapshot, members = self._directory.current, self._cosigning()
        at = since.isoformat(timespec="seconds")
        yield Reason(
            "log_unsettled",
            f"{at} 以来的存证未获法定数见证（须 {snapshot.witness_quorum}，可见证的成员 {members}）",
            f"nothing is settled since {at}: the quorum is {snapshot.witness_quorum or 'not named by the anchor'}, "
            f"{members} members cosign",
        )

    def collect(self) -> Iterator[Metric]:
        """The figures, for whoever scrapes."""
        conflicts = GaugeMetricFamily(
            "yrd_log_conflicts",
            "Contradictions in logs that nobody took note of, by the province of the log and kind.",
            labels=["province", "kind"],
        )
        counts = Counter((self._province(one.entity_id), one.kind.value) for one in self._alarming)
        for labels, count in counts.items():
            conflicts.add_metric(labels, count)
        yield conflicts
        yield GaugeMetricFamily(
            "yrd_log_unsettled_checkpoints",
            "Checkpoints of the own log after the newest settled one.",
            value=self._unsettled.checkpoints,
        )
        settled_at = self._unsettled.settled_at
        age_s = float("nan") if settled_at is None else (self._clock.now() - settled_at).total_seconds()
        yield GaugeMetricFamily(
            "yrd_log_settled_age_seconds",
            "Since the quorum's time of the newest settled checkpoint.",
            value=age_s,
        )

    def _province(self, entity_id: str) -> str:
        snapshot = self._directory.current
        if entity_id == snapshot.own_entity:
            return snapshot.own_province
        peer = snapshot.peers.get(entity_id)
        return peer.province if peer else "unknown"


def _reason(conflict: Conflict) -> Reason:
    zh, en = CONFLICT_WORDS[conflict.kind]
    code = "log_restarted" if conflict.kind is ConflictKind.RESTART else "log_conflict"
    how = f"yrd log conflicts --acknowledge {conflict.number}"
    detail = conflict.detail[:_MOST_WORDS]
    return Reason(
        code,
        f"{conflict.entity_id} {zh}（{conflict.at:%Y-%m-%d %H:%M}Z）；查明后 {how}",
        f"{conflict.entity_id} {en}: {detail}; find out why, then {how}",
    )
