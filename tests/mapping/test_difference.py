"""Two versions of a rule set: which claims and fields are other, and what becomes of which values."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapping.codelists import code_lists
from mapping.difference import NO_DAY, Difference, ValueChange, difference_between
from mapping.validate import load_rule_set
from tests.mapping.rule_sets import added, changed, copied, shipped
from tests.mapping.samples import PROVINCES

LISTS = code_lists()


def compared(province: str, directory: Path) -> Difference:
    return difference_between(shipped(province), load_rule_set(directory, LISTS), LISTS)


@pytest.mark.parametrize("province", PROVINCES)
def test_a_rule_set_does_not_differ_from_itself(province: str) -> None:
    assert not difference_between(shipped(province), shipped(province), LISTS)


def test_an_added_claim_changes_one_value(tmp_path: Path) -> None:
    directory = copied("330000", tmp_path)
    added(directory, "maps/sex.csv", "不详,不详,exact,0,,,to_shared,,,a test,yrd,yrd")
    found = compared("330000", directory)
    assert [(change.part, change.name, change.what) for change in found.changes] == [
        ("claim", "sex: 不详 → 0", "added")
    ]
    assert found.values == (
        ValueChange("sex", "to_shared", "不详", "", "", ("不详", "unmapped"), ("0", "exact")),
    )


def test_a_change_of_validity_tells_the_days(tmp_path: Path) -> None:
    directory = copied("340000", tmp_path)
    changed(directory, "maps/marital.csv", "2003-11-30", "2005-06-30")
    found = compared("340000", directory)
    [value] = found.values
    assert (value.value, value.first_day, value.last_day) == ("21", "2003-12-01", "2005-06-30")
    assert (value.before, value.after) == (("21", "unmapped"), ("20", "broader"))


def test_opposite_directions_are_told_apart(tmp_path: Path) -> None:
    directory = copied("310000", tmp_path)
    changed(
        directory, "maps/marital.csv", "离异,离异,exact,40,,,to_shared,,", "离异,离异,exact,40,,,both,yes,"
    )
    found = compared("310000", directory)
    assert [(value.direction, value.value, value.before, value.after) for value in found.values] == [
        ("to_local", "40", ("离婚", "exact"), ("离异", "exact"))
    ]
    [change] = found.changes
    assert change.what == "changed"
    assert "preferred" in change.after


def test_another_form_of_a_date_is_probed(tmp_path: Path) -> None:
    directory = copied("310000", tmp_path)
    changed(
        directory,
        "fields.csv",
        "居民身份证,,birthDate,出生日期,date,form=compact",
        "居民身份证,,birthDate,出生日期,date,form=slash",
    )
    found = compared("310000", directory)
    assert [(change.part, change.name) for change in found.changes] == [("field", "居民身份证/出生日期")]
    assert ("to_local", "2020-01-02", ("20200102", "exact"), ("2020/1/2", "exact")) in [
        (value.direction, value.value, value.before, value.after) for value in found.values
    ]


def test_a_default_says_what_a_missing_value_becomes(tmp_path: Path) -> None:
    directory = copied("310000", tmp_path)
    text = (directory / "fields.csv").read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith("居民身份证,,sex,"))
    cells = line.split(",")
    cells[6] = "9"
    (directory / "fields.csv").write_text(text.replace(line, ",".join(cells)), "utf-8")
    found = compared("310000", directory)
    assert (
        ValueChange("居民身份证/性别", "to_shared", "", "", "", ("", ""), ("9", "defaulted")) in found.values
    )


def test_versions_and_removed_claims_are_told(tmp_path: Path) -> None:
    directory = copied("330000", tmp_path)
    changed(directory, "dialect.toml", 'version = "2026.2"', 'version = "2026.3"')
    changed(
        directory,
        "maps/sex.csv",
        "男,男,exact,1,,,to_shared,,,public systems of the four provinces,yrd,yrd\n",
        "",
    )
    found = compared("330000", directory)
    assert [(change.part, change.what) for change in found.changes] == [
        ("rule set", "changed"),
        ("claim", "removed"),
    ]
    assert [value.after for value in found.values] == [("男", "unmapped")]


def test_without_a_day_a_code_that_became_ambiguous_is_told(tmp_path: Path) -> None:
    directory = copied("330000", tmp_path)
    changed(directory, "maps/sex.csv", "男,男,exact,1,,,to_shared", "男,男,exact,1,2000-01-01,,to_shared")
    added(directory, "maps/sex.csv", "男,男,exact,9,,1999-12-31,to_shared,,,a test,yrd,yrd")
    values = {
        (value.first_day, value.last_day): value.after for value in compared("330000", directory).values
    }
    assert values == {(NO_DAY, NO_DAY): ("男", "unmapped"), ("", "1999-12-31"): ("9", "exact")}
