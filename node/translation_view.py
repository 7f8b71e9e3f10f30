"""What the people who keep the dialect look at: the rule set in force, what came of the values, which codes lack a
row. It is made of this process's memory when someone looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from federation.exchange import DialectHolder
from federation.translation_counts import TranslationCounts
from federation.translator import CARRIED, Direction
from federation.unmapped_codes import NotShown, UnmappedCode
from mapping.element import Relation

__all__ = ["OUTCOMES", "TranslationView", "translation_view"]

OUTCOMES = (*(relation.word for relation in Relation), CARRIED)
"""What can come of a value."""


@dataclass(frozen=True, slots=True)
class TranslationView:
    """The rule set in force since when, and this process's counts, as of `at`."""

    at: datetime
    province: str
    name: str
    version: str
    digest: str
    since: datetime | None
    counted_since: datetime | None
    outcomes: Mapping[tuple[Direction, str], int]
    codes: tuple[UnmappedCode, ...]
    not_shown: Mapping[tuple[Direction, str, NotShown], int]

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """Counts by direction and outcome, those that are not nought."""
        return {
            direction.value: {
                word: count for word in OUTCOMES if (count := self.outcomes.get((direction, word), 0))
            }
            for direction in Direction
        }


def translation_view(dialect: DialectHolder, counts: TranslationCounts, now: datetime) -> TranslationView:
    """What there is to see now."""
    current = dialect.current
    return TranslationView(
        at=now,
        province=current.province,
        name=current.name,
        version=current.version,
        digest=current.digest.hex(),
        since=dialect.since,
        counted_since=dialect.loaded_at,
        outcomes=dict(counts.outcomes),
        codes=counts.codes(current),
        not_shown=dict(counts.not_shown),
    )
