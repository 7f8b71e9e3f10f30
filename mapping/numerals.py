"""Numbers written in Chinese numerals, everyday and formal: 二十三, 贰拾叁, 一百零五, 三点五, 二〇二〇, 壹佰元整.

Only well-formed numerals are read: units fall from left to right and no place is said twice. Anything else is
no number, since a wrong amount is worse than none: 一百二 and 一万五 are said of two numbers each. 零 between
places may be left out, and 两 is 二.
"""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["read_digits", "read_money", "read_numeral"]

_DIGITS = {
    **dict(zip("〇一二三四五六七八九", range(10), strict=True)),
    **dict(zip("零壹贰叁肆伍陆柒捌玖", range(10), strict=True)),
    **dict(zip("○壱貳參肆伍陸柒捌玖", range(10), strict=True)),
    "◯": 0,
    "两": 2,
    "兩": 2,
    "弐": 2,
    "叄": 3,
}
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_TENS = {"廿": "二十", "卅": "三十", "卌": "四十"}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_LONGEST = 40
_DIGIT = f"[{''.join(_DIGITS)}]"
_MONEY = re.compile(rf"(?P<whole>.*?)[元圆圓](?P<jiao>{_DIGIT}角)?零?(?P<fen>{_DIGIT}分)?[整正]?")


def read_digits(text: str) -> str | None:
    """Digit by digit, as years are written: 二〇二〇 is ``2020``. None when something else is in it."""
    if not text or any(character not in _DIGITS for character in text):
        return None
    return "".join(str(_DIGITS[character]) for character in text)


def read_numeral(text: str) -> Decimal | None:
    """The number, or None when the text is no well-formed numeral."""
    if not text or len(text) > _LONGEST:
        return None
    whole, point, fraction = text.partition("点")
    number = _whole(whole)
    if number is None:
        return None
    if not point:
        return Decimal(number)
    digits = read_digits(fraction)
    return Decimal(f"{number}.{digits}") if digits else None


def read_money(text: str) -> Decimal | None:
    """An amount in 元, with 角 and 分: 壹佰元整, 叁拾伍元贰角伍分. None when the text is none."""
    found = _MONEY.fullmatch(text) if len(text) <= _LONGEST else None
    number = _whole(found["whole"]) if found else None
    if found is None or number is None:
        return None
    jiao, fen = (_DIGITS[found[name][0]] if found[name] else 0 for name in ("jiao", "fen"))
    # Not added up: a sum keeps 28 digits only.
    return Decimal(f"{number}.{jiao}{fen}".rstrip("0").rstrip("."))


def _whole(text: str) -> int | None:
    """An integer: by places when it has units, digit by digit when it has none."""
    for short, long in _TENS.items():
        text = text.replace(short, long)
    digits = read_digits(text)
    if digits is not None:
        return int(digits) if digits == "0" or not digits.startswith("0") else None
    return _by_myriads(text)


def _by_myriads(text: str) -> int | None:
    """亿 before 万, each with a section of at most four places in front of it; 万亿 is 10^12."""
    for sign, value in reversed(_MYRIADS.items()):
        head, found, tail = text.rpartition(sign)
        if not found:
            continue
        if len(tail) == 1:
            return None  # 一万五 is 15000 to one and 10005 to another
        high = _by_myriads(head) if value == 10**8 else _section(head)
        low = 0 if not tail else _by_myriads(tail)
        if not high or low is None or low >= value or (value == 10**8 and high >= 10**8):
            return None
        return high * value + low
    return _section(text)


def _section(text: str) -> int | None:
    """Up to four places: 一千零五, 十二, 三百二 is not read (it could be 302 or 320)."""
    total, digit, place = 0, None, 10**4
    for character in text:
        if character in _UNITS:
            unit = _UNITS[character]
            if unit >= place or digit == 0:
                return None
            if digit is None and not (unit == 10 and total == 0):
                return None
            total, digit, place = total + (1 if digit is None else digit) * unit, None, unit
        elif character in _DIGITS:
            value = _DIGITS[character]
            if digit or (digit == 0 and value == 0):
                return None
            digit = value
        else:
            return None
    if digit is None:
        return total or None
    return _with_last(total, digit, place, said_zero="零" in text[:-1] or "〇" in text[:-1])


def _with_last(total: int, digit: int, place: int, *, said_zero: bool) -> int | None:
    """A last digit counts ones; right after hundreds or thousands it must have been told apart by a zero."""
    if digit == 0:
        return total if total == 0 else None
    if place > 10 and total and not said_zero:
        return None
    return total + digit
