"""Numbers: shared is the plain decimal without unit or trailing zeros."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from mapping.conversion import Converter, Reading, Settings, Writing, text_of
from mapping.element import Relation
from mapping.notes import Note
from mapping.numerals import read_money, read_numeral
from mapping.texts import TO_HALF

__all__ = ["build_number"]

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,12})?", re.ASCII)
_CANONICAL = re.compile(r"(?:0|-?[1-9][0-9]{0,29})(?:\.[0-9]{0,11}[1-9])?", re.ASCII)
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)
_MYRIAD = re.compile("[万萬亿億]")
_YUAN = ("元", "圆", "圓")
_SCALES = {"1": 0, "0.01": -2, "0.1": -1, "10": 1, "100": 2, "1000": 3, "10000": 4, "100000000": 8}
_LONGEST = 64
_SURELY_CANONICAL = 30
"""As many digits as any number may have before its point."""


def build_number(settings: Settings) -> Converter:
    """A decimal; `suffix` is the dialect's unit, and Chinese numerals are read as well.

    `scale` is how many shared units are one local unit (10000 where the dialect counts in 万, 0.01 where it
    counts 分). `json` = ``number`` writes a JSON number when that holds the value exactly. Full width,
    thousands separators and numerals are not restored on the way back: the dialect writes digits.
    """
    suffix = settings.parameters.get("suffix", "")
    as_number = settings.choice("json", ("text", "number")) == "number"
    power = _SCALES[settings.choice("scale", tuple(_SCALES))]

    def read(raw: Any, _on: str, note: Note | None = None) -> Reading:
        original = text_of(raw)
        if type(raw) not in (str, int, float) or len(original) > _LONGEST:
            return _no_number(original, note)
        if not power:
            if type(raw) is int and len(original) <= _SURELY_CANONICAL and note is None:
                return original, Relation.EXACT
            usual = original.removesuffix(suffix)
            if _CANONICAL.fullmatch(usual):
                if note:
                    note("unit" if usual != original else "number", usual)
                return usual, Relation.EXACT
        text = _digits(original, suffix, note, scaled=power != 0)
        if text is None:
            return _no_number(original, note)
        value = _plain(text, power)
        if note:
            note("scaled" if power else "number", value)
        return value, Relation.EXACT

    def write(value: str, _on: str, note: Note | None = None) -> Writing:
        if len(value) > _LONGEST or not _NUMBER.fullmatch(value):
            return _no_number(value, note)
        text = _plain(value, -power) if power or not _CANONICAL.fullmatch(value) else value
        if note:
            note("scaled" if power else "number", text + suffix)
        return (_json_number(text) if as_number else text + suffix), Relation.EXACT

    return Converter(f"number@{settings.version}", read, write)


def _no_number(original: str, note: Note | None) -> Reading:
    if note:
        note("no_number", original)
    return original, Relation.INVALID


def _digits(original: str, suffix: str, note: Note | None, *, scaled: bool) -> str | None:
    """The number in plain digits, without unit; None when it is none."""
    half = original.translate(TO_HALF).strip()
    text = half.removesuffix(suffix.translate(TO_HALF)).strip()
    if note and text != original:
        note("unit" if text != half else "half_width", text)
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
        if note:
            note("grouped", text)
    if _NUMBER.fullmatch(text):
        return text
    # Where the field itself counts in 万, a 万 in the text would be counted twice.
    number = None if scaled and _MYRIAD.search(text) else read_numeral(text)
    if number is None and suffix in _YUAN:
        number = read_money(half)
    if number is None:
        return None
    if note:
        note("chinese_number", format(number, "f"))
    return format(number, "f")


def _plain(text: str, power: int) -> str:
    """The decimal times 10^power, exactly, without exponent, leading or trailing zeros."""
    sign, digits, exponent = Decimal(text).as_tuple()
    shifted = format(Decimal((sign, digits, int(exponent) + power)), "f")
    shifted = shifted.rstrip("0").rstrip(".") if "." in shifted else shifted
    return "0" if shifted in ("-0", "") else shifted


def _json_number(text: str) -> int | float | str:
    if "." not in text:
        return int(text) if len(text) <= 15 else text
    number = float(text)
    return number if repr(number) == text else text
