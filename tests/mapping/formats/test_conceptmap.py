"""Code maps as a ConceptMap: translating by it alone gives what the code maps give, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.structs import replace

from mapping.codelists import code_lists
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.formats.conceptmap import to_conceptmap
from mapping.ruleset import CodeMap, MapRow, RuleSet
from tests.mapping.rule_sets import shipped
from tests.mapping.samples import PROVINCES

LISTS = code_lists()
RELATIONSHIPS = {
    "exact": "equivalent",
    "narrower": "source-is-broader-than-target",
    "broader": "source-is-narrower-than-target",
    "related": "related-to",
}


def targets(resource: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in resource["group"]:
        for element in group["element"]:
            for target in element.get("target", ()):
                yield element, target


def with_rows(*rows: MapRow) -> RuleSet:
    return replace(shipped("330000"), maps=MappingProxyType({"sex": CodeMap("sex", "sex", rows)}))


def row(source: str, relation: Relation | None, target: str, **more: Any) -> MapRow:
    said: dict[str, Any] = {"valid_from": "", "valid_to": "", "direction": "both", "preferred": False} | more
    return MapRow(source=source, relation=relation, target=target, where="x", **said)


@pytest.mark.parametrize("province", PROVINCES)
def test_every_claim_is_there_once_for_each_way_it_is_used(province: str) -> None:
    rules = shipped(province)
    wanted = []
    for code_map in rules.maps.values():
        for claim in code_map.rows:
            if claim.reads and claim.relation:
                wanted.append((claim.source, claim.target, RELATIONSHIPS[claim.relation.word]))
            if claim.writes and claim.relation:
                back = {"narrower": "broader", "broader": "narrower"}
                wanted.append(
                    (
                        claim.target,
                        claim.source,
                        RELATIONSHIPS[back.get(claim.relation.word, claim.relation.word)],
                    )
                )
    found = [
        (element["code"], target["code"], target["relationship"])
        for element, target in targets(to_conceptmap(rules, LISTS))
    ]
    assert sorted(found) == sorted(wanted)


def test_a_none_row_is_no_map_and_says_why() -> None:
    [group] = to_conceptmap(with_rows(row("x", None, "", note="nobody knows", valid_to="2000-01-01")), LISTS)[
        "group"
    ]
    [element] = group["element"]
    assert element["noMap"] is True
    assert "target" not in element
    said = {part["url"]: part for part in element["extension"][0]["extension"]}
    assert said["note"]["valueString"] == "nobody knows"
    assert said["validTo"]["valueDateTime"] == "2000-01-01"


def test_a_code_with_a_target_on_other_days_is_not_called_unmapped() -> None:
    rows = (row("x", None, "", valid_to="1999-12-31"), row("x", Relation.EXACT, "1", valid_from="2000-01-01"))
    reading, writing = to_conceptmap(with_rows(*rows), LISTS)["group"]
    [element] = reading["element"]
    assert "noMap" not in element
    assert element["target"][0]["property"] == [{"code": "validFrom", "valueDateTime": "2000-01-01"}]
    assert len(writing["element"]) == 1


def test_validity_and_provenance_are_declared_properties() -> None:
    resource = to_conceptmap(shipped("340000"), LISTS)
    declared = {one["code"]: one["type"] for one in resource["property"]}
    for _, target in targets(resource):
        for one in target.get("property", ()):
            [value] = set(one) - {"code"}
            assert value == "value" + declared[one["code"]][0].upper() + declared[one["code"]][1:]


def test_what_says_more_than_its_source_has_a_comment() -> None:
    for province in PROVINCES:
        for _, target in targets(to_conceptmap(shipped(province), LISTS)):
            assert target["relationship"] != "source-is-broader-than-target" or target["comment"]


def test_a_code_that_fhir_cannot_hold_is_refused() -> None:
    with pytest.raises(MappingError, match="cannot hold"):
        to_conceptmap(with_rows(row("a  b", Relation.EXACT, "1")), LISTS)
