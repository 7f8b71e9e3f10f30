"""For how long evidence is kept: the rules of retention, and what forgetting and archiving report.

The content of a record is kept for so many days from when it was recorded, by its operation. After that it is
forgotten, in the database and in archives alike; its leaf stays for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from msgspec import Struct

__all__ = ["DEFAULT_DAYS", "Retention"]

DEFAULT_DAYS: Final = 1096
"""Three years, a leap day among them."""


class Retention(Struct, frozen=True):
    """Days by operation, and for all others."""

    default_days: int = DEFAULT_DAYS
    by_operation: Mapping[str, int] = MappingProxyType({})

    def days(self, operation: str) -> int:
        """For how long records of an operation are kept."""
        return self.by_operation.get(operation, self.default_days)

    def kept_from(self, operation: str, now: datetime) -> datetime:
        """What was recorded before that moment is due to be forgotten."""
        return now - timedelta(days=self.days(operation))
