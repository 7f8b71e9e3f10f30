"""How old the peers' status lists are here: a figure, and a warning before consents are refused for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from federation.peers import Directory, Peer
from federation.ports import Clock
from federation.status_lists import StatusLists
from node.health import Reason

__all__ = ["ConsentWatch"]

_WARN_AT = 0.5
"""The share of the age at which a list refuses when somebody should look why nothing newer comes."""


class ConsentWatch(Collector):
    """The lists of all members that offer logins. A list that never came is as old as this watch."""

    def __init__(
        self, lists: StatusLists, directory: Directory, clock: Clock, *, status_max_age_s: float
    ) -> None:
        self._lists = lists
        self._directory = directory
        self._clock = clock
        self._warn_s = status_max_age_s * _WARN_AT
        self._since = clock.now()

    def warnings(self) -> Sequence[Reason]:
        """The members whose list is old."""
        return [_reason(peer, age_s) for peer, age_s in self._ages() if age_s > self._warn_s]

    def collect(self) -> Iterator[Metric]:
        """The ages."""
        ages = GaugeMetricFamily(
            "yrd_status_list_age_seconds",
            "Since a member's newest status list of consents that is known here was signed.",
            labels=["province"],
        )
        for peer, age_s in self._ages():
            ages.add_metric([peer.province], age_s)
        yield ages

    def _ages(self) -> Iterator[tuple[Peer, float]]:
        now = self._clock.now()
        for peer in self._directory.current.peers.values():
            if peer.openid is not None and peer.standing == "member":
                known = self._lists.find(peer.entity_id)
                since = self._since if known is None else known.issued_at
                yield peer, max(0.0, (now - since).total_seconds())


def _reason(peer: Peer, age_s: float) -> Reason:
    return Reason(
        "status_list_old",
        f"{peer.name}的授权状态列表已 {age_s:.0f} 秒未更新，过旧后其签发的授权将被拒绝",
        f"the status list of {peer.entity_id} is {age_s:.0f} s old: soon its consents are refused here",
    )
