"""What is known of the closed lists of a rule set."""

from __future__ import annotations

from types import MappingProxyType

from msgspec.structs import replace

from mapping.code_tables import DIVISIONS, code_tables, form_of
from mapping.codelists import code_lists
from mapping.translate import load_dialect


def test_each_code_map_and_the_divisions_are_closed_lists_under_what_elements_name() -> None:
    dialect = load_dialect("320000")
    tables = code_tables(dialect.rules, code_lists())
    types = tables[dialect.code_to_shared("certificate_type", "?").table]
    assert (types.name, "JS-GA-001" in types.local, types.local_forms) == (
        "certificate_type",
        True,
        frozenset({"xx-xx-xxx"}),
    )
    assert types.shared_forms == {"x" * 21}
    assert tables[dialect.code_to_shared("division", "320199").table].name == DIVISIONS
    assert {table.name for table in tables.values()} == {*dialect.rules.maps, DIVISIONS}


def test_a_row_that_says_there_is_nothing_is_told_apart() -> None:
    dialect = load_dialect("310000")
    table = code_tables(dialect.rules, code_lists())[f"education@{dialect.rules.version}"]
    assert table.without_target == {"文盲"}
    assert "文盲" in table.local


def test_a_map_that_is_called_like_a_converter_is_no_closed_list() -> None:
    """Its values could not be told from those of the converter, which may be anything."""
    rules = load_dialect("330000").rules
    maps = MappingProxyType({"text": rules.maps["sex"], "sex": rules.maps["sex"]})
    names = {table.name for table in code_tables(replace(rules, maps=maps), code_lists()).values()}
    assert names == {"sex", DIVISIONS}


def test_a_form_keeps_what_is_neither_letter_nor_digit() -> None:
    assert form_of("JS-GA-001 汉") == "xx-xx-xxx 汉"
