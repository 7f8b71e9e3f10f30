"""Division codes as values: with or without padding, on the day they were written, and followed to today.

Where the changes leave several divisions of today, the code stays as it was written, UNMAPPED, and the steps name
every candidate with its evidence; none is picked. See `mapping.divisions`.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Any

from mapping.conversion import Converter, Reading, Settings, Write, Writing, text_of
from mapping.divisions import Divisions, Successor
from mapping.element import Relation
from mapping.notes import Note

__all__ = ["CACHED_DIVISIONS", "build_division"]

CACHED_DIVISIONS = 4096
"""How many (code, day) pairs a converter remembers each way."""

_DIVISION = re.compile(r"[1-9][0-9]{5}(?:[0-9]{6})?", re.ASCII)
_OURS = ("31", "32", "33", "34")
_FOLLOWED = {
    "same": Relation.EXACT,
    "renamed": Relation.EXACT,
    "moved": Relation.EXACT,
    "merged": Relation.BROADER,
    "split": Relation.NARROWER,
}
"""What the division followed to says of the one asked for."""


def build_division(settings: Settings) -> Converter:
    """Shared is 6, 9 or 12 digits without padding; `digits` says whether the dialect pads to 12 or cuts to 6.

    A code of the four provinces that never existed is UNMAPPED, as is 市辖区 (330501), which stands for all districts
    of a city and so for no place; one that did not exist on its day is RELATED.
    With `forward` = ``today`` the shared value is the division of today (of the day of the tables); written, it
    goes back to the day. Cutting a township off is BROADER.
    """
    digits = int(settings.choice("digits", ("6", "12")))
    divisions = settings.divisions
    follow = _Follower(divisions) if settings.choice("forward", ("no", "today")) == "today" else None
    lookup = lru_cache(maxsize=CACHED_DIVISIONS)(lambda code, on: divisions.at(code, on))

    def read(raw: Any, on: str, note: Note | None = None) -> Reading:
        original = text_of(raw)
        text = original.strip()
        if not _DIVISION.fullmatch(text):
            return _told(note, "no_form", "", original, Relation.INVALID)
        value = _unpadded(text)
        if note and value != text:
            note("unpadded", value)
        if text[:2] not in _OURS:
            return value, Relation.EXACT
        if text[:6] not in divisions:
            word = "districts" if _is_of_all_districts(text, divisions) else "no_division"
            return _told(note, word, text[:6], original, Relation.UNMAPPED)
        day = _day(on)
        if note:
            note("on" if day else "no_day_known", on)
        if follow is not None:
            return follow.forward(value, original, day, note)
        found = lookup(text[:6], day) if day else None
        if day and found is None:
            return _told(note, "not_then", text[:6], value, Relation.RELATED)
        if note and found is not None:
            note("division", " / ".join(name.name for name in found.names))
        return value, Relation.EXACT

    return Converter(f"division@{settings.version}", read, _writer(digits, divisions, follow))


def _writer(digits: int, divisions: Divisions, follow: _Follower | None) -> Write:
    def write(value: str, on: str, note: Note | None = None) -> Writing:
        if len(value) not in (6, 9, 12) or not _DIVISION.fullmatch(value.ljust(12, "0")):
            return _told(note, "no_form", "", value, Relation.INVALID)
        relation, day = Relation.EXACT, _day(on)
        if follow is not None and day and value[:6] in divisions:
            value, relation = follow.backward(value, day, note)
        written, how = _short(value, note) if digits == 6 else _long(value, note)
        return written, max(relation, how)

    return write


def _is_of_all_districts(code: str, divisions: Divisions) -> bool:
    """GB/T 2260 gives 01 under a prefecture to 市辖区; the history has places, and this is none."""
    return code[2:4] != "00" and code[4:6] == "01" and code[:4] + "00" in divisions


def _told(note: Note | None, word: str, detail: str, value: str, relation: Relation) -> Reading:
    if note:
        note(word, detail)
    return value, relation


def _day(on: str) -> date | None:
    try:
        return date.fromisoformat(on)
    except ValueError:
        return None


class _Follower:
    """Follows codes to today and back."""

    def __init__(self, divisions: Divisions) -> None:
        self._divisions = divisions
        self._forward = lru_cache(maxsize=CACHED_DIVISIONS)(divisions.forward)
        self._backward = lru_cache(maxsize=CACHED_DIVISIONS)(
            lambda code, to: divisions.backward(code, max(divisions.today, to), to)
        )

    def forward(self, value: str, original: str, day: date | None, note: Note | None) -> Reading:
        """The code of today for one of a day."""
        if day is None:
            # One name from the first table to the last is the same place on any day.
            settled = len(self._divisions.history(value[:6])) == 1 and self._stands(value[:6])
            return value, Relation.EXACT if settled else Relation.RELATED
        found = self._forward(value[:6], min(day, self._divisions.today))
        if len(found.candidates) != 1:
            if note:
                _note_candidates(found.candidates, note)
            return original, Relation.UNMAPPED
        one = found.candidates[0]
        if note:
            note("forward", _evidence(one))
        relation = _FOLLOWED[one.how] if found.certain else Relation.RELATED
        if one.code == value[:6]:
            return value, relation
        if len(value) == 6:
            return one.code, relation
        if note:
            note("cut", one.code)
        return one.code, max(relation, Relation.BROADER)

    def _stands(self, code: str) -> bool:
        return self._divisions.at(code, self._divisions.today) is not None

    def backward(self, value: str, day: date, note: Note | None) -> Reading:
        """The code of a day for one of today; today's own where several became one, and RELATED then."""
        found = self._backward(value[:6], day)
        if len(found.candidates) != 1:
            if note:
                _note_candidates(found.candidates, note)
            return value, Relation.RELATED
        one = found.candidates[0]
        if note:
            note("backward", _evidence(one))
        relation = _FOLLOWED[one.how] if found.certain else Relation.RELATED
        if one.code == value[:6]:
            return value, relation
        return one.code, relation if len(value) == 6 else max(relation, Relation.BROADER)


def _note_candidates(candidates: tuple[Successor, ...], note: Note) -> None:
    for one in candidates:
        note("candidate", _evidence(one))
    if not candidates:
        note("not_then", "")


def _evidence(one: Successor) -> str:
    """A candidate as people read it: what it is, and the changes that lead to it."""
    told = "; ".join(
        f"{change.year} {change.kind} {change.old.code} {change.old.name} → {change.new.code} {change.new.name}"
        + (f" ({change.document})" if change.document else "")
        for change in one.evidence
    )
    return f"{one.code} {one.name}, {one.how}" + (f": {told}" if told else "")


def _short(value: str, note: Note | None) -> Writing:
    if note and len(value) > 6:
        note("cut", value[:6])
    return value[:6], Relation.EXACT if len(value) == 6 else Relation.BROADER


def _long(value: str, note: Note | None) -> Writing:
    padded = value.ljust(12, "0")
    if note and padded != value:
        note("padded", padded)
    return padded, Relation.EXACT


def _unpadded(text: str) -> str:
    if text[6:] in ("", "000000"):
        return text[:6]
    return text[:9] if text[9:] == "000" else text
