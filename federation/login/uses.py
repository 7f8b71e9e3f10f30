"""Token ids that a request shows and that are good once: client assertions, proofs.

They are used up in the transaction of what the request leads to, so that one sync to disk keeps both; before it, in the
order in which they were shown. One that was used before is refused there, and nothing comes of the request. A request
that leads to no such write, because it is refused for something else, uses them up all the same, and is refused for
what was used before rather than for anything else: whoever copies a token learns nothing more by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from federation.login.refusals import OAuthRefusal

__all__ = ["Replays", "Use", "UsedBefore", "Uses"]


class Replays(Protocol):
    """Token ids that may be used once."""

    async def use_once(self, issuer: str, jti: str, expires_at: datetime) -> bool:
        """True the first time, False each time after. Raises OwnStoreUnavailable."""
        ...


class UsedBefore(OAuthRefusal):
    """What is good once came again."""


@dataclass(frozen=True, slots=True)
class Use:
    """One id, by whom it is unique; it need not be remembered after `expires_at`. `refusal` is for whoever is late."""

    issuer: str
    jti: str
    expires_at: datetime
    refusal: UsedBefore


@dataclass(slots=True)
class Uses:
    """Those of one request. Leaving the block uses up what no write has taken; any exception but a cancellation."""

    replays: Replays
    _pending: list[Use] = field(default_factory=list)

    def add(self, use: Use) -> None:
        """It was verified, and is to be used up."""
        self._pending.append(use)

    def taken(self) -> Sequence[Use]:
        """What is to be used up, by whoever takes it, before anything else that its transaction does."""
        pending, self._pending = tuple(self._pending), []
        return pending

    async def settle(self) -> None:
        """Use them up now. Raises UsedBefore, OwnStoreUnavailable."""
        for use in self.taken():
            if not await self.replays.use_once(use.issuer, use.jti, use.expires_at):
                raise use.refusal

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            await self.settle()
