"""Every parser and converter on what nobody means well: nothing is raised but what is documented.

`make test` tries a few values each, `make soak` ten thousand. Values are made of anything that JSON can hold, and of
good values with something wrong with them, which come further.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from mapping import identifiers
from mapping.codelists import code_lists
from mapping.conversion import Converter, is_encodable
from mapping.converters import Settings, build_converter
from mapping.divisions import Division, Successors
from mapping.element import Element, Relation
from mapping.errors import InvalidIdentifier, MappingError, RuleSetFaults
from mapping.formats.sssom import read_sssom
from mapping.formats.workbook import read_csv_sheet, read_workbook
from mapping.numerals import read_digits, read_money, read_numeral
from mapping.trace import explain_to_local, explain_to_shared
from mapping.translate import Dialect, load_dialect
from mapping.validate import load_rule_set
from tests.mapping.samples import KINDS, LISTS, PROVINCES, all_codes, document
from tests.mapping.test_converters import hostile

EXAMPLES = settings().max_examples
tried = settings(max_examples=EXAMPLES if EXAMPLES > 100 else 20)
"""A few examples of each in `make test`, those of the profile in `make soak`."""

SHIPPED = Path(mapping.__file__).parent / "dialects"

# Good values of every sort: what hostile ones are made of.
GOOD = (
    "2020-01-02",
    "2020/1/2",
    "2020年1月2日",
    "二〇二〇年十月三十一日",
    "20200102",
    "2020-01-02 10:30:00.5",
    "1577894400000",
    "长期",
    "11010519491231002X",
    "810000199408230021",
    "91310000MA1FL0000X",
    "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
    "MS4yLjE1Ni4zMDA1LjIuMTExMDAwMDAwMDAwMTMzMzhXMDEx",
    "310101000000",
    "320705",
    "1,234.50元",
    "壹万贰仟叁佰肆拾伍元陆角柒分",
    "三点一四",
    "阿卜杜拉·买买提",
    "浙（杭）１２３号",
    '{"a":[1,"x"]}',
    "11100000000013127D001",
)
PIECES = (
    *"0１〇壹十拾万亿元角分点年月日/-. ·•（）()[]{}\"',;=|\\+_",
    "\ud842",
    "\ue81e",
    "\U000f0000",
    "\x00",
    "e9",
    "9" * 40,
)


@st.composite
def bent(draw: st.DrawFn) -> str:
    """A good value with something cut out, doubled, exchanged or put in."""
    text = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.sampled_from(GOOD), st.characters()))
        text = text[:at] + draw(st.sampled_from(("", piece))) + text[at + draw(st.integers(0, 2)) :]
    return text


values = st.one_of(bent(), hostile)
words = st.one_of(bent(), st.text(st.characters(), max_size=40))
when = st.one_of(st.just(""), st.dates().map(date.isoformat), words)


def make(name: str, element_type: str, **parameters: str) -> Converter:
    return build_converter(name, Settings(parameters, element_type, "1", code_lists().divisions))


CONVERTERS = {
    "text": make("text", "text"),
    "name": make("name", "text", dot="•", private="gb18030"),
    "width": make("width", "text", brackets="full"),
    **{
        f"date {form}": make("date", "date_or_long", form=form, long="9999-12-31")
        for form in ("iso", "numerals")
    },
    "date ms": make("date", "date_or_long", form="ms", long="253402185600000"),
    "number": make("number", "number", suffix="元"),
    "number scaled": make("number", "number", suffix="万元", scale="10000", json="number"),
    "number cents": make("number", "number", scale="0.01"),
    **{
        name: make("identifier", name)
        for name in ("citizen_number", "uscc", "certificate_id", "service_item_code")
    },
    "token": make("token", "certificate_id"),
    "division": make("division", "division", digits="12"),
    "division forward": make("division", "division", forward="today"),
}


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province)


def codes_of(province: str) -> list[Converter]:
    own = dialect(province)
    return [
        own.builder.field(rule)
        for rules in own.rules.fields.values()
        for rule in rules
        if rule.converter == "code"
    ]


# --- converters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONVERTERS)
@tried
@given(values, when)
def test_reading_is_total_and_tells_the_same_as_its_steps(name: str, raw: Any, on: str) -> None:
    converter = CONVERTERS[name]
    value, relation = converter.read(raw, on)
    assert is_encodable(value)
    steps: list[str] = []
    assert converter.read(raw, on, lambda word, _detail: steps.append(word)) == (value, relation)
    # What was read can be written, and reads as the same again where both ways are exact.
    written, back = converter.write(value, on)
    if relation is back is Relation.EXACT:
        assert converter.read(written, on) == (value, Relation.EXACT)


@pytest.mark.parametrize("name", CONVERTERS)
@tried
@given(words, when)
def test_writing_is_total_and_tells_the_same_as_its_steps(name: str, value: str, on: str) -> None:
    converter = CONVERTERS[name]
    written = converter.write(value, on)
    assert isinstance(written[1], Relation)
    assert converter.write(value, on, lambda _word, _detail: None) == written


@pytest.mark.parametrize("province", PROVINCES)
@tried
@given(st.data(), values, when)
def test_code_maps_are_total(province: str, data: st.DataObject, raw: Any, on: str) -> None:
    converter = data.draw(st.sampled_from(codes_of(province)))
    value, _ = converter.read(raw, on)
    assert is_encodable(value)
    assert isinstance(converter.write(value, on)[1], Relation)


@tried
@given(words)
def test_numerals_are_numbers_or_nothing(text: str) -> None:
    for read in (read_numeral, read_money):
        number = read(text)
        assert number is None or number >= 0
    digits = read_digits(text)
    assert digits is None or digits.isdecimal()


# --- identifiers and divisions ----------------------------------------------------------------------

PARSERS: list[Callable[[str], object]] = [
    getattr(identifiers, name)
    for name in identifiers.__all__
    if name.startswith(("parse_", "check_", "certificate_"))
    if name != "check_holder_id"
]


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@tried
@given(words)
def test_an_identifier_is_parsed_or_refused(parse: Callable[[str], object], text: str) -> None:
    with suppress(InvalidIdentifier):
        parse(text)


@tried
@given(st.sampled_from(("001", "111", "414", "?")), words)
def test_a_holder_id_is_right_or_refused(kind: str, text: str) -> None:
    with suppress(InvalidIdentifier):
        identifiers.check_holder_id(kind, text)


@tried
@given(st.one_of(st.sampled_from(sorted(LISTS.get("division"))), words), st.dates(), st.dates())
def test_divisions_are_followed_on_any_days(code: str, one: date, other: date) -> None:
    divisions = LISTS.divisions
    assert isinstance(divisions.at(code, one), Division | None)
    early, late = min(one, other), max(one, other)
    assert isinstance(divisions.forward(code, early, late), Successors)
    assert isinstance(divisions.backward(code, late, early), Successors)


# --- documents --------------------------------------------------------------------------------------


@st.composite
def documents(draw: st.DrawFn, province: str) -> tuple[str, dict[str, Any]]:
    """A registry's document with anything in some of its fields."""
    kind = draw(st.sampled_from(KINDS))
    own = dialect(province)
    local = own.render_local(kind, document(kind, all_codes, draw(st.integers(0, 2**32))))
    for rule in draw(st.lists(st.sampled_from(own.rules.fields[kind]), max_size=4)):
        node: Any = local
        for parent in rule.parents:
            key = parent.removesuffix("|json")
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        node[rule.keys[0]] = draw(values)
    local.update(draw(st.dictionaries(words, values, max_size=2)))
    return kind, local


elements = st.lists(
    st.builds(
        Element,
        st.one_of(st.sampled_from(sorted(LISTS.elements)), words),
        words,
        words,
        st.sampled_from(Relation),
        words,
        st.lists(st.lists(st.builds(Element, words, words), max_size=2).map(tuple), max_size=2).map(tuple),
    ),
    max_size=6,
)


@pytest.mark.parametrize("province", PROVINCES)
@tried
@given(st.data())
def test_a_document_is_read_whatever_is_in_it(province: str, data: st.DataObject) -> None:
    own = dialect(province)
    kind, local = data.draw(documents(province))
    shared = own.to_shared(kind, local)
    assert all(is_encodable(element.value) for element in shared)
    assert len(own.to_local(kind, shared)) == len(shared)
    again = own.to_shared(kind, own.render_local(kind, shared))
    assert isinstance(again, tuple)
    assert len(explain_to_shared(own, kind, local)) == len(shared)


@pytest.mark.parametrize("province", PROVINCES)
@tried
@given(st.sampled_from(KINDS), elements)
def test_what_a_peer_sent_is_written_whatever_it_is(province: str, kind: str, sent: list[Element]) -> None:
    own = dialect(province)
    local = own.to_local(kind, sent)
    assert [element.original for element in local] == [element.value for element in sent]
    assert len(explain_to_local(own, kind, sent)) == len(sent)
    assert isinstance(own.render_local(kind, sent), dict)


@pytest.mark.parametrize("province", PROVINCES)
@tried
@given(st.data(), words, st.one_of(st.none(), st.dates()))
def test_request_parameters_are_total(province: str, data: st.DataObject, text: str, on: date | None) -> None:
    own = dialect(province)
    name = data.draw(st.sampled_from(sorted(own.rules.parameters)))
    assert own.code_to_shared(name, text, on).name == name
    assert own.code_to_local(name, text, on).name == name


# --- files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(SHIPPED / "320000", tmp_path_factory.mktemp("dialect") / "320000"))


FILES = ("dialect.toml", "fields.csv", "maps/sex.csv", "maps/marital.csv")
SYNTAX = (
    ",",
    "\n",
    '"',
    "=",
    ";",
    "|json",
    "+",
    "way=mirror",
    "on=颁发日期",
    "part=1/2; split=-",
    "\r",
    "[",
    "*",
    "none",
)


@tried
@given(st.sampled_from(FILES), st.data())
def test_a_dialect_is_loaded_or_refused(directory: Path, name: str, data: st.DataObject) -> None:
    good = (SHIPPED / "320000" / name).read_bytes()
    at = data.draw(st.integers(0, len(good)))
    piece = data.draw(
        st.one_of(st.sampled_from(SYNTAX).map(str.encode), words.map(as_bytes), st.binary(max_size=8))
    )
    (directory / name).write_bytes(good[:at] + piece + good[at + data.draw(st.integers(0, 12)) :])
    try:
        with suppress(RuleSetFaults):
            load_rule_set(directory, LISTS)
    finally:
        (directory / name).write_bytes(good)


@tried
@given(st.lists(st.one_of(words, st.sampled_from(("\n", "\t", "#", ": "))), max_size=12).map("".join))
def test_an_sssom_file_is_read_or_refused(text: str) -> None:
    with suppress(MappingError):
        read_sssom(text)


@tried
@given(st.one_of(st.binary(max_size=200), words.map(as_bytes)))
def test_a_spreadsheet_is_read_or_its_faults_are_told(data: bytes) -> None:
    assert isinstance(read_csv_sheet(data, "maps/sex.csv"), tuple)
    assert isinstance(read_workbook(data), tuple)
