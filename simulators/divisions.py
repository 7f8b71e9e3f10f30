"""Which divisions a citizen number can begin with, by date of birth, and where people live now.

A number carries the county-level division of the time it was given. Numbers were first given in 1984, so
whoever is older has a division of that year; whoever is younger, one of the birth month. Both come from the
project's division history (`mapping.codelists`), so many of these divisions are gone by now, as they are on
real cards.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import mapping
from mapping.codelists import read_rows

__all__ = [
    "FIRST_BIRTH",
    "LAST_BIRTH",
    "PROVINCES",
    "BirthPlaces",
    "Era",
    "birth_places",
    "counties",
    "division_name",
    "province_name",
    "rows_of",
    "townships",
]

PROVINCES = ("310000", "320000", "330000", "340000")
"""Shanghai, Jiangsu, Zhejiang, Anhui."""

FIRST_BIRTH = date(1940, 1, 1)
LAST_BIRTH = date(2022, 12, 31)
_NUMBERS_BEGIN = date(1984, 12, 31)


@dataclass(frozen=True, slots=True)
class Era:
    """A run of birth days, both included, on which the same divisions are possible."""

    first: date
    last: date
    divisions: tuple[str, ...]

    @property
    def places(self) -> int:
        """How many (day, division) there are."""
        return ((self.last - self.first).days + 1) * len(self.divisions)


class BirthPlaces:
    """All (birth day, division) of one province, numbered without gaps from 0."""

    def __init__(self, eras: Sequence[Era]) -> None:
        self._eras = tuple(eras)
        starts = [0]
        for era in self._eras:
            starts.append(starts[-1] + era.places)
        self._starts = starts
        self._ordinals = [{code: n for n, code in enumerate(era.divisions)} for era in self._eras]

    @property
    def count(self) -> int:
        """How many there are."""
        return self._starts[-1]

    def place(self, number: int) -> tuple[date, str]:
        """The birth day and division of a number in ``range(count)``."""
        found = bisect_right(self._starts, number) - 1
        era = self._eras[found]
        day, ordinal = divmod(number - self._starts[found], len(era.divisions))
        return era.first + timedelta(days=day), era.divisions[ordinal]

    def number(self, born_on: date, division: str) -> int | None:
        """The number of a birth day and division; None when that division is not possible on that day."""
        for start, era, ordinals in zip(self._starts, self._eras, self._ordinals, strict=False):
            if era.first <= born_on <= era.last and division in ordinals:
                return start + (born_on - era.first).days * len(era.divisions) + ordinals[division]
        return None


@cache
def birth_places(province: str) -> BirthPlaces:
    """All (birth day, division) of a province, from the division history."""
    history = [row for row in rows_of("division_history") if _is_county(row["code"], province)]
    firsts = _first_days(history)
    eras = []
    for first, following in pairwise([*firsts, LAST_BIRTH + timedelta(days=1)]):
        month = f"{max(first, _NUMBERS_BEGIN):%Y%m}"
        codes = {row["code"] for row in history if row["first_seen"] <= month <= row["last_seen"]}
        eras.append(Era(first, following - timedelta(days=1), tuple(sorted(codes))))
    return BirthPlaces([era for era in eras if era.divisions])


def _first_days(history: Sequence[dict[str, str]]) -> list[date]:
    """The days on which the set of possible divisions may change.

    Within a month nothing is known about the day, so a division counts from the first day of the month in
    which it was first seen to the last day of the month in which it was last seen.
    """
    days = {FIRST_BIRTH}
    for row in history:
        first, last = _month(row["first_seen"]), _month(row["last_seen"])
        days |= {first, (last + timedelta(days=31)).replace(day=1)}
    return sorted(day for day in days if day == FIRST_BIRTH or _NUMBERS_BEGIN < day <= LAST_BIRTH)


def _month(text: str) -> date:
    return date(int(text[:4]), int(text[4:]), 1)


def _is_county(code: str, province: str) -> bool:
    return code[:2] == province[:2] and not code.endswith("00")


@cache
def rows_of(name: str) -> tuple[dict[str, str], ...]:
    """The rows of one of the project's code lists."""
    return tuple(read_rows(Path(mapping.__file__).parent / "codelists" / f"{name}.csv"))


@cache
def _current() -> dict[str, dict[str, str]]:
    return {row["code"]: row for row in rows_of("divisions")}


@cache
def counties(province: str) -> tuple[str, ...]:
    """The county-level divisions of a province today."""
    return tuple(
        code for code, row in _current().items() if row["level"] == "county" and _is_county(code, province)
    )


@cache
def townships(county: str) -> tuple[str, ...]:
    """The names of the townships of a county today."""
    return tuple(row["name"] for row in rows_of("townships") if row["county_code"] == county)


def division_name(code: str) -> str:
    """The full name of a division of today: province, prefecture, county."""
    row = _current()[code]
    parent = row["parent_code"]
    return (division_name(parent) if parent else "") + row["name"]


def province_name(province: str) -> str:
    """The province's name: 上海市 and so on."""
    return _current()[province]["name"]
