"""Code maps as SSSOM/TSV, and back: one mapping set is one version of a province's rule set.

SSSOM 1.1 (Simple Standard for Sharing Ontological Mappings). A claim is one row; the target of a ``none`` row
is `sssom:NoTermFound`. What SSSOM has no slot for stands in `other` as ``name=value|name=value``, with ``%``,
``|`` and line ends escaped: validity, direction, preferred way back, source of the claim. So nothing is lost, and
who knows only SSSOM reads the rest. (Extension slots would be the other way; readers drop them.) A row that
follows from a column of the shared list itself says so by its justification.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType

from mapping.codelists import CodeLists
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.formats.names import DEFAULT_BASE, escaped, local_system, map_set_id, shared_system, unescaped
from mapping.ruleset import CodeMap, MapRow, RuleSet

__all__ = ["UNSPECIFIED_LICENSE", "SssomSet", "read_sssom", "to_sssom"]

UNSPECIFIED_LICENSE = "https://w3id.org/sssom/license/unspecified"
_NO_TERM = "sssom:NoTermFound"
_CURATED, _LEXICAL = "semapv:ManualMappingCuration", "semapv:LexicalMatching"
_PREDICATES = {
    Relation.EXACT: "skos:exactMatch",
    Relation.NARROWER: "skos:narrowMatch",
    Relation.BROADER: "skos:broadMatch",
    Relation.RELATED: "skos:relatedMatch",
}
_RELATIONS = {predicate: relation for relation, predicate in _PREDICATES.items()}
_SLOTS = (
    "subject_id",
    "subject_label",
    "predicate_id",
    "object_id",
    "object_label",
    "mapping_justification",
    "author_label",
    "reviewer_label",
    "subject_source",
    "subject_source_version",
    "object_source",
    "object_source_version",
    "comment",
    "other",
)
_ENDS = re.compile(r"[%|\r\n]")
_BUILT_IN = {
    "semapv": "https://w3id.org/semapv/vocab/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "sssom": "https://w3id.org/sssom/",
}


@dataclass(frozen=True, slots=True)
class SssomSet:
    """What one file says: its header, and the code maps with their claims in the order of the file."""

    header: Mapping[str, str]
    maps: Mapping[str, CodeMap]


# --- out ------------------------------------------------------------------------------------------


def to_sssom(
    rules: RuleSet, lists: CodeLists, *, base: str = DEFAULT_BASE, license_uri: str = UNSPECIFIED_LICENSE
) -> str:
    """The code maps of a rule set as one SSSOM/TSV file, the same text each time."""
    table = io.StringIO()
    for line in _header(rules, lists, base, license_uri):
        table.write(f"#{line}\n")
    writer = csv.DictWriter(table, _SLOTS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for name in sorted(rules.maps):
        for row in rules.maps[name].rows:
            writer.writerow(_row(row, rules.maps[name], rules, lists))
    return table.getvalue()


def _header(rules: RuleSet, lists: CodeLists, base: str, license_uri: str) -> Iterator[str]:
    """The metadata as YAML, in which a JSON string is a string."""
    said = {
        "sssom_version": "1.1",
        "mapping_set_id": map_set_id(base, rules.province, rules.version),
        "mapping_set_version": rules.version,
        "mapping_set_title": f"{rules.name} {rules.province} → shared words",
        "mapping_set_description": f"SHA-256 of the rule set: {rules.digest.hex()}",
        "license": license_uri,
        "mapping_tool": "yrd",
    }
    for name, value in said.items():
        yield f"{name}: {json.dumps(value, ensure_ascii=False)}"
    yield "curie_map:"
    for prefix, uri in sorted(_prefixes(rules, lists, base).items()):
        yield f"  {prefix}: {json.dumps(uri, ensure_ascii=False)}"


def _prefixes(rules: RuleSet, lists: CodeLists, base: str) -> dict[str, str]:
    """Every list is a namespace of its codes; a list itself stands in that of its owner."""
    ends = ":" if base.startswith("urn:") else "#"
    prefixes = {
        **_BUILT_IN,
        f"yrd{rules.province}": local_system(base, rules.province, ""),
        "yrdshared": shared_system(base, ""),
    }
    for name, code_map in rules.maps.items():
        prefixes[_local_prefix(rules, name)] = local_system(base, rules.province, name) + ends
        prefixes[_shared_prefix(code_map)] = shared_system(base, code_map.list_name) + ends
    return prefixes


def _local_prefix(rules: RuleSet, map_name: str) -> str:
    return f"yrd{rules.province}.{map_name}"


def _shared_prefix(code_map: CodeMap) -> str:
    return f"yrdshared.{code_map.list_name}"


def _row(row: MapRow, code_map: CodeMap, rules: RuleSet, lists: CodeLists) -> dict[str, str]:
    target = lists.lists[code_map.list_name]
    return {
        "subject_id": f"{_local_prefix(rules, code_map.name)}:{escaped(row.source)}",
        "subject_label": row.label,
        "predicate_id": _PREDICATES[row.relation] if row.relation else "skos:exactMatch",
        "object_id": f"{_shared_prefix(code_map)}:{escaped(row.target)}" if row.relation else _NO_TERM,
        "object_label": target.label(row.target) if row.relation else "",
        "mapping_justification": _LEXICAL if row.where.startswith("[maps.") else _CURATED,
        "author_label": _one_of_many(row.author),
        "reviewer_label": _one_of_many(row.reviewer),
        "subject_source": f"yrd{rules.province}:{code_map.name}",
        "subject_source_version": rules.version,
        "object_source": f"yrdshared:{code_map.list_name}",
        "object_source_version": target.version,
        "comment": row.note,
        "other": _other(row),
    }


def _other(row: MapRow) -> str:
    """What SSSOM has no slot for."""
    said = {
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
        "direction": row.direction,
        "preferred_reverse": "yes" if row.preferred else "",
        "source_of_claim": row.source_of_claim,
    }
    return "|".join(f"{name}={_ENDS.sub(_as_percent, text)}" for name, text in said.items() if text)


def _as_percent(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _one_of_many(text: str) -> str:
    r"""A value of a slot that takes several: ``|`` parts them, ``\|`` is one."""
    return text.replace("|", r"\|")


# --- in -------------------------------------------------------------------------------------------


def read_sssom(text: str) -> SssomSet:
    """What `to_sssom` wrote, or another tool wrote of it anew. Raises MappingError naming the line.

    Only claims of a known predicate are read; a row that says no more holds always and both ways.
    """
    lines = [f"{line}\n" for line in text.split("\n")]
    head = list(takewhile(lambda line: line.startswith("#"), lines))
    table = io.StringIO("".join(lines[len(head) :]), newline="")
    reader = csv.DictReader(table, delimiter="\t", restval="")
    maps: dict[str, list[MapRow]] = {}
    leads_to: dict[str, str] = {}
    try:
        rows = list(reader)
    except csv.Error as failed:
        raise MappingError(f"line {len(head) + reader.line_num}: {failed}") from None
    for line, row in enumerate(rows, start=len(head) + 2):
        try:
            name, list_name, claim = _claim(row, line)
        except (KeyError, ValueError) as failed:
            raise MappingError(f"line {line}: {failed}") from None
        maps.setdefault(name, []).append(claim)
        if list_name:
            leads_to[name] = list_name
    return SssomSet(
        MappingProxyType(_read_header(head)),
        MappingProxyType(
            {name: CodeMap(name, leads_to.get(name, ""), tuple(rows)) for name, rows in maps.items()}
        ),
    )


def _read_header(lines: Iterable[str]) -> dict[str, str]:
    """The texts at the top level of the header."""
    header = {}
    for line in lines:
        name, colon, value = line[1:].removeprefix(" ").strip("\n").partition(": ")
        if colon and not name.startswith((" ", "-")):
            value = value.strip()
            header[name] = str(json.loads(value)) if value.startswith('"') else value.strip("'")
    return header


def _claim(row: Mapping[str, str], line: int) -> tuple[str, str, MapRow]:
    prefix, _, code = row["subject_id"].partition(":")
    found = row["object_id"] != _NO_TERM
    object_prefix, _, target = row["object_id"].partition(":")
    other = dict(part.split("=", 1) for part in (row.get("other") or "").split("|") if part)
    claim = MapRow(
        source=unescaped(code),
        relation=_RELATIONS[row["predicate_id"]] if found else None,
        target=unescaped(target) if found else "",
        valid_from=other.get("valid_from", ""),
        valid_to=other.get("valid_to", ""),
        direction=other.get("direction", "both"),
        preferred=other.get("preferred_reverse") == "yes",
        where=f"line {line}",
        label=row.get("subject_label") or "",
        note=row.get("comment") or "",
        source_of_claim=unescaped(other.get("source_of_claim", "")),
        author=(row.get("author_label") or "").replace(r"\|", "|"),
        reviewer=(row.get("reviewer_label") or "").replace(r"\|", "|"),
    )
    return _list_of(prefix), _list_of(object_prefix) if found else "", claim


def _list_of(prefix: str) -> str:
    """``yrd310000.sex``: the list, behind its owner."""
    return prefix.partition(".")[2] or prefix
