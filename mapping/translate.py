"""Between a province's dialect and the shared words, driven by its rule set alone.

`to_shared` and `to_local` are pure and total: for every value there is an element that says what it became,
what it was, and how the one relates to the other. What the dialect does not know comes through UNMAPPED under
its own name; a code that another province could not translate is never read as one of ours. `render_local` is
the opposite of `to_shared` where the maps are exact.

A rule set is compiled once into closures over plain dictionaries; elements of codes are made once and shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from mapping.codelists import SERVICE_ITEM, CodeLists, code_lists
from mapping.codes import build_code_converter
from mapping.converters import Converter, Settings, build_converter
from mapping.element import Element
from mapping.errors import UnknownDocument, UnknownList
from mapping.reading import KindReader, compile_reader
from mapping.ruleset import FieldRule, RuleSet
from mapping.validate import load_rule_set
from mapping.writing import KindWriter, compile_writer

__all__ = ["ConverterBuilder", "Dialect", "compile_dialect", "load_dialect"]

_DIALECTS = Path(__file__).parent / "dialects"
_TYPE, _ID = "证照类型代码", "证照标识"


class ConverterBuilder:
    """Builds each converter once per (converter, parameters, element type). `today`: the day of the tables."""

    def __init__(self, rules: RuleSet, lists: CodeLists) -> None:
        self._rules = rules
        self._lists = lists
        self._built: dict[tuple[str, tuple[tuple[str, str], ...], str], Converter] = {}
        self.today = lists.divisions.today.isoformat()

    def field(self, rule: FieldRule) -> Converter:
        """The converter of a field."""
        return self._build(rule.converter, rule.conversion, self._lists.elements[rule.element].type)

    def parameters(self) -> dict[str, Converter]:
        """The converters of the request parameters."""
        return {
            name: self._build(rule.converter, rule.parameters, rule.element_type)
            for name, rule in self._rules.parameters.items()
        }

    def _build(self, name: str, parameters: Mapping[str, str], element_type: str) -> Converter:
        key = (name, tuple(sorted(parameters.items())), element_type)
        if key not in self._built:
            self._built[key] = self._new(name, parameters, element_type)
        return self._built[key]

    def _new(self, name: str, parameters: Mapping[str, str], element_type: str) -> Converter:
        if name == "code":
            return build_code_converter(self._rules.maps[parameters["map"]], self._rules.version)
        return build_converter(
            name, Settings(parameters, element_type, self._rules.version, self._lists.divisions)
        )


class Dialect(Struct, frozen=True):
    """One province's words, compiled. Immutable; a new version is a new object."""

    province: str
    name: str
    version: str
    digest: bytes
    certificate_types: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Shared code, shared name and shared element names of every certificate type that the dialect covers."""
    rules: RuleSet
    """The data that it was compiled from, for whoever asks why."""
    builder: ConverterBuilder
    _readers: Mapping[str, KindReader]
    _writers: Mapping[str, KindWriter]
    _parameters: Mapping[str, Converter]
    _announced: tuple[
        Callable[[Mapping[str, Any]], Element | None], Callable[[Mapping[str, Any]], Element | None]
    ]

    @property
    def map_set(self) -> tuple[str, bytes]:
        """Version and digest, as a signed header names them."""
        return self.version, self.digest

    def to_shared(self, kind: str, document: Mapping[str, Any]) -> tuple[Element, ...]:
        """A registry's document in shared words. `kind`: a shared certificate type code or ``service_item``.

        A required field that is missing is INVALID with an empty value; other missing fields are left out, as
        are null and empty texts. Raises UnknownDocument when the dialect has no such kind.
        """
        reader = self._readers.get(kind)
        if reader is None:
            raise UnknownDocument(f"the dialect {self.version} has no certificate type {kind}")
        return reader(document)

    def to_local(self, kind: str, elements: Sequence[Element]) -> tuple[Element, ...]:
        """Shared elements under local names with local values; `relation` is that of this step alone.

        Raises UnknownDocument when the dialect has no such kind.
        """
        return self._writer(kind).translate(elements)

    def render_local(self, kind: str, elements: Sequence[Element]) -> dict[str, Any]:
        """The document that this province's registry would hold for these shared elements.

        Raises UnknownDocument when the dialect has no such kind.
        """
        return self._writer(kind).render(elements)

    def field_name(self, kind: str, element: str) -> str:
        """The local name of a shared element, or the element's own name when the dialect has none for it."""
        return self._writer(kind).local_name(element)

    def element_name(self, kind: str, local_field: str) -> str:
        """The shared name of a local field, or the field's own name when the dialect does not know it."""
        return self._writer(kind).shared_name(local_field)

    def code_to_shared(self, list_name: str, local_value: str, on: date | None = None) -> Element:
        """A request parameter in shared words. Raises UnknownList when the dialect has no such parameter."""
        converter = self._parameter(list_name)
        settled = converter.known.get(local_value)
        value, relation = settled or converter.read(local_value, on.isoformat() if on else "")
        return Element(list_name, value, local_value, relation, converter.table)

    def code_to_local(self, list_name: str, shared_value: str, on: date | None = None) -> Element:
        """A request parameter in this dialect. Raises UnknownList when the dialect has no such parameter."""
        converter = self._parameter(list_name)
        settled = converter.written.get(shared_value)
        raw, relation = settled or converter.write(shared_value, on.isoformat() if on else "")
        return Element(list_name, str(raw), shared_value, relation, converter.table)

    def document_kind(self, document: Mapping[str, Any]) -> str:
        """The shared certificate type of a registry's document. Raises UnknownDocument."""
        found = self.announced_type(document)
        if found is None or found.value not in self._readers:
            raise UnknownDocument("the document names no certificate type of this dialect")
        return found.value

    def announced_type(self, document: Mapping[str, Any]) -> Element | None:
        """The certificate type that a registry's document tells, known or not; None when it tells none."""
        return self._announced[0](document)

    def document_id(self, document: Mapping[str, Any]) -> str:
        """The shared certificate id of a registry's document, as it is when it breaks its standard.

        Raises UnknownDocument when there is none.
        """
        found = self._announced[1](document)
        if found is None or not found.value:
            raise UnknownDocument("the document carries no certificate id")
        return found.value

    def _writer(self, kind: str) -> KindWriter:
        writer = self._writers.get(kind)
        if writer is None:
            raise UnknownDocument(f"the dialect {self.version} has no certificate type {kind}")
        return writer

    def _parameter(self, list_name: str) -> Converter:
        converter = self._parameters.get(list_name)
        if converter is None:
            raise UnknownList(f"the dialect {self.version} has no parameter {list_name}")
        return converter


def load_dialect(province: str, directory: Path | None = None) -> Dialect:
    """The dialect of a province, from `directory` or as shipped. Raises RuleSetFaults with all faults."""
    lists = code_lists()
    return compile_dialect(load_rule_set(directory or _DIALECTS / province, lists), lists)


def compile_dialect(rules: RuleSet, lists: CodeLists) -> Dialect:
    """A checked rule set as closures."""
    build = ConverterBuilder(rules, lists)
    today = build.today
    readers = {
        kind: compile_reader(fields, build.field, today=today) for kind, fields in rules.fields.items()
    }
    writers = {
        kind: compile_writer(fields, build.field, today=today) for kind, fields in rules.fields.items()
    }
    certificates = tuple(
        kind for code, kind in lists.kinds.items() if code in readers and code != SERVICE_ITEM
    )
    announced = rules.fields[certificates[0].code]
    by_element = {rule.element: rule for rule in announced if not rule.group}
    return Dialect(
        province=rules.province,
        name=rules.name,
        version=f"{rules.province}@{rules.version}",
        digest=rules.digest,
        certificate_types=tuple((kind.code, kind.name, kind.elements) for kind in certificates),
        rules=rules,
        builder=build,
        _readers=MappingProxyType(readers),
        _writers=MappingProxyType(writers),
        _parameters=MappingProxyType(build.parameters()),
        _announced=(_finder(by_element[_TYPE], build), _finder(by_element[_ID], build)),
    )


def _finder(rule: FieldRule, build: ConverterBuilder) -> Callable[[Mapping[str, Any]], Element | None]:
    """Reads one element out of a document without reading the rest."""
    reader = compile_reader((rule,), build.field, strict=False)

    def find(document: Mapping[str, Any]) -> Element | None:
        return next(iter(reader(document)), None)

    return find
