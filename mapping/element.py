"""The one shape of a translated value: what it is, what it was, and how the one became the other."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

__all__ = ["Element", "Relation"]


class Relation(IntEnum):
    """How a translated value relates to its original; the numbers are those on the wire (`yrd.header.v1`)."""

    EXACT = 1
    NARROWER = 2
    BROADER = 3
    RELATED = 4
    DEFAULTED = 5
    UNMAPPED = 6
    INVALID = 7

    @property
    def word(self) -> str:
        """The relation as people and JSON say it, in lower case."""
        return self.name.lower()


class Element(Struct, frozen=True, gc=False):
    """One named value, with the original it was translated from.

    `name` is the target side's word for it (the GB/T 36903 name after `to_shared`, the local field after
    `to_local`). `value` is the translated value; when `relation` is UNMAPPED or INVALID it is the original,
    carried through unchanged. `table` is ``name@version`` of the code map or converter, or empty for a value
    that is carried as it is. A nested list has its rows in `groups` and an empty `value`.

    A Struct rather than a dataclass: a certificate is twenty of them, and making one costs a sixth.
    """

    name: str
    value: str
    original: str = ""
    relation: Relation = Relation.EXACT
    table: str = ""
    groups: tuple[tuple[Element, ...], ...] = ()
