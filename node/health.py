"""Whether the node lives and whether it should be given work, with the reasons in words.

Alive means that its event loop answers. Ready means that a query would go through as far as this node goes:
trust is resolved, the store takes writes, and it is not on its way out. A slow or dead peer or registry does
not make a node unready: the other three provinces still work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from federation.peers import Directory
from federation.ports import Clock

__all__ = [
    "Health",
    "KeyWatch",
    "Probe",
    "Reason",
    "Stage",
    "StoreWatch",
    "Warner",
    "keys_probe",
    "keys_warner",
    "trust_probe",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a node is not ready, or may soon not be.

    `code` is for machines, `zh` and `en` for people; none holds personal data.
    """

    code: str
    zh: str
    en: str


Probe = Callable[[], Reason | None]
"""Looks at something in memory and says what is wrong with it, if anything. It must not block."""


Warner = Callable[[], Sequence[Reason]]
"""Looks at something in memory and says what will go wrong with it. It must not block."""


class Stage(Enum):
    """Where a node is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


_STARTING = Reason("starting", "节点正在启动", "the node is starting")
_DRAINING = Reason("draining", "节点正在停止，不再接受新请求", "the node is stopping and takes no new work")


class Health:
    """Gathers the probes. The stage is set by `lifecycle`; everything else is asked when someone asks."""

    def __init__(self, probes: Sequence[Probe] = (), warners: Sequence[Warner] = ()) -> None:
        self._probes = tuple(probes)
        self._warners = tuple(warners)
        self.stage = Stage.STARTING

    def add_warner(self, warner: Warner) -> None:
        """Ask this one, too, from now on."""
        self._warners += (warner,)

    def reasons(self) -> tuple[Reason, ...]:
        """Why the node is not ready now; empty when it is."""
        found = [reason for probe in self._probes if (reason := probe()) is not None]
        if self.stage is Stage.STARTING:
            found.insert(0, _STARTING)
        if self.stage is Stage.DRAINING:
            found.insert(0, _DRAINING)
        return tuple(found)

    def warnings(self) -> tuple[Reason, ...]:
        """What someone should look at although the node works; empty when there is nothing."""
        return tuple(reason for warner in self._warners for reason in warner())

    @property
    def is_ready(self) -> bool:
        """Whether work should come here."""
        return not self.reasons()


def trust_probe(directory: Directory, clock: Clock) -> Probe:
    """Unready until trust was resolved once; ready again with old trust, since chains live for days.

    Old trust is a reason to warn, not to stop (design §5), so age alone is told by metrics and status only;
    but with no chain left that has not expired there is nobody to deal with.
    """

    def probe() -> Reason | None:
        snapshot = directory.current
        if snapshot.refreshed_at is None:
            return Reason("trust_unresolved", "尚未取得信任状态", "trust is not resolved yet")
        now = clock.now()
        if snapshot.peers and all(now >= peer.expires_at for peer in snapshot.peers.values()):
            return Reason("trust_expired", "所有信任链均已过期", "every trust chain has expired")
        return None

    return probe


def keys_probe(silent: Callable[[], Sequence[str]]) -> Probe:
    """Unready while nothing can sign for a purpose in this process; `silent` gives such purposes."""

    def probe() -> Reason | None:
        for purpose in silent():
            return Reason(
                "key_unusable",
                f"{purpose} 密钥在本进程不可用，见 yrd keys list",
                f"the {purpose} key cannot be used by this process: see yrd keys list",
            )
        return None

    return probe


def keys_warner(faults: Callable[[], Mapping[str, str]]) -> Warner:
    """Warns of each key that this process could not open; `faults` are by key id. It may be one to come, or the one
    before it still stands in, for as long as peers take it.
    """

    def warn() -> Sequence[Reason]:
        return [
            Reason(
                "key_not_opened",
                f"密钥 {kid} 在本进程无法打开，见 yrd keys list",
                f"key {kid} cannot be opened by this process: see yrd keys list",
            )
            for kid in faults()
        ]

    return warn


class StoreWatch:
    """Remembers whether the store took the last write. The journal reports to it; the probe is `__call__`.

    A failure counts until a write succeeds. `retry_s` after it the node says ready again, so that a load
    balancer sends it the write that will show whether the store is back.
    """

    def __init__(self, clock: Clock, *, retry_s: float = 5.0) -> None:
        self._clock = clock
        self._retry = timedelta(seconds=retry_s)
        self._failed_at: datetime | None = None

    def succeeded(self) -> None:
        """The store took a write."""
        self._failed_at = None

    def failed(self) -> None:
        """The store refused a write, or is not there."""
        self._failed_at = self._clock.now()

    def __call__(self) -> Reason | None:
        """Unready while the store failed recently."""
        if self._failed_at is None or self._clock.now() - self._failed_at > self._retry:
            return None
        return Reason("store_failing", "存证库暂不可用", "the store does not take writes")


class KeyWatch:
    """Remembers whether something could not be signed lately: the envelope key's token may be away.

    The journal reports failures; the probe is `__call__`. `retry_s` after the last one the node says ready again,
    so that the next query shows whether the key is back.
    """

    def __init__(self, clock: Clock, *, retry_s: float = 5.0) -> None:
        self._clock = clock
        self._retry = timedelta(seconds=retry_s)
        self._failed_at: datetime | None = None

    def failed(self) -> None:
        """Something could not be signed."""
        self._failed_at = self._clock.now()

    def __call__(self) -> Reason | None:
        """Unready while signing failed recently."""
        if self._failed_at is None or self._clock.now() - self._failed_at > self._retry:
            return None
        return Reason("key_failing", "签名密钥暂不可用", "the signing key cannot be used")
