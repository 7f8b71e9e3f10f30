"""Chinese numerals, everyday and formal; what could be two numbers is none."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.numerals import read_digits, read_money, read_numeral

EVERYDAY = "零一二三四五六七八九"
FORMAL = "零壹贰叁肆伍陆柒捌玖"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("零", 0),
        ("十", 10),
        ("二十三", 23),
        ("贰拾叁", 23),
        ("壹拾", 10),
        ("廿三", 23),
        ("卅", 30),
        ("一百零五", 105),
        ("一百一十", 110),
        ("一千零五十", 1050),
        ("一千五百零二", 1502),
        ("两千", 2000),
        ("三万二千", 32000),
        ("一万零五", 10005),
        ("十二万三千四百五十六", 123456),
        ("一亿零三万", 100030000),
        ("一万亿", 10**12),
        ("壹萬貳仟", 12000),
        ("二〇二〇", 2020),
        ("三点五", Decimal("3.5")),
        ("零点二五", Decimal("0.25")),
    ],
)
def test_numerals(text: str, number: Decimal | int) -> None:
    assert read_numeral(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "一百二",  # 102 to one, 120 to another
        "一万五",  # 10005 or 15000
        "百",
        "一百百",
        "十十",
        "二十零",
        "十百",
        "零零五",
        "〇五",
        "半",
        "三点",
        "点五",
        "一万一万",
        "",
        "a",
        "一" * 41,
    ],
)
def test_what_is_no_numeral_or_could_be_two_is_none(text: str) -> None:
    assert read_numeral(text) is None


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("壹佰元整", "100"),
        ("伍圆正", "5"),
        ("叁拾伍元贰角伍分", "35.25"),
        ("三元零五分", "3.05"),
        ("壹万贰仟叁佰肆拾伍元陆角柒分", "12345.67"),
        ("一二三四五六七八九" * 3 + "一二三四元伍角", "123456789" * 3 + "1234.5"),
    ],
)
def test_amounts(text: str, amount: str) -> None:
    assert read_money(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["元", "壹佰", "壹佰元角", "元整", "一百二元"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert read_money(text) is None


@given(st.integers(0, 9999_9999_9999), st.sampled_from((EVERYDAY, FORMAL)))
def test_every_number_that_is_written_out_is_read(number: int, digits: str) -> None:
    assert read_numeral(written_out(number, digits)) == number


@given(st.text(st.sampled_from("0123456789"), min_size=1, max_size=8))
def test_digit_by_digit(digits: str) -> None:
    assert read_digits("".join("〇一二三四五六七八九"[int(digit)] for digit in digits)) == digits


def written_out(number: int, digits: str) -> str:
    """A number as a textbook writes it out, with every 零 and every 一."""
    units = "拾佰仟" if digits is FORMAL else "十百千"
    if number == 0:
        return digits[0]
    text, gap = "", False
    for myriad, sign in ((10**8, "亿"), (10**4, "万"), (1, "")):
        section = number // myriad % 10**4
        if not section:
            gap = bool(text)
            continue
        text += (digits[0] if text and (gap or section < 1000) else "") + four(section, digits, units) + sign
        gap = False
    return text


def four(section: int, digits: str, units: str) -> str:
    text, gap = "", False
    for place, unit in ((1000, units[2]), (100, units[1]), (10, units[0]), (1, "")):
        digit = section // place % 10
        if digit:
            text += (digits[0] if gap and text else "") + digits[digit] + unit
        gap = digit == 0
    return text
