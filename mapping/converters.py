"""How one value becomes another. Each converter is a pair: `read` local → shared, `write` shared → local.

Both are total: whatever comes in, something comes out, with its relation. INVALID and UNMAPPED carry the
original as text. A local value is any JSON value, a shared value always text. Each converter says where its
two directions are opposites and where something is lost.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from mapping.codelists import Divisions
from mapping.dates import DATE_FORMS, LONG_TERM, LONG_WORDS, MILLISECONDS, read_date, read_milliseconds
from mapping.element import Relation
from mapping.errors import InvalidIdentifier, MappingError
from mapping.identifiers import (
    check_citizen_number,
    check_service_item_code,
    check_uscc,
    parse_certificate_id,
)

__all__ = [
    "CONVERTERS",
    "LONG_TERM",
    "Converter",
    "Reading",
    "Settings",
    "Writing",
    "build_converter",
    "is_encodable",
    "text_of",
]

Reading = tuple[str, Relation]
"""A shared value and how it relates to the local one."""
Writing = tuple[Any, Relation]
"""A local JSON value and how it relates to the shared one."""

_NO_READINGS: Mapping[str, Reading] = MappingProxyType({})
_NO_WRITINGS: Mapping[str, Writing] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Converter:
    """`table` is ``name@version``, or empty when values are carried as they are.

    `read` and `write` take the value and the day it was written on (ISO 8601, empty when not known). `known`
    and `written` have the readings and writings that do not depend on the day, for converters that have
    finitely many.
    """

    table: str
    read: Callable[[Any, str], Reading]
    write: Callable[[str, str], Writing]
    known: Mapping[str, Reading] = field(default_factory=lambda: _NO_READINGS)
    written: Mapping[str, Writing] = field(default_factory=lambda: _NO_WRITINGS)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a converter is built from: a rule's parameters, its element's type, the dialect's version."""

    parameters: Mapping[str, str]
    element_type: str
    version: str
    divisions: Divisions

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A parameter that is one of few; the first is the default. Raises MappingError."""
        value = self.parameters.get(name, allowed[0])
        if value not in allowed:
            raise MappingError(f"parameter {name} is {value!r}; expected one of {', '.join(allowed)}")
        return value


# --- text -----------------------------------------------------------------------------------------


_UNTELLABLE = "(a value that JSON cannot hold)"


def is_encodable(text: str) -> bool:
    """Whether the text is UTF-8 at all; JSON can smuggle in halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(raw: Any) -> str:
    """Any JSON value as text that can be sent: strings as they are, numbers in digits, the rest as JSON."""
    if type(raw) is str:
        return raw if raw.isascii() or is_encodable(raw) else raw.encode("utf-8", "backslashreplace").decode()
    if raw is None:
        return ""
    try:
        text = str(raw) if type(raw) is int else json.dumps(raw, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        return _UNTELLABLE
    return text if is_encodable(text) else text.encode("utf-8", "backslashreplace").decode()


def _read_text(raw: Any, _on: str) -> Reading:
    text = text_of(raw)
    if text is raw or (type(raw) in (int, float) and text is not _UNTELLABLE):
        return text, Relation.EXACT
    return text, Relation.INVALID


def _write_text(value: str, _on: str) -> Writing:
    return value, Relation.EXACT


def _text(_settings: Settings) -> Converter:
    """Carried as it is, both ways."""
    return Converter("", _read_text, _write_text)


# --- full and half width --------------------------------------------------------------------------

_FULL = "".join(
    chr(code) for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
)
_HALF = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TO_HALF = str.maketrans(_FULL + "（）［］－", _HALF + "()[]-")
_TO_FULL_BRACKETS = str.maketrans("()", "（）")


def _width(settings: Settings) -> Converter:
    """Numbers of papers: shared is half width; `brackets` says what the dialect writes."""
    full = settings.choice("brackets", ("half", "full")) == "full"

    def read(raw: Any, on: str) -> Reading:
        text, relation = _read_text(raw, on)
        return (text, relation) if text.isascii() else (text.translate(_TO_HALF), relation)

    def write(value: str, _on: str) -> Writing:
        return (value.translate(_TO_FULL_BRACKETS) if full else value), Relation.EXACT

    return Converter(f"width@{settings.version}", read, write)


# --- dates ----------------------------------------------------------------------------------------


def _date(settings: Settings) -> Converter:
    """Shared is ``yyyy-MM-dd``. Reads every separated form; `form` is what the dialect writes.

    `long` is the dialect's word for 长期; without it, there is no such date in the field. A time of day other
    than midnight is lost and the reading is BROADER. Milliseconds are read in China Standard Time when `form`
    is ``ms``.
    """
    form = settings.choice("form", tuple(DATE_FORMS))
    long = settings.parameters.get("long", "")

    @lru_cache(maxsize=4096)
    def read_text(text: str) -> Reading:
        if long and (text == long or text in LONG_WORDS):
            return LONG_TERM, Relation.EXACT
        if form == "ms" and MILLISECONDS.fullmatch(text):
            return read_milliseconds(int(text)) or (text, Relation.INVALID)
        return read_date(text.translate(_TO_HALF)) or (text_of(text), Relation.INVALID)

    def read(raw: Any, _on: str) -> Reading:
        if type(raw) is str:
            return read_text(raw) if len(raw) <= 40 else (text_of(raw), Relation.INVALID)
        if type(raw) is not int or not -(10**15) < raw < 10**15:
            return text_of(raw), Relation.INVALID
        if form != "ms" or str(raw) == long:
            return read_text(str(raw))
        return read_milliseconds(raw) or (str(raw), Relation.INVALID)

    return Converter(f"date@{settings.version}", read, _date_writer(form, long))


def _date_writer(form: str, long: str) -> Callable[[str, str], Writing]:
    written = DATE_FORMS[form]

    @lru_cache(maxsize=4096)
    def write(value: str, _on: str) -> Writing:
        if value == LONG_TERM:
            if not long:
                return value, Relation.UNMAPPED
            return int(long) if form == "ms" and long.isdigit() else long, Relation.EXACT
        try:
            day = date.fromisoformat(value)
        except ValueError:
            return value, Relation.INVALID
        if day.isoformat() != value:
            return value, Relation.INVALID
        # A last day that the dialect writes for 长期 cannot be told from it any more.
        return written(day), Relation.RELATED if str(written(day)) == long else Relation.EXACT

    return write


# --- numbers --------------------------------------------------------------------------------------

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,12})?", re.ASCII)
_CANONICAL = re.compile(r"(?:0|-?[1-9][0-9]{0,29})(?:\.[0-9]{0,11}[1-9])?", re.ASCII)
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)


def _number(settings: Settings) -> Converter:
    """Shared is the plain decimal without unit or trailing zeros; `suffix` is the dialect's unit.

    `scale` is how many shared units are one local unit (10000 where the dialect counts in 万). `json` =
    ``number`` writes a JSON number when that holds the value exactly.
    """
    suffix = settings.parameters.get("suffix", "")
    as_number = settings.choice("json", ("text", "number")) == "number"
    power = ("1", "10", "100", "1000", "10000", "100000000").index(settings.choice("scale", ("1", "10000")))

    def read(raw: Any, _on: str) -> Reading:
        original = text_of(raw)
        if type(raw) not in (str, int, float):
            return original, Relation.INVALID
        if not power and _CANONICAL.fullmatch(original):
            return original, Relation.EXACT
        text = original.strip().translate(_TO_HALF).removesuffix(suffix).strip()
        if _GROUPED.fullmatch(text):
            text = text.replace(",", "")
        return (
            (_plain(text, power), Relation.EXACT) if _NUMBER.fullmatch(text) else (original, Relation.INVALID)
        )

    def write(value: str, _on: str) -> Writing:
        if not _NUMBER.fullmatch(value):
            return value, Relation.INVALID
        text = _plain(value, -power)
        return (_json_number(text) if as_number else text + suffix), Relation.EXACT

    return Converter(f"number@{settings.version}", read, write)


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
    return number if json.dumps(number) == text else text


# --- identifiers, divisions, tokens ---------------------------------------------------------------


def _check_strict_certificate_id(value: str) -> None:
    advice = parse_certificate_id(value).advice
    if advice:
        raise InvalidIdentifier("advice", "; ".join(advice))


_CHECKS: dict[str, Callable[[str], object]] = {
    "citizen_number": check_citizen_number,
    "uscc": check_uscc,
    "certificate_id": _check_strict_certificate_id,
    "service_item_code": check_service_item_code,
}


def _identifier(settings: Settings) -> Converter:
    """Carried as it is, in upper case; one that breaks its standard is INVALID, with the original carried."""
    check = _CHECKS.get(settings.element_type)
    if check is None:
        raise MappingError(f"no identifier standard for an element of type {settings.element_type}")

    def read(raw: Any, _on: str) -> Reading:
        original = text_of(raw)
        value = original.strip().upper() if len(original) <= 256 else ""
        try:
            check(value)
        except InvalidIdentifier:
            return original, Relation.INVALID
        return value, Relation.EXACT

    return Converter(f"{settings.element_type}@{settings.version}", read, _write_text)


_DIVISION = re.compile(r"[1-9][0-9]{5}(?:[0-9]{6})?", re.ASCII)


def _division(settings: Settings) -> Converter:
    """Shared is 6, 9 or 12 digits without padding; `digits` says whether the dialect pads to 12 or cuts to 6.

    A code of the four provinces that never existed is UNMAPPED. Cutting a township off is BROADER.
    """
    digits = int(settings.choice("digits", ("6", "12")))
    divisions = settings.divisions

    def read(raw: Any, _on: str) -> Reading:
        text = text_of(raw).strip()
        if not _DIVISION.fullmatch(text):
            return text_of(raw), Relation.INVALID
        if text[:2] in ("31", "32", "33", "34") and text[:6] not in divisions:
            return text_of(raw), Relation.UNMAPPED
        return _unpadded(text), Relation.EXACT

    def write(value: str, _on: str) -> Writing:
        if len(value) not in (6, 9, 12) or not _DIVISION.fullmatch(value.ljust(12, "0")):
            return value, Relation.INVALID
        if digits == 6:
            return value[:6], Relation.EXACT if len(value) == 6 else Relation.BROADER
        return value.ljust(12, "0"), Relation.EXACT

    return Converter(f"division@{settings.version}", read, write)


def _unpadded(text: str) -> str:
    if text[6:] in ("", "000000"):
        return text[:6]
    return text[:9] if text[9:] == "000" else text


def _token(settings: Settings) -> Converter:
    """An opaque token, as one province hands out: base64url of the shared value, without padding.

    When what is in it breaks its standard, that is the value, and INVALID.
    """
    check = _CHECKS.get(settings.element_type, len)

    def read(raw: Any, _on: str) -> Reading:
        original = text_of(raw)
        try:
            value = base64.b64decode(original + "=" * (-len(original) % 4), b"-_", validate=True).decode()
        except (ValueError, binascii.Error):
            return original, Relation.INVALID
        if _as_token(value) != original:
            return original, Relation.INVALID
        try:
            check(value)
        except InvalidIdentifier:
            return value, Relation.INVALID
        return value, Relation.EXACT

    def write(value: str, _on: str) -> Writing:
        return (
            (_as_token(value), Relation.EXACT) if is_encodable(value) else (text_of(value), Relation.INVALID)
        )

    return Converter(f"token@{settings.version}", read, write)


def _as_token(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


# --- by name --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    build: Callable[[Settings], Converter]
    parameters: frozenset[str]
    types: frozenset[str]


CONVERTERS: Mapping[str, _Kind] = MappingProxyType(
    {
        "text": _Kind(_text, frozenset(), frozenset({"text"})),
        "width": _Kind(_width, frozenset({"brackets"}), frozenset({"text"})),
        "date": _Kind(_date, frozenset({"form", "long"}), frozenset({"date", "date_or_long"})),
        "number": _Kind(_number, frozenset({"suffix", "scale", "json"}), frozenset({"number"})),
        "identifier": _Kind(_identifier, frozenset(), frozenset(_CHECKS)),
        "division": _Kind(_division, frozenset({"digits"}), frozenset({"division"})),
        "token": _Kind(_token, frozenset(), frozenset({"text", *_CHECKS})),
    }
)
"""Every converter but `code` and `group`, with the parameters it takes and the element types it is for."""


def build_converter(name: str, settings: Settings) -> Converter:
    """The converter of a rule. Raises MappingError saying what does not fit."""
    kind = CONVERTERS.get(name)
    if kind is None:
        raise MappingError(f"there is no converter {name!r}")
    strange = sorted(set(settings.parameters) - kind.parameters)
    if strange:
        raise MappingError(f"converter {name} takes no parameter {', '.join(strange)}")
    if settings.element_type not in kind.types:
        raise MappingError(f"converter {name} is not for an element of type {settings.element_type}")
    return kind.build(settings)
