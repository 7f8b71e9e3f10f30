"""Constraints (OpenID Federation 1.1 §6.2): what a superior allows below itself.

They stand in a subordinate statement and bind its subject and everything below that. Each superior's are
applied on their own; a failure breaks the chain.

 1. `max_path_length`: at most so many intermediates between the superior and the entity (§6.2.1)
 2. `naming_constraints`: the host of each entity id below is one that is permitted, if any are listed, and
    none that is excluded, with the syntax of RFC 5280 §4.2.1.10: ``host.example`` is that host, ``.example``
    any below it. A host that is an address has no name, and is refused where names are constrained (§6.2.2)
 3. `allowed_entity_types`: other entity types are taken out of the entity's metadata, before policy.
    `federation_entity` always stays, and must not be listed (§6.2.3)

Constraints that are not known are passed over, as the standard demands (§6.2).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from trust.entity import UnverifiedStatement
from trust.errors import ChainBroken

__all__ = ["FEDERATION_ENTITY", "allowed_entity_types", "check_constraints"]

FEDERATION_ENTITY = "federation_entity"


def check_constraints(superiors: Sequence[UnverifiedStatement]) -> None:
    """Rules 1 and 2 for the subordinate statements of a chain, the one about the entity first.

    Raises ChainBroken: a constraint of the wrong form, or one that is not kept.
    """
    for position, statement in enumerate(superiors):
        constraints = _constraints(statement)
        if not constraints:
            continue
        _check_path_length(statement, constraints, position)
        _check_names(statement, constraints, [below.sub for below in superiors[: position + 1]])


def allowed_entity_types(superiors: Sequence[UnverifiedStatement]) -> frozenset[str] | None:
    """Rule 3: the types that all superiors allow; None when nobody limits them. Raises ChainBroken."""
    allowed: frozenset[str] | None = None
    for statement in superiors:
        constraints = _constraints(statement)
        if "allowed_entity_types" in constraints:
            types = frozenset(_texts(constraints["allowed_entity_types"], "allowed_entity_types"))
            if FEDERATION_ENTITY in types:
                raise ChainBroken(f"{FEDERATION_ENTITY} must not be in allowed_entity_types (§6.2.3)")
            allowed = types if allowed is None else allowed & types
    return None if allowed is None else allowed | {FEDERATION_ENTITY}


def _constraints(statement: UnverifiedStatement) -> Mapping[str, Any]:
    constraints: Mapping[str, Any] = statement.claims.get("constraints", {})
    return constraints


def _check_path_length(statement: UnverifiedStatement, constraints: Mapping[str, Any], found: int) -> None:
    if "max_path_length" not in constraints:
        return
    longest = constraints["max_path_length"]
    if type(longest) is not int or longest < 0:
        raise ChainBroken("max_path_length is not a whole number from 0 (§6.2.1)")
    if found > longest:
        raise ChainBroken(
            f"{statement.iss} allows {longest} intermediates below itself; there are {found} (§6.2.1)"
        )


def _check_names(
    statement: UnverifiedStatement, constraints: Mapping[str, Any], entities: Sequence[str]
) -> None:
    if "naming_constraints" not in constraints:
        return
    names = constraints["naming_constraints"]
    if not isinstance(names, Mapping):
        raise ChainBroken("naming_constraints is not an object (§6.2.2)")
    excluded = _texts(names.get("excluded", []), "excluded")
    permitted = _texts(names["permitted"], "permitted") if "permitted" in names else None
    for entity_id in entities:
        host = urlsplit(entity_id).hostname or ""
        if _is_address(host):
            raise ChainBroken(f"{entity_id} has no host name, and {statement.iss} constrains names (§6.2.2)")
        if any(_matches(host, name) for name in excluded):
            raise ChainBroken(f"{statement.iss} excludes {entity_id} by its host name (§6.2.2)")
        if permitted is not None and not any(_matches(host, name) for name in permitted):
            raise ChainBroken(f"{statement.iss} does not permit {entity_id} by its host name (§6.2.2)")


def _texts(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
        raise ChainBroken(f"{name} is not a list of names (§6.2)")
    return value


def _matches(host: str, constraint: str) -> bool:
    name = constraint.lower()
    return host.endswith(name) if name.startswith(".") else host == name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
