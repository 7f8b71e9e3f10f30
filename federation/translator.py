"""One exchange's way between the local and the shared words: one dialect, and what came of each value.

An exchange takes the dialect in force once, makes a translator of it and keeps it to its end, so that header,
values and field names are of one version whatever is reloaded meanwhile. The translator counts what it carries
over, for `federation.translation_counts`; where all is exact this costs a look at each relation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

from federation.query import MapSet
from mapping.element import Element, Relation
from mapping.errors import UnknownDocument
from mapping.translate import Dialect

__all__ = ["CARRIED", "UNMAPPED_TYPE", "Direction", "Inexact", "Translator"]

UNMAPPED_TYPE = "unmapped"
"""The certificate type of a document whose own type the answering province's dialect does not know."""

CARRIED = "carried"
"""What came of a value that the other province could not read: it is passed on as it was."""

_EXACT, _UNMAPPED, _INVALID = Relation.EXACT, Relation.UNMAPPED, Relation.INVALID
_WHOSE = ("持证主体代码", "证照标识", "实施编码")


class Direction(StrEnum):
    """Which way a value was translated."""

    TO_SHARED = "to_shared"
    TO_LOCAL = "to_local"


class Inexact(NamedTuple):
    """A value that was not translated exactly. `whose` tells the documents of one holder from another's.

    `code` is what came in and may be anything: it is only for `federation.unmapped_codes` to look at.
    """

    direction: Direction
    outcome: str
    table: str
    code: str
    whose: str = ""


class Translator:
    """A dialect of one version at work in one exchange. Translates as `mapping.translate.Dialect` does."""

    __slots__ = ("dialect", "exact_read", "exact_written", "inexact")

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.exact_read = 0
        self.exact_written = 0
        self.inexact: list[Inexact] = []

    @property
    def map_set(self) -> MapSet:
        """The rule set, as headers name it."""
        return MapSet(self.dialect.version, self.dialect.digest)

    def to_shared(self, kind: str, document: Mapping[str, Any]) -> tuple[Element, ...]:
        """A registry's document in shared words. Raises UnknownDocument."""
        elements = self.dialect.to_shared(kind, document)
        self._saw_read(elements, elements)
        return elements

    def to_local(self, kind: str, elements: Sequence[Element]) -> tuple[Element, ...]:
        """Shared elements in local words. Raises UnknownDocument; then they are carried and counted as that."""
        try:
            local = self.dialect.to_local(kind, elements)
        except UnknownDocument:
            word = CARRIED if kind == UNMAPPED_TYPE else _UNMAPPED.word
            self.inexact += [Inexact(Direction.TO_LOCAL, word, "", "") for _ in elements]
            raise
        self._saw_written(elements, local)
        return local

    def code_to_shared(self, list_name: str, value: str, on: date | None = None) -> Element:
        """A request parameter in shared words. Raises UnknownList."""
        element = self.dialect.code_to_shared(list_name, value, on)
        if element.relation is _EXACT:
            self.exact_read += 1
        else:
            self._note(Direction.TO_SHARED, element, value)
        return element

    def code_to_local(self, list_name: str, value: str, on: date | None = None) -> Element:
        """A request parameter in local words. Raises UnknownList."""
        element = self.dialect.code_to_local(list_name, value, on)
        if element.relation is _EXACT:
            self.exact_written += 1
        else:
            self._note(Direction.TO_LOCAL, element, value)
        return element

    def document_kind(self, document: Mapping[str, Any]) -> str:
        """The shared certificate type of a registry's document. Raises UnknownDocument."""
        try:
            return self.dialect.document_kind(document)
        except UnknownDocument:
            self._note_type(document)
            raise

    def _note_type(self, document: Mapping[str, Any]) -> None:
        told = self.dialect.announced_type(document)
        if told is None or told.relation is not _UNMAPPED:
            return
        try:
            whose = self.dialect.document_id(document)
        except UnknownDocument:
            whose = ""
        one = Inexact(Direction.TO_SHARED, _UNMAPPED.word, told.table, told.original, whose)
        self.inexact.append(one)

    def saw_read(self, elements: Sequence[Element]) -> None:
        """Count elements that are not of a registry's document as a whole: what a platform presents, what is only
        carried. They say nothing of whose they are.
        """
        self._saw_read(elements, ())

    def _saw_read(self, elements: Sequence[Element], document: Sequence[Element]) -> None:
        exact = _EXACT
        odd = [element for element in elements if element.relation is not exact or element.groups]
        self.exact_read += len(elements) - len(odd)
        for element in odd:
            if element.relation is not _EXACT:
                self._note(Direction.TO_SHARED, element, element.original, document)
            for row in element.groups:
                self._saw_read(row, document)

    def _saw_written(self, shared: Sequence[Element], local: Sequence[Element]) -> None:
        exact = _EXACT
        odd = [place for place, one in enumerate(local) if one.relation is not exact or one.groups]
        self.exact_written += len(local) - len(odd)
        for place in odd:
            before, after = shared[place], local[place]
            if before.relation in (_UNMAPPED, _INVALID):
                self.inexact.append(Inexact(Direction.TO_LOCAL, CARRIED, "", ""))
            elif after.relation is not _EXACT:
                self._note(Direction.TO_LOCAL, after, before.value)
            for rows in zip(before.groups, after.groups, strict=False):
                self._saw_written(*rows)

    def _note(
        self, direction: Direction, element: Element, code: str, document: Sequence[Element] = ()
    ) -> None:
        relation = element.relation
        if relation is _UNMAPPED:
            whose = _whose(document)
            self.inexact.append(Inexact(direction, relation.word, element.table, code, whose))
        else:
            self.inexact.append(Inexact(direction, relation.word, "", ""))


def _whose(document: Sequence[Element]) -> str:
    """What tells this document's holder from others; empty when nothing does."""
    values = {element.name: element.value for element in document if element.name in _WHOSE}
    return next((values[name] for name in _WHOSE if values.get(name)), "")
