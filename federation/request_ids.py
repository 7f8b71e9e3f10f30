"""Request ids: UUIDv7 (RFC 9562 §5.7), in the order in which they were made.

`rand_a` is a counter within the millisecond, seeded at random with its highest bit clear (§6.2, method 1).
When it runs over, or the clock goes back, the last id's time is kept or moved on, so that ids never go back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from federation.ports import Clock

__all__ = ["RequestIds"]


class RequestIds:
    """Makes request ids for one process; `random_bits` is replaced by tests only."""

    __slots__ = ("_clock", "_counter", "_ms", "_random_bits")

    def __init__(self, clock: Clock, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        self._clock = clock
        self._random_bits = random_bits
        self._ms = 0
        self._counter = 0

    def new(self) -> str:
        """An id greater than all that came before it: 36 characters, lower case."""
        ms = int(self._clock.now().timestamp() * 1000)
        if ms > self._ms:
            self._ms, self._counter = ms, self._random_bits(11)
        else:
            self._counter += 1
            if self._counter > 0xFFF:
                self._ms, self._counter = self._ms + 1, self._random_bits(11)
        value = f"{self._ms << 16 | 0x7000 | self._counter:016x}{1 << 63 | self._random_bits(62):016x}"
        return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"
