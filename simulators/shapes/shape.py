"""The parts that every registry's shape has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.query import Operation
from simulators.records import Found

__all__ = ["Call", "RefusedError", "Route", "Shape", "text_at"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in: query, JSON or form body, headers, and what the path matched."""

    query: Mapping[str, str]
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    path: Mapping[str, str]


class RefusedError(Exception):
    """The registry does not take a call; `code` and `text` are in its own words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: where it is called, how our parameters are read, how the answer is wrapped.

    `read` raises RefusedError when the call lacks what this registry insists on.
    """

    operation: Operation
    method: str
    path: str
    read: Callable[[Call], Mapping[str, str]]
    wrap: Callable[[Found], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """A registry's whole outside. `settings` is the file beside this one with its part of node.toml."""

    province: str
    routes: tuple[Route, ...]
    refuse: Callable[[RefusedError], Any]
    settings: str

    def registry_toml(self, base_url: str) -> str:
        """The `[registry]` part of node.toml for a registry at `base_url`."""
        text = (Path(__file__).parent / self.settings).read_text(encoding="utf-8")
        return text.replace("{base_url}", base_url)


def text_at(body: Mapping[str, Any], path: str) -> str:
    """The scalar at a dotted path as text; empty when there is none."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return str(value) if isinstance(value, str | int) else ""
