"""Dates in every form that registries write them. Shared is ``yyyy-MM-dd``, or 长期 for an end that never comes.

Separated in any way, compact, in Chinese numerals, in full width, and milliseconds of China's clock. A text that
two readers could read as two days is no date here: day and month never change places.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from mapping.conversion import Converter, Reading, Settings, Write, Writing, text_of
from mapping.element import Relation
from mapping.notes import Note
from mapping.numerals import read_digits, read_numeral
from mapping.texts import TO_HALF

__all__ = ["CACHED_DATES", "DATE_FORMS", "LONG_TERM", "LONG_WORDS", "build_date"]

LONG_TERM = "长期"
"""The shared value of an end date that never comes."""
LONG_WORDS = frozenset({"长期", "长期有效"})
"""What dialects say for it besides their own word."""
CACHED_DATES = 4096
"""How many dates a converter remembers each way: a registry's days of issue come again and again."""

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<sep>[-/.])(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2})"
    r"|年(?P<zh_month>[0-9]{1,2})月(?P<zh_day>[0-9]{1,2})日"
    r"|(?P<compact_month>[0-9]{2})(?P<compact_day>[0-9]{2})"
    r"(?P<compact_time>(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9])?)"
    r"(?:[T ](?P<time>(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?))?",
    re.ASCII,
)
_CHINESE = re.compile(r"(?P<year>\D{4})年(?P<month>\D{1,3})月(?P<day>\D{1,3})日")
_MILLISECONDS = re.compile(r"-?[0-9]{9,15}", re.ASCII)
_THIRTEEN = re.compile(r"[0-9]{13}", re.ASCII)
_LONGEST = 40
DATE_FORMS: dict[str, Callable[[date], Any]] = {
    "iso": lambda day: day.isoformat(),
    "datetime": lambda day: f"{day.isoformat()} 00:00:00",
    "slash": lambda day: f"{day.year:04d}/{day.month}/{day.day}",
    "dash": lambda day: f"{day.year:04d}-{day.month}-{day.day}",
    "dot": lambda day: f"{day.year:04d}.{day.month:02d}.{day.day:02d}",
    "chinese": lambda day: f"{day.year:04d}年{day.month}月{day.day}日",
    "numerals": lambda day: _in_numerals(day),
    "compact": lambda day: f"{day.year:04d}{day.month:02d}{day.day:02d}",
    "ms": lambda day: _milliseconds(day),
}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  a wall clock in China Standard Time, see _milliseconds
_CHINA = timedelta(hours=8)
_DAY_MS = 86_400_000
# Daylight saving time in China; within it midnight was an hour earlier (tz database, rule PRC).
_SUMMERS = {
    1986: (date(1986, 5, 4), date(1986, 9, 14)),
    1987: (date(1987, 4, 12), date(1987, 9, 13)),
    1988: (date(1988, 4, 17), date(1988, 9, 11)),
    1989: (date(1989, 4, 16), date(1989, 9, 17)),
    1990: (date(1990, 4, 15), date(1990, 9, 16)),
    1991: (date(1991, 4, 14), date(1991, 9, 15)),
}


def build_date(settings: Settings) -> Converter:
    """Reads every form; `form` is what the dialect writes, whatever form a date came in.

    `long` is the dialect's word for 长期; without it, there is no such date in the field. A time of day other
    than midnight is lost and the reading is BROADER; one that no clock shows is INVALID with its day. Thirteen
    digits are milliseconds whatever the form; other lengths, and JSON numbers, only where `form` is ``ms``, and
    not when they could be written-out days as well.
    """
    form = settings.choice("form", tuple(DATE_FORMS))
    long = settings.parameters.get("long", "")

    def parse(raw: str | int, note: Note | None = None) -> Reading:
        text = str(raw)
        if long and (text == long or text in LONG_WORDS):
            if note:
                note("long_term", text)
            return LONG_TERM, Relation.EXACT
        half = text.translate(TO_HALF).strip()
        if note and half != text:
            note("half_width", half)
        counted = form == "ms" and (type(raw) is int or _MILLISECONDS.fullmatch(half))
        found = _read_day(half, note, counted=bool(counted or _THIRTEEN.fullmatch(half)))
        if found is None:
            if note:
                note("no_day", "")
            return text_of(text), Relation.INVALID
        return found

    parse_again = lru_cache(maxsize=CACHED_DATES)(parse)

    def read(raw: Any, _on: str, note: Note | None = None) -> Reading:
        if (type(raw) is str and len(raw) <= _LONGEST) or (type(raw) is int and _is_short(raw)):
            return parse(raw, note) if note else parse_again(raw)
        if note:
            note("no_day", "")
        return text_of(raw), Relation.INVALID

    return Converter(f"date@{settings.version}", read, _writer(form, long))


def _read_day(half: str, note: Note | None, *, counted: bool) -> Reading | None:
    if not counted:
        return _read_separated(half, note) or _read_numerals(half, note)
    found = _read_milliseconds(int(half), note)
    if found and found[1] is not Relation.EXACT and _read_separated(half, None):
        return None  # 20200102103000 is a time of 2020 to one and milliseconds of 2610 to another
    return found


def _is_short(number: int) -> bool:
    """Milliseconds of a day between the years 1 and 9999; longer numbers are not even written out."""
    return -(10**15) < number < 10**15


def _writer(form: str, long: str) -> Write:
    written = DATE_FORMS[form]

    def compose(value: str, note: Note | None = None) -> Writing:
        if value == LONG_TERM:
            if note:
                note("long_term" if long else "no_long_term", long)
            if not long:
                return value, Relation.UNMAPPED
            return int(long) if form == "ms" and long.isdigit() else long, Relation.EXACT
        day = _shared_day(value)
        if day is None:
            if note:
                note("no_day", "")
            return value, Relation.INVALID
        raw = written(day)
        # A last day that the dialect writes for 长期 cannot be told from it any more.
        like_long = str(raw) == long
        if note:
            note("like_long_term" if like_long else "day", str(raw))
        return raw, Relation.RELATED if like_long else Relation.EXACT

    compose_again = lru_cache(maxsize=CACHED_DATES)(compose)

    def write(value: str, _on: str, note: Note | None = None) -> Writing:
        if len(value) > _LONGEST:
            return value, Relation.INVALID
        return compose(value, note) if note else compose_again(value)

    return write


def _shared_day(value: str) -> date | None:
    """The day of a shared date; other ISO forms are not shared ones."""
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if day.isoformat() == value else None


# --- the forms ------------------------------------------------------------------------------------


def _read_separated(text: str, note: Note | None) -> Reading | None:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    month = found["month"] or found["zh_month"] or found["compact_month"]
    day = found["day"] or found["zh_day"] or found["compact_day"]
    value = _day(int(found["year"]), int(month), int(day))
    if value is None:
        return None
    time = (found["compact_time"] or "") + (found["time"] or "")
    midnight = not time.strip("0:.")
    if note:
        note("day", value)
        if not midnight:
            note("time_lost", time)
    return value, Relation.EXACT if midnight else Relation.BROADER


def _read_numerals(text: str, note: Note | None) -> Reading | None:
    """二〇二〇年一月二日, and with formal numerals as on cheques: 贰零贰零年壹月零贰日."""
    found = _CHINESE.fullmatch(text)
    if found is None:
        return None
    year = read_digits(found["year"])
    month, day = (_small(found[name]) for name in ("month", "day"))
    value = _day(int(year), month, day) if year and month and day else None
    if value is not None and note:
        note("chinese_day", value)
    return None if value is None else (value, Relation.EXACT)


def _small(text: str) -> int:
    """A month or a day: 一, 十二, 二十一, 零贰, 壹拾; 0 when it is neither."""
    number = read_numeral(text.lstrip("零〇○"))
    return int(number) if number is not None and number == int(number) else 0


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _read_milliseconds(value: int, note: Note | None) -> Reading | None:
    """The day in China of milliseconds since 1970-01-01T00:00Z; None outside the years 1 to 9999."""
    try:
        moment = _EPOCH + timedelta(milliseconds=value) + _CHINA
    except OverflowError:
        return None
    day, rest = moment.date(), (value + 28_800_000) % _DAY_MS
    summer = rest == _DAY_MS - 3_600_000 and _is_summer(day)
    if summer:
        # A system that keeps China's daylight saving time wrote midnight of the next day.
        day, rest = day + timedelta(days=1), 0
    if note:
        note("milliseconds", day.isoformat())
        if summer:
            note("daylight", "")
        if rest:
            note("time_lost", moment.time().isoformat())
    return day.isoformat(), Relation.BROADER if rest else Relation.EXACT


def _is_summer(day: date) -> bool:
    start, end = _SUMMERS.get(day.year, (date.max, date.min))
    return start <= day < end


def _milliseconds(day: date) -> int:
    """Midnight in UTC+8, also in the summers of daylight saving: every reader then finds the same day."""
    return (day.toordinal() - _EPOCH.toordinal()) * _DAY_MS - 28_800_000


def _in_numerals(day: date) -> str:
    year = "".join("〇一二三四五六七八九"[int(digit)] for digit in f"{day.year:04d}")
    return f"{year}年{_up_to_99(day.month)}月{_up_to_99(day.day)}日"


def _up_to_99(number: int) -> str:
    tens, ones = divmod(number, 10)
    digits = " 一二三四五六七八九"
    return ((digits[tens] if tens > 1 else "") + "十" if tens else "") + (digits[ones] if ones else "")
