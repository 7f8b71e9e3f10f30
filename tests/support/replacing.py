"""One `replace` for both kinds of frozen things: dataclasses and msgspec Structs."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

__all__ = ["replace"]

Thing = TypeVar("Thing")


def replace(thing: Thing, **changes: Any) -> Thing:
    """A copy with these fields changed."""
    if isinstance(thing, msgspec.Struct):
        return msgspec.structs.replace(thing, **changes)
    replaced: Thing = dataclasses.replace(thing, **changes)  # type: ignore[type-var]
    return replaced
