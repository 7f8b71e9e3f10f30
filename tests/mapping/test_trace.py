"""What is told of a value is what was done with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.element import Element, Relation
from mapping.errors import UnknownDocument, UnknownList
from mapping.notes import STEPS
from mapping.trace import (
    Explanation,
    explain_field_to_local,
    explain_field_to_shared,
    explain_parameter_to_local,
    explain_parameter_to_shared,
    explain_to_local,
    explain_to_shared,
)
from mapping.translate import Dialect, load_dialect
from tests.mapping.samples import KINDS, PROVINCES, all_codes, document
from tests.mapping.test_converters import hostile

IDENTITY_CARD = "11100000000013127D001"
HOUSEHOLD = "11100000000013127D901"


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province)


def words(explanation: Explanation) -> list[str]:
    return [step.word for step in explanation.steps]


def as_elements(explained: Sequence[Explanation], *, to_shared: bool) -> list[tuple[str, str, Relation, str]]:
    return [(e.original, e.value, e.relation, e.table) for e in explained]


def plain(elements: Sequence[Element]) -> list[tuple[str, str, Relation, str]]:
    return [(e.original, e.value, e.relation, e.table) for e in elements]


@pytest.mark.parametrize("province", PROVINCES)
@given(st.sampled_from(KINDS), st.integers(0, 2**32))
@settings(max_examples=15)
def test_the_explanation_ends_where_the_translation_does(province: str, kind: str, seed: int) -> None:
    own = dialect(province)
    local = own.render_local(kind, document(kind, all_codes, seed))
    shared = own.to_shared(kind, local)
    explained = explain_to_shared(own, kind, local)
    assert as_elements(explained, to_shared=True) == plain(shared)
    assert [e.shared for e in explained] == [e.name for e in shared]
    assert all(e.steps and e.where for e in explained)
    back = explain_to_local(own, kind, shared)
    assert as_elements(back, to_shared=False) == plain(own.to_local(kind, shared))
    for one, element in zip(explained, shared, strict=True):
        assert [len(row) for row in one.groups] == [len(row) for row in element.groups]


@pytest.mark.parametrize("province", PROVINCES)
@given(st.dictionaries(st.text(max_size=8), hostile, max_size=4), st.sampled_from(KINDS), st.data())
@settings(max_examples=15)
def test_nothing_makes_an_explanation_raise(
    province: str, local: dict[str, object], kind: str, data: st.DataObject
) -> None:
    own = dialect(province)
    rules = own.rules.fields[kind]
    for rule in data.draw(st.lists(st.sampled_from(rules), max_size=4)):
        local[rule.local.split(".")[0].removesuffix("|json")] = data.draw(hostile)
    shared = own.to_shared(kind, local)
    assert as_elements(explain_to_shared(own, kind, local), to_shared=True) == plain(shared)
    assert as_elements(explain_to_local(own, kind, shared), to_shared=False) == plain(
        own.to_local(kind, shared)
    )


def test_every_step_of_a_date_is_told() -> None:
    told = explain_field_to_shared(dialect("330000"), IDENTITY_CARD, "颁发日期", " 2020年１月２日 10:30")
    assert (told.value, told.relation) == ("2020-01-02", Relation.BROADER)
    assert words(told) == ["rule", "half_width", "day", "time_lost"]
    assert told.where.startswith("fields.csv line ")
    assert told.restored is False


def test_a_code_tells_the_row_that_decided_and_its_day() -> None:
    told = explain_field_to_shared(dialect("340000"), HOUSEHOLD, "婚姻状况", "21", "1999-01-01", "家庭成员")
    assert (told.value, told.relation) == ("20", Relation.BROADER)
    assert words(told) == ["rule", "on", "row"]
    assert "2003-11-30" in told.lines[-1]
    assert "maps/marital.csv line" in told.lines[-1]


def test_a_code_that_has_ended_tells_the_row_that_was_passed_over() -> None:
    told = explain_field_to_shared(dialect("340000"), HOUSEHOLD, "婚姻状况", "21", "2020-01-01", "家庭成员")
    assert told.relation is Relation.UNMAPPED
    assert "passed_over" in words(told)


def test_the_way_back_is_told_too() -> None:
    told = explain_field_to_local(dialect("320000"), IDENTITY_CARD, "性别", "1")
    assert (told.value, told.relation, told.restored) == ("M", Relation.EXACT, True)
    assert words(told) == ["rule", "no_day_known", "row"]


def test_a_missing_field_and_one_without_a_rule_are_told() -> None:
    told = {e.shared: e for e in explain_to_shared(dialect("320000"), IDENTITY_CARD, {"colour": "red"})}
    assert words(told["证照标识"]) == ["rule", "missing"]
    assert words(told["colour"]) == ["no_rule"]


def test_parameters_are_told_both_ways() -> None:
    shared = explain_parameter_to_shared(dialect("320000"), "division", "310101000000", date(2020, 1, 1))
    assert (shared.value, shared.restored) == ("310101", True)
    assert "unpadded" in words(shared)
    local = explain_parameter_to_local(dialect("320000"), "division", "310101")
    assert (local.value, words(local)[-1]) == ("310101000000", "padded")


def test_what_does_not_exist_cannot_be_explained() -> None:
    own = dialect("310000")
    with pytest.raises(UnknownDocument):
        explain_to_shared(own, "nothing", {})
    with pytest.raises(UnknownList):
        explain_field_to_shared(own, IDENTITY_CARD, "血型", "A")
    with pytest.raises(UnknownList):
        explain_parameter_to_shared(own, "colour", "red")


def test_every_step_is_told_in_both_languages() -> None:
    for chinese, english in STEPS.values():
        assert any("一" <= character <= "龥" for character in chinese)
        assert english.isascii()
        assert english
