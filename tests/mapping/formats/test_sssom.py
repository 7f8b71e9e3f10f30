"""Code maps as SSSOM: what is written is read again, whole; the header says what the set is."""

from __future__ import annotations

import csv
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mapping.codelists import code_lists
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.formats.names import escaped, unescaped
from mapping.formats.sssom import read_sssom, to_sssom
from mapping.ruleset import CodeMap, MapRow, RuleSet
from tests.mapping.rule_sets import shipped
from tests.mapping.samples import PROVINCES

LISTS = code_lists()
# What a cell of a rule set can hold: cells are stripped, and hold no line ends.
cells = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).map(str.strip)
days = st.one_of(st.just(""), st.dates().map(lambda day: day.isoformat()))
rows = st.builds(
    MapRow,
    source=cells.filter(bool),
    relation=st.sampled_from([Relation.EXACT, Relation.NARROWER, Relation.BROADER, Relation.RELATED]),
    target=st.sampled_from(["0", "1", "2", "9"]),
    valid_from=days,
    valid_to=days,
    direction=st.sampled_from(["both", "to_shared", "to_local"]),
    preferred=st.booleans(),
    where=st.just("maps/sex.csv line 2"),
    label=cells,
    note=cells,
    source_of_claim=cells,
    author=cells,
    reviewer=cells,
)


def with_rows(*found: MapRow) -> RuleSet:
    maps = MappingProxyType({"sex": CodeMap("sex", "sex", found)})
    return replace(shipped("330000"), maps=maps)


def without_places(code_map: CodeMap) -> tuple[MapRow, ...]:
    return tuple(replace(row, where="") for row in code_map.rows)


@pytest.mark.parametrize("province", PROVINCES)
def test_every_claim_comes_back(province: str) -> None:
    rules = shipped(province)
    found = read_sssom(to_sssom(rules, LISTS))
    assert {name: without_places(code_map) for name, code_map in found.maps.items()} == {
        name: without_places(code_map) for name, code_map in rules.maps.items()
    }
    assert {name: code_map.list_name for name, code_map in found.maps.items()} == {
        name: code_map.list_name for name, code_map in rules.maps.items()
    }


@given(st.lists(rows, min_size=1, max_size=5))
def test_any_claim_comes_back(found: list[MapRow]) -> None:
    assert without_places(read_sssom(to_sssom(with_rows(*found), LISTS)).maps["sex"]) == tuple(
        replace(row, where="") for row in found
    )


def test_the_header_names_set_version_licence_and_digest() -> None:
    rules = shipped("310000")
    header = read_sssom(
        to_sssom(rules, LISTS, base="https://codes.example.cn/", license_uri="https://l.example")
    ).header
    assert header["mapping_set_id"] == f"https://codes.example.cn/map/310000/{rules.version}"
    assert header["mapping_set_version"] == rules.version
    assert header["license"] == "https://l.example"
    assert rules.digest.hex() in header["mapping_set_description"]


def test_predicates_say_what_the_object_is_to_the_subject() -> None:
    claims = (
        MapRow("a", Relation.EXACT, "1", "", "", "both", preferred=True, where="x"),
        MapRow("b", Relation.NARROWER, "1", "", "", "both", preferred=False, where="x"),
        MapRow("c", Relation.BROADER, "1", "", "", "both", preferred=False, where="x"),
        MapRow("d", Relation.RELATED, "1", "", "", "both", preferred=False, where="x"),
        MapRow("e", None, "", "", "", "both", preferred=False, where="[maps.sex] column x", note="why"),
    )
    lines = [line for line in to_sssom(with_rows(*claims), LISTS).splitlines() if not line.startswith("#")]
    found = list(csv.DictReader(lines, delimiter="\t"))
    assert [row["predicate_id"] for row in found] == [
        "skos:exactMatch", "skos:narrowMatch", "skos:broadMatch", "skos:relatedMatch", "skos:exactMatch",
    ]  # fmt: skip
    assert found[-1]["object_id"] == "sssom:NoTermFound"
    assert found[-1]["comment"] == "why"
    assert [row["mapping_justification"] for row in found[3:]] == [
        "semapv:ManualMappingCuration", "semapv:LexicalMatching",
    ]  # fmt: skip
    assert found[0]["other"] == "direction=both|preferred_reverse=yes"


def test_identifiers_are_ascii() -> None:
    body = [line for line in to_sssom(shipped("310000"), LISTS).splitlines() if not line.startswith("#")]
    assert all(row["subject_id"].isascii() for row in csv.DictReader(body, delimiter="\t"))
    assert escaped("男 (1)") == "%E7%94%B7%20%281%29"
    assert unescaped(escaped("男 (1)%|\t")) == "男 (1)%|\t"


def test_a_line_in_a_cell_that_looks_like_a_header_is_no_header() -> None:
    odd = MapRow("a", Relation.EXACT, "1", "", "", "both", preferred=False, where="x", note="one\u2028#two")
    [read] = read_sssom(to_sssom(with_rows(odd), LISTS)).maps["sex"].rows
    assert read.note == "one\u2028#two"


@pytest.mark.parametrize(
    ("old", "new"),
    [("skos:exactMatch", "skos:closeMatch"), ("subject_id\t", "subject\t"), ("other\n", "another\n")],
)
def test_what_is_no_claim_is_refused_by_its_line(old: str, new: str) -> None:
    text = to_sssom(shipped("330000"), LISTS).replace(old, new, 1)
    if new == "another\n":
        # Without `other` every claim holds always, both ways.
        assert {row.direction for row in read_sssom(text).maps["sex"].rows} == {"both"}
        return
    with pytest.raises(MappingError, match=r"line [0-9]+"):
        read_sssom(text)
