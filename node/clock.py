"""The clock of a running node; tests pass their own."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """The machine's time, aware UTC."""

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)
