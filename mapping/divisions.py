"""Divisions by code and date: what a code named on a day, what became of it, and what it was before.

A division code is not a key: the same six digits have named different places (320705 was 海州区 in 1981 and
新浦区 in 1990), one place has had many codes, districts were split and merged. So

1. a code is read with the date it was written on. The names come from published snapshots of the code table,
   the years from the change list; a day that neither decides gives every name that is possible, and says that
   it is not certain. Before the first snapshot nothing is known of the code table, after the last one the table
   stands as it is;
2. it is followed forward or backward along the changes. Where land went to several divisions, all of them are
   candidates, each with the changes that lead to it: none is picked. A change is known by its year; within that
   year both sides of it are possible;
3. a township (9 digits, 12 with its padding) is read by the county that its code begins with.

A place is (code, name). `division_facts` reads the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Literal, NamedTuple

from msgspec import Struct

__all__ = [
    "Bounds",
    "Change",
    "Division",
    "DivisionName",
    "Divisions",
    "Extent",
    "How",
    "Successor",
    "Successors",
]


class Bounds(NamedTuple):
    """Between which two days, both included, something happened."""

    earliest: date
    latest: date


class DivisionName(Struct, frozen=True):
    """A name that a code carried.

    `first_seen` and `last_seen` are the first and last snapshot that held it (``198012``; 0 when it is outside
    the four provinces). `begins` bounds its first day, `ends` its last.
    """

    code: str
    name: str
    first_seen: int
    last_seen: int
    begins: Bounds
    ends: Bounds

    def possible(self, on: date) -> bool:
        """Whether the code may have carried the name on a day."""
        return self.begins.earliest <= on <= self.ends.latest

    def sure(self, on: date) -> bool:
        """Whether it did, by snapshots and changes alike."""
        return self.begins.latest <= on <= self.ends.earliest


class Extent(StrEnum):
    """How much of the old place a change concerns."""

    WHOLE = "whole"
    """The old place ended or was given another code; several such changes of one year split it."""
    PART = "part"
    """Land of a place that went on."""
    DIRECT = "direct"
    """Between a county and the land that its prefecture governs without a county."""


How = Literal["same", "renamed", "moved", "merged", "split"]
"""What became of a place: another name, another code, joined with others, divided."""


class Change(Struct, frozen=True):
    """One change: year, document number where known, kind as in the change list, from where to where."""

    year: int
    document: str
    kind: str
    old: DivisionName
    new: DivisionName
    extent: Extent
    how: How
    source: str


class Division(Struct, frozen=True):
    """What a code named on a day. `certain`: one name, and the sources agree on it for that day."""

    code: str
    on: date
    names: tuple[DivisionName, ...]
    certain: bool
    township: str = ""
    """The name that a 9-digit code has in the list of today, if the county still is the one of that day."""

    @property
    def name(self) -> str:
        """The name, or an empty text when several are possible."""
        return self.names[0].name if len(self.names) == 1 else ""


class Successor(Struct, frozen=True):
    """A place that land of the one asked for belongs to.

    `evidence` has the changes on the way, oldest first; `how` is what says most of them: split before merged
    before moved before renamed.
    """

    place: DivisionName
    how: How
    evidence: tuple[Change, ...]

    @property
    def code(self) -> str:
        """Its code."""
        return self.place.code

    @property
    def name(self) -> str:
        """Its name."""
        return self.place.name


class Successors(Struct, frozen=True):
    """All candidates for a code of one day on another day; none when the code named nothing on its day.

    `certain`: there is one, and both days are clear of every change on the way.
    """

    code: str
    on: date
    to: date
    candidates: tuple[Successor, ...]
    certain: bool


_STRONGEST: tuple[How, ...] = ("split", "merged", "moved")
_Way = tuple[Change, ...]
_Found = dict[tuple[str, str], Successor]
_Seen = set[tuple[str, str, int, bool]]


class Divisions:
    """The division history of the four provinces: immutable, by code and date."""

    def __init__(
        self,
        names: Iterable[DivisionName],
        changes: Sequence[Change],
        townships: Mapping[str, str],
        today: date,
    ) -> None:
        self._names: dict[str, tuple[DivisionName, ...]] = {}
        for name in sorted(names, key=lambda name: name.first_seen):
            self._names[name.code] = (*self._names.get(name.code, ()), name)
        self._after = _by_place(changes, forward=True)
        self._before = _by_place(changes, forward=False)
        self._townships = townships
        self.changes = tuple(changes)
        self.today = today
        """The day that the tables are of; later days are read as this one."""

    def __contains__(self, code: object) -> bool:
        return code in self._names

    def history(self, code: str) -> tuple[DivisionName, ...]:
        """Every name of the code, oldest first; empty when the code was never used."""
        return self._names.get(code, ())

    def at(self, code: str, on: date) -> Division | None:
        """What a code of 6, 9 or 12 digits named on a day; None when it named nothing."""
        day = min(on, self.today)
        names = tuple(name for name in self.history(code[:6]) if name.possible(day))
        if not names:
            return None
        certain = len(names) == 1 and names[0].sure(day)
        current = len(names) == 1 and names[0].possible(self.today)
        return Division(code, on, names, certain, self._townships.get(code[:9], "") if current else "")

    def forward(self, code: str, on: date, to: date | None = None) -> Successors:
        """Where the land of a code written on `on` belongs on `to`, or today. Raises ValueError: to < on."""
        return self._follow(code, on, self.today if to is None else to, forward=True)

    def backward(self, code: str, on: date, to: date) -> Successors:
        """Where the land of a code written on `on` belonged on `to`. Raises ValueError: to > on."""
        return self._follow(code, on, to, forward=False)

    def _follow(self, code: str, on: date, to: date, *, forward: bool) -> Successors:
        start, end = min(on, self.today), min(to, self.today)
        if (end < start) if forward else (end > start):
            raise ValueError(f"{to} is not {'after' if forward else 'before'} {on}")
        read = self.at(code, on)
        found: _Found = {}
        for name in read.names if read else ():
            _Walk(self._after if forward else self._before, end, found, set(), forward).go(name, start, ())
        candidates = tuple(sorted(found.values(), key=lambda one: (one.how != "same", one.code)))
        certain = read is not None and read.certain and len(candidates) == 1
        return Successors(code, on, to, candidates, certain and candidates[0].place.sure(end))


_Changes = Mapping[tuple[str, str], tuple[Change, ...]]


class _Walk(Struct, frozen=True):
    """One way through the changes, all branches of it, until a day."""

    changes: _Changes
    to: date
    found: _Found
    seen: _Seen
    forward: bool

    def go(self, place: DivisionName, at: date, way: _Way, *, direct: bool = False) -> None:
        """Note the place if it was there on the day, and go on along its changes.

        `at` is the asked day, or the last (backward: the first) day of the year of the change that led here;
        `direct`: the land has no county, so it is that of a prefecture alone.
        """
        mark = (place.code, place.name, at.year, direct)
        if mark in self.seen:
            return
        self.seen.add(mark)
        following = [
            change
            for change in self.changes.get((place.code, place.name), ())
            if self._between(change, at, arrived=bool(way)) and _applies(change, place, direct)
        ]
        into_counties = direct and any(change.extent is Extent.DIRECT for change in following)
        if place.possible(self.to) and not into_counties:
            self._note(place, way)
        for change in following:
            next_place = change.new if self.forward else change.old
            further = (*way, change) if self.forward else (change, *way)
            self.go(
                next_place,
                date(change.year, 12, 31) if self.forward else date(change.year, 1, 1),
                further,
                direct=_is_prefecture(next_place) and (direct or change.extent is Extent.DIRECT),
            )

    def _between(self, change: Change, at: date, *, arrived: bool) -> bool:
        """Whether the change may have happened between the two days."""
        year, old, new = change.year, change.old, change.new
        if self.forward:
            later = year > at.year or (year == at.year and at < date(year, 12, 31))
            if arrived and year == at.year:  # a place that came and went within one year
                later = change.extent is Extent.WHOLE and old.ends.latest.year == year
            return later and year <= self.to.year
        earlier = year < at.year if arrived else year <= at.year
        if arrived and year == at.year:
            earlier = change.extent is Extent.WHOLE and new.begins.earliest.year == year
        return earlier and (year > self.to.year or (year == self.to.year and self.to < date(year, 12, 31)))

    def _note(self, place: DivisionName, way: _Way) -> None:
        key = (place.code, place.name)
        if key not in self.found or len(way) < len(self.found[key].evidence):
            self.found[key] = Successor(place, self._how(place, way), way)

    def _how(self, place: DivisionName, way: _Way) -> How:
        start = (way[0].old if self.forward else way[-1].new) if way else place
        if (start.code, start.name) == (place.code, place.name):
            return "same"
        hows = {change.how for change in way}
        return next((how for how in _STRONGEST if how in hows), "renamed")


def _by_place(changes: Iterable[Change], *, forward: bool) -> _Changes:
    found: dict[tuple[str, str], tuple[Change, ...]] = {}
    for change in changes:
        place = change.old if forward else change.new
        key = (place.code, place.name)
        found[key] = (*found.get(key, ()), change)
    return found


def _is_prefecture(place: DivisionName) -> bool:
    return place.code.endswith("00")


def _applies(change: Change, place: DivisionName, direct: bool) -> bool:
    """Changes between a prefecture's own land and counties concern a prefecture only as far as that land."""
    return change.extent is not Extent.DIRECT or direct or not _is_prefecture(place)
