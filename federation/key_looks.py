"""What an unknown key of a member starts: one look at that member's configuration, at most so often.

Both sides of an exchange may meet a key that the last refresh did not see. A look is one fetch from the member
itself, beside any refresh, so that the peer's repeat finds its key known; a flood of unknown keys starts no more
than one look in `LOOKS_APART_S` for each member.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from federation.ports import Clock

__all__ = ["LOOKS_APART_S", "KeyLooks"]

LOOKS_APART_S = 5


class KeyLooks:
    """`look` looks at one entity and raises nothing; it is asked for members only, so what is kept is bounded."""

    def __init__(self, look: Callable[[str], Awaitable[None]], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._asked_at: dict[str, datetime] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, entity_id: str) -> bool:
        """Begin a look in the background. False: there was one just now, or it is under way."""
        if entity_id in self._under_way or not self.is_due(entity_id):
            return False
        task = asyncio.get_running_loop().create_task(self._run(entity_id))
        self._under_way[entity_id] = task
        task.add_done_callback(lambda _done: self._under_way.pop(entity_id, None))
        return True

    async def follow(self, entity_id: str) -> None:
        """Begin a look and wait for it, or for the one under way. Returns at once when there was one just now.

        A caller that is cancelled leaves the look going.
        """
        self.begin(entity_id)
        if (look := self._under_way.get(entity_id)) is not None:
            await asyncio.wait([look])

    async def close(self) -> None:
        """End what is under way."""
        looks = list(self._under_way.values())
        for look in looks:
            look.cancel()
        if looks:
            await asyncio.wait(looks)

    async def _run(self, entity_id: str) -> None:
        await self._look(entity_id)

    def is_due(self, what: str) -> bool:
        """Whether `what` may be asked for now, and note that it was."""
        now, asked_at = self._clock.now(), self._asked_at.get(what)
        if asked_at is not None and abs((now - asked_at).total_seconds()) < LOOKS_APART_S:
            return False
        self._asked_at[what] = now
        return True
