"""Steps taken for many evidence files or exchanges together, and a file on its way through the first of them.

A step is short and its code is long: taken for one file after the other, each finds the processor's caches full of the
others' code, which doubles what reading costs. So each step is taken for all that are at hand before the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from trust.container import CONTAINER, INDEX, Container, ContainerReader
from trust.envelope import Sealed
from trust.errors import AlgorithmUnavailable, EvidenceBroken
from trust.evidence import Manifest, read_manifest
from trust.evidence_index import Index, read_index

__all__ = ["Failure", "FileReading", "each", "unforeseen"]

A = TypeVar("A")
B = TypeVar("B")
Failure = EvidenceBroken | AlgorithmUnavailable


def each(step: Callable[[A], B], items: Iterable[A | Failure]) -> list[B | Failure]:
    """The step for each of them by itself: what it gives, or why it does not. What failed before stays as it is."""
    found: list[B | Failure] = []
    for one in items:
        if isinstance(one, Failure):
            found.append(one)
            continue
        try:
            found.append(step(one))
        except (EvidenceBroken, AlgorithmUnavailable) as error:
            found.append(error)
        except Exception as error:  # whatever a file is made of, it ends no run over others
            found.append(unforeseen(error))
    return found


def unforeseen(error: Exception) -> EvidenceBroken:
    """What is said of a file that something went wrong with that no check foresees: it is not believed."""
    return EvidenceBroken(CONTAINER, f"it cannot be checked: {type(error).__name__}")


class FileReading:
    """A file in steps 1 and 2 of `federation.evidence`. Each method is one, in their order, and gives this object back;
    each raises EvidenceBroken. What a step finds is there after it.
    """

    __slots__ = ("_data", "container", "index", "manifest", "sealed")
    container: Container
    manifest: Manifest
    sealed: Sealed
    index: Index

    def __init__(self, data: bytes) -> None:
        self._data = data

    def contain(self, reader: ContainerReader) -> FileReading:
        """Step 1."""
        self.container = reader.read(self._data)
        return self

    def read_manifest(self) -> FileReading:
        """The manifest names just the parts. Its signature is not looked at."""
        self.manifest, self.sealed = read_manifest(self.container.parts, self.container.tail)
        return self

    def read_index(self) -> FileReading:
        """The index refers to just the parts."""
        parts = self.container.parts
        if INDEX not in parts:
            raise EvidenceBroken(INDEX, "it is missing")
        self.index = read_index(parts[INDEX], parts)
        return self
