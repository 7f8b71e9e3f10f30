"""The one shape of a translated value: what it is, what it was, and how the one became the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Element", "Relation", "make_element"]


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


@dataclass(frozen=True, slots=True)
class Element:
    """One named value, with the original it was translated from.

    `name` is the target side's word for it (the GB/T 36903 name after `to_shared`, the local field after
    `to_local`). `value` is the translated value; when `relation` is UNMAPPED or INVALID it is the original,
    carried through unchanged. `table` is ``name@version`` of the code map or converter, or empty for a value
    that is carried as it is. A nested list has its rows in `groups` and an empty `value`.
    """

    name: str
    value: str
    original: str = ""
    relation: Relation = Relation.EXACT
    table: str = ""
    groups: tuple[tuple[Element, ...], ...] = ()


_new = object.__new__
_set_name, _set_value, _set_original, _set_relation, _set_table, _set_groups = (
    Element.__dict__[name].__set__ for name in ("name", "value", "original", "relation", "table", "groups")
)


def make_element(
    name: str,
    value: str,
    original: str,
    relation: Relation,
    table: str,
    groups: tuple[tuple[Element, ...], ...] = (),
) -> Element:
    """The same as calling Element at a quarter of the cost: a certificate is twenty of them."""
    element = _new(Element)
    _set_name(element, name)
    _set_value(element, value)
    _set_original(element, original)
    _set_relation(element, relation)
    _set_table(element, table)
    _set_groups(element, groups)
    return element
