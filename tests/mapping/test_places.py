"""Division codes on the day they were written, and followed to today; what is expected is from the facts file."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.codelists import code_lists
from mapping.conversion import Converter
from mapping.converters import Settings, build_converter
from mapping.element import Relation
from tests.mapping.samples import days
from tests.mapping.test_converters import hostile

EXACT, BROADER, RELATED, UNMAPPED = (
    Relation.EXACT,
    Relation.BROADER,
    Relation.RELATED,
    Relation.UNMAPPED,
)


def make(parameters: Mapping[str, str] | None = None) -> Converter:
    return build_converter("division", Settings(parameters or {}, "division", "1", code_lists().divisions))


TODAY = make({"forward": "today"})
TWELVE = make({"forward": "today", "digits": "12"})


def told(converter: Converter, code: str, on: str) -> list[tuple[str, str]]:
    steps: list[tuple[str, str]] = []
    converter.read(code, on, lambda word, detail: steps.append((word, detail)))
    return steps


@pytest.mark.parametrize(
    ("code", "on", "value", "relation"),
    [
        ("341422", "2005-01-01", "340281", EXACT),  # 无为县, 无为县 of 芜湖, 无为市
        ("341423", "2008-01-01", "340522", EXACT),  # 含山县; in 2006 some of its land had gone to 居巢区
        ("320502", "2000-01-01", "320508", BROADER),  # 沧浪区, one of three that became 姑苏区
        ("330103", "2015-01-01", "330105", BROADER),  # 下城区 into 拱墅区
        ("310101", "2020-01-01", "310101", EXACT),
        ("310101013000", "2020-01-01", "310101013", EXACT),  # its county is the same
        ("110101", "1990-01-01", "110101", EXACT),  # not one of ours to follow
    ],
)
def test_a_code_is_followed_to_today(code: str, on: str, value: str, relation: Relation) -> None:
    assert TODAY.read(code, on) == (value, relation)


@pytest.mark.parametrize(
    ("code", "on", "candidates"),
    [
        ("341400", "2005-01-01", {"340100", "340181", "340200", "340500"}),
        ("330110", "2015-05-05", {"330110", "330113"}),
    ],
)
def test_several_successors_are_all_told_and_none_is_picked(code: str, on: str, candidates: set[str]) -> None:
    assert TODAY.read(code, on) == (code, UNMAPPED)
    assert TWELVE.read(f"{code}000000", on) == (f"{code}000000", UNMAPPED)
    found = [detail for word, detail in told(TODAY, code, on) if word == "candidate"]
    assert {detail[:6] for detail in found} == candidates
    assert all("20" in detail for detail in found if "same" not in detail)


def test_a_township_of_a_county_that_moved_is_cut_off_and_said_so() -> None:
    value, relation = TODAY.read("341422100", "2005-01-01")
    assert (value, relation) == ("341422100", Relation.INVALID)  # nine digits are not written without padding
    assert TODAY.read("341422100000", "2005-01-01") == ("340281", BROADER)
    assert "cut" in dict(told(TODAY, "341422100000", "2005-01-01"))


def test_a_code_is_written_as_it_was_on_the_day() -> None:
    assert TODAY.write("340281", "2005-01-01") == ("341422", EXACT)
    assert TWELVE.write("340281", "2015-01-01") == ("340225000000", EXACT)
    assert TODAY.write("320508", "2000-01-01") == ("320508", RELATED)  # it was three


def test_without_a_day_only_what_never_changed_is_exact() -> None:
    assert TODAY.read("320705", "") == ("320705", RELATED)
    assert TODAY.read("310104", "")[0] == "310104"


def test_a_code_is_known_on_its_day_and_not_on_another() -> None:
    plain = make()
    assert plain.read("320705", "1990-06-01") == ("320705", EXACT)
    assert ("division", "新浦区") in told(plain, "320705", "1990-06-01")
    assert ("division", "海州区") in told(plain, "320705", "1981-06-01")
    assert plain.read("320705", "2020-01-01") == ("320705", RELATED)
    assert plain.read("320705", "") == ("320705", EXACT)


@given(hostile, st.one_of(days, st.just("")))
def test_following_is_total(raw: object, on: str) -> None:
    assert isinstance(TODAY.read(raw, on)[1], Relation)


@given(st.sampled_from(sorted(code_lists().get("division").rows)), days)
def test_a_code_of_today_comes_back_through_any_day(code: str, on: str) -> None:
    written, relation = TWELVE.write(code, on)
    if relation is EXACT:
        assert TWELVE.read(written, on)[0] in (code, written)


@pytest.mark.parametrize("code", ["330501", "340101", "330501000000"])
def test_the_districts_of_a_city_together_are_no_place_and_none_is_guessed(code: str) -> None:
    for converter in (make(), TODAY):
        assert converter.read(code, "2020-01-01") == (code, UNMAPPED)
        assert ("districts", code[:6]) in told(converter, code, "2020-01-01")


def test_a_city_whose_code_ends_in_01_is_a_place_in_its_years() -> None:
    assert make().read("332201", "1982-06-01") == ("332201", EXACT)  # 湖州市 under 嘉兴地区
    assert ("no_division", "310001") in told(make(), "310001", "2020-01-01")
