"""What the closed lists of a rule set hold and what their codes look like, for whoever watches what they lack.

A closed list is a code map, or the divisions. Elements name it in `table`; no other converter's table is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mapping.codelists import CodeLists
from mapping.converters import CONVERTERS
from mapping.ruleset import MapRow, RuleSet

__all__ = ["DIVISIONS", "CodeTable", "code_tables", "form_of"]

DIVISIONS = "division"
"""The name of the divisions' converter, which is also that of their list."""

_LETTER_OR_DIGIT = re.compile(r"[A-Za-z0-9]")
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CodeTable:
    """One closed list of a rule set: the codes that have a row, on either side, and their forms."""

    name: str
    local: frozenset[str] = _NOTHING
    shared: frozenset[str] = _NOTHING
    without_target: frozenset[str] = _NOTHING
    """Local codes of which a row says that there is nothing for them: they lack no row."""
    local_forms: frozenset[str] = _NOTHING
    shared_forms: frozenset[str] = _NOTHING


def code_tables(rules: RuleSet, lists: CodeLists) -> Mapping[str, CodeTable]:
    """The closed lists of a rule set, by what elements name in `table`."""
    tables = {
        f"{name}@{rules.version}": _table(name, code_map.rows, lists.lists[code_map.list_name])
        for name, code_map in rules.maps.items()
        if name not in CONVERTERS  # a map of that name could not be told from the converter
    }
    tables[f"{DIVISIONS}@{rules.version}"] = CodeTable(DIVISIONS)
    return MappingProxyType(tables)


def form_of(code: str) -> str:
    """How a code looks: each ASCII letter and digit as ``x``, everything else as it is."""
    return _LETTER_OR_DIGIT.sub("x", code)


def _table(name: str, rows: Iterable[MapRow], targets: Iterable[str]) -> CodeTable:
    rows = tuple(rows)
    local = frozenset(row.source for row in rows if row.reads)
    return CodeTable(
        name=name,
        local=local,
        shared=frozenset(row.target for row in rows if row.writes),
        without_target=frozenset(row.source for row in rows if row.relation is None),
        local_forms=frozenset(map(form_of, local)),
        shared_forms=frozenset(map(form_of, targets)),
    )
