"""What every converter is: a pair of `read` local → shared and `write` shared → local, and any value as text.

Both are total: whatever comes in, something comes out, with its relation. INVALID and UNMAPPED carry the
original as text. A local value is any JSON value, a shared value always text. Each converter says where its
two directions are opposites and where something is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
from msgspec import Struct, field

from mapping.codelists import Divisions
from mapping.element import Relation
from mapping.errors import MappingError
from mapping.notes import Note

__all__ = [
    "Converter",
    "Read",
    "Reading",
    "Settings",
    "Write",
    "Writing",
    "as_json",
    "is_encodable",
    "is_untellable",
    "packed",
    "text_of",
]

Reading = tuple[str, Relation]
"""A shared value and how it relates to the local one."""
Writing = tuple[Any, Relation]
"""A local JSON value and how it relates to the shared one."""

_NO_READINGS: Mapping[str, Reading] = MappingProxyType({})
_NO_WRITINGS: Mapping[str, Writing] = MappingProxyType({})
as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""A JSON value as compact text. Raises what `json.dumps` does."""
_encode = msgspec.json.encode
_UNTELLABLE = "(a value that JSON cannot hold)"


class Read(Protocol):
    """Local → shared: the value, the day it was written on (ISO 8601, empty when not known), who asks why."""

    def __call__(self, raw: Any, on: str, note: Note | None = None, /) -> Reading:
        """The shared value of a local one; never raises."""
        ...


class Write(Protocol):
    """Shared → local, as `Read`."""

    def __call__(self, value: str, on: str, note: Note | None = None, /) -> Writing:
        """The local value of a shared one; never raises."""
        ...


class Converter(Struct, frozen=True):
    """`table` is ``name@version``, or empty when values are carried as they are.

    `known` and `written` have the readings and writings that do not depend on the day, for converters that
    have finitely many.
    """

    table: str
    read: Read
    write: Write
    known: Mapping[str, Reading] = field(default_factory=lambda: _NO_READINGS)
    written: Mapping[str, Writing] = field(default_factory=lambda: _NO_WRITINGS)


class Settings(Struct, frozen=True):
    """What a converter is built from: a rule's parameters, its element's type, the dialect's version."""

    parameters: Mapping[str, str]
    element_type: str
    version: str
    divisions: Divisions

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A parameter that is one of few; the first is the default. Raises MappingError."""
        value = self.parameters.get(name, allowed[0])
        if value not in allowed:
            raise MappingError(
                f"参数 {name} 为 {value!r}，只能是 {'、'.join(allowed)} / "
                f"parameter {name} is {value!r}; expected one of {', '.join(allowed)}"
            )
        return value


def is_encodable(text: str) -> bool:
    """Whether the text is UTF-8 at all; JSON can smuggle in halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(raw: Any) -> str:
    """Any JSON value as text that can be sent: strings as they are, numbers in digits, the rest as JSON."""
    if type(raw) is str:
        if raw.isascii() or raw.isprintable():  # what is printable holds no half of a surrogate pair
            return raw
        return raw if is_encodable(raw) else raw.encode("utf-8", "backslashreplace").decode()
    if raw is None:
        return ""
    try:
        if type(raw) is int or (type(raw) is float and isfinite(raw)):
            return repr(raw)
        text = as_json(raw)
    except (ValueError, TypeError, RecursionError):
        return _UNTELLABLE
    return text if is_encodable(text) else text.encode("utf-8", "backslashreplace").decode()


def is_untellable(text: str) -> bool:
    """Whether `text_of` could not say what the value was."""
    return text is _UNTELLABLE


def packed(value: Any) -> str:
    """A document as compact JSON in a string, as `as_json` writes it. Raises what `json.dumps` does."""
    try:
        return _encode(value).decode()
    except (ValueError, TypeError, RecursionError):  # halves of surrogate pairs, and what JSON cannot hold
        return as_json(value)
