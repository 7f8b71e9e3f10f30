"""Compiles the rules of one kind of document into what writes it: shared → local elements or document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from mapping.conversion import Converter, packed, text_of
from mapping.element import Element, Relation
from mapping.notes import Note
from mapping.reading import Watch, day_of, unknown_name
from mapping.ruleset import FieldRule
from mapping.shapes import Shape, shape_of

__all__ = ["KindWriter", "compile_writer"]

_Path = tuple[str, ...]
_Parents = tuple[tuple[str, bool], ...]
"""The objects around a field, outermost first, and whether each is JSON in a string."""
_CARRIED = (Relation.UNMAPPED, Relation.INVALID)
_EXACT = Relation.EXACT
_Elements = Sequence[Element]


class _FieldWriter(Struct, frozen=True):
    """One field: its own name, where it stands, how a value is written; `rows` when it is a list.

    `made` has the elements of codes that mean the same on every day; they are made once. `shape` is None where
    the value simply is what the field holds. `is_mirror`: another rule writes the field.
    """

    rule: FieldRule
    leaf: str
    parents: _Parents
    key: str
    converter: Converter | None
    on: str
    shape: Shape | None
    is_mirror: bool
    rows: KindWriter | None = None
    made: Mapping[str, Element] = field(default_factory=dict)


class KindWriter(Struct, frozen=True):
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
        """The local document. Where an element's place holds another value already, it stands beside it."""
        page = _Page({}, {}, {}, {})
        find, mirrors = self.by_element.get, []
        for element in elements:
            writer = find(element.name)
            if writer is None:
                self._put_beside(page, element)
            elif writer.is_mirror:
                mirrors.append((writer, element))
            else:
                self._put(page, writer, element, self._raw(writer, element, elements, outer))
        for writer, element in mirrors:
            self._put(page, writer, element, self._raw(writer, element, elements, outer))
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
            around = (*elements, *outer)
            groups = tuple([writer.rows.translate(row, around) for row in element.groups])
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
            around = (*elements, *outer)
            return [writer.rows.render(row, around) for row in element.groups]
        converter = writer.converter
        if converter is None or element.relation in _CARRIED or element.groups:
            return _carried_raw(element)
        settled = converter.written.get(element.value)
        if settled is not None:
            return settled[0]
        day = day_of(writer.on, self.today, elements, outer) if writer.on else ""
        return converter.write(element.value, day)[0]

    def _put(self, page: _Page, writer: _FieldWriter, element: Element, raw: Any) -> None:
        shape = writer.shape
        if shape is None:
            place = page.place(writer.parents)
            held = place.setdefault(writer.key, raw)
            is_put = held is raw or held == raw
        elif not shape.parts:
            is_put = page.put(writer.parents, shape.put(raw, carried=element.relation in _CARRIED))
            if shape.is_json and is_put:
                page.strings[*[name for name, _ in writer.parents], writer.key] = None
        elif shape.holds_part(text_of(raw)):
            is_put = page.put_part(writer.parents, shape, text_of(raw))
        else:  # what could not be taken apart stands whole
            is_put = element.relation in _CARRIED and page.put(writer.parents, {writer.key: raw})
        if not is_put:
            self._put_beside(page, element)

    def _put_beside(self, page: _Page, element: Element) -> None:
        """An element without a place of its own, under a name that nothing else has."""
        name = unknown_name(element.name, self.top)
        while name in page.document:
            name = f"unmapped:{name}"
        page.document[name] = _carried_raw(element)


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
    own = [rule for rule in rules if rule.group == group]
    for rule in own:
        by_leaf.setdefault(rule.leaf, rule.element)
        if rule.way == "to_shared":
            continue
        if rule.converter == "group":
            rows = compile_writer(rules, build, rule.element, today=today, watch=watch)
            by_element[rule.element] = _writer(rule, None, rows)
        else:
            by_element[rule.element] = _writer(rule, build(rule), None)
    top = {rule.local.split(".")[0] for rule in own}
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
        is_mirror=rule.way == "mirror",
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


class _Page(Struct, frozen=True):
    """A document in the making: which objects become JSON strings in the end, and fields that come in parts."""

    document: dict[str, Any]
    places: dict[_Parents, dict[str, Any]]
    strings: dict[_Path, None]
    parts: dict[_Path, tuple[Shape, dict[int, str]]]

    def place(self, parents: _Parents) -> dict[str, Any]:
        """The object that a field stands in; made where it is not there yet."""
        if not parents:
            return self.document
        place = self.places.get(parents)
        if place is None:
            place = self.places[parents] = self._made(parents)
        return place

    def put(self, parents: _Parents, pieces: Mapping[str, Any]) -> bool:
        """Set values in one object, all or, where another value stands already, none; returns whether it did."""
        place = self.place(parents)
        if any(key in place and place[key] != piece for key, piece in pieces.items()):
            return False
        place.update(pieces)
        return True

    def put_part(self, parents: _Parents, shape: Shape, text: str) -> bool:
        """Keep one part of a value until all are there; returns whether it did, as `put`."""
        self.place(parents)
        path = (*[name for name, _ in parents], shape.keys[0])
        return self.parts.setdefault(path, (shape, {}))[1].setdefault(shape.part, text) == text

    def close(self) -> None:
        """Join parts, and make strings of the objects that are JSON in a string: inner ones first."""
        if not self.parts and not self.strings:
            return
        for path, (shape, found) in self.parts.items():
            pieces = [found.get(number, "") for number in range(1, shape.parts + 1)]
            parent = self._at(path[:-1])
            parent[unknown_name(path[-1], parent)] = shape.split.join(pieces)
        for path in sorted(self.strings, key=len, reverse=True):
            parent = self._at(path[:-1])
            if path[-1] in parent:
                parent[path[-1]] = packed(parent[path[-1]])

    def _made(self, parents: _Parents) -> dict[str, Any]:
        node = self.document
        for depth, (key, is_json) in enumerate(parents):
            if is_json:
                self.strings[tuple(name for name, _ in parents[: depth + 1])] = None
            node = node.setdefault(key, {})
        return node

    def _at(self, path: Iterable[str]) -> dict[str, Any]:
        node = self.document
        for key in path:
            node = node[key]
        return node
