"""The converters by name: which there are, which parameters each takes, and what each is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from mapping.conversion import Converter, Reading, Settings, Writing, is_encodable, text_of
from mapping.dates import LONG_TERM, build_date
from mapping.errors import MappingError
from mapping.identifying import CHECKS, build_identifier, build_token
from mapping.numbers import build_number
from mapping.places import build_division
from mapping.texts import build_name, build_text, build_width

__all__ = [
    "CONVERTERS",
    "LONG_TERM",
    "Converter",
    "Reading",
    "Settings",
    "Writing",
    "build_converter",
    "is_encodable",
    "text_of",
]


class _Kind(Struct, frozen=True):
    build: Callable[[Settings], Converter]
    parameters: frozenset[str]
    types: frozenset[str]


_TEXT = frozenset({"text"})
CONVERTERS: Mapping[str, _Kind] = MappingProxyType(
    {
        "text": _Kind(build_text, frozenset(), _TEXT),
        "name": _Kind(build_name, frozenset({"dot", "private"}), _TEXT),
        "width": _Kind(build_width, frozenset({"brackets"}), _TEXT),
        "date": _Kind(build_date, frozenset({"form", "long"}), frozenset({"date", "date_or_long"})),
        "number": _Kind(build_number, frozenset({"suffix", "scale", "json"}), frozenset({"number"})),
        "identifier": _Kind(build_identifier, frozenset(), frozenset(CHECKS)),
        "division": _Kind(build_division, frozenset({"digits", "forward"}), frozenset({"division"})),
        "token": _Kind(build_token, frozenset(), frozenset({"text", *CHECKS})),
    }
)
"""Every converter but `code` and `group`, with the parameters it takes and the element types it is for."""


def build_converter(name: str, settings: Settings) -> Converter:
    """The converter of a rule. Raises MappingError saying what does not fit."""
    kind = CONVERTERS.get(name)
    if kind is None:
        raise MappingError(f"没有转换器 {name!r} / there is no converter {name!r}")
    strange = sorted(set(settings.parameters) - kind.parameters)
    if strange:
        raise MappingError(
            f"转换器 {name} 没有参数 {'、'.join(strange)} / "
            f"converter {name} takes no parameter {', '.join(strange)}"
        )
    if settings.element_type not in kind.types:
        raise MappingError(
            f"转换器 {name} 不用于 {settings.element_type} 类要素 / "
            f"converter {name} is not for an element of type {settings.element_type}"
        )
    return kind.build(settings)
