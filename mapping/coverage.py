"""What a rule set covers: of each local list, each shared list, and each certificate type, on one day.

Nothing is counted from the tables alone: every code is read and written by the converter that translates it,
on the day, or without a day where the field's rule knows none. So a claim that never decides anything is no
coverage.

- source coverage: local codes that have a row. A row with the relation ``none`` counts, and says why.
- target coverage: shared codes that some local code means.
- lossy: what is translated, but not exactly.
- round trip: there and back again is the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from mapping.codelists import CodeList, CodeLists
from mapping.codes import build_code_converter
from mapping.converters import Converter, Settings, build_converter
from mapping.element import Relation
from mapping.ruleset import CodeMap, FieldRule, MapRow, RuleSet

__all__ = [
    "FieldCoverage",
    "KindCoverage",
    "ListCoverage",
    "RuleSetCoverage",
    "Told",
    "coverage_faults",
    "coverage_of",
]

_TRANSLATED = (Relation.EXACT, Relation.NARROWER, Relation.BROADER, Relation.RELATED)
_LOSSY = _TRANSLATED[1:]
_TITLES = {"division": "行政区划", "province": "省份"}


@dataclass(frozen=True, slots=True)
class Told:
    """One code that something is to be said about; `became` and `relation` where it was translated."""

    code: str
    label: str
    note: str = ""
    became: str = ""
    relation: str = ""


@dataclass(frozen=True, slots=True)
class ListCoverage:
    """How the codes of one local list and one shared list reach each other on a day.

    `title` is the list's name in Chinese: that of the first shared element whose values are from it.
    `map_name` is the code map, or the converter where codes follow from a rule. `on` is empty where a field
    does not know the day.
    """

    map_name: str
    list_name: str
    title: str
    on: str
    sources: int
    none: tuple[Told, ...]
    without_row: tuple[Told, ...]
    undecided: tuple[Told, ...]
    targets: int
    unreachable: tuple[Told, ...]
    unwritable: tuple[Told, ...]
    lossy_to_shared: tuple[Told, ...]
    lossy_to_local: tuple[Told, ...]
    no_return_to_local: tuple[Told, ...]
    no_return_to_shared: tuple[Told, ...]

    @property
    def with_row(self) -> int:
        """Local codes that have a row."""
        return self.sources - len(self.without_row)

    @property
    def translated(self) -> int:
        """Local codes that mean a shared code on the day."""
        return self.with_row - len(self.none) - len(self.undecided)

    @property
    def reachable(self) -> int:
        """Shared codes that some local code means on the day."""
        return self.targets - len(self.unreachable)

    @property
    def writable(self) -> int:
        """Shared codes that have a local code on the day."""
        return self.targets - len(self.unwritable)

    @property
    def returns(self) -> int:
        """Local codes that come back as they were."""
        return self.translated - len(self.no_return_to_local)

    @property
    def whole(self) -> bool:
        """Whether every local code has a row."""
        return not self.without_row


@dataclass(frozen=True, slots=True)
class FieldCoverage:
    """One coded field of a certificate type; `group` when it stands in the rows of a list."""

    group: str
    element: str
    local: str
    codes: ListCoverage


@dataclass(frozen=True, slots=True)
class KindCoverage:
    """One certificate type or the service item: which shared elements have a field, and its coded fields."""

    kind: str
    name: str
    elements: int
    missing: tuple[str, ...]
    fields: tuple[FieldCoverage, ...]

    @property
    def covered(self) -> int:
        """Shared elements that a local field means."""
        return self.elements - len(self.missing)


@dataclass(frozen=True, slots=True)
class RuleSetCoverage:
    """All of one province's rule set. `lists` holds every coverage once, those of request parameters too."""

    province: str
    name: str
    version: str
    digest: bytes
    on: str
    kinds: tuple[KindCoverage, ...]
    lists: tuple[ListCoverage, ...]

    @property
    def whole(self) -> bool:
        """Whether every local code has a row and every shared element a field."""
        return all(found.whole for found in self.lists) and not any(kind.missing for kind in self.kinds)


def coverage_of(rules: RuleSet, lists: CodeLists, on: date) -> RuleSetCoverage:
    """What a checked rule set covers on a day."""
    measure = _Measure(rules, lists, on.isoformat())
    kinds = tuple(
        _kind_coverage(code, rules.fields[code], lists, measure)
        for code in lists.kinds
        if code in rules.fields
    )
    for parameter in rules.parameters.values():
        measure.of(parameter.converter, parameter.parameters, parameter.element_type)
    return RuleSetCoverage(
        rules.province, rules.name, rules.version, rules.digest, on.isoformat(), kinds, measure.all()
    )


def coverage_faults(found: RuleSetCoverage) -> list[str]:
    """What a rule set must not leave open: a local code without a row, and a ``none`` that does not say why."""
    faults = []
    for codes in found.lists:
        faults += [
            f"maps/{codes.map_name}: {told.code} 只写不读，请补一行 / {told.code} is written and never read"
            for told in codes.without_row
        ]
        faults += [
            f"maps/{codes.map_name}: {told.code} 为 none，却未在 note 说明原因 / "
            f"the row none for {told.code} does not say why (note)"
            for told in codes.none
            if not told.note
        ]
    return list(dict.fromkeys(faults))


def _kind_coverage(
    code: str, rules: tuple[FieldRule, ...], lists: CodeLists, measure: _Measure
) -> KindCoverage:
    kind = lists.kinds[code]
    wanted = [("", element) for element in kind.elements]
    wanted += [(group, element) for group, elements in kind.groups.items() for element in elements]
    there = {(rule.group, rule.element) for rule in rules}
    missing = tuple(
        f"{group}/{name}" if group else name for group, name in wanted if (group, name) not in there
    )
    fields = []
    for rule in rules:
        codes = measure.of(rule.converter, rule.parameters, lists.elements[rule.element].type)
        if codes is not None:
            fields.append(FieldCoverage(rule.group, rule.element, rule.local, codes))
    return KindCoverage(code, kind.name, len(wanted), missing, tuple(fields))


class _Measure:
    """Measures each pair of lists once per way of translating it."""

    def __init__(self, rules: RuleSet, lists: CodeLists, on: str) -> None:
        self._rules = rules
        self._lists = lists
        self._on = on
        self._done: dict[tuple[str, str], ListCoverage] = {}

    def all(self) -> tuple[ListCoverage, ...]:
        """Everything measured, and the code maps that no field uses."""
        for name, code_map in self._rules.maps.items():
            if not any(key[0] == name for key in self._done):
                self._code_map(code_map, self._on)
        return tuple(self._done[key] for key in sorted(self._done))

    def of(self, converter: str, parameters: Mapping[str, str], element_type: str) -> ListCoverage | None:
        """The coverage of a coded field; None where values are no codes."""
        if converter == "code":
            return self._code_map(self._rules.maps[parameters["map"]], self._on if "on" in parameters else "")
        if converter == "division":
            return self._divisions(parameters, element_type)
        return None

    def _code_map(self, code_map: CodeMap, on: str) -> ListCoverage:
        key = (code_map.name, on)
        if key not in self._done:
            converter = build_code_converter(code_map, self._rules.version)
            target = self._lists.lists[code_map.list_name]
            self._done[key] = _measured(
                code_map.name,
                target,
                on,
                converter,
                _local_codes(code_map.rows),
                _rows_by_source(code_map),
                self._title(code_map.list_name),
            )
        return self._done[key]

    def _divisions(self, parameters: Mapping[str, str], element_type: str) -> ListCoverage:
        digits = parameters.get("digits", "6")
        key = (f"division {digits}", "")
        if key not in self._done:
            settings = Settings({"digits": digits}, element_type, self._rules.version, self._lists.divisions)
            converter = build_converter("division", settings)
            target = self._lists.lists["division"]
            sources = {str(converter.write(code, "")[0]): target.label(code) for code in target.rows}
            self._done[key] = _measured(key[0], target, "", converter, sources, None, self._title("division"))
        return self._done[key]

    def _title(self, list_name: str) -> str:
        known = _TITLES.get(list_name)
        return known or next(
            (rule.name for rule in self._lists.elements.values() if rule.code_list == list_name), list_name
        )


def _local_codes(rows: Iterable[MapRow]) -> dict[str, str]:
    """The local list as the map knows it: every code that is read or written, with its label."""
    codes: dict[str, str] = {}
    for row in rows:
        codes[row.source] = codes.get(row.source) or row.label
    return codes


def _rows_by_source(code_map: CodeMap) -> dict[str, list[MapRow]]:
    by_source: dict[str, list[MapRow]] = {}
    for row in code_map.rows:
        by_source.setdefault(row.source, []).append(row)
    return by_source


def _measured(
    name: str,
    target: CodeList,
    on: str,
    converter: Converter,
    sources: Mapping[str, str],
    rows: Mapping[str, list[MapRow]] | None,
    title: str,
) -> ListCoverage:
    read = {code: converter.read(code, on) for code in sources}
    written = {code: converter.write(code, on) for code in target.rows}
    unread = _unread(sources, read, rows, on)
    reached = {value for value, relation in read.values() if relation in _TRANSLATED}

    def told_source(code: str) -> Told:
        value, relation = read[code]
        return Told(code, sources[code], _note(rows, code, value), value, relation.word)

    def told_target(code: str) -> Told:
        value, relation = written[code]
        note = _note(rows, str(value), code)
        return Told(code, target.label(code), note, str(value), relation.word)

    return ListCoverage(
        map_name=name,
        list_name=target.name,
        title=title,
        on=on,
        sources=len(sources),
        **unread,
        targets=len(target.rows),
        unreachable=tuple(Told(code, target.label(code)) for code in target.rows if code not in reached),
        unwritable=tuple(
            Told(code, target.label(code)) for code, (_, how) in written.items() if how not in _TRANSLATED
        ),
        lossy_to_shared=tuple(told_source(code) for code, (_, how) in read.items() if how in _LOSSY),
        lossy_to_local=tuple(told_target(code) for code, (_, how) in written.items() if how in _LOSSY),
        no_return_to_local=_no_return(read, lambda value: converter.write(value, on), told_source),
        no_return_to_shared=_no_return(written, lambda value: converter.read(value, on), told_target),
    )


def _unread(
    sources: Mapping[str, str],
    read: Mapping[str, tuple[str, Relation]],
    rows: Mapping[str, list[MapRow]] | None,
    on: str,
) -> dict[str, tuple[Told, ...]]:
    """Of the local codes without a shared meaning: why."""
    found: dict[str, list[Told]] = {"none": [], "without_row": [], "undecided": []}
    for code, (_, relation) in read.items():
        if relation in _TRANSLATED:
            continue
        claims = [row for row in (rows or {}).get(code, []) if row.reads]
        holding = [row for row in claims if not on or row.holds_on(on)]
        if not claims:
            found["without_row"].append(Told(code, sources[code]))
        elif holding and all(row.relation is None for row in holding):
            found["none"].append(Told(code, sources[code], holding[0].note))
        else:
            days = "; ".join(
                f"{row.valid_from or '…'} – {row.valid_to or '…'}: {row.target}" for row in claims
            )
            found["undecided"].append(Told(code, sources[code], days))
    return {name: tuple(codes) for name, codes in found.items()}


def _note(rows: Mapping[str, list[MapRow]] | None, code: str, value: str) -> str:
    return next((row.note for row in (rows or {}).get(code, ()) if row.target == value and row.note), "")


def _no_return(
    there: Mapping[str, tuple[Any, Relation]],
    back: Callable[[str], tuple[Any, Relation]],
    told: Callable[[str], Told],
) -> tuple[Told, ...]:
    """The codes that are translated and do not come back as they were."""
    return tuple(
        told(code)
        for code, (value, relation) in there.items()
        if relation in _TRANSLATED and str(back(str(value))[0]) != code
    )
