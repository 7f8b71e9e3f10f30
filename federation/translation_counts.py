"""What translating came to in this process: values by direction and outcome, and the codes that lack a row.

Called once a message, on the event loop. Nothing of a person is kept: see `federation.unmapped_codes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from federation.ports import Clock
from federation.translator import Direction, Translator
from federation.unmapped_codes import NotShown, UnmappedCode, UnmappedCodes
from mapping.code_tables import CodeTable, code_tables
from mapping.codelists import code_lists
from mapping.element import Relation
from mapping.translate import Dialect

__all__ = ["TranslationCounts"]

_EXACT, _UNMAPPED = Relation.EXACT.word, Relation.UNMAPPED.word


class TranslationCounts:
    """The counts since the process started."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[Direction, str]] = Counter()
        self._codes = UnmappedCodes()
        self._tables: dict[bytes, Mapping[str, CodeTable]] = {}

    def add(self, done: Translator, clock: Clock) -> None:
        """Count what a translator carried over. It is quick and does not raise."""
        outcomes = self._outcomes
        if done.exact_read:
            outcomes[Direction.TO_SHARED, _EXACT] += done.exact_read
        if done.exact_written:
            outcomes[Direction.TO_LOCAL, _EXACT] += done.exact_written
        for one in done.inexact:
            outcomes[one.direction, one.outcome] += 1
            if one.table and one.outcome == _UNMAPPED:
                table = self._tables_of(done.dialect).get(one.table)
                if table is not None:
                    self._codes.note(one, table, clock.now(), done.dialect.digest)

    @property
    def outcomes(self) -> Mapping[tuple[Direction, str], int]:
        """How many values came to what: a relation's word, or ``carried``."""
        return self._outcomes

    @property
    def not_shown(self) -> Mapping[tuple[Direction, str, NotShown], int]:
        """How many unmapped values of which list are only counted, and why."""
        return self._codes.not_shown

    def codes(self, dialect: Dialect) -> tuple[UnmappedCode, ...]:
        """The codes seen that this dialect, the one in force, has no row for; the most frequent first."""
        return self._codes.codes(self._tables_of(dialect), dialect.digest)

    def _tables_of(self, dialect: Dialect) -> Mapping[str, CodeTable]:
        found = self._tables.get(dialect.digest)
        if found is None:
            if len(self._tables) >= _KEPT:
                self._tables.clear()
            found = self._tables[dialect.digest] = code_tables(dialect.rules, code_lists())
        return found


_KEPT = 4
"""Rule sets whose tables are kept: the one in force, and those that exchanges in flight still use."""
