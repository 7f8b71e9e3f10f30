"""What a client may be allowed to do: the operations, by name, or all of them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from federation.query import PLATFORM_OPERATIONS

__all__ = ["ALL", "RIGHTS", "is_granted"]

ALL = "*"

RIGHTS = frozenset({ALL, *(operation.value for operation in PLATFORM_OPERATIONS)})


def is_granted(right: str, granted: AbstractSet[str]) -> bool:
    """Whether `right` is among what was granted."""
    return right in granted or ALL in granted
