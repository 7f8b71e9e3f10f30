"""How much one peer or one platform may take: token buckets for the rate, a room for what is in flight.

Time is passed in as a function that returns seconds on a clock that never goes back: `time.monotonic`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["InFlight", "TokenBuckets"]


class TokenBuckets:
    """A token bucket per key: `burst` at once, then `rate_per_s`.

    A full bucket is the same as none, so buckets that had time to fill up vanish. At most `most` are kept: a
    new key that finds no room is refused, since making room would hand a fresh burst to whoever invents keys.
    """

    __slots__ = ("_buckets", "_burst", "_fill_s", "_most", "_now_s", "_rate")

    def __init__(
        self, rate_per_s: float, burst: float, *, now_s: Callable[[], float], most: int = 4096
    ) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._fill_s = burst / rate_per_s
        self._most = most
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take one token. Returns 0.0 when there was one, else the seconds until there is."""
        now_s = self._now_s()
        tokens = self._tokens(key, now_s)
        if tokens is None:
            return self._fill_s
        granted = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if granted else tokens, now_s)
        self._buckets.move_to_end(key)
        return 0.0 if granted else (1.0 - tokens) / self._rate

    def wait_s(self, key: str) -> float:
        """What `take` would return; nothing is taken."""
        tokens = self._tokens(key, self._now_s())
        if tokens is None:
            return self._fill_s
        return 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._rate

    def _tokens(self, key: str, now_s: float) -> float | None:
        """What is in a bucket now; None where there is none and no room for one."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            return min(self._burst, bucket[0] + (now_s - bucket[1]) * self._rate)
        self._forget_full(now_s)
        return None if len(self._buckets) >= self._most else self._burst

    def _forget_full(self, now_s: float) -> None:
        """Drop from the longest unused: after `_fill_s` without use a bucket is full, whatever was in it."""
        while self._buckets:
            key = next(iter(self._buckets))
            if now_s - self._buckets[key][1] < self._fill_s:
                return
            del self._buckets[key]


class InFlight:
    """A room of `limit` places that several keys share, without one of them filling it.

    A key may take another place while it holds fewer than are free. One busy key gets half of the room, two
    get a third each, and a newcomer finds a place (dynamic thresholds with α = 1: Choudhury and Hahne,
    "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM ToN 6(2), 1998).
    """

    __slots__ = ("_free", "_held")

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._held: dict[str, int] = {}

    def enter(self, key: str) -> bool:
        """Take a place; whoever gets True calls `leave` once."""
        held = self._held.get(key, 0)
        if held >= self._free:
            return False
        self._held[key] = held + 1
        self._free -= 1
        return True

    def leave(self, key: str) -> None:
        """Give a place back."""
        self._free += 1
        held = self._held.pop(key) - 1
        if held:
            self._held[key] = held
