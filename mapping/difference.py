"""What another version of a rule set would change: its claims and fields, and what becomes of which values.

Values are compared by translating them with both versions. For a code that is done on every stretch of days
between the borders of validity that either version has, and for a day that is not known. What is not a code
has too many values to try; there the rule is compared, and a few probes show what would become other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from mapping.codelists import CodeLists
from mapping.codes import build_code_converter
from mapping.converters import Converter, Settings, build_converter
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.ruleset import CodeMap, FieldRule, MapRow, ParameterRule, RuleSet

__all__ = ["NO_DAY", "Change", "Difference", "ValueChange", "difference_between"]

TO_SHARED, TO_LOCAL = "to_shared", "to_local"
NO_DAY = "?"
"""Stands for a day that is not known, where a stretch of days would begin."""
_PROBES = {
    "date": ("2020-01-02", "1986-05-04"),
    "date_or_long": ("2020-01-02", "1986-05-04", "长期"),
    "number": ("0", "1234567.5", "20000"),
    "text": ("沪（2024）第01号",),
    "division": ("310101", "310101002"),
}
_EMPTY = CodeMap("", "", ())


@dataclass(frozen=True, slots=True)
class Change:
    """A claim, a field, a parameter or a setting that is added, removed or other.

    `part` is ``claim``, ``field``, ``parameter``, ``map`` or ``rule set``; `name` says which one; `before` and
    `after` are what it says, empty where it is not there.
    """

    part: str
    name: str
    before: str
    after: str

    @property
    def what(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "changed" if self.before and self.after else "added" if self.after else "removed"


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value that would be translated otherwise, from a day to a day (both may be empty: open).

    `place` is the code map, or the field. Each side is the translated value and its relation; a relation that
    is empty means that there is no such map or field.
    """

    place: str
    direction: str
    value: str
    first_day: str
    last_day: str
    before: tuple[str, str]
    after: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that is other, in a fixed order."""

    changes: tuple[Change, ...]
    values: tuple[ValueChange, ...]

    def __bool__(self) -> bool:
        return bool(self.changes or self.values)


def difference_between(before: RuleSet, after: RuleSet, lists: CodeLists) -> Difference:
    """What `after` changes, both rule sets being checked ones."""
    changes = (
        *_rule_set_changes(before, after),
        *_map_changes(before, after),
        *_changes("field", _fields(before, lists), _fields(after, lists), _field_text),
        *_changes("parameter", before.parameters, after.parameters, _parameter_text),
    )
    values = (*_code_values(before, after, lists), *_field_values(before, after, lists))
    return Difference(changes, values)


# --- what the files say ---------------------------------------------------------------------------


def _rule_set_changes(before: RuleSet, after: RuleSet) -> Iterator[Change]:
    for name in ("province", "name", "version"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Change("rule set", name, old, new)


def _map_changes(before: RuleSet, after: RuleSet) -> Iterator[Change]:
    yield from _changes("map", before.maps, after.maps, lambda code_map: code_map.list_name)
    for name in sorted(before.maps.keys() | after.maps.keys()):
        old = _claims(before.maps.get(name, _EMPTY))
        new = _claims(after.maps.get(name, _EMPTY))
        yield from _changes("claim", old, new, "; ".join, f"{name}: ")


def _claims(code_map: CodeMap) -> dict[tuple[str, str], list[str]]:
    """What is claimed of each pair of codes."""
    claims: dict[tuple[str, str], list[str]] = {}
    for row in code_map.rows:
        claims.setdefault((row.source, row.target or "none"), []).append(_claim_text(row))
    return {key: sorted(texts) for key, texts in claims.items()}


def _claim_text(row: MapRow) -> str:
    said = [row.relation.word if row.relation else "none", row.direction]
    if row.valid_from or row.valid_to:
        said.append(f"{row.valid_from or '…'} – {row.valid_to or '…'}")
    if row.preferred:
        said.append("preferred")
    said += [
        f"{name}={text}"
        for name, text in (
            ("label", row.label), ("note", row.note), ("claim", row.source_of_claim),
            ("author", row.author), ("reviewer", row.reviewer),
        )
        if text
    ]  # fmt: skip
    return " ".join(said)


def _fields(rules: RuleSet, lists: CodeLists) -> dict[tuple[str, str, str], FieldRule]:
    return {
        (lists.kinds[kind].name, rule.group, rule.element): rule
        for kind, fields in rules.fields.items()
        for rule in fields
    }


def _field_text(rule: FieldRule) -> str:
    said = [
        rule.local,
        rule.converter,
        *(f"{name}={value}" for name, value in sorted(rule.parameters.items())),
    ]
    if rule.default:
        said.append(f"default={rule.default}")
    if rule.required:
        said.append("required")
    return " ".join(said)


def _parameter_text(rule: ParameterRule) -> str:
    return " ".join(
        [rule.converter, rule.element_type, *(f"{k}={v}" for k, v in sorted(rule.parameters.items()))]
    )


def _changes(
    part: str, before: Mapping[Any, Any], after: Mapping[Any, Any], text: Callable[[Any], str], lead: str = ""
) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        old = text(before[key]) if key in before else ""
        new = text(after[key]) if key in after else ""
        if old != new:
            joint = " → " if part == "claim" else "/"
            named = key if isinstance(key, str) else joint.join(filter(None, key))
            yield Change(part, lead + named, old, new)


# --- what becomes of codes ------------------------------------------------------------------------


def _code_values(before: RuleSet, after: RuleSet, lists: CodeLists) -> Iterator[ValueChange]:
    for name in sorted(before.maps.keys() | after.maps.keys()):
        old, new = before.maps.get(name), after.maps.get(name)
        rows = [row for code_map in (old, new) if code_map for row in code_map.rows]
        stretches = _stretches(rows)
        target_lists = {code_map.list_name for code_map in (old, new) if code_map}
        targets = sorted({code for list_name in target_lists for code in lists.lists[list_name].rows})
        one = build_code_converter(old, before.version) if old else None
        other = build_code_converter(new, after.version) if new else None
        sources = sorted({row.source for row in rows})
        yield from _compared(name, TO_SHARED, sources, stretches, _reader(one), _reader(other))
        yield from _compared(name, TO_LOCAL, targets, stretches, _writer(one), _writer(other))


_Way = Callable[[str, str], tuple[str, str]]


def _reader(converter: Converter | None) -> _Way:
    return lambda value, on: _outcome(converter.read(value, on)) if converter else ("", "")


def _writer(converter: Converter | None) -> _Way:
    return lambda value, on: _outcome(converter.write(value, on)) if converter else ("", "")


def _outcome(found: tuple[Any, Relation]) -> tuple[str, str]:
    return str(found[0]), found[1].word


def _stretches(rows: Iterable[MapRow]) -> list[tuple[str, str]]:
    """Days on which nothing begins or ends, first and last; NO_DAY first, for a day that is not known."""
    starts = {row.valid_from for row in rows} | {_next_day(row.valid_to) for row in rows}
    borders = ["", *sorted(starts - {""})]
    ends = [_day_before(border) for border in borders[1:]] + [""]
    return [(NO_DAY, NO_DAY), *zip(borders, ends, strict=True)]


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat() if day and day < "9999-12-31" else ""


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat() if day > "0001-01-01" else day


def _compared(
    place: str,
    direction: str,
    values: Iterable[str],
    stretches: list[tuple[str, str]],
    old: _Way,
    new: _Way,
) -> Iterator[ValueChange]:
    for value in values:
        found: list[ValueChange] = []
        for first, last in stretches:
            day = "" if first == NO_DAY else first or (last or "2026-01-01")
            one, other = old(value, day), new(value, day)
            if one == other:
                continue
            change = ValueChange(place, direction, value, first, last, one, other)
            if found and _follows(found[-1], change):
                change = ValueChange(place, direction, value, found.pop().first_day, last, one, other)
            found.append(change)
        yield from _always(found, len(stretches))


def _follows(one: ValueChange, other: ValueChange) -> bool:
    """Whether the same change goes on."""
    same = (one.before, one.after) == (other.before, other.after)
    return (
        same and NO_DAY not in (one.first_day, other.first_day) and _next_day(one.last_day) == other.first_day
    )


def _always(found: list[ValueChange], stretches: int) -> list[ValueChange]:
    """Where the change is the same on every day, the day that is not known needs no line of its own."""
    if len(found) == 2 and (found[1].first_day, found[1].last_day) == ("", ""):
        unknown, known = found
        if unknown.first_day == NO_DAY and (unknown.before, unknown.after) == (known.before, known.after):
            return [known]
    return found


# --- what becomes of other values -----------------------------------------------------------------


def _field_values(before: RuleSet, after: RuleSet, lists: CodeLists) -> Iterator[ValueChange]:
    old, new = _fields(before, lists), _fields(after, lists)
    for key in sorted(old.keys() & new.keys()):
        one, other = old[key], new[key]
        if (one.default, one.required) != (other.default, other.required):
            yield _missing_change("/".join(filter(None, key)), one, other)
        if _converts_alike(one, other):
            continue
        element_type = lists.elements[key[2]].type
        yield from _probed(
            "/".join(filter(None, key)),
            _PROBES.get(element_type, ()),
            _converter(one, before, element_type, lists),
            _converter(other, after, element_type, lists),
        )


def _converts_alike(one: FieldRule, other: FieldRule) -> bool:
    return (one.converter, dict(one.parameters)) == (other.converter, dict(other.parameters))


def _missing_change(place: str, one: FieldRule, other: FieldRule) -> ValueChange:
    return ValueChange(place, TO_SHARED, "", "", "", _missing(one), _missing(other))


def _missing(rule: FieldRule) -> tuple[str, str]:
    """What a missing value becomes."""
    if rule.default:
        return rule.default, Relation.DEFAULTED.word
    return "", Relation.INVALID.word if rule.required else ""


def _converter(rule: FieldRule, rules: RuleSet, element_type: str, lists: CodeLists) -> Converter | None:
    if rule.converter == "code":
        return build_code_converter(rules.maps[rule.parameters["map"]], rules.version)
    try:
        return build_converter(
            rule.converter, Settings(rule.parameters, element_type, rules.version, lists.divisions)
        )
    except MappingError:
        return None


def _probed(
    place: str, probes: Iterable[str], old: Converter | None, new: Converter | None
) -> Iterator[ValueChange]:
    """What each probe is written as by both, and what the new one makes of what the old one wrote."""
    if old is None or new is None:
        return
    for probe in probes:
        one, other = old.write(probe, ""), new.write(probe, "")
        if _outcome(one) != _outcome(other):
            yield ValueChange(place, TO_LOCAL, probe, "", "", _outcome(one), _outcome(other))
        for raw in dict.fromkeys((str(one[0]), str(other[0]))):
            read, reread = _outcome(old.read(raw, "")), _outcome(new.read(raw, ""))
            if read != reread:
                yield ValueChange(place, TO_SHARED, raw, "", "", read, reread)
