"""Other people's libraries make of our exports what we wrote (`make interop`).

sssom-py reads the SSSOM, validates it and writes it again; what it wrote holds every claim. The models of
fhir.resources (FHIR R5) read the ConceptMap without a change, and an independent FHIRPath engine finds every
invariant of the standard held. Each is shown something broken as well, so that it is known to look.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from mapping.codelists import code_lists
from mapping.element import Relation
from mapping.formats.conceptmap import to_conceptmap
from mapping.formats.sssom import read_sssom, to_sssom
from mapping.ruleset import CodeMap, MapRow, RuleSet
from tests.interop.node_js import run_script
from tests.mapping.rule_sets import shipped
from tests.mapping.samples import PROVINCES

LISTS = code_lists()
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_LONGEST_S = 240

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


async def read_elsewhere(question: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(str(_ROOT / ".venv" / "interop" / "bin" / "python"), str(_HERE / "read_exports.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_LONGEST_S):
        said, errors = await process.communicate(orjson.dumps(question))
    assert process.returncode == 0, errors.decode("utf-8", "replace")
    answer: dict[str, Any] = orjson.loads(said)
    return answer


def claims(maps: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every claim, all of it but its line, in a comparable order."""
    return {
        name: sorted(
            (
                row.source, row.relation.word if row.relation else "", row.target, row.valid_from, row.valid_to,
                row.direction, row.preferred, row.label, row.note, row.source_of_claim, row.author, row.reviewer,
            )
            for row in code_map.rows
        )
        for name, code_map in maps.items()
    }  # fmt: skip


def odd() -> RuleSet:
    """Claims with every character that a table, a CURIE or a list of values could trip over.

    Not as labels: NA and null, which sssom-py 0.4.21 takes for cells without a value; as codes they are kept.
    """
    texts = ("a|b", "50%", 'say "x"', "x:y", "#z", "，（）", "𠮷", "a/b?c#d", "NA", "null", "'", "a b")
    labels = [text.strip("NAul") for text in texts]
    rows = tuple(
        MapRow(
            text,
            Relation.NARROWER if number % 2 else Relation.EXACT,
            "1",
            "",
            f"20{number:02}-12-31",
            "both",
            preferred=False,
            where="here",
            label=label,
            note=f"note {text}",
            source_of_claim=text,
            author="yrd",
            reviewer=label,
        )
        for number, (text, label) in enumerate(zip(texts, labels, strict=True))
    )
    none = MapRow(
        "无", None, "", "2001-01-01", "", "to_shared", preferred=False, where="here", note="why | so"
    )
    return replace(shipped("330000"), maps=MappingProxyType({"sex": CodeMap("sex", "sex", (*rows, none))}))


@pytest.mark.parametrize("rules", [*map(shipped, PROVINCES), odd()], ids=[*PROVINCES, "odd"])
async def test_sssom_py_reads_validates_and_keeps_every_claim(rules: RuleSet) -> None:
    text = to_sssom(rules, LISTS, license_uri="https://www.apache.org/licenses/LICENSE-2.0")
    found = (await read_elsewhere({"sssom": text}))["sssom"]
    assert found["told"] == []
    assert found["faults"] == []
    assert len(found["checks"]) >= 3
    assert found["rows"] == sum(len(code_map.rows) for code_map in rules.maps.values())
    ours = read_sssom(text).header
    assert {name: found["header"][name] for name in ours if name != "mapping_tool"} == {
        name: value for name, value in ours.items() if name != "mapping_tool"
    }
    assert claims(read_sssom(found["again"]).maps) == claims(rules.maps)


async def test_sssom_py_is_known_to_look() -> None:
    text = to_sssom(shipped("330000"), LISTS)
    no_prefix = "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("#  yrd330000.sex")
    )
    found = (await read_elsewhere({"sssom": no_prefix}))["sssom"]
    assert found["faults"] or found["told"]


@pytest.mark.parametrize("rules", [*map(shipped, PROVINCES), odd()], ids=[*PROVINCES, "odd"])
async def test_a_conceptmap_is_valid_fhir_r5(rules: RuleSet) -> None:
    resource = to_conceptmap(rules, LISTS)
    found = (await read_elsewhere({"conceptmap": resource}))["conceptmap"]
    assert (found["version"], found["faults"], found["same"]) == ("5.0.0", [], True)
    assert (await run_script("invariants.mjs", {"resource": resource}))["broken"] == []


def first_target(resource: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = resource["group"][0]["element"][0]["target"][0]
    return target


@pytest.mark.parametrize(
    ("change", "invariant"),
    [
        (lambda r: first_target(r).update(relationship="same"), "binding relationship"),
        (
            lambda r: first_target(r).update(relationship="source-is-broader-than-target", comment=None),
            "cmd-1",
        ),
        (lambda r: r["group"][0]["element"][0].update(noMap=True), "cmd-4"),
        (lambda r: r["group"][0]["element"][0].pop("code"), "cmd-5"),
        (lambda r: first_target(r).pop("code"), "cmd-7"),
        (lambda r: r["property"][0].update(type="code"), "cmd-11"),
        (lambda r: r.update(status="fine"), "binding status"),
        (lambda r: r["property"][0].update(type="text"), "binding property type"),
        (lambda r: first_target(r)["property"][0].update(code="colour"), "declared properties"),
        (lambda r: r.update(url="urn:x#y"), "cnl-1"),
        (lambda r: r.update(name="340000"), "cnl-0"),
    ],
)
async def test_the_invariants_are_known_to_look(
    change: Callable[[dict[str, Any]], object], invariant: str
) -> None:
    resource = copy.deepcopy(to_conceptmap(shipped("340000"), LISTS))
    change(resource)
    assert invariant in (await run_script("invariants.mjs", {"resource": resource}))["broken"]


async def test_the_models_are_known_to_look() -> None:
    resource = copy.deepcopy(to_conceptmap(shipped("340000"), LISTS))
    del resource["status"]
    first_target(resource)["property"] = [{"code": "validFrom", "valueDateTime": "2020-13-01"}]
    first_target(resource)["equivalence"] = "equal"
    found = (await read_elsewhere({"conceptmap": resource}))["conceptmap"]
    assert len(found["faults"]) >= 3 or found["faults"]
