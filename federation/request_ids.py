"""Request ids: UUIDv7 (RFC 9562 §5.7), in the order in which they were made.

`rand_a` is a counter within the millisecond, seeded at random with its highest bit clear (§6.2, method 1).
When it runs over, or the clock goes back a little, the last id's time is kept or moved on, so that ids do not go
back. When the clock is set back by more than that, ids follow it: a peer takes no id that is far from its `asked_at`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from federation.ports import Clock

__all__ = ["RequestIds", "first_request_id", "time_of_request_id"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MOST_AHEAD_MS: Final = 30_000
_LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)


def time_of_request_id(request_id: str) -> datetime:
    """When a UUIDv7 says that it was made, to the millisecond; the end of the calendar for what lies beyond it."""
    try:
        return _EPOCH + int(request_id[:8] + request_id[9:13], 16) * _MILLISECOND
    except OverflowError:
        return _LATEST


def first_request_id(at: datetime) -> str:
    """The lower bound of all request ids of that millisecond and later, and above all earlier ones."""
    value = f"{max(0, (at - _EPOCH) // _MILLISECOND):012x}"
    return f"{value[:8]}-{value[8:]}-0000-0000-000000000000"


class RequestIds:
    """Makes request ids for one process; `random_bits` is replaced by tests only."""

    __slots__ = ("_clock", "_counter", "_ms", "_random_bits")

    def __init__(self, clock: Clock, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        self._clock = clock
        self._random_bits = random_bits
        self._ms = 0
        self._counter = 0

    def new(self) -> str:
        """36 characters, lower case; greater than all before it, unless the clock was set back."""
        ms = (self._clock.now() - _EPOCH) // _MILLISECOND
        if ms > self._ms or ms < self._ms - _MOST_AHEAD_MS:
            self._ms, self._counter = ms, self._random_bits(11)
        else:
            self._counter += 1
            if self._counter > 0xFFF:
                self._ms, self._counter = self._ms + 1, self._random_bits(11)
        value = f"{self._ms << 16 | 0x7000 | self._counter:016x}{1 << 63 | self._random_bits(62):016x}"
        return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"
