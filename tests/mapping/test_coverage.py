"""What is counted as covered is what the converters do; the rule sets that are shipped leave nothing open."""

from __future__ import annotations

from datetime import date
from types import MappingProxyType

import pytest
from msgspec.structs import replace

from mapping.codelists import code_lists
from mapping.coverage import ListCoverage, coverage_faults, coverage_of
from mapping.element import Relation
from mapping.ruleset import CodeMap, MapRow, RuleSet
from tests.mapping.rule_sets import shipped
from tests.mapping.samples import PROVINCES

LISTS = code_lists()
TODAY = date(2026, 11, 22)


def claim(
    source: str,
    target: str,
    relation: Relation | None = Relation.EXACT,
    *,
    direction: str = "both",
    preferred: bool = False,
    until: str = "",
    note: str = "",
) -> MapRow:
    return MapRow(source, relation, target, "", until, direction, preferred, "here", source, note, "a test")


def measured(*rows: MapRow, on: date = TODAY) -> ListCoverage:
    """The coverage of the list of sexes by these rows alone."""
    rules = replace(shipped("330000"), maps=MappingProxyType({"sex": CodeMap("sex", "sex", rows)}))
    only: RuleSet = replace(rules, fields=MappingProxyType({}), parameters=MappingProxyType({}))
    [found] = coverage_of(only, LISTS, on).lists
    return found


@pytest.mark.parametrize("province", PROVINCES)
def test_every_local_code_that_is_shipped_has_a_row_and_every_none_says_why(province: str) -> None:
    found = coverage_of(shipped(province), LISTS, TODAY)
    assert coverage_faults(found) == []
    assert [(codes.map_name, codes.without_row) for codes in found.lists if not codes.whole] == []
    assert [(kind.name, kind.missing) for kind in found.kinds if kind.missing] == []
    assert found.whole
    assert {kind.kind for kind in found.kinds} == set(LISTS.kinds)


# What real systems of the four provinces were seen to write, from the facts and not from the tables.
SEEN = {
    ("310000", "certificate_type"): ("居民身份证", "户口簿", "结婚证", "不动产权证"),
    ("310000", "sex"): ("男", "女"),
    ("320000", "certificate_state"): ("ISSUED",),
    ("320000", "marital"): ("M", "D", "R"),
    ("320000", "ethnic"): ("57", "58"),
    ("320000", "education"): ("10", "20", "30", "40", "50", "60", "70", "80", "90"),
    ("320000", "holder_id_type"): ("10", "14", "24", "16", "06", "34"),
    ("330000", "certificate_state"): ("有效",),
    ("330000", "sex"): ("1", "2", "男", "女"),
    ("330000", "family_relation"): ("271", "272", "371", "372", "451", "452"),
    ("340000", "sex"): ("男性", "女性"),
    ("340000", "marital"): ("21", "22", "23", "24", "39"),
    ("340000", "education"): ("63", "73", "80"),
}


@pytest.mark.parametrize(("province", "name"), SEEN)
def test_every_code_that_was_seen_has_a_row(province: str, name: str) -> None:
    rows = {row.source for row in shipped(province).maps[name].rows if row.reads}
    assert set(SEEN[province, name]) - rows == set()


def test_codes_that_are_the_same_are_covered_both_ways() -> None:
    found = measured(*(claim(f"x{code}", code) for code in ("0", "1", "2", "9")))
    assert (found.with_row, found.sources, found.translated, found.reachable, found.writable) == (
        4,
        4,
        4,
        4,
        4,
    )
    assert found.returns == 4
    assert found.lossy_to_shared == found.lossy_to_local == found.no_return_to_shared == ()


def test_a_none_row_is_a_row_and_says_why() -> None:
    found = measured(claim("m", "1"), claim("x", "", None, note="nobody knows"))
    assert found.whole
    assert (found.sources, found.translated) == (2, 1)
    assert [(told.code, told.note) for told in found.none] == [("x", "nobody knows")]
    assert [told.code for told in found.unreachable] == ["0", "2", "9"]


def test_a_code_that_is_only_written_has_no_row() -> None:
    found = measured(claim("m", "1"), claim("f", "2", direction="to_local"))
    assert [told.code for told in found.without_row] == ["f"]
    assert not found.whole


def test_what_is_lossy_is_told_with_its_note() -> None:
    found = measured(
        claim("m", "1", preferred=True),
        claim("man", "1", Relation.BROADER, direction="to_shared", note="the age is lost"),
        claim("m", "9", Relation.NARROWER, direction="to_local"),
    )
    assert [(told.code, told.relation, told.note) for told in found.lossy_to_shared] == [
        ("man", "broader", "the age is lost")
    ]
    assert [(told.code, told.became, told.relation) for told in found.lossy_to_local] == [
        ("9", "m", "broader")
    ]
    assert [told.code for told in found.no_return_to_local] == ["man"]
    assert [told.code for told in found.no_return_to_shared] == ["9"]


def test_a_code_whose_rows_do_not_hold_on_the_day_is_undecided() -> None:
    rows = (claim("x", "1", until="1999-12-31"), claim("y", "2"))
    assert [(told.code, told.note) for told in measured(*rows).undecided] == [("x", "… – 1999-12-31: 1")]
    assert measured(*rows, on=date(1999, 12, 31)).undecided == ()


def test_a_row_without_a_reason_is_a_fault() -> None:
    rules = shipped("330000")
    maps = dict(rules.maps)
    rows = (claim("x", "", None), claim("y", "2", direction="to_local"))
    maps["sex"] = CodeMap("sex", "sex", (*maps["sex"].rows, *rows))
    faults = coverage_faults(coverage_of(replace(rules, maps=MappingProxyType(maps)), LISTS, TODAY))
    assert faults == [
        "maps/sex: y 只写不读，请补一行 / y is written and never read",
        "maps/sex: x 为 none，却未在 note 说明原因 / the row none for x does not say why (note)",
    ]


def test_certificate_types_tell_their_coded_fields() -> None:
    found = coverage_of(shipped("320000"), LISTS, TODAY)
    [household] = [kind for kind in found.kinds if kind.name == "居民户口簿"]
    assert household.covered == household.elements
    assert ("家庭成员", "婚姻状况", "marital") in {
        (field.group, field.element, field.codes.map_name) for field in household.fields
    }
