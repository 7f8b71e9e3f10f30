"""The seven operators of metadata policy (OpenID Federation 1.1 §6.1.3.1), each in full.

For each: which operands it takes, how two of them merge down a chain, what it does to a parameter. They are
applied in the order of `OPERATORS`: value, add, default, one_of, subset_of, superset_of, essential. Which may
stand together, and on what condition, is the table `_CONDITIONS`.

An absent parameter is None here: JSON's null is no metadata value (§3.2), and no operator puts one out
(§6.1.3). Values are compared as JSON, so true is not 1. Arrays are of strings, of numbers or of objects, never
mixed. A policy error is ChainBroken (§6.1.4).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

from trust.errors import ChainBroken

__all__ = ["OPERATORS", "Operator", "as_json", "check_combinations"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. `merge` and `apply` trust that operands were checked; they raise ChainBroken."""

    name: str
    takes: Callable[[Any], bool]
    """Whether an operand is of a JSON type that the operator takes."""
    merge: Callable[[Any, Any], Any]
    """(the superior's operand, the subordinate's) -> the operand for both."""
    apply: Callable[[Any, Any], Any]
    """(operand, the parameter or None) -> the parameter or None."""


def as_json(value: Any) -> Hashable:
    """Something that is equal for equal JSON values, and only for those."""
    return value if isinstance(value, str) else (json.dumps(value, sort_keys=True),)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_array(value: object) -> bool:
    return isinstance(value, list) and (
        all(isinstance(entry, str) for entry in value)
        or all(_is_number(entry) for entry in value)
        or all(isinstance(entry, dict) for entry in value)
    )


def _array(parameter: Any) -> list[Any]:
    if not _is_array(parameter):
        raise ChainBroken("the parameter is not an array of strings, of numbers or of objects")
    found: list[Any] = parameter
    return found


def _keys(values: Sequence[Any]) -> set[Hashable]:
    return {as_json(value) for value in values}


def _union(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return list({as_json(value): value for value in [*one, *other]}.values())


def _intersection(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    wanted = _keys(other)
    return [value for value in _union(one, []) if as_json(value) in wanted]


def _contains(larger: Any, smaller: Any) -> bool:
    """Whether the one array has all values of the other; what is no array has none to compare."""
    return isinstance(larger, list) and isinstance(smaller, list) and _keys(smaller) <= _keys(larger)


def _same(superior: Any, subordinate: Any) -> Any:
    if as_json(superior) != as_json(subordinate):
        raise ChainBroken("the superiors give different values")
    return superior


def _common_choice(superior: Sequence[Any], subordinate: Sequence[Any]) -> list[Any]:
    choice = _intersection(superior, subordinate)
    if not choice:
        raise ChainBroken("the superiors leave no value to choose")
    return choice


def _add(operand: Sequence[Any], parameter: Any) -> list[Any]:
    return list(operand) if parameter is None else _union(_array(parameter), operand)


def _one_of(operand: Sequence[Any], parameter: Any) -> Any:
    if parameter is None:
        return None
    if not isinstance(parameter, str | dict) and not _is_number(parameter):
        raise ChainBroken("the parameter is not a string, a number or an object")
    if as_json(parameter) not in _keys(operand):
        raise ChainBroken("the parameter has none of the allowed values")
    return parameter


def _subset_of(operand: Sequence[Any], parameter: Any) -> Any:
    return None if parameter is None else _intersection(_array(parameter), operand)


def _superset_of(operand: Sequence[Any], parameter: Any) -> Any:
    if parameter is not None and not _contains(_array(parameter), operand):
        raise ChainBroken("the parameter lacks a value that it must have")
    return parameter


def _essential(operand: bool, parameter: Any) -> Any:
    if operand and parameter is None:
        raise ChainBroken("the parameter is essential, and absent")
    return parameter


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        operator.name: operator
        for operator in (
            Operator("value", lambda _: True, _same, lambda operand, _: operand),
            Operator("add", _is_array, _union, _add),
            Operator(
                "default",
                lambda operand: operand is not None,
                _same,
                lambda operand, parameter: operand if parameter is None else parameter,
            ),
            Operator("one_of", lambda operand: _is_array(operand) and operand != [], _common_choice, _one_of),
            Operator("subset_of", _is_array, _intersection, _subset_of),
            Operator("superset_of", _is_array, _union, _superset_of),
            Operator(
                "essential",
                lambda operand: isinstance(operand, bool),
                lambda one, other: one or other,
                _essential,
            ),
        )
    }
)


def _never(_one: Any, _other: Any) -> bool:
    return False


_CONDITIONS: Mapping[tuple[str, str], Callable[[Any, Any], bool]] = MappingProxyType(
    {
        ("value", "add"): _contains,
        ("value", "default"): lambda value, _: value is not None,
        ("value", "one_of"): lambda value, choice: as_json(value) in _keys(choice),
        ("value", "subset_of"): lambda value, largest: _contains(largest, value),
        ("value", "superset_of"): _contains,
        ("value", "essential"): lambda value, essential: value is not None or not essential,
        ("add", "one_of"): _never,
        ("add", "subset_of"): lambda added, largest: _contains(largest, added),
        ("one_of", "subset_of"): _never,
        ("one_of", "superset_of"): _never,
        ("subset_of", "superset_of"): _contains,
    }
)
"""Pairs, in the order of application, that may not stand together, or only so. All others always may."""


def check_combinations(operators: Mapping[str, Any]) -> None:
    """Return when these operators of one parameter may stand together (§6.1.3.1). Raises ChainBroken."""
    names = [name for name in OPERATORS if name in operators]
    for pair in combinations(names, 2):
        condition = _CONDITIONS.get(pair)
        if condition is not None and not condition(operators[pair[0]], operators[pair[1]]):
            raise ChainBroken(f"{pair[0]} and {pair[1]} cannot stand together so")
