"""Compiles the rules of one kind of document into what writes it: shared → local elements or document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapping.conversion import Converter, as_json, text_of
from mapping.element import Element, Relation
from mapping.notes import Note
from mapping.reading import Watch, day_of, unknown_name
from mapping.ruleset import FieldRule
from mapping.shapes import Shape, shape_of

__all__ = ["KindWriter", "compile_writer"]

_CARRIED = (Relation.UNMAPPED, Relation.INVALID)
_EXACT = Relation.EXACT
_Elements = Sequence[Element]
_NOWHERE = object()


@dataclass(frozen=True, slots=True)
class _FieldWriter:
    """One field: its own name, where it stands, how a value is written; `rows` when it is a list.

    `made` has the elements of codes that mean the same on every day; they are made once. `shape` is None where
    the value simply is what the field holds.
    """

    rule: FieldRule
    leaf: str
    parents: tuple[tuple[str, bool], ...]
    key: str
    converter: Converter | None
    on: str
    shape: Shape | None
    rows: KindWriter | None = None
    made: Mapping[str, Element] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindWriter:
    """Writes one kind of document, or one row of a group."""

    by_element: Mapping[str, _FieldWriter]
    by_leaf: Mapping[str, str] = field(default_factory=dict)
    top: Mapping[str, None] = field(default_factory=dict)
    """The keys that the rules use at the top of the document."""
    today: str = ""
    watch: Watch | None = None

    def local_name(self, element: str) -> str:
        """The local name of a shared element, or the element's own name."""
        writer = self.by_element.get(element)
        return writer.leaf if writer else element

    def shared_name(self, leaf: str) -> str:
        """The shared name of a local field, or the field's own name."""
        return self.by_leaf.get(leaf, leaf)

    def translate(self, elements: _Elements, outer: _Elements = ()) -> tuple[Element, ...]:
        """Local elements, one for each of the shared ones and in their order."""
        find, other = self.by_element.get, self._translate
        found = []
        for element in elements:
            writer = find(element.name)
            made = writer.made.get(element.value) if writer is not None else None
            if made is not None and element.relation not in _CARRIED:
                found.append(made)
            else:
                found.append(other(writer, element, elements, outer))
        return tuple(found)

    def render(self, elements: _Elements, outer: _Elements = ()) -> dict[str, Any]:
        """The local document. Of several elements of one name the last one stays."""
        page = _Page({}, {}, {})
        mirrors = []
        for element in elements:
            writer = self.by_element.get(element.name)
            if writer is None:
                page.document[unknown_name(element.name, self.top)] = _carried_raw(element)
            elif writer.rule.way == "mirror":
                mirrors.append((writer, element))
            else:
                self._put(page, writer, element, self._raw(writer, element, elements, outer))
        for writer, element in mirrors:
            raw = self._raw(writer, element, elements, outer)
            if page.holds(writer.parents, writer.key, _NOWHERE) is _NOWHERE:
                self._put(page, writer, element, raw)
            elif page.holds(writer.parents, writer.key, _NOWHERE) != raw:
                page.document[unknown_name(element.name, self.top)] = _carried_raw(element)
        page.close()
        return page.document

    def _translate(
        self, writer: _FieldWriter | None, element: Element, elements: _Elements, outer: _Elements
    ) -> Element:
        if writer is None:
            name = unknown_name(element.name, self.by_leaf)
            return Element(name, element.value, element.value, Relation.UNMAPPED, "", element.groups)
        note = self.watch.begin(writer.rule, element.value) if self.watch else None
        made = self._written(writer, element, elements, outer, note)
        if self.watch:
            self.watch.end(made)
        return made

    def _written(
        self,
        writer: _FieldWriter,
        element: Element,
        elements: _Elements,
        outer: _Elements,
        note: Note | None,
    ) -> Element:
        value, leaf = element.value, writer.leaf
        if element.relation in _CARRIED:
            if note:
                note("carried", element.relation.word)
            return Element(leaf, value, value, element.relation, element.table, element.groups)
        if writer.rows is not None:
            if note:
                note("group", str(len(element.groups)))
            relation = Relation.INVALID if value else _EXACT
            groups = tuple([writer.rows.translate(row, (*elements, *outer)) for row in element.groups])
            return Element(leaf, value, value, relation, "", groups)
        converter = writer.converter
        if converter is None or element.groups:
            return Element(leaf, value, value, Relation.INVALID, "", element.groups)
        day = day_of(writer.on, self.today, elements, outer) if writer.on else ""
        raw, relation = converter.write(value, day, note)
        text = raw if type(raw) is str else str(raw)
        if writer.shape is not None:
            relation = max(relation, writer.shape.fits(text, note))
        return Element(leaf, text, value, relation, converter.table)

    def _raw(self, writer: _FieldWriter, element: Element, elements: _Elements, outer: _Elements) -> Any:
        if writer.rows is not None and not element.value:
            return [writer.rows.render(row, (*elements, *outer)) for row in element.groups]
        if writer.converter is None or element.relation in _CARRIED or element.groups:
            return _carried_raw(element)
        return writer.converter.write(element.value, day_of(writer.on, self.today, elements, outer))[0]

    def _put(self, page: _Page, writer: _FieldWriter, element: Element, raw: Any) -> None:
        shape = writer.shape
        if shape is None:
            page.put(writer.parents, writer.key, raw)
        elif shape.parts:
            nowhere = page.holds(writer.parents, writer.key, _NOWHERE) in (_NOWHERE, raw)
            if shape.holds_part(text_of(raw)):
                page.put_part(writer.parents, shape, text_of(raw))
            elif element.relation in _CARRIED and nowhere:
                page.put(writer.parents, writer.key, raw)  # it could not be taken apart
            else:
                page.document[unknown_name(element.name, self.top)] = _carried_raw(element)
        else:
            if shape.is_json:
                page.strings[*[name for name, _ in writer.parents], writer.key] = None
            for key, piece in shape.put(raw, carried=element.relation in _CARRIED).items():
                page.put(writer.parents, key, piece)


def compile_writer(
    rules: Sequence[FieldRule],
    build: Callable[[FieldRule], Converter],
    group: str = "",
    *,
    today: str = "",
    watch: Watch | None = None,
) -> KindWriter:
    """The writer of a kind, or of the rows of a group."""
    by_element: dict[str, _FieldWriter] = {}
    by_leaf: dict[str, str] = {}
    for rule in rules:
        if rule.group != group:
            continue
        by_leaf.setdefault(rule.leaf, rule.element)
        if rule.way == "to_shared":
            continue
        rows = compile_writer(rules, build, rule.element, today=today, watch=watch)
        is_group = rule.converter == "group"
        by_element[rule.element] = _writer(
            rule, None if is_group else build(rule), rows if is_group else None
        )
    top = {rule.local.split(".")[0] for rule in rules if rule.group == group}
    keys = {key.removesuffix("|json") for segment in top for key in segment.split("+")}
    return KindWriter(by_element, by_leaf, dict.fromkeys(sorted(keys)), today, watch)


def _writer(rule: FieldRule, converter: Converter | None, rows: KindWriter | None) -> _FieldWriter:
    shape = shape_of(rule)
    return _FieldWriter(
        rule=rule,
        leaf=rule.leaf,
        parents=tuple((part.removesuffix("|json"), part.endswith("|json")) for part in rule.parents),
        key=rule.keys[0],
        converter=converter,
        on=rule.on,
        shape=None if shape.is_plain else shape,
        rows=rows,
        made=_made(rule.leaf, converter) if shape.is_plain else {},
    )


def _made(leaf: str, converter: Converter | None) -> Mapping[str, Element]:
    if converter is None:
        return {}
    return {
        value: Element(leaf, str(raw), value, relation, converter.table)
        for value, (raw, relation) in converter.written.items()
    }


def _carried_raw(element: Element) -> Any:
    if not element.groups:
        return element.value
    return [{inner.name: _carried_raw(inner) for inner in row} for row in element.groups]


# --- the document ---------------------------------------------------------------------------------

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """A document in the making: which objects become JSON strings in the end, and fields that come in parts."""

    document: dict[str, Any]
    strings: dict[_Path, None]
    parts: dict[_Path, tuple[Shape, dict[int, str]]]

    def put(self, parents: tuple[tuple[str, bool], ...], key: str, raw: Any) -> None:
        """Set a value at a path."""
        self._inner(parents)[key] = raw

    def holds(self, parents: tuple[tuple[str, bool], ...], key: str, nothing: object) -> Any:
        """What stands at a path."""
        return self._inner(parents).get(key, nothing)

    def put_part(self, parents: tuple[tuple[str, bool], ...], shape: Shape, text: str) -> None:
        """Keep one part of a value until all are there."""
        self._inner(parents)
        path = (*[name for name, _ in parents], shape.keys[0])
        self.parts.setdefault(path, (shape, {}))[1][shape.part] = text

    def close(self) -> None:
        """Join parts, and make strings of the objects that are JSON in a string: inner ones first."""
        for path, (shape, found) in self.parts.items():
            pieces = [found.get(number, "") for number in range(1, shape.parts + 1)]
            parent = self._at(path[:-1])
            parent[unknown_name(path[-1], parent)] = shape.split.join(pieces)
        for path in sorted(self.strings, key=len, reverse=True):
            parent = self._at(path[:-1])
            if path[-1] in parent:
                parent[path[-1]] = as_json(parent[path[-1]])

    def _inner(self, parents: tuple[tuple[str, bool], ...]) -> dict[str, Any]:
        node = self.document
        for depth, (key, is_json) in enumerate(parents):
            if is_json:
                self.strings[tuple(name for name, _ in parents[: depth + 1])] = None
            inner = node.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = node[key] = {}
            node = inner
        return node

    def _at(self, path: Iterable[str]) -> dict[str, Any]:
        node = self.document
        for key in path:
            node = node[key]
        return node
