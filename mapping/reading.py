"""Compiles the rules of one kind of document into what reads it: local document → shared elements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapping.conversion import Converter, text_of
from mapping.element import Element, Relation
from mapping.ruleset import FieldRule
from mapping.texts import is_strange

__all__ = ["KindReader", "compile_reader", "unknown_name"]

KindReader = Callable[[Mapping[str, Any]], tuple[Element, ...]]
_Read = Callable[[Any], Element]
_Field = tuple[str, _Read, Element | None]  # key, reader, what a missing value becomes
_Dated = tuple[str, Callable[[Any, str], Element], Element | None, str]  # … and the element that has the day

_decode = json.JSONDecoder(parse_float=str).decode  # a number in a string keeps its digits


def compile_reader(
    rules: Sequence[FieldRule], build: Callable[[FieldRule], Converter], *, strict: bool = True
) -> KindReader:
    """The reader of a kind. Unless `strict`, fields without a rule are passed over."""
    read = _compile_level("", rules, build, strict)

    def read_document(document: Mapping[str, Any]) -> tuple[Element, ...]:
        found: list[Element] = []
        read(document, found)
        return tuple(found)

    return read_document


def unknown_name(name: str, known: Mapping[str, object]) -> str:
    """A name that nothing maps, marked when a mapped value goes by the same name."""
    return f"unmapped:{name}" if name in known else name


@dataclass(slots=True)
class _Node:
    """What is known about one object of the document."""

    path: str = ""
    fields: list[_Field] = field(default_factory=list)
    dated: list[_Dated] = field(default_factory=list)
    children: list[tuple[str, bool, _Node]] = field(default_factory=list)
    known: frozenset[str] = frozenset()


def _compile_level(
    group: str, rules: Sequence[FieldRule], build: Callable[[FieldRule], Converter], strict: bool
) -> Callable[[Any, list[Element]], None]:
    root = _Node()
    level = [rule for rule in rules if rule.group == group]
    shared = {rule.element: None for rule in level}
    for rule in level:
        *parents, leaf = rule.local.split(".")
        node = root
        for segment in parents:
            node = _child(node, segment)
        _place(node, leaf, rule, rules, build, strict)
    _close(root)
    return _walker(root, shared, strict)


def _child(node: _Node, segment: str) -> _Node:
    key, is_json = segment.removesuffix("|json"), segment.endswith("|json")
    for name, _, child in node.children:
        if name == key:
            return child
    child = _Node(path=f"{node.path}{key}.")
    node.children.append((key, is_json, child))
    return child


def _place(
    node: _Node,
    leaf: str,
    rule: FieldRule,
    rules: Sequence[FieldRule],
    build: Callable[[FieldRule], Converter],
    strict: bool,
) -> None:
    key = leaf.removesuffix("|json")
    missing = _missing(rule)
    if rule.converter == "group":
        rows = _compile_level(rule.element, rules, build, strict)
        node.fields.append((key, _group_reader(rule.element, rows), missing))
    elif "on" in rule.parameters:
        node.dated.append((key, _dated_reader(rule.element, build(rule)), missing, rule.parameters["on"]))
    else:
        node.fields.append((key, _reader(rule.element, build(rule)), missing))


def _close(node: _Node) -> None:
    keys = [key for key, *_ in node.fields] + [key for key, *_ in node.dated]
    node.known = frozenset(keys + [key for key, *_ in node.children])
    for _, _, child in node.children:
        _close(child)


def _missing(rule: FieldRule) -> Element | None:
    if rule.default:
        return Element(rule.element, rule.default, "", Relation.DEFAULTED, "")
    return Element(rule.element, "", "", Relation.INVALID, "") if rule.required else None


# --- one field ------------------------------------------------------------------------------------


def _reader(name: str, converter: Converter) -> _Read:
    table, read = converter.table, converter.read
    if not table:
        return _plain_reader(name, converter)

    def read_value(raw: Any) -> Element:
        value, relation = read(raw, "")
        return Element(
            name, value, raw if type(raw) is str and raw.isascii() else text_of(raw), relation, table
        )

    if not converter.known:
        return read_value
    made = {raw: Element(name, value, raw, how, table) for raw, (value, how) in converter.known.items()}

    def read_known(raw: Any) -> Element:
        if type(raw) is str:
            element = made.get(raw)
            if element is not None:
                return element
        return read_value(raw)

    return read_known


def _plain_reader(name: str, converter: Converter) -> _Read:
    """For values that are carried as they are: value and original are one text."""

    def read_plain(raw: Any) -> Element:
        if type(raw) is str and (raw.isascii() or is_strange(raw) is None):
            return Element(name, raw, raw, Relation.EXACT, "")
        value, relation = converter.read(raw, "")
        return Element(name, value, value, relation, "")

    return read_plain


def _dated_reader(name: str, converter: Converter) -> Callable[[Any, str], Element]:
    def read_value(raw: Any, on: str) -> Element:
        value, relation = converter.read(raw, on)
        return Element(name, value, text_of(raw), relation, converter.table)

    return read_value


def _group_reader(name: str, read_row: Callable[[Any, list[Element]], None]) -> _Read:
    def read_group(raw: Any) -> Element:
        rows = _decoded(raw)
        if not isinstance(rows, list):
            text = text_of(raw)
            return Element(name, text, text, Relation.INVALID, "")
        groups = []
        for row in rows:
            found: list[Element] = []
            read_row(row, found)
            groups.append(tuple(found))
        return Element(name, "", "", Relation.EXACT, "", tuple(groups))

    return read_group


def _decoded(raw: Any) -> Any:
    """JSON in a string, parsed; anything else, and what cannot be parsed, as it is."""
    if type(raw) is not str:
        return raw
    try:
        return _decode(raw)
    except (ValueError, RecursionError):
        return raw


# --- one object -----------------------------------------------------------------------------------


def _walker(root: _Node, shared: Mapping[str, object], strict: bool) -> Callable[[Any, list[Element]], None]:
    def walk(node: _Node, document: Any, found: list[Element]) -> None:
        if not isinstance(document, dict | Mapping):
            if document is not None:
                text = text_of(document)
                found.append(
                    Element(unknown_name(node.path.rstrip(".") or "?", shared), text, text, Relation.INVALID)
                )
            document = {}
        get = document.get
        for key, read, missing in node.fields:
            raw = get(key)
            if raw is not None and raw != "":
                found.append(read(raw))
            elif missing is not None:
                found.append(missing)
        for key, is_json, child in node.children:
            raw = get(key)
            walk(child, (_decoded(raw) if is_json else raw) if raw != "" else None, found)
        if node.dated:
            _read_dated(node, document, found)
        if strict and not document.keys() <= node.known:
            _read_unknown(node, document, shared, found)

    def walk_root(document: Any, found: list[Element]) -> None:
        walk(root, document, found)

    return walk_root


def _read_dated(node: _Node, document: Mapping[str, Any], found: list[Element]) -> None:
    for key, read, missing, on in node.dated:
        raw = document.get(key)
        if raw is not None and raw != "":
            days = [e.value for e in found if e.name == on and e.relation is not Relation.INVALID]
            found.append(read(raw, days[0] if days else ""))
        elif missing is not None:
            found.append(missing)


def _read_unknown(
    node: _Node, document: Mapping[str, Any], shared: Mapping[str, object], found: list[Element]
) -> None:
    for key, raw in document.items():
        if key not in node.known:
            text = text_of(raw)
            found.append(
                Element(unknown_name(text_of(f"{node.path}{key}"), shared), text, text, Relation.UNMAPPED)
            )
