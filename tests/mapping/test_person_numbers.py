"""Numbers of people: published examples, every form of them, and the division in them read by date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.codelists import code_lists
from mapping.errors import InvalidIdentifier
from mapping.person_numbers import (
    IdentityKind,
    check_citizen_number,
    division_of,
    make_citizen_number,
    make_foreign_card_number,
    parse_citizen_number,
    parse_foreign_card_number,
    parse_old_citizen_number,
)

DIVISIONS = code_lists().divisions
DAYS = st.dates(date(1900, 1, 1), date(2026, 12, 31))


def test_the_published_example_of_the_card_of_2023() -> None:
    # National Immigration Administration, 2023-10-13: 9, 32 Jiangsu, 682 Saudi Arabia, 1985-01-01, 001, 7.
    parsed = parse_citizen_number("932682198501010017")
    assert (parsed.kind, parsed.accepted, parsed.nationality) == (IdentityKind.FOREIGN, "32", "682")
    assert (parsed.born_on, parsed.sequence, parsed.sex) == (date(1985, 1, 1), 1, "1")
    assert parsed.division == ""


def test_an_example_of_the_card_before() -> None:
    # From the tests of the public library CredentialKit.
    parsed = parse_foreign_card_number("KAZ110090123105")
    assert (parsed.nationality, parsed.accepted, parsed.sequence) == ("KAZ", "1100", 0)
    assert parsed.born_on == (date(1990, 12, 31), date(2090, 12, 31))
    assert make_foreign_card_number("KAZ", "1100", date(1990, 12, 31), 0) == "KAZ110090123105"


def test_a_day_that_only_one_century_has() -> None:
    number = make_foreign_card_number("CAN", "3100", date(2000, 2, 29), 1)
    assert parse_foreign_card_number(number).born_on == (date(2000, 2, 29),)


@pytest.mark.parametrize(
    ("number", "rule", "position", "expected", "found"),
    [
        ("KAZ110090123104", "check", 15, "5", "4"),
        ("KAZ110090133105", "date", 8, "a day", ""),
        ("KA1110090123105", "form", 3, "a capital letter", "1"),
        ("kAZ110090123105", "form", 1, "a capital letter", "k"),
        ("KAZ11009012310X", "form", 15, "a digit", "X"),
        ("KAZ1100901231", "form", 0, "15 characters", "13 characters"),
        ("", "form", 0, "15 characters", "0 characters"),
    ],
)
def test_a_wrong_card_number_says_where(
    number: str, rule: str, position: int, expected: str, found: str
) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        parse_foreign_card_number(number)
    error = refused.value
    assert (error.rule, error.position, error.expected, error.found) == (rule, position, expected, found)
    assert not number or number not in str(error)


@pytest.mark.parametrize(
    ("number", "rule", "position", "expected", "found"),
    [
        ("110105194912310021", "check", 18, "X", "1"),
        ("11010519491231002x", "form", 18, "a digit or X", "x"),
        ("01010519491231002X", "form", 1, "a digit but 0", "0"),
        ("11010519490230002X", "date", 7, "a day", ""),
        ("110105491231002", "form", 0, "18 characters", "15 characters"),
        ("1101O519491231002X", "form", 5, "a digit", "O"),
    ],
)
def test_a_wrong_citizen_number_says_where(
    number: str, rule: str, position: int, expected: str, found: str
) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        check_citizen_number(number)
    error = refused.value
    assert (error.rule, error.position, error.expected, error.found) == (rule, position, expected, found)
    assert number not in str(error)


def test_the_old_number_of_the_example_of_gb_11643() -> None:
    # The standard's example, 11010519491231002X, as it was written before 1999.
    parsed = parse_old_citizen_number("110105491231002")
    assert parsed == parse_citizen_number("11010519491231002X")


def test_sequences_for_people_over_a_hundred_are_of_the_century_before() -> None:
    assert parse_old_citizen_number("310101850101997").born_on == date(1885, 1, 1)
    assert parse_old_citizen_number("310101850101995").born_on == date(1985, 1, 1)


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("11010519491231002X", "form"),
        ("11010549123100X", "form"),
        ("110105491331002", "date"),
        ("110105000229002", "date"),
        ("", "form"),
    ],
)
def test_a_wrong_old_number_is_refused(number: str, rule: str) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        parse_old_citizen_number(number)
    assert refused.value.rule == rule


# --- the division in a number -------------------------------------------------------------------------


def read(division: str, born_on: date) -> tuple[list[str], bool] | None:
    found = division_of(parse_citizen_number(make_citizen_number(division, born_on, 11)), DIVISIONS)
    return ([name.name for name in found.names], found.certain) if found else None


def test_the_division_of_birth_is_read_with_the_day_of_birth() -> None:
    assert read("320705", date(1990, 6, 1)) == (["新浦区"], True)
    assert read("330103", date(2010, 6, 1)) == (["下城区"], True)
    assert read("330103", date(2023, 6, 1)) is None


def test_whoever_was_born_before_numbers_were_given_has_the_division_of_later() -> None:
    # 海州区 had the code until 1983, before there were numbers; 新浦区 has had it since 1986.
    assert read("320705", date(1960, 6, 1)) == (["新浦区"], False)
    assert read("310101", date(1960, 6, 1)) == (["黄浦区"], True)
    assert read("330402", date(1960, 6, 1)) == (["城区", "秀城区"], False)
    assert read("330114", date(1960, 6, 1)) is None


@pytest.mark.parametrize("division", ["110105", "810000", "830000"])
def test_divisions_elsewhere_are_not_known(division: str) -> None:
    assert read(division, date(1990, 6, 1)) is None


# --- any number ---------------------------------------------------------------------------------------


@given(DAYS, st.integers(0, 999))
def test_old_and_new_numbers_say_the_same(born_on: date, sequence: int) -> None:
    number = make_citizen_number("310101", born_on.replace(year=1901 + born_on.year % 99), sequence)
    old = parse_old_citizen_number(number[:6] + number[8:17])
    if sequence < 996:
        assert old.number == number
    else:
        assert old.born_on.year == parse_citizen_number(number).born_on.year - 100


@given(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3), DAYS, st.integers(0, 14), st.integers(1, 9)
)
def test_one_changed_digit_of_a_card_number_is_noticed(
    nationality: str, born_on: date, place: int, step: int
) -> None:
    number = make_foreign_card_number(nationality, "3200", born_on, 3)
    assert born_on.strftime("%y%m%d") in {
        day.strftime("%y%m%d") for day in parse_foreign_card_number(number).born_on
    }
    changed = number[:place] + str((int(number[place], 36) + step) % 10) + number[place + 1 :]
    if place > 2:  # letters of one value modulus 10 are not told apart
        with pytest.raises(InvalidIdentifier):
            parse_foreign_card_number(changed)


def refusal(parse: Callable[[str], object], value: str) -> InvalidIdentifier | None:
    try:
        parse(value)
    except InvalidIdentifier as refused:
        return refused
    return None


@given(st.one_of(st.text(max_size=24), st.text("0123456789X", min_size=14, max_size=19)))
@pytest.mark.parametrize("parse", [parse_citizen_number, parse_old_citizen_number, parse_foreign_card_number])
def test_any_text_is_right_or_refused_without_being_repeated(
    parse: Callable[[str], object], value: str
) -> None:
    refused = refusal(parse, value)
    if refused is not None:
        assert sum(map(str.isdigit, value)) < 3 or value not in str(refused)
        assert refused.position <= max(len(value), 1)
