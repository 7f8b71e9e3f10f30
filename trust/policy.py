"""Metadata policy (OpenID Federation 1.0 §6.1): what superiors let an entity claim.

The operator that pins, `value` (§6.1.3.1.1), is applied. Any other operator breaks the chain: to pass over a
rule of the anchor's would be to believe more than it allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trust.errors import ChainBroken

__all__ = ["Policy", "apply_policy", "merge_policies", "pin"]

Policy = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Entity type -> metadata parameter -> operator -> operand."""

_VALUE = "value"


def pin(metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The policy that pins every parameter of `metadata` to what it is there."""
    return {
        entity_type: {parameter: {_VALUE: value} for parameter, value in parameters.items()}
        for entity_type, parameters in metadata.items()
    }


def merge_policies(policies: Iterable[object]) -> Policy:
    """Join the policies of all subordinate statements of a chain, from the anchor's down (§6.1.3, §6.1.4.1).

    Raises ChainBroken: not a policy, an operator that is not applied here, two different pins of one
    parameter.
    """
    merged: dict[str, dict[str, dict[str, Any]]] = {}
    for policy in policies:
        for entity_type, parameter, operand in _pins(policy):
            parameters = merged.setdefault(entity_type, {})
            if parameters.setdefault(parameter, {_VALUE: operand})[_VALUE] != operand:
                raise ChainBroken(
                    f"the superiors pin {entity_type}.{parameter} to different values (§6.1.3.1.1)"
                )
    return merged


def _pins(policy: object) -> Iterable[tuple[str, str, Any]]:
    for entity_type, parameters in _object(policy).items():
        for parameter, operators in _object(parameters).items():
            unknown = set(_object(operators)) - {_VALUE}
            if unknown:
                names = ", ".join(sorted(unknown))
                raise ChainBroken(f"metadata policy operators that are not applied here: {names} (§6.1.3)")
            if _VALUE in operators:
                yield entity_type, parameter, operators[_VALUE]


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ChainBroken("a metadata policy is an object of objects of objects (§6.1.2)")
    return value


def apply_policy(metadata: Mapping[str, Mapping[str, Any]], policy: Policy) -> dict[str, dict[str, Any]]:
    """The metadata after policy (§6.1.4.2), for the entity types that the entity has.

    `value` sets the parameter whatever the entity said; null removes it.
    """
    resolved = {entity_type: dict(parameters) for entity_type, parameters in metadata.items()}
    for entity_type in resolved.keys() & policy.keys():
        for parameter, operators in policy[entity_type].items():
            if operators[_VALUE] is None:
                resolved[entity_type].pop(parameter, None)
            else:
                resolved[entity_type][parameter] = operators[_VALUE]
    return resolved
