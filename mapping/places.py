"""Division codes as values: with or without padding, on the day they were written."""

from __future__ import annotations

import re
from typing import Any

from mapping.conversion import Converter, Reading, Settings, Writing, text_of
from mapping.element import Relation
from mapping.notes import Note

__all__ = ["build_division"]

_DIVISION = re.compile(r"[1-9][0-9]{5}(?:[0-9]{6})?", re.ASCII)
_OURS = ("31", "32", "33", "34")


def build_division(settings: Settings) -> Converter:
    """Shared is 6, 9 or 12 digits without padding; `digits` says whether the dialect pads to 12 or cuts to 6.

    A code of the four provinces that never existed is UNMAPPED. Cutting a township off is BROADER.
    """
    digits = int(settings.choice("digits", ("6", "12")))
    divisions = settings.divisions

    def read(raw: Any, _on: str, note: Note | None = None) -> Reading:
        text = text_of(raw).strip()
        if not _DIVISION.fullmatch(text):
            if note:
                note("no_form", "")
            return text_of(raw), Relation.INVALID
        if text[:2] in _OURS and text[:6] not in divisions:
            if note:
                note("no_division", text[:6])
            return text_of(raw), Relation.UNMAPPED
        value = _unpadded(text)
        if note and value != text:
            note("unpadded", value)
        return value, Relation.EXACT

    def write(value: str, _on: str, note: Note | None = None) -> Writing:
        if len(value) not in (6, 9, 12) or not _DIVISION.fullmatch(value.ljust(12, "0")):
            if note:
                note("no_form", "")
            return value, Relation.INVALID
        return _short(value, note) if digits == 6 else _long(value, note)

    return Converter(f"division@{settings.version}", read, write)


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
