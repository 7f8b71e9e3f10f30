"""Metadata policy (OpenID Federation 1.1 §6.1): what superiors let an entity claim.

 1. Each policy is an object of objects of objects: entity type, parameter, operator (§6.1.2). Operators that
    are not understood are passed over, as the standard demands; one that a superior declared critical breaks
    the chain before (§6.1.3.2, `trust.chain`)
 2. Each operand is of a type that its operator takes, and the operators of a parameter may stand together
    (§6.1.3.1)
 3. Policies merge from the anchor's down, operator by operator, and what comes of it is checked by rule 2
    again (§6.1.4.1): nobody below can loosen what someone above decided
 4. The merged policy is applied to the entity types that the entity has, in the order of the operators
    (§6.1.4.2)

`scope` is text with spaces between its values; operators see it as an array, and it is text again afterwards
(§6.1.3.1.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trust.errors import ChainBroken
from trust.operators import OPERATORS, as_json, check_combinations

__all__ = ["Applied", "Change", "Policy", "apply_policy", "merge_policies", "pin", "pinned_by"]

Policy = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Entity type -> metadata parameter -> operator -> operand."""

_SCOPE = "scope"


@dataclass(frozen=True, slots=True)
class Change:
    """What superiors changed of what an entity says about itself, for people to see.

    `claimed` and `after` are JSON values; None where there is none. `parameter` is None when the whole entity
    type was taken away. `by` names the policy operators that did it, in their order, or the claim of a
    superior's statement: ``metadata``, ``allowed_entity_types``.
    """

    entity_type: str
    parameter: str | None
    claimed: Any
    after: Any
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """Metadata after policy, and what the policy changed of it."""

    metadata: dict[str, dict[str, Any]]
    changes: tuple[Change, ...]


def pin(metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The policy that pins every parameter of `metadata` to what it is there."""
    return {
        entity_type: {parameter: {"value": value} for parameter, value in parameters.items()}
        for entity_type, parameters in metadata.items()
    }


def pinned_by(policy: Policy) -> frozenset[tuple[str, str]]:
    """(entity type, parameter) of what a policy pins with `value`."""
    return frozenset(
        (entity_type, parameter)
        for entity_type, parameters in policy.items()
        for parameter, operators in parameters.items()
        if "value" in operators
    )


def merge_policies(policies: Iterable[object]) -> Policy:
    """Join the policies of all subordinate statements of a chain, from the anchor's down (rules 1 to 3).

    Raises ChainBroken: not a policy, an operand of the wrong type, operators that may not stand together in
    one policy or in the merged one, operands that cannot be merged.
    """
    merged: dict[str, dict[str, dict[str, Any]]] = {}
    for policy in policies:
        for entity_type, parameter, operators in _parameter_policies(policy):
            current = merged.setdefault(entity_type, {}).setdefault(parameter, {})
            _merge_into(current, operators, f"the policy on {entity_type}.{parameter}")
    return merged


def _parameter_policies(policy: object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for entity_type, parameters in _object(policy).items():
        for parameter, operators in _object(parameters).items():
            yield entity_type, parameter, _known(parameter, _object(operators))


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ChainBroken("a metadata policy is an object of objects of objects (§6.1.2)")
    return value


def _known(parameter: str, operators: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {name: operators[name] for name in OPERATORS if name in operators}
    if parameter == _SCOPE:
        return {name: _as_array(operand) for name, operand in known.items()}
    return known


def _merge_into(current: dict[str, Any], operators: Mapping[str, Any], where: str) -> None:
    for name, operand in operators.items():
        if not OPERATORS[name].takes(operand):
            raise ChainBroken(f"{where}: {name} does not take such an operand (§6.1.3.1)")
    try:
        check_combinations(operators)
        for name, operand in operators.items():
            current[name] = OPERATORS[name].merge(current[name], operand) if name in current else operand
        check_combinations(current)
    except ChainBroken as error:
        raise ChainBroken(f"{where}: {error.detail} (§6.1.3.1, §6.1.4.1)") from None


def apply_policy(metadata: Mapping[str, Mapping[str, Any]], policy: Policy) -> Applied:
    """The metadata after a merged policy (rule 4). Raises ChainBroken when it does not comply."""
    resolved = {entity_type: dict(parameters) for entity_type, parameters in metadata.items()}
    changes = []
    for entity_type, parameters in policy.items():
        if entity_type not in resolved:
            continue
        for parameter, operators in parameters.items():
            claimed = resolved[entity_type].get(parameter)
            after, by = _apply(entity_type, parameter, operators, claimed)
            if after is None:
                resolved[entity_type].pop(parameter, None)
            else:
                resolved[entity_type][parameter] = after
            if by:
                changes.append(Change(entity_type, parameter, claimed, after, by))
    return Applied(resolved, tuple(changes))


def _apply(
    entity_type: str, parameter: str, operators: Mapping[str, Any], claimed: Any
) -> tuple[Any, tuple[str, ...]]:
    value, by = _as_array(claimed) if parameter == _SCOPE else claimed, []
    for name, operator in OPERATORS.items():
        if name not in operators:
            continue
        try:
            after = operator.apply(operators[name], value)
        except ChainBroken as error:
            raise ChainBroken(
                f"{entity_type}.{parameter} does not comply with {name}: {error.detail} (§6.1.3.1)"
            ) from None
        if after is not value and as_json(after) != as_json(value):
            by.append(name)
        value = after
    if not by:
        return claimed, ()
    return _as_text(value) if parameter == _SCOPE else value, tuple(by)


def _as_array(scope: Any) -> Any:
    return scope.split() if isinstance(scope, str) else scope


def _as_text(scope: Any) -> Any:
    is_array = isinstance(scope, list) and all(isinstance(value, str) for value in scope)
    return " ".join(scope) if is_array else scope
