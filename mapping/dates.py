"""The forms in which dates are written: separated in any way, compact, and milliseconds of China's clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from mapping.element import Relation

__all__ = ["DATE_FORMS", "LONG_TERM", "LONG_WORDS", "MILLISECONDS", "read_date", "read_milliseconds"]

LONG_TERM = "长期"
"""The shared value of an end date that never comes."""
LONG_WORDS = frozenset({"长期", "长期有效"})
"""What dialects say for it besides their own word."""

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<sep>[-/.])(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2})"
    r"|年(?P<zh_month>[0-9]{1,2})月(?P<zh_day>[0-9]{1,2})日"
    r"|(?P<compact_month>[0-9]{2})(?P<compact_day>[0-9]{2}))"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?))?",
    re.ASCII,
)
MILLISECONDS = re.compile(r"-?[0-9]{9,15}", re.ASCII)
DATE_FORMS: dict[str, Callable[[date], Any]] = {
    "iso": lambda day: day.isoformat(),
    "datetime": lambda day: f"{day.isoformat()} 00:00:00",
    "slash": lambda day: f"{day.year:04d}/{day.month}/{day.day}",
    "dash": lambda day: f"{day.year:04d}-{day.month}-{day.day}",
    "dot": lambda day: f"{day.year:04d}.{day.month:02d}.{day.day:02d}",
    "chinese": lambda day: f"{day.year:04d}年{day.month}月{day.day}日",
    "compact": lambda day: f"{day.year:04d}{day.month:02d}{day.day:02d}",
    "ms": lambda day: _milliseconds(day),
}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  a wall clock in China Standard Time, see _read_milliseconds
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


def read_date(text: str) -> tuple[str, Relation] | None:
    """The day of a text as ``yyyy-MM-dd``; BROADER when a time of day is lost; None when it names no day."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    month = found["month"] or found["zh_month"] or found["compact_month"]
    day = found["day"] or found["zh_day"] or found["compact_day"]
    try:
        value = date(int(found["year"]), int(month), int(day)).isoformat()
    except ValueError:
        return None
    midnight = not (found["time"] or "").strip("0:.")
    return value, Relation.EXACT if midnight else Relation.BROADER


@lru_cache(maxsize=4096)
def read_milliseconds(value: int) -> tuple[str, Relation] | None:
    """The day in China of milliseconds since 1970-01-01T00:00Z; None outside the years 1 to 9999."""
    try:
        moment = _EPOCH + timedelta(milliseconds=value) + _CHINA
    except OverflowError:
        return None
    day, rest = moment.date(), (value + 28_800_000) % _DAY_MS
    if rest == _DAY_MS - 3_600_000 and day < date.max:
        # A system that keeps China's daylight saving time wrote midnight of the next day.
        start, end = _SUMMERS.get(day.year, (date.max, date.min))
        if start <= day < end:
            return (day + timedelta(days=1)).isoformat(), Relation.EXACT
    return day.isoformat(), Relation.EXACT if rest == 0 else Relation.BROADER


def _milliseconds(day: date) -> int:
    """Midnight in UTC+8, also in the summers of daylight saving: every reader then finds the same day."""
    return (day.toordinal() - _EPOCH.toordinal()) * _DAY_MS - 28_800_000
