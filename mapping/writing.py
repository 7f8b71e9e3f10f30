"""Compiles the rules of one kind of document into what writes it: shared → local elements or document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapping.conversion import Converter
from mapping.element import Element, Relation
from mapping.reading import unknown_name
from mapping.ruleset import FieldRule

__all__ = ["KindWriter", "compile_writer"]

_CARRIED = (Relation.UNMAPPED, Relation.INVALID)


@dataclass(frozen=True, slots=True)
class _FieldWriter:
    """One field: its own name, where it stands, how a value is written; `rows` when it is a list.

    `made` has the elements of codes that mean the same on every day; they are made once.
    """

    leaf: str
    path: tuple[tuple[str, bool], ...]
    converter: Converter | None
    on: str
    rows: KindWriter | None = None
    made: Mapping[str, Element] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindWriter:
    """Writes one kind of document, or one row of a group."""

    by_element: Mapping[str, _FieldWriter]
    by_leaf: Mapping[str, str] = field(default_factory=dict)
    top: Mapping[str, None] = field(default_factory=dict)
    """The keys that the rules use at the top of the document."""

    def local_name(self, element: str) -> str:
        """The local name of a shared element, or the element's own name."""
        writer = self.by_element.get(element)
        return writer.leaf if writer else element

    def shared_name(self, leaf: str) -> str:
        """The shared name of a local field, or the field's own name."""
        return self.by_leaf.get(leaf, leaf)

    def translate(self, elements: Sequence[Element]) -> tuple[Element, ...]:
        """Local elements, in the order of the shared ones."""
        translate = self._translate
        return tuple([translate(element, elements) for element in elements])

    def render(self, elements: Sequence[Element]) -> dict[str, Any]:
        """The local document. Of several elements of one name the last one stays."""
        document: dict[str, Any] = {}
        strings: dict[tuple[str, ...], tuple[dict[str, Any], str]] = {}
        for element in elements:
            writer = self.by_element.get(element.name)
            if writer is None:
                document[unknown_name(element.name, self.top)] = _carried_raw(element)
            else:
                _put(document, writer.path, self._raw(writer, element, elements), strings)
        for parent, key in _deepest_first(strings):
            parent[key] = json.dumps(parent[key], ensure_ascii=False, separators=(",", ":"))
        return document

    def _translate(self, element: Element, elements: Sequence[Element]) -> Element:
        writer = self.by_element.get(element.name)
        if writer is None:
            name = unknown_name(element.name, self.by_leaf)
            return Element(name, element.value, element.value, Relation.UNMAPPED, "", element.groups)
        if element.relation in _CARRIED:
            return Element(
                writer.leaf, element.value, element.value, element.relation, element.table, element.groups
            )
        if writer.rows is not None:
            return self._translate_group(writer, writer.rows, element)
        converter = writer.converter
        if converter is None or element.groups:
            return Element(writer.leaf, element.value, element.value, Relation.INVALID, "", element.groups)
        value = element.value
        made = writer.made.get(value)
        if made is not None:
            return made
        raw, relation = converter.write(value, _day(elements, writer.on) if writer.on else "")
        return Element(writer.leaf, raw if type(raw) is str else str(raw), value, relation, converter.table)

    def _translate_group(self, writer: _FieldWriter, rows: KindWriter, element: Element) -> Element:
        relation = Relation.INVALID if element.value else Relation.EXACT
        groups = tuple(rows.translate(row) for row in element.groups)
        return Element(writer.leaf, element.value, element.value, relation, "", groups)

    def _raw(self, writer: _FieldWriter, element: Element, elements: Sequence[Element]) -> Any:
        if writer.rows is not None and not element.value:
            return [writer.rows.render(row) for row in element.groups]
        if writer.converter is None or element.relation in _CARRIED or element.groups:
            return _carried_raw(element)
        return writer.converter.write(element.value, _day(elements, writer.on))[0]


def compile_writer(
    rules: Sequence[FieldRule], build: Callable[[FieldRule], Converter], group: str = ""
) -> KindWriter:
    """The writer of a kind, or of the rows of a group."""
    by_element = {}
    for rule in rules:
        if rule.group != group:
            continue
        is_group = rule.converter == "group"
        converter = None if is_group else build(rule)
        by_element[rule.element] = _FieldWriter(
            leaf=rule.leaf,
            path=tuple(
                (part.removesuffix("|json"), part.endswith("|json")) for part in rule.local.split(".")
            ),
            converter=converter,
            on=rule.parameters.get("on", ""),
            rows=compile_writer(rules, build, rule.element) if is_group else None,
            made=_made(rule.leaf, converter),
        )
    by_leaf = {writer.leaf: name for name, writer in by_element.items()}
    return KindWriter(by_element, by_leaf, {writer.path[0][0]: None for writer in by_element.values()})


def _made(leaf: str, converter: Converter | None) -> Mapping[str, Element]:
    if converter is None:
        return {}
    return {
        value: Element(leaf, str(raw), value, relation, converter.table)
        for value, (raw, relation) in converter.written.items()
    }


def _day(elements: Sequence[Element], name: str) -> str:
    return (
        next((e.value for e in elements if e.name == name and e.relation not in _CARRIED), "") if name else ""
    )


def _carried_raw(element: Element) -> Any:
    if not element.groups:
        return element.value
    return [{inner.name: _carried_raw(inner) for inner in row} for row in element.groups]


def _put(
    document: dict[str, Any],
    path: tuple[tuple[str, bool], ...],
    raw: Any,
    strings: dict[tuple[str, ...], tuple[dict[str, Any], str]],
) -> None:
    """Set a value at a path; remember which objects on the way become JSON strings in the end."""
    node = document
    for depth, (key, is_json) in enumerate(path):
        if is_json:
            strings[tuple(name for name, _ in path[: depth + 1])] = (node, key)
        if depth == len(path) - 1:
            node[key] = raw
        else:
            inner = node.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = node[key] = {}
            node = inner


def _deepest_first(
    strings: Mapping[tuple[str, ...], tuple[dict[str, Any], str]],
) -> Iterable[tuple[dict[str, Any], str]]:
    """Inner strings are made before the objects that hold them."""
    return (strings[path] for path in sorted(strings, key=len, reverse=True))
