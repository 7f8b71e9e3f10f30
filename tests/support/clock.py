"""Clocks for tests: one that stands, one that steps. Both satisfy `federation.ports.Clock`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["NOON", "FixedClock", "SteppingClock"]

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class FixedClock:
    """Stands still until a test moves it."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        """The time it was set to."""
        return self.at

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Move it; negative goes back."""
        self.at += timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)


class SteppingClock(FixedClock):
    """Moves by `step_s` with each look at it, so that no two moments are the same."""

    def __init__(self, at: datetime = NOON, *, step_s: float = 0.001) -> None:
        super().__init__(at)
        self.step_s = step_s

    def now(self) -> datetime:
        """The time, one step after the last."""
        self.advance(seconds=self.step_s)
        return self.at
