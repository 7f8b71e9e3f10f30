"""Which unknown values of closed lists are shown as codes, and that nothing of a person is among them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.translator import Direction, Inexact
from federation.unmapped_codes import (
    CODES_MAX,
    CODES_PER_LIST_MAX,
    HOLDERS_MIN,
    WORDS_MAX,
    NotShown,
    UnmappedCodes,
    kind_of_code,
)
from mapping.code_tables import DIVISIONS, CodeTable
from tests.support.clock import NOON
from tests.support.exchange import HOLDER

NOW_IN_FORCE, LATER = b"1" * 32, b"2" * 32
SEX = CodeTable("sex", frozenset({"1", "2"}), frozenset({"1", "2"}), local_forms=frozenset({"x"}))
TYPES = CodeTable("certificate_type", local_forms=frozenset({"xxxxxx"}), shared_forms=frozenset({"x" * 21}))
DIVISION = CodeTable(DIVISIONS)


def noted(
    codes: UnmappedCodes,
    code: str,
    table: CodeTable = SEX,
    direction: Direction = Direction.TO_SHARED,
    *,
    whose: str = "",
    digest: bytes = NOW_IN_FORCE,
) -> None:
    """A value comes in."""
    codes.note(Inexact(direction, "unmapped", "t", code, whose), table, NOON, digest)


def shown(codes: UnmappedCodes, *tables: CodeTable, digest: bytes = NOW_IN_FORCE) -> list[str]:
    """The codes on the list."""
    held = {table.name: table for table in tables or (SEX, TYPES, DIVISION)}
    return [one.code for one in codes.codes(held, digest)]


@pytest.mark.parametrize("code", ["3", "U", "90", "JS-GA-099", "CHN", "03.1", "a_b", "99/1"])
def test_what_looks_like_a_code_is_shown(code: str) -> None:
    codes = UnmappedCodes()
    noted(codes, code)
    assert shown(codes) == [code]
    assert not codes.not_shown


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (HOLDER, NotShown.NUMBER),
        (HOLDER[:15], NotShown.NUMBER),
        (f" {HOLDER} ", NotShown.NUMBER),
        (HOLDER[:17] + "X", NotShown.NUMBER),
        ("13812345678", NotShown.NUMBER),
        ("E12345678", NotShown.NUMBER),
        ("H1234567", NotShown.NUMBER),
        ("1990-11-02", NotShown.NUMBER),
        ("199011", NotShown.NUMBER),
        ("１９９０１１０２", NotShown.NUMBER),
        ("6222020200112233445", NotShown.NUMBER),
        ("91330106002482106X", NotShown.NUMBER),
        ("浙A12345", NotShown.FORM),
        ("王芳", NotShown.WORD),
        ("WANGFANG", NotShown.WORD),
        ("Wang Fang", NotShown.WORD),
        ("Li-Na", NotShown.WORD),
        ("Yu/Na-Li", NotShown.WORD),
        ("J.Li", NotShown.FORM),
        ("Li_Na", NotShown.FORM),
        ("浙江省杭州市西湖区文三路1号", NotShown.LONG),
        ('{"姓":"王"}', NotShown.FORM),
        ("<b>", NotShown.FORM),
        ("大专（在读）", NotShown.WORD),
        ("\x00\x01", NotShown.FORM),
        ("", NotShown.FORM),
        ("9" * 1_000_000, NotShown.LONG),
    ],
)
def test_what_could_be_a_persons_is_only_counted(value: str, why: NotShown) -> None:
    codes = UnmappedCodes()
    noted(codes, value, whose=HOLDER)
    assert shown(codes) == []
    assert codes.not_shown == {(Direction.TO_SHARED, "sex", why): 1}


def test_six_digits_and_long_codes_are_shown_where_the_lists_own_codes_look_like_that() -> None:
    codes = UnmappedCodes()
    noted(codes, "100099", TYPES)
    noted(codes, "11100000000013127D099", TYPES, Direction.TO_LOCAL)
    assert sorted(shown(codes)) == ["100099", "11100000000013127D099"]
    for number in (HOLDER + "001", "001" + HOLDER, "1" + HOLDER + "AB"):
        noted(codes, number, TYPES, Direction.TO_LOCAL)
    for number in (HOLDER, HOLDER[:15], HOLDER[:14] + "100099A", "19901102"):
        noted(codes, number, TYPES)
    assert len(shown(codes)) == 2


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_nothing_with_the_digits_of_a_persons_number_is_shown(text: str) -> None:
    digits = sum(map(str.isdigit, text))
    shape = frozenset({"x" * 6, "x" * 21})
    if kind_of_code(text, shape) is None:
        assert digits <= 6 or len(text) == 21
        assert text.isascii()
        assert text.isprintable()


def test_of_a_division_the_part_that_is_not_known_is_shown() -> None:
    codes = UnmappedCodes()
    noted(codes, "330199001002", DIVISION)
    noted(codes, "330199", DIVISION)
    noted(codes, HOLDER, DIVISION)
    [one] = codes.codes({"d": DIVISION}, NOW_IN_FORCE)
    assert (one.list_name, one.code, one.times, one.last_seen_at) == ("division", "330199", 2, NOON)
    assert codes.not_shown == {(Direction.TO_SHARED, "division", NotShown.FORM): 1}


def test_a_word_is_shown_when_enough_holders_have_it() -> None:
    codes = UnmappedCodes()
    for number in range(HOLDERS_MIN - 1):
        for _ in range(3):  # the same holder again makes it no more common
            noted(codes, "中专毕业", whose=f"holder {number}")
    assert shown(codes) == []
    noted(codes, "中专毕业", whose="one more")
    assert shown(codes) == ["中专毕业"]


def test_a_word_of_nobody_knows_whom_is_never_shown() -> None:
    codes = UnmappedCodes()
    for _ in range(HOLDERS_MIN + 1):
        noted(codes, "出生证")
    for number in range(HOLDERS_MIN + 1):
        noted(codes, "王芳", direction=Direction.TO_LOCAL, whose=str(number))
    assert shown(codes) == []


def test_a_list_that_gets_all_kinds_of_words_shows_none() -> None:
    codes = UnmappedCodes()
    for number in range(HOLDERS_MIN):
        noted(codes, "王芳", whose=str(number))
    noted(codes, "3")
    assert shown(codes) == ["3", "王芳"]
    for number in range(WORDS_MAX):
        noted(codes, "张李陈刘杨赵黄周吴徐孙胡朱高林何郭马罗梁"[number] + "伟", whose=str(number))
    assert shown(codes) == ["3"]
    noted(codes, "王芳", whose="more")
    assert shown(codes) == ["3"]
    assert codes.not_shown[Direction.TO_SHARED, "sex", NotShown.FREE_TEXT] == 3
    noted(codes, "王芳", whose="1", digest=LATER)  # another rule set is looked at anew
    assert codes.not_shown[Direction.TO_SHARED, "sex", NotShown.WORD] == HOLDERS_MIN - 1 + WORDS_MAX


def test_no_more_than_so_many_codes_are_kept_of_a_list_and_in_all() -> None:
    codes = UnmappedCodes()
    tables = [CodeTable(f"list{number}") for number in range(CODES_MAX // CODES_PER_LIST_MAX + 2)]
    for table in tables:
        for number in range(CODES_PER_LIST_MAX + 1):
            noted(codes, str(number), table)
    assert len(shown(codes, *tables)) == CODES_MAX
    full = sum(count for (_, _, why), count in codes.not_shown.items() if why is NotShown.FULL)
    assert full == len(tables) * (CODES_PER_LIST_MAX + 1) - CODES_MAX
    noted(codes, "0", tables[0])
    assert codes.codes({t.name: t for t in tables}, NOW_IN_FORCE)[0].times == 2


def test_what_a_later_rule_set_has_a_row_for_is_dropped_and_the_rest_stays() -> None:
    codes = UnmappedCodes()
    noted(codes, "3")
    noted(codes, "4")
    noted(codes, "5", CodeTable("gone"))
    later = CodeTable("sex", frozenset({"1", "2", "3"}))
    assert sorted(shown(codes, SEX, CodeTable("gone"))) == ["3", "4", "5"]
    assert shown(codes, later, digest=LATER) == ["4"]
    noted(codes, "3", later, digest=LATER)  # it has a row, but for another day
    assert shown(codes, later, digest=LATER) == ["3", "4"]


def test_a_code_that_a_row_says_has_no_target_lacks_nothing() -> None:
    codes = UnmappedCodes()
    table = CodeTable("sex", frozenset({"9"}), without_target=frozenset({"9"}))
    noted(codes, "9", table)
    assert shown(codes, table) == []
    assert not codes.not_shown


def test_the_most_frequent_come_first_with_when_they_were_last_seen() -> None:
    codes = UnmappedCodes()
    for number, code in enumerate(("7", "8", "8")):
        one = Inexact(Direction.TO_SHARED, "unmapped", "t", code)
        codes.note(one, SEX, NOON + timedelta(seconds=number), NOW_IN_FORCE)
    seen = [(one.code, one.times, one.last_seen_at) for one in codes.codes({"s": SEX}, NOW_IN_FORCE)]
    assert seen == [("8", 2, NOON + timedelta(seconds=2)), ("7", 1, NOON)]
