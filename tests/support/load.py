"""Load for journeys: so many queries in flight without a pause, and every failure kept with what it said.

It measures nothing: a journey does something to the nodes meanwhile, and then looks at who was answered.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ask", "Failure", "Load", "Pair"]

Pair = tuple[str, str]
"""Asking and answering province."""

Ask = Callable[[Pair], Awaitable[tuple[int, dict[str, Any]]]]
"""One query: HTTP status and body."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that was not answered. `number` counts all queries in the order in which they ended."""

    number: int
    pair: Pair
    status: int
    code: str
    detail: str


@dataclass
class Load:
    """Keeps `in_flight` queries open, each pair in its turn, while inside `running`."""

    ask: Ask
    pairs: Sequence[Pair]
    in_flight: int = 32
    answered: Counter[Pair] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    _ended: int = 0
    _stopping: bool = False
    _progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def ended(self) -> int:
        """How many queries have ended, either way."""
        return self._ended

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The load is on while inside; what is open on the way out is waited for."""
        turns = itertools.cycle(self.pairs)
        self._stopping = False
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.in_flight):
                tasks.create_task(self._work(turns))
            try:
                yield
            finally:
                self._stopping = True

    async def more(self, count: int) -> int:
        """Return when `count` queries that began after this call have ended; how many had ended before it."""
        before = self._ended
        enough = before + self.in_flight + count
        async with self._progress:
            await self._progress.wait_for(lambda: self._ended >= enough)
        return before

    def failed(self, *, since: int = 0, without: str = "") -> list[Failure]:
        """The failures from number `since` on; those of pairs with the province `without` left out."""
        return [each for each in self.failures if each.number >= since and without not in each.pair]

    async def _work(self, turns: itertools.cycle[Pair]) -> None:
        while not self._stopping:
            pair = next(turns)
            try:
                status, body = await self.ask(pair)
            except Exception as error:
                status, body = 0, {"code": type(error).__name__, "detail": str(error)}
            self._note(pair, status, body)
            async with self._progress:
                self._progress.notify_all()

    def _note(self, pair: Pair, status: int, body: dict[str, Any]) -> None:
        if status == 200:
            self.answered[pair] += 1
        else:
            code, detail = str(body.get("code", "")), str(body.get("detail", ""))
            self.failures.append(Failure(self._ended, pair, status, code, detail))
        self._ended += 1
