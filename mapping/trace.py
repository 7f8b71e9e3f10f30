"""Why a value became that one, step by step, told by the code that translates.

The rules of a kind are compiled once more with a watch on them, and the converters are given a note: they take the
same steps on the same data and say each while they take it. Nothing here knows how anything is translated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mapping.conversion import Converter, text_of
from mapping.element import Element, Relation
from mapping.errors import UnknownDocument, UnknownList
from mapping.notes import Note, Step
from mapping.reading import compile_reader
from mapping.ruleset import FieldRule
from mapping.shapes import shape_of
from mapping.translate import Dialect
from mapping.writing import compile_writer

__all__ = [
    "Explanation",
    "explain_field_to_local",
    "explain_field_to_shared",
    "explain_parameter_to_local",
    "explain_parameter_to_shared",
    "explain_to_local",
    "explain_to_shared",
]

_CARRIED = (Relation.UNMAPPED, Relation.INVALID)
_Held = tuple[FieldRule | None, list[Step]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One value's way. `local` and `shared` are the names on both sides, `where` the line of the rule.

    `restored`: whether the way back gives the very value that came in, form and all; None when that was not asked.
    `groups` has the rows of a list, each with its own explanations.
    """

    local: str
    shared: str
    where: str
    original: str
    value: str
    relation: Relation
    table: str
    steps: tuple[Step, ...]
    restored: bool | None = None
    groups: tuple[tuple[Explanation, ...], ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The steps as people read them."""
        return tuple(step.text for step in self.steps)


def explain_to_shared(dialect: Dialect, kind: str, document: Mapping[str, Any]) -> tuple[Explanation, ...]:
    """Why each value of a registry's document reads as it does, in the order of `Dialect.to_shared`.

    Raises UnknownDocument when the dialect has no such kind.
    """
    watch = _Watch()
    today = dialect.builder.today
    rules = _rules(dialect, kind)
    compile_reader(rules, dialect.builder.field, today=today, watch=watch)(document)
    return tuple(_explained(dialect, watch, dialect.to_shared(kind, document), rules, "", to_shared=True))


def explain_to_local(dialect: Dialect, kind: str, elements: Sequence[Element]) -> tuple[Explanation, ...]:
    """Why each shared element is written as it is, in the order of the elements. Raises UnknownDocument."""
    watch = _Watch()
    rules = _rules(dialect, kind)
    writer = compile_writer(rules, dialect.builder.field, today=dialect.builder.today, watch=watch)
    writer.translate(elements)
    local = dialect.to_local(kind, elements)
    return tuple(_explained(dialect, watch, local, rules, "", to_shared=False))


def explain_field_to_shared(
    dialect: Dialect, kind: str, local_or_element: str, raw: Any, on: str = "", group: str = ""
) -> Explanation:
    """Why one value of a local field (or of the field of a shared element) reads as it does.

    `on`: the day it was written on, ISO 8601. Raises UnknownDocument or UnknownList (no such field).
    """
    rule = _rule(dialect, kind, local_or_element, group)
    converter = dialect.builder.field(rule)
    steps, note = _noted(rule.where)
    shape = shape_of(rule)
    taken = raw if shape.is_plain else shape.take(raw, note)
    if taken is None:
        value, relation, back = text_of(raw), Relation.INVALID, raw
    else:
        value, relation = converter.read(taken, on, note)
        back = taken if relation in _CARRIED else converter.write(value, on)[0]
    return Explanation(
        rule.local, rule.element, rule.where, text_of(raw), value, relation, converter.table, tuple(steps),
        restored=bool(back == taken),
    )  # fmt: skip


def explain_field_to_local(
    dialect: Dialect, kind: str, local_or_element: str, value: str, on: str = "", group: str = ""
) -> Explanation:
    """Why a shared value is written as it is. Raises as `explain_field_to_shared`."""
    rule = _rule(dialect, kind, local_or_element, group)
    return _written(rule.local, rule.element, rule.where, dialect.builder.field(rule), value, on)


def explain_parameter_to_shared(
    dialect: Dialect, name: str, value: str, on: date | None = None
) -> Explanation:
    """Why a request parameter reads as it does. Raises UnknownList when the dialect has no such parameter."""
    converter, where = _parameter(dialect, name)
    steps, note = _noted(where)
    day = on.isoformat() if on else ""
    shared, relation = converter.read(value, day, note)
    back = value if relation in _CARRIED else converter.write(shared, day)[0]
    return Explanation(
        name,
        name,
        where,
        value,
        shared,
        relation,
        converter.table,
        tuple(steps),
        restored=bool(back == value),
    )


def explain_parameter_to_local(
    dialect: Dialect, name: str, value: str, on: date | None = None
) -> Explanation:
    """Why a request parameter is written as it is. Raises UnknownList."""
    converter, where = _parameter(dialect, name)
    return _written(name, name, where, converter, value, on.isoformat() if on else "")


def _written(local: str, shared: str, where: str, converter: Converter, value: str, on: str) -> Explanation:
    steps, note = _noted(where)
    raw, relation = converter.write(value, on, note)
    restored = relation in _CARRIED or converter.read(raw, on)[0] == value
    return Explanation(
        local, shared, where, value, text_of(raw), relation, converter.table, tuple(steps), restored=restored
    )


# --- what is asked about --------------------------------------------------------------------------


def _rules(dialect: Dialect, kind: str) -> tuple[FieldRule, ...]:
    rules = dialect.rules.fields.get(kind)
    if rules is None:
        raise UnknownDocument(f"the dialect {dialect.version} has no certificate type {kind}")
    return rules


def _rule(dialect: Dialect, kind: str, name: str, group: str) -> FieldRule:
    for rule in _rules(dialect, kind):
        if (
            name in (rule.element, rule.local, rule.leaf)
            and rule.group == group
            and rule.converter != "group"
        ):
            return rule
    raise UnknownList(f"the dialect {dialect.version} has no field or element {name} there")


def _parameter(dialect: Dialect, name: str) -> tuple[Converter, str]:
    converter = dialect.builder.parameters().get(name)
    if converter is None:
        raise UnknownList(f"the dialect {dialect.version} has no parameter {name}")
    return converter, f"dialect.toml: [parameters.{name}]"


def _noted(where: str) -> tuple[list[Step], Note]:
    steps = [Step("rule", where)]

    def note(word: str, detail: str) -> None:
        steps.append(Step(word, detail))

    return steps, note


# --- a whole document -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Watch:
    """What was told of each element, kept in the order in which the elements came out."""

    open: list[_Held] = field(default_factory=list)
    done: list[tuple[Element, FieldRule | None, list[Step]]] = field(default_factory=list)

    def begin(self, rule: FieldRule, raw: Any) -> Note:
        steps, note = _noted(f"{rule.where}: {rule.local} → {rule.element}, {rule.converter}")
        self.open.append((rule, steps))
        return note

    def end(self, element: Element) -> None:
        rule, steps = self.open.pop()
        self.done.append((element, rule, steps))

    def told(self, element: Element, *, group: str) -> _Held:
        """What was told of an element that translates alike; nothing when no rule began on it."""
        for at, (seen, rule, steps) in enumerate(self.done):
            if seen == element and rule is not None and rule.group == group:
                del self.done[at]
                return rule, steps
        return None, []


def _explained(
    dialect: Dialect,
    watch: _Watch,
    elements: Sequence[Element],
    rules: Sequence[FieldRule],
    group: str,
    *,
    to_shared: bool,
) -> Iterator[Explanation]:
    for element in elements:
        rule, steps = watch.told(element, group=group)
        if rule is None:
            rule, steps = _untold(element, rules, group)
        rows = tuple(
            tuple(_explained(dialect, watch, row, rules, rule.element if rule else "", to_shared=to_shared))
            for row in element.groups
        )
        shared = rule.element if rule else element.name
        yield Explanation(
            local=rule.local if rule else element.name,
            shared=element.name if to_shared else shared,
            where=rule.where if rule else "",
            original=element.original,
            value=element.value,
            relation=element.relation,
            table=element.table,
            steps=tuple(steps),
            groups=rows,
        )


def _untold(element: Element, rules: Sequence[FieldRule], group: str) -> _Held:
    """An element that no rule was asked about: missing, defaulted, or of a field that no rule names."""
    rule = next((rule for rule in rules if rule.element == element.name and rule.group == group), None)
    if rule is not None and element.relation is Relation.DEFAULTED:
        return rule, [Step("rule", rule.where), Step("default", element.value)]
    if rule is not None and element.relation is Relation.INVALID and not element.original:
        return rule, [Step("rule", rule.where), Step("missing", "")]
    second = next((rule for rule in rules if element.name == f"unmapped:{rule.local}"), None)
    if second is not None:
        return second, [Step("rule", second.where), Step("again", second.element)]
    return None, [Step("no_rule", "")]
