"""Each converter, by value and by property; nothing that JSON can hold makes one raise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.codelists import code_lists
from mapping.conversion import packed
from mapping.converters import Converter, Settings, build_converter, is_encodable, text_of
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.identifiers import make_certificate_id
from tests.mapping.samples import days, numbers, texts

EXACT, BROADER, INVALID, UNMAPPED = Relation.EXACT, Relation.BROADER, Relation.INVALID, Relation.UNMAPPED
CERTIFICATE_ID = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"


def make(name: str, element_type: str, parameters: Mapping[str, str] | None = None) -> Converter:
    return build_converter(name, Settings(parameters or {}, element_type, "1", code_lists().divisions))


FORMS = ("iso", "datetime", "slash", "dash", "dot", "chinese", "numerals", "compact", "ms")
EVERY = (
    make("text", "text"),
    make("width", "text", {"brackets": "full"}),
    make("name", "text"),
    make("name", "text", {"dot": ".", "private": "gb18030"}),
    *(make("date", "date_or_long", {"form": form, "long": "长期"}) for form in FORMS),
    make("date", "date"),
    make("number", "number", {"suffix": "万元", "scale": "10000"}),
    make("number", "number", {"json": "number"}),
    make("identifier", "citizen_number"),
    make("identifier", "uscc"),
    make("identifier", "certificate_id"),
    make("identifier", "service_item_code"),
    make("division", "division"),
    make("division", "division", {"digits": "12"}),
    make("token", "certificate_id"),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
hostile = st.one_of(
    json_values,
    st.sampled_from(
        (
            "\ud800",
            "9" * 5000,
            10**5000,
            "2020-02-30",
            "0000-00-00",
            "99999999999999999",
            "１２３",
            "二〇二〇年一月",
            "\x00",
            "长期\n",
        )
    ),
)


@given(hostile)
@pytest.mark.parametrize("converter", EVERY)
def test_reading_is_total(converter: Converter, raw: Any) -> None:
    value, relation = converter.read(raw, "")
    assert is_encodable(value)
    assert isinstance(relation, Relation)


@given(st.text(st.characters()), st.sampled_from(("", "2020-01-01", "?")))
@pytest.mark.parametrize("converter", EVERY)
def test_writing_is_total(converter: Converter, value: str, on: str) -> None:
    _, relation = converter.write(value, on)
    assert isinstance(relation, Relation)


@given(hostile)
def test_what_cannot_be_read_as_a_date_is_carried_as_it_is(raw: Any) -> None:
    value, relation = make("date", "date").read(raw, "")
    if relation is INVALID:
        assert value == text_of(raw)
    else:
        assert date.fromisoformat(value).isoformat() == value


# --- dates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        "2020/1/2",
        "2020-1-2",
        "2020-01-02",
        "2020.01.02",
        "2020年1月2日",
        "2020年01月02日",
        "20200102",
        20200102,
        "2020-01-02 00:00:00",
        "2020-01-02T00:00:00.000",
        "２０２０年１月２日",
        " 2020/01/02 ",
        "20200102000000",
        "2020/1/2 0:00:00",
        "二〇二〇年一月二日",
        "二○二○年一月二日",
        "贰零贰零年零壹月零贰日",
        "1577894400000",
        1577894400000,
    ],
)
def test_dates_in_all_their_forms(raw: Any) -> None:
    assert make("date", "date").read(raw, "") == ("2020-01-02", EXACT)


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        # date -u -d '2020-01-01 16:00' +%s: midnight of 2 January in China
        (1577894400000, "2020-01-02"),
        ("1577894400000", "2020-01-02"),
        (-28_800_000, "1970-01-01"),
        (-315_648_000_000, "1960-01-01"),
        # 1988-07-01 in Asia/Shanghai, which kept daylight saving time: 23:00 of the day before in UTC+8
        (583_686_000_000, "1988-07-01"),
        # the same day as written without it
        (583_689_600_000, "1988-07-01"),
    ],
)
def test_milliseconds_are_midnight_in_china(raw: Any, day: str) -> None:
    assert make("date", "date", {"form": "ms"}).read(raw, "") == (day, EXACT)


def test_a_time_of_day_is_lost_and_that_is_said() -> None:
    assert make("date", "date").read("2020-01-02 13:45:10", "") == ("2020-01-02", BROADER)
    assert make("date", "date", {"form": "ms"}).read(1577894400001, "") == ("2020-01-02", BROADER)


@pytest.mark.parametrize(
    "raw",
    ["2020-01-02 99:99", "2020-01-02 24:00:00", "2020-01-02T23:60", "2020-01-02 23:59:60", "20200102246060"],
)
def test_a_time_that_no_clock_shows_is_invalid(raw: str) -> None:
    assert make("date", "date").read(raw, "") == (raw, INVALID)


@pytest.mark.parametrize("raw", ["2020-01-02 0:00", "2020-01-02T23:59:59.999", "20200102235959"])
def test_a_time_that_a_clock_shows_leaves_the_day(raw: str) -> None:
    assert make("date", "date").read(raw, "")[0] == "2020-01-02"


def test_any_json_value_becomes_text_and_none_raises() -> None:
    assert text_of(1.5) == "1.5"
    assert text_of(1e22) == "1e+22"
    assert text_of(float("inf")) == "Infinity"
    assert text_of(True) == "true"
    for huge in (10**5000, -(10**5000), [10**5000], {"a": 10**5000}):
        assert is_encodable(text_of(huge))
    for name, element_type in (("text", "text"), ("number", "number"), ("date", "date"), ("width", "text")):
        assert make(name, element_type).read(10**5000, "")[1] is INVALID


@given(
    st.one_of(
        st.text(), st.floats(allow_nan=False, allow_infinity=False), st.dictionaries(st.text(), st.text())
    )
)
def test_what_is_packed_into_a_string_is_what_json_says(value: Any) -> None:
    assert json.loads(packed(value)) == value


@given(
    st.decimals(-(10**14), 10**14, places=4).map(lambda number: format(number, "f").rstrip("0").rstrip("."))
)
def test_a_number_that_is_packed_keeps_its_digits(text: str) -> None:
    raw, relation = make("number", "number", {"json": "number"}).write(text, "")
    if relation is EXACT and isinstance(raw, float):
        assert packed([raw]) == f"[{raw!r}]"


@pytest.mark.parametrize(
    "raw", ["2020-02-30", "2020-13-01", "2020/1-2", "20201", "昨天", "长期", 157789440000, True, 3.5, []]
)
def test_what_is_no_date_is_invalid(raw: Any) -> None:
    value, relation = make("date", "date").read(raw, "")
    assert (value, relation) == (text_of(raw), INVALID)


@pytest.mark.parametrize(
    ("form", "long", "local"),
    [
        ("iso", "9999-12-31", "9999-12-31"),
        ("chinese", "长期有效", "长期有效"),
        ("ms", "253402185600000", 253402185600000),
    ],
)
def test_long_term_both_ways(form: str, long: str, local: Any) -> None:
    converter = make("date", "date_or_long", {"form": form, "long": long})
    assert converter.write("长期", "") == (local, EXACT)
    assert converter.read(local, "") == ("长期", EXACT)
    assert converter.read("长期", "") == ("长期", EXACT)


def test_a_last_day_that_means_long_term_here_is_not_exact() -> None:
    converter = make("date", "date_or_long", {"form": "iso", "long": "9999-12-31"})
    assert converter.write("9999-12-31", "") == ("9999-12-31", Relation.RELATED)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("iso", "2020-01-02"),
        ("datetime", "2020-01-02 00:00:00"),
        ("slash", "2020/1/2"),
        ("dash", "2020-1-2"),
        ("dot", "2020.01.02"),
        ("chinese", "2020年1月2日"),
        ("numerals", "二〇二〇年一月二日"),
        ("compact", "20200102"),
        ("ms", 1577894400000),
    ],
)
def test_dates_as_each_dialect_writes_them(form: str, written: Any) -> None:
    assert make("date", "date", {"form": form}).write("2020-01-02", "") == (written, EXACT)


@given(st.dates().map(date.isoformat))
@pytest.mark.parametrize("form", FORMS)
def test_every_day_comes_back(form: str, day: str) -> None:
    converter = make("date", "date", {"form": form})
    written, relation = converter.write(day, "")
    assert relation is EXACT
    assert converter.read(written, "") == (day, EXACT)


@pytest.mark.parametrize("value", ["2020-1-2", "20200102", "2020-W01-1", "长期", ""])
def test_a_shared_date_has_one_form(value: str) -> None:
    assert make("date", "date").write(value, "")[1] in (INVALID, UNMAPPED)


# --- text, width, numbers ---------------------------------------------------------------------------


@given(texts)
def test_text_is_carried_as_it_is(value: str) -> None:
    converter = make("text", "text")
    assert converter.read(value, "") == (value, EXACT)
    assert converter.write(value, "") == (value, EXACT)


@pytest.mark.parametrize("name", ["阿卜杜拉·买买提", "𠮷野", "㛃", "欧阳 娜娜"])
def test_rare_characters_and_dots_in_names_stay(name: str) -> None:
    assert make("text", "text").read(name, "") == (name, EXACT)


@pytest.mark.parametrize(("raw", "text"), [(12, "12"), (1.5, "1.5"), (None, ""), ("x", "x")])
def test_numbers_in_text_fields_become_text(raw: Any, text: str) -> None:
    assert make("text", "text").read(raw, "") == (text, EXACT if raw is not None else INVALID)


def test_half_of_a_surrogate_pair_is_shown_and_invalid() -> None:
    assert make("text", "text").read("a\ud800", "") == ("a\\ud800", INVALID)


def test_full_width_in_numbers_of_papers_becomes_half_width_and_back() -> None:
    converter = make("width", "text", {"brackets": "full"})
    assert converter.read("浙（杭）１２３号", "") == ("浙(杭)123号", EXACT)
    assert converter.write("浙(杭)123号", "") == ("浙（杭）123号", EXACT)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("500万元", "5000000"),
        ("500.5万元", "5005000"),
        ("1,200万元", "12000000"),
        ("５００万元", "5000000"),
        (500, "5000000"),
        (0.0001, "1"),
        ("0", "0"),
    ],
)
def test_ten_thousands_become_ones(raw: Any, value: str) -> None:
    converter = make("number", "number", {"suffix": "万元", "scale": "10000"})
    assert converter.read(raw, "") == (value, EXACT)


def test_ones_become_ten_thousands() -> None:
    converter = make("number", "number", {"suffix": "万元", "scale": "10000"})
    assert converter.write("5005000", "") == ("500.5万元", EXACT)


@pytest.mark.parametrize("raw", ["约五百万", "1e6", "NaN", "", "12-3", True, float("inf"), "1,20"])
def test_what_is_no_number_is_invalid(raw: Any) -> None:
    assert make("number", "number").read(raw, "")[1] is INVALID


@given(numbers)
@pytest.mark.parametrize("parameters", [{}, {"json": "number"}, {"suffix": "元"}, {"scale": "10000"}])
def test_every_number_comes_back(parameters: dict[str, str], value: str) -> None:
    converter = make("number", "number", parameters)
    written, relation = converter.write(value, "")
    assert relation is EXACT
    assert converter.read(written, "") == (value, EXACT)


def test_a_number_that_json_cannot_hold_exactly_is_written_as_text() -> None:
    converter = make("number", "number", {"json": "number"})
    assert converter.write("89.5", "")[0] == 89.5
    assert converter.write("12345678901234567890", "")[0] == "12345678901234567890"


@pytest.mark.parametrize("dot", "\u2022\u2027\u2219\u22c5\u30fb\uff65\u0387\u00b7")
def test_look_alikes_of_the_middle_dot_are_one(dot: str) -> None:
    converter = make("name", "text", {"dot": "\u2022"})
    assert converter.read(f"阿卜杜拉{dot}买买提", "") == ("阿卜杜拉\u00b7买买提", EXACT)
    assert converter.write("阿卜杜拉\u00b7买买提", "") == ("阿卜杜拉\u2022买买提", EXACT)


def test_a_full_stop_in_a_name_is_no_middle_dot() -> None:
    assert make("name", "text").read("J. Smith", "") == ("J. Smith", EXACT)
    assert make("name", "text").read("约翰.史密斯", "") == ("约翰.史密斯", EXACT)


@pytest.mark.parametrize("converter", [make("text", "text"), make("name", "text"), make("width", "text")])
@pytest.mark.parametrize("private", ["\ue000", "\ue81e", "\uf8ff", "\U000f0000", "\U0010fffd"])
def test_characters_of_the_private_use_area_are_marked_and_stay(converter: Converter, private: str) -> None:
    assert converter.read(f"张{private}", "") == (f"张{private}", INVALID)


def test_the_ideographs_that_gb_18030_2022_moved_are_read_where_the_dialect_says_so() -> None:
    # 0xFE59 is U+9FB4 since 2022, was U+E81E; and so on for FE61 FE66 FE67 FE6D FE7E FE90 FEA0.
    before = bytes.fromhex("FE59FE61FE66FE67FE6DFE7EFE90FEA0").decode("gb18030")
    converter = make("name", "text", {"private": "gb18030"})
    assert converter.read(before, "") == ("".join(map(chr, range(0x9FB4, 0x9FBC))), EXACT)
    assert converter.read("\ue816", "") == ("\ue816", INVALID)


def test_halves_of_a_surrogate_pair_that_belong_together_are_one_character() -> None:
    assert make("text", "text").read("\ud842\udfb7野", "") == ("𠮷野", EXACT)
    assert make("text", "text").read("\udfb7\ud842", "")[1] is INVALID


@pytest.mark.parametrize(
    ("raw", "parameters", "value"),
    [
        ("二十三", {}, "23"),
        ("贰拾叁份", {"suffix": "份"}, "23"),
        ("壹佰元整", {"suffix": "元"}, "100"),
        ("叁拾伍元贰角伍分", {"suffix": "元"}, "35.25"),
        ("伍佰万元", {"suffix": "万元", "scale": "10000"}, "5000000"),
        (3525, {"scale": "0.01"}, "35.25"),
        ("１，２００", {}, "1200"),
        ("三点五", {}, "3.5"),
    ],
)
def test_numbers_in_every_form(raw: Any, parameters: dict[str, str], value: str) -> None:
    assert make("number", "number", parameters).read(raw, "") == (value, EXACT)


@pytest.mark.parametrize(
    ("raw", "parameters"),
    [
        (
            "五百万",
            {"suffix": "万元", "scale": "10000"},
        ),  # counted twice it would be ten thousand times too much
        ("壹佰元整", {"suffix": "万元", "scale": "10000"}),
        ("壹佰元整", {}),
        ("一百二", {}),
        ("9" * 65, {}),
    ],
)
def test_a_number_that_could_be_two_is_none(raw: str, parameters: dict[str, str]) -> None:
    assert make("number", "number", parameters).read(raw, "") == (raw, INVALID)


def test_cents_are_written_as_cents() -> None:
    assert make("number", "number", {"scale": "0.01", "json": "number"}).write("35.25", "") == (3525, EXACT)


# --- identifiers, divisions, tokens -----------------------------------------------------------------


def test_a_wrong_check_character_is_reported_not_dropped() -> None:
    converter = make("identifier", "citizen_number")
    assert converter.read("11010519491231002x", "") == ("11010519491231002X", EXACT)
    assert converter.read("110105194912310021", "") == ("110105194912310021", INVALID)


def test_a_division_in_a_certificate_id_is_reported() -> None:
    value = make_certificate_id("11100000000013338W001", "340100", "2022000001")
    assert make("identifier", "certificate_id").read(value, "") == (value, INVALID)


@pytest.mark.parametrize(
    ("raw", "value", "relation"),
    [
        ("310101000000", "310101", EXACT),
        ("310101", "310101", EXACT),
        ("310101013000", "310101013", EXACT),
        ("320705000000", "320705", EXACT),  # 海州区 of 1981, 新浦区 of 1990: gone, and still a code
        (310101, "310101", EXACT),
        ("110101000000", "110101", EXACT),  # not one of ours to judge
        ("319999000000", "319999000000", UNMAPPED),
        ("31010", "31010", INVALID),
        ("", "", INVALID),
    ],
)
def test_divisions_with_and_without_padding(raw: Any, value: str, relation: Relation) -> None:
    assert make("division", "division", {"digits": "12"}).read(raw, "") == (value, relation)


def test_divisions_as_each_dialect_writes_them() -> None:
    twelve, six = make("division", "division", {"digits": "12"}), make("division", "division")
    assert twelve.write("310101", "") == ("310101000000", EXACT)
    assert twelve.write("310101013", "") == ("310101013000", EXACT)
    assert six.write("310101013", "") == ("310101", BROADER)
    assert six.write("3101", "") == ("3101", INVALID)


def test_an_opaque_token_is_the_id_it_stands_for() -> None:
    converter = make("token", "certificate_id")
    token, relation = converter.write(CERTIFICATE_ID, "")
    assert relation is EXACT
    assert "." not in token
    assert converter.read(token, "") == (CERTIFICATE_ID, EXACT)


@pytest.mark.parametrize("raw", ["***", "a", "", 5, None])
def test_what_is_no_token_is_invalid(raw: Any) -> None:
    assert make("token", "certificate_id").read(raw, "") == (text_of(raw), INVALID)


def test_a_token_with_a_broken_id_gives_the_id_and_says_so() -> None:
    converter = make("token", "certificate_id")
    wrong = CERTIFICATE_ID[:-1] + "V"
    assert converter.read(converter.write(wrong, "")[0], "") == (wrong, INVALID)


@given(days)
def test_the_table_of_a_value_names_converter_and_version(day: str) -> None:
    assert make("date", "date").table == "date@1"
    assert make("text", "text").table == ""


@pytest.mark.parametrize(
    ("name", "element_type", "parameters"),
    [
        ("magic", "text", {}),
        ("date", "text", {}),
        ("date", "date", {"form": "julian"}),
        ("text", "text", {"form": "iso"}),
        ("identifier", "text", {}),
        ("number", "number", {"scale": "7"}),
    ],
)
def test_a_converter_that_does_not_fit_is_refused(
    name: str, element_type: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(MappingError):
        make(name, element_type, parameters)


@pytest.mark.parametrize("raw", [20200102, 20200102103000, "20200102103000"])
def test_digits_that_are_a_day_or_milliseconds_are_neither(raw: object) -> None:
    read = build_converter("date", Settings({"form": "ms"}, "date", "v", code_lists().divisions)).read
    assert read(raw, "") == (str(raw), Relation.INVALID)
