"""Many deadlines on one timer of the event loop.

A timer for each exchange costs more than what it guards: it is made, put in order and taken away again, and
nearly none ever comes. Here all that is open waits behind one timer, set to the earliest deadline it was told
of. Ends that come before it leave it where it is, so it is set anew about once in a time-out, not once an
exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Protocol

__all__ = ["Deadlines", "Timer", "Timers"]


class Timer(Protocol):
    """A timer that was set."""

    def cancel(self) -> object:
        """It does not come any more."""
        ...


class Timers(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Seconds, from any start."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Set a timer."""
        ...


class Deadlines:
    """The deadlines of one event loop. `close` when nothing waits any more."""

    __slots__ = ("_loop", "_open", "_set_to_s", "_timer")

    def __init__(self, loop: Timers) -> None:
        self._loop = loop
        self._open: set[_Within] = set()
        self._set_to_s = inf
        self._timer: Timer | None = None

    def within(self, seconds: float) -> _Within:
        """``with`` it, what the current task awaits ends within `seconds`, or TimeoutError is raised.

        As `asyncio.timeout`: a cancellation from elsewhere stays one.
        """
        return _Within(self, self._loop.time() + seconds)

    def close(self) -> None:
        """Leave no timer behind."""
        self._set(inf)

    def add(self, entry: _Within) -> None:
        """Watch this one."""
        self._open.add(entry)
        if entry.at_s < self._set_to_s:
            self._set(entry.at_s)

    def remove(self, entry: _Within) -> None:
        """It has ended."""
        self._open.discard(entry)

    def _set(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._set_to_s = at_s
        self._timer = None if at_s == inf else self._loop.call_at(at_s, self._pass)

    def _pass(self) -> None:
        # A timer may come a little early: then what it was for is as good as due.
        now_s = max(self._loop.time(), self._set_to_s)
        for entry in [entry for entry in self._open if entry.at_s <= now_s]:
            self._open.discard(entry)
            entry.pass_()
        self._timer = None
        self._set(min((entry.at_s for entry in self._open), default=inf))


class _Within:
    """One deadline around what one task awaits."""

    __slots__ = ("_cancelling", "_deadlines", "_has_passed", "_task", "at_s")

    def __init__(self, deadlines: Deadlines, at_s: float) -> None:
        self._deadlines = deadlines
        self._has_passed = False
        self.at_s = at_s

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._has_passed:
            self._deadlines.remove(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def pass_(self) -> None:
        """The deadline came first."""
        self._has_passed = True
        self._task.cancel()
