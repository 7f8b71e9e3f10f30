"""Code maps as a FHIR R5 ConceptMap: one resource is one version of a province's rule set.

Each code map becomes up to two groups, one per direction, so that a server that knows nothing of us translates
both ways as we do: a claim that is used in one direction only stands in that group alone, and the way back has
the inverse relationship. What ConceptMap has no place for are declared properties of the target: validity, the
preferred way back, source of the claim, author, reviewer. A ``none`` row is `noMap`; why stands in extensions,
since noMap allows no target to carry properties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mapping.codelists import CodeLists
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.formats.names import DEFAULT_BASE, local_system, map_set_id, shared_system
from mapping.ruleset import CodeMap, MapRow, RuleSet

__all__ = ["to_conceptmap"]

_RELATIONSHIPS = {
    Relation.EXACT: "equivalent",
    Relation.NARROWER: "source-is-broader-than-target",
    Relation.BROADER: "source-is-narrower-than-target",
    Relation.RELATED: "related-to",
}
_INVERSE = {Relation.NARROWER: Relation.BROADER, Relation.BROADER: Relation.NARROWER}
_PROPERTIES = {
    "validFrom": ("dateTime", "有效起始日 First day on which the claim holds"),
    "validTo": ("dateTime", "有效截止日 Last day on which the claim holds"),
    "preferred": ("boolean", "首选回译 Of several, the one to go back by"),
    "sourceOfClaim": ("string", "依据 Where the claim comes from"),
    "author": ("string", "作者 Role or body that made the claim"),
    "reviewer": ("string", "审核 Role or body that reviewed it"),
}
# Invariant cmd-1: a comment must be there. The inverse of a claim has the claim's note, on what is lost.
_TO_BE_EXPLAINED = ("source-is-broader-than-target",)
_NO_NOTE = "没有说明 No note says what is lost"
_CODE = re.compile(r"\S+( \S+)*")


def to_conceptmap(
    rules: RuleSet, lists: CodeLists, *, base: str = DEFAULT_BASE, experimental: bool = False
) -> dict[str, Any]:
    """The resource as JSON values, the same each time.

    Raises MappingError for a code that the type `code` cannot hold (spaces at its ends, or two together).
    """
    url = map_set_id(base, rules.province, rules.version)
    return {
        "resourceType": "ConceptMap",
        "id": re.sub(r"[^A-Za-z0-9.-]", "-", f"{rules.province}-{rules.version}")[:64],
        "url": url,
        "version": rules.version,
        "name": f"YRD_{rules.province}",
        "title": f"{rules.name} {rules.province} → shared words",
        "status": "active",
        "experimental": experimental,
        "description": f"SHA-256 of the rule set: {rules.digest.hex()}",
        "property": [
            {"code": code, "uri": f"{url}#{code}", "description": text, "type": kind}
            for code, (kind, text) in _PROPERTIES.items()
        ],
        "group": [
            group
            for name in sorted(rules.maps)
            for group in _groups(rules.maps[name], rules, lists, base, url)
        ],
    }


def _groups(
    code_map: CodeMap, rules: RuleSet, lists: CodeLists, base: str, url: str
) -> Iterator[dict[str, Any]]:
    target = lists.lists[code_map.list_name]
    local = f"{local_system(base, rules.province, code_map.name)}|{rules.version}"
    shared = f"{shared_system(base, code_map.list_name)}|{target.version}"
    labels = {row.source: row.label for row in code_map.rows if row.label}
    reads = [row for row in code_map.rows if row.reads]
    writes = [row for row in code_map.rows if row.writes]
    if reads:
        elements = [
            _element(
                source,
                labels.get(source, ""),
                rows,
                [_target(row, target.label(row.target)) for row in rows],
                url,
            )
            for source, rows in _by(reads, "source").items()
        ]
        yield {"source": local, "target": shared, "element": elements}
    if writes:
        elements = [
            _element(code, target.label(code), rows, [_target_back(row) for row in rows], url)
            for code, rows in _by(writes, "target").items()
        ]
        yield {"source": shared, "target": local, "element": elements}


def _by(rows: Iterable[MapRow], attribute: str) -> dict[str, list[MapRow]]:
    grouped: dict[str, list[MapRow]] = {}
    for row in rows:
        grouped.setdefault(getattr(row, attribute), []).append(row)
    return grouped


def _element(
    code: str, display: str, rows: Iterable[MapRow], targets: Iterable[Mapping[str, Any] | None], url: str
) -> dict[str, Any]:
    """One code: its targets, or that there are none; days without a target are told by extensions."""
    reasons = [_no_target(row, url) for row in rows if row.relation is None]
    found = [target for target in targets if target]
    element: dict[str, Any] = {"extension": reasons} if reasons else {}
    element["code"] = _as_code(code)
    if display:
        element["display"] = display
    if found:
        element["target"] = found
    else:
        element["noMap"] = True
    return element


def _no_target(row: MapRow, url: str) -> dict[str, Any]:
    said = [{"url": "note", "valueString": row.note}] if row.note else []
    said += [{"url": name, f"value{_TYPES[name]}": value} for name, value in _said(row).items()]
    return {"url": f"{url}#noMap", "extension": said or [{"url": "note", "valueString": "none"}]}


_TYPES = {name: kind[0].upper() + kind[1:] for name, (kind, _) in _PROPERTIES.items()}


def _target(row: MapRow, display: str) -> dict[str, Any] | None:
    if row.relation is None:
        return None
    return _claim(row.target, display, _RELATIONSHIPS[row.relation], row)


def _target_back(row: MapRow) -> dict[str, Any] | None:
    if row.relation is None:
        return None
    relation = _INVERSE.get(row.relation, row.relation)
    return _claim(row.source, row.label, _RELATIONSHIPS[relation], row)


def _claim(code: str, display: str, relationship: str, row: MapRow) -> dict[str, Any]:
    claim: dict[str, Any] = {"code": _as_code(code)}
    if display:
        claim["display"] = display
    claim["relationship"] = relationship
    if row.note or relationship in _TO_BE_EXPLAINED:
        claim["comment"] = row.note or _NO_NOTE
    properties = [{"code": name, f"value{_TYPES[name]}": value} for name, value in _said(row).items()]
    if properties:
        claim["property"] = properties
    return claim


def _said(row: MapRow) -> dict[str, Any]:
    """The properties of a claim that are not empty."""
    said = {
        "validFrom": row.valid_from,
        "validTo": row.valid_to,
        "preferred": row.preferred,
        "sourceOfClaim": row.source_of_claim,
        "author": row.author,
        "reviewer": row.reviewer,
    }
    return {name: value for name, value in said.items() if value}


def _as_code(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise MappingError(f"FHIR's type code cannot hold {code!r}")
    return code
