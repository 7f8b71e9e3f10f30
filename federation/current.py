"""Immutable snapshots that are swapped whole: the access policy and the dialect that exchanges work with."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Current"]

T = TypeVar("T")


class Current(Generic[T]):
    """Holds the current snapshot of something immutable. Reading takes no lock; `swap` replaces it whole.

    An exchange reads `current` once and keeps what it got, so that it sees one version from beginning to end.
    """

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: T) -> None:
        self._snapshot = snapshot

    @property
    def current(self) -> T:
        """The snapshot of this moment."""
        return self._snapshot

    def swap(self, snapshot: T) -> None:
        """Make `snapshot` the current one for every exchange that begins from now on."""
        self._snapshot = snapshot
