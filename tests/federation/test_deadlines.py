"""Deadlines on one timer: who is late is ended, nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from federation.deadlines import Deadlines


@dataclass(eq=False)
class HandTimer:
    at_s: float
    callback: Callable[[], object]
    timers: list[HandTimer]

    def cancel(self) -> None:
        self.timers.remove(self)


class Hands:
    """The time and the timers of a loop, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.timers: list[HandTimer] = []
        self.made = 0

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[[], object], /) -> HandTimer:
        self.made += 1
        timer = HandTimer(when, callback, self.timers)
        self.timers.append(timer)
        return timer

    async def move(self, seconds: float) -> None:
        """Let time pass, and the tasks take notice of it."""
        await asyncio.sleep(0)
        self.now_s += seconds
        for timer in [timer for timer in self.timers if timer.at_s <= self.now_s]:
            timer.cancel()
            timer.callback()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def hands() -> Hands:
    return Hands()


def waiting(hands: Hands, deadlines: Deadlines, seconds: float) -> asyncio.Task[str]:
    async def wait() -> str:
        try:
            with deadlines.within(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)  # the task goes on as any other
            return "late"
        return "in time"

    return asyncio.create_task(wait())


async def test_what_ends_in_time_is_left_alone(hands: Hands) -> None:
    deadlines = Deadlines(hands)
    with deadlines.within(3):
        await hands.move(2.9)
    await hands.move(10)
    assert hands.timers == []


@pytest.mark.parametrize("seconds", [3, 0, -1])
async def test_what_is_late_is_a_timeout(hands: Hands, seconds: float) -> None:
    task = waiting(hands, Deadlines(hands), seconds)
    await hands.move(3)
    assert task.result() == "late"
    assert not task.cancelling()


async def test_each_has_its_own_end(hands: Hands) -> None:
    deadlines = Deadlines(hands)
    tasks = {seconds: waiting(hands, deadlines, seconds) for seconds in (50, 10, 30)}
    for passed in (10, 30, 50):
        await hands.move(10 if passed == 10 else 20)
        assert [seconds for seconds, task in tasks.items() if not task.done()] == [
            seconds for seconds in tasks if seconds > passed
        ]
    assert hands.timers == []


async def test_the_end_of_one_is_not_the_end_of_the_next(hands: Hands) -> None:
    deadlines = Deadlines(hands)
    with deadlines.within(3):
        await hands.move(2)
    with deadlines.within(3):
        await hands.move(2)


async def test_one_timer_does_for_many(hands: Hands) -> None:
    deadlines = Deadlines(hands)
    for _ in range(100):
        with deadlines.within(3):
            await hands.move(0.001)
    assert hands.made == 1


async def test_a_cancellation_from_elsewhere_stays_one(hands: Hands) -> None:
    task = waiting(hands, Deadlines(hands), 3)
    await asyncio.sleep(0)
    task.cancel()
    await hands.move(0)
    assert task.cancelled()


async def test_another_error_is_not_hidden(hands: Hands) -> None:
    with pytest.raises(ValueError, match="mine"), Deadlines(hands).within(3):
        raise ValueError("mine")


async def test_closed_it_leaves_no_timer(hands: Hands) -> None:
    deadlines = Deadlines(hands)
    with deadlines.within(3):
        deadlines.close()
    assert hands.timers == []
