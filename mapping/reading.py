"""Compiles the rules of one kind of document into what reads it: local document → shared elements.

Fields that simply hold a value are read in one flat loop over the keys of their object. What needs more than its
own field comes after them: a value of a certain day, several fields that are one value, a part of a field, a
second place of an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct, field

from mapping.conversion import Converter, text_of
from mapping.element import Element, Relation
from mapping.notes import Note
from mapping.ruleset import TODAY, FieldRule
from mapping.shapes import Shape, decoded, shape_of
from mapping.texts import is_strange

__all__ = ["KindReader", "Watch", "compile_reader", "day_of", "unknown_name"]

KindReader = Callable[[Mapping[str, Any]], tuple[Element, ...]]
_Elements = list[Element]
_Read = Callable[[Any], Element]
_ReadOn = Callable[[Any, str, _Elements], Element | None]
_ReadGroup = Callable[[Any, str, _Elements], Element]
_Level = Callable[[Any, _Elements, Sequence[Element]], None]
_Field = tuple[str, _Read, Element | None]  # key, reader, what a missing value becomes
_CARRIED = (Relation.UNMAPPED, Relation.INVALID)
_SUPPLIED = (Relation.DEFAULTED, Relation.INVALID)


class Watch(Protocol):
    """Sees each value as it is translated. `begin` gives the note for the steps, `end` takes what came out."""

    def begin(self, rule: FieldRule, raw: Any) -> Note:
        """A rule starts on a value."""
        ...

    def end(self, element: Element) -> None:
        """The rule that began last is done."""
        ...


class _Late(NamedTuple):
    """A field that is read after the others."""

    fetch: Callable[[Mapping[str, Any]], Any]
    read: _ReadOn
    missing: Element | None
    on: str
    second: str
    """The path of a second place for an element; empty for the first."""

    @property
    def turn(self) -> tuple[bool, bool]:
        """Days are read before what is of them, first places before second ones."""
        return bool(self.second), bool(self.on)


_Pending = tuple[Mapping[str, Any], _Late]


class _Node(Struct):
    """What is known about one object of the document."""

    path: str = ""
    fields: list[_Field] = field(default_factory=list)
    late: list[_Late] = field(default_factory=list)
    children: list[tuple[str, bool, _Node]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    known: frozenset[str] = frozenset()


def compile_reader(
    rules: Sequence[FieldRule],
    build: Callable[[FieldRule], Converter],
    *,
    today: str = "",
    strict: bool = True,
    watch: Watch | None = None,
) -> KindReader:
    """The reader of a kind. Unless `strict`, fields without a rule are passed over."""
    read = _Compiler(rules, build, today, strict, watch).level("")

    def read_document(document: Mapping[str, Any]) -> tuple[Element, ...]:
        found: _Elements = []
        read(document, found, ())
        return tuple(found)

    return read_document


def unknown_name(name: str, known: Mapping[str, object]) -> str:
    """A name that nothing maps, marked when a mapped value goes by the same name."""
    return f"unmapped:{name}" if name in known else name


def day_of(name: str, today: str, *levels: Sequence[Element]) -> str:
    """The day that a rule's `on` names: of the innermost level that has it; empty when there is none."""
    if not name or name == TODAY:
        return today if name else ""
    for elements in levels:
        for element in elements:
            if element.name == name and element.relation not in _CARRIED:
                return element.value
    return ""


class _Compiler(Struct, frozen=True):
    rules: Sequence[FieldRule]
    build: Callable[[FieldRule], Converter]
    today: str
    strict: bool
    watch: Watch | None

    def level(self, group: str) -> _Level:
        """What reads the document itself, or one row of a group."""
        root = _Node()
        rules = [rule for rule in self.rules if rule.group == group]
        shared = {rule.element: None for rule in rules}
        first: dict[str, FieldRule] = {}
        for rule in rules:
            node = root
            for segment in rule.parents:
                node = _child(node, segment)
            node.keys.extend(rule.keys)
            again = first.setdefault(rule.element, rule) is not rule
            self._place(node, rule, again=again)
        _close(root)
        return _walker(root, shared, self.strict, self.today)

    def _place(self, node: _Node, rule: FieldRule, *, again: bool) -> None:
        shape, missing = shape_of(rule), None if again else _missing(rule)
        second = rule.local if again else ""
        if rule.converter == "group":
            rows = self.level(rule.element)
            read_group = _group_reader(rule, rows, self.watch)
            if again or any(inner.on for inner in self.rules if inner.group):
                node.late.append(_Late(shape.fetch, read_group, missing, TODAY, second))
            else:
                node.fields.append((rule.keys[0], _undated(read_group), missing))
            return
        converter = self.build(rule)
        dated = bool(rule.on) and rule.on != TODAY
        if again or dated or self.watch or not (shape.is_plain or shape.is_list):
            is_simple = shape.is_plain and not self.watch
            read = (
                _dated_reader(rule, converter)
                if is_simple
                else _shaped_reader(rule, shape, converter, self.watch)
            )
            node.late.append(_Late(shape.fetch, read, missing, rule.on, second))
        elif shape.is_list:
            node.fields.append((rule.keys[0], _list_reader(rule, shape, converter, self._day(rule)), missing))
        else:
            node.fields.append((rule.keys[0], _reader(rule.element, converter, self._day(rule)), missing))

    def _day(self, rule: FieldRule) -> str:
        return day_of(rule.on, self.today)


def _child(node: _Node, segment: str) -> _Node:
    key, is_json = segment.removesuffix("|json"), segment.endswith("|json")
    for name, _, child in node.children:
        if name == key:
            return child
    child = _Node(path=f"{node.path}{key}.")
    node.children.append((key, is_json, child))
    return child


def _close(node: _Node) -> None:
    node.known = frozenset(node.keys + [key for key, *_ in node.children])
    for _, _, child in node.children:
        _close(child)


def _missing(rule: FieldRule) -> Element | None:
    if rule.default:
        return Element(rule.element, rule.default, "", Relation.DEFAULTED, "")
    return Element(rule.element, "", "", Relation.INVALID, "") if rule.required else None


# --- one field ------------------------------------------------------------------------------------


def _reader(name: str, converter: Converter, on: str) -> _Read:
    table, read = converter.table, converter.read
    if not table:
        return _plain_reader(name, converter, on)

    def read_value(raw: Any) -> Element:
        value, relation = read(raw, on)
        if value is raw or (type(raw) is str and raw.isascii()):
            return Element(name, value, raw, relation, table)
        return Element(name, value, text_of(raw), relation, table)

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


def _plain_reader(name: str, converter: Converter, on: str) -> _Read:
    """For values that are carried as they are: value and original are one text."""

    def read_plain(raw: Any) -> Element:
        if type(raw) is str and (raw.isascii() or raw.isprintable() or is_strange(raw) is None):
            return Element(name, raw, raw, Relation.EXACT, "")
        value, relation = converter.read(raw, on)
        return Element(name, value, text_of(raw), relation, "")

    return read_plain


def _dated_reader(rule: FieldRule, converter: Converter) -> _ReadOn:
    """For a value of a certain day that simply is what the field holds."""
    name, read, table = rule.element, converter.read, converter.table

    def read_value(raw: Any, on: str, _outer: _Elements) -> Element:
        value, relation = read(raw, on)
        return Element(name, value, text_of(raw), relation, table)

    return read_value


def _list_reader(rule: FieldRule, shape: Shape, converter: Converter, on: str) -> _Read:
    """For an array of texts that is one value."""
    name, read, table = rule.element, converter.read, converter.table

    def read_list(raw: Any) -> Element:
        original, taken = text_of(raw), shape.take(raw, None)
        value, relation = (original, Relation.INVALID) if taken is None else read(taken, on)
        return Element(name, original if relation in _CARRIED else value, original, relation, table)

    return read_list


def _shaped_reader(rule: FieldRule, shape: Shape, converter: Converter, watch: Watch | None) -> _ReadOn:
    """For any shape, any day, and for whoever asks why."""
    name, plain = rule.element, shape.is_plain

    def read_value(raw: Any, on: str, _outer: _Elements) -> Element | None:
        note = watch.begin(rule, raw) if watch else None
        taken = raw if plain else shape.take(raw, note)
        if taken == "" and not plain:
            return None
        original = text_of(raw)
        value, relation = (original, Relation.INVALID) if taken is None else converter.read(taken, on, note)
        if relation in _CARRIED and not plain and not shape.parts:
            value = original  # what was put together is carried as it stood; a part is carried alone
        element = Element(name, value, original, relation, converter.table)
        if watch:
            watch.end(element)
        return element

    return read_value


def _undated(read_group: _ReadGroup) -> _Read:
    return lambda raw: read_group(raw, "", [])


def _group_reader(rule: FieldRule, read_row: _Level, watch: Watch | None) -> _ReadGroup:
    name = rule.element

    def read_group(raw: Any, _on: str, outer: _Elements) -> Element:
        note = watch.begin(rule, raw) if watch else None
        rows = decoded(raw)
        if not isinstance(rows, list):
            text = text_of(raw)
            if note:
                note("not_a_list", text)
            return _ended(Element(name, text, text, Relation.INVALID, ""), watch)
        if note:
            note("group", str(len(rows)))
        groups = []
        for row in rows:
            found: _Elements = []
            read_row(row, found, outer)
            groups.append(tuple(found))
        return _ended(Element(name, "", "", Relation.EXACT, "", tuple(groups)), watch)

    return read_group


def _ended(element: Element, watch: Watch | None) -> Element:
    if watch:
        watch.end(element)
    return element


# --- one object -----------------------------------------------------------------------------------


def _walker(root: _Node, shared: Mapping[str, object], strict: bool, today: str) -> _Level:
    def walk(node: _Node, document: Any, found: _Elements, late: list[_Pending]) -> None:
        if not isinstance(document, dict | Mapping):
            document = _not_an_object(node, document, shared, found)
        get = document.get
        _read_fields(node.fields, get, found)
        for key, is_json, child in node.children:
            raw = get(key)
            if is_json and raw is not None:
                inner = decoded(raw)
                raw = raw if inner is None else inner  # the text null is no object, and is carried as it was
            walk(child, None if raw == "" else raw, found, late)
        if node.late:
            late.extend([(document, entry) for entry in node.late])
        if strict and not document.keys() <= node.known:
            _read_unknown(node, document, shared, found)

    def walk_root(document: Any, found: _Elements, outer: Sequence[Element]) -> None:
        late: list[_Pending] = []
        walk(root, document, found, late)
        if len(late) > 1:
            late.sort(key=_turn)
        for inner, entry in late:
            _read_late(inner, entry, found, outer, today)

    return walk_root


def _read_fields(fields: list[_Field], get: Callable[[str], Any], found: _Elements) -> None:
    for key, read, missing in fields:
        raw = get(key)
        if raw is not None and raw != "":
            found.append(read(raw))
        elif missing is not None:
            found.append(missing)


def _not_an_object(
    node: _Node, document: Any, shared: Mapping[str, object], found: _Elements
) -> Mapping[str, Any]:
    """Something else where an object should be is carried; the object's own fields are missing then."""
    if document is not None:
        text = text_of(document)
        name = unknown_name(node.path.rstrip(".") or "?", shared)
        found.append(Element(name, text, text, Relation.INVALID))
    return {}


def _turn(entry: _Pending) -> tuple[bool, bool]:
    return entry[1].turn


def _read_late(
    document: Mapping[str, Any], entry: _Late, found: _Elements, outer: Sequence[Element], today: str
) -> None:
    raw = entry.fetch(document)
    if raw is None:
        element = entry.missing
    else:
        levels = [*found, *outer] if entry.on and outer else found
        element = entry.read(raw, day_of(entry.on, today, levels), levels) or entry.missing
    if element is None:
        return
    if entry.second:
        _read_again(element, entry.second, found)
    else:
        found.append(element)


def _read_again(element: Element, path: str, found: _Elements) -> None:
    """A second place for an element: used when the first was empty, told when the two differ or it says less."""
    first = next((known for known in found if known.name == element.name), None)
    if first is None:
        found.append(element)
    elif not first.original and first.relation in _SUPPLIED:  # it was missing in its first place
        found[found.index(first)] = element
    elif (first.value, first.groups) != (element.value, element.groups) or element.relation > first.relation:
        text = element.original or element.value
        found.append(Element(f"unmapped:{path}", text, text, Relation.UNMAPPED, "", element.groups))


def _read_unknown(
    node: _Node, document: Mapping[str, Any], shared: Mapping[str, object], found: _Elements
) -> None:
    for key, raw in document.items():
        if key not in node.known:
            text = text_of(raw)
            found.append(
                Element(unknown_name(text_of(f"{node.path}{key}"), shared), text, text, Relation.UNMAPPED)
            )
