"""Who may ask what, and who is answered what: the rules of `access.toml`.

The rules of the rules:

1. Default is no. What no rule lets through is refused with `access.denied`.
2. One rule is one pair: a platform and a province it may ask, or an asking province and one of its platforms.
3. Rules are read in the order of the file; the first that matches decides and is named in the decision.
4. ``*`` stands for everything, and only as a whole entry: ``"1110*"`` is a fault, not a pattern.
5. Certificate types and fields are shared words. A query for all types matches any rule that grants some; the
   answer then holds those types only.
6. A consent is a basis for certificates only (`CONSENT_OPERATIONS`). The rule must name it among its bases, and what it
   grants is then cut to what the consent covers (`federation.consents`). A consent that the asking node issued itself
   is taken only by a rule that says ``own_consents = true``.
7. What only nodes ask each other (`query.BETWEEN_NODES`) needs no rule and can have none: every member may compare
   with this node what both logged of their own exchanges, never a third party's, and may see what is kept of a
   holder who is logged in there, which a statement proves (`federation.between_nodes`). No platform can ask it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from federation.access_faults import (
    OWN_CONSENTS,
    AccessFault,
    AccessFaults,
    check_document,
    rule_lines,
    syntax_fault,
)
from federation.current import Current
from federation.errors import AccessConsentUnsupported, AccessDenied
from federation.query import BETWEEN_NODES, Basis, BasisKind, Operation
from mapping.element import Element

__all__ = [
    "BETWEEN_NODES_RULE",
    "CONSENT_OPERATIONS",
    "AccessFault",
    "AccessFaults",
    "AccessHolder",
    "AccessPolicy",
    "Grant",
    "cut",
    "parse_access",
]

BETWEEN_NODES_RULE = "between_nodes"
"""The name under which a decision cites rule 7."""
CONSENT_OPERATIONS = frozenset(
    {Operation.CERTIFICATES_QUERY, Operation.CERTIFICATES_GET, Operation.CERTIFICATES_VERIFY}
)
"""What a holder can give leave for."""


class Grant(Struct, frozen=True):
    """What a rule lets through: `types` and `fields` are shared words, None for all of them.

    `own_consents`: also on a consent that the asking node issued itself. `holder` (id type, number) is the only one
    whose certificates are let through, None for anyone's.
    """

    rule: str
    policy_version: str
    types: frozenset[str] | None = None
    fields: frozenset[str] | None = None
    own_consents: bool = False
    holder: tuple[str, str] | None = None

    def covers_type(self, certificate_type: str) -> bool:
        """Whether certificates of this shared type are granted."""
        return self.types is None or certificate_type in self.types

    def narrowed(
        self, types: Iterable[str], fields: Iterable[str] | None, holder: tuple[str, str] | None
    ) -> Grant:
        """What of it a consent covers as well; `fields` None: every field."""
        of_types = frozenset(types)
        of_fields = self.fields
        if fields is not None:
            of_fields = frozenset(fields) if of_fields is None else of_fields & frozenset(fields)
        return replace(
            self,
            types=of_types if self.types is None else self.types & of_types,
            fields=of_fields,
            holder=holder,
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    platform: str
    operations: frozenset[str] | None
    service_items: frozenset[str] | None
    bases: frozenset[str] | None
    grant: Grant

    def lets_through(self, platform: str, operation: str, basis: Basis, certificate_type: str) -> bool:
        return (
            self.platform in ("*", platform)
            and (self.operations is None or operation in self.operations)
            and (not certificate_type or self.grant.covers_type(certificate_type))
            and (self.service_items is None or basis.service_item_code in self.service_items)
            and (self.bases is None or basis.kind.word in self.bases)
        )


class AccessPolicy:
    """One `access.toml` as an immutable snapshot. `digest` is the SHA-256 of its text."""

    __slots__ = ("_answering", "_asking", "digest", "version")

    def __init__(self, text: str) -> None:
        """Read the rules. Raises AccessFaults with every fault in the text, each with its line."""
        document = _read(text)
        self.version: str = document["version"]
        self.digest = hashlib.sha256(text.encode()).digest()
        self._asking = _index(document.get("asking", ()), "province", self.version)
        self._answering = _index(document.get("answering", ()), "asking", self.version)

    def may_ask(
        self, *, platform: str, province: str, operation: Operation, basis: Basis, certificate_type: str = ""
    ) -> Grant:
        """What this node lets its platform ask of a province.

        `certificate_type` is shared; empty for all types, or where there is none in question.
        Raises AccessConsentUnsupported for a consent where it is no basis, AccessDenied when no rule matches. A
        consent itself is not looked at here.
        """
        if operation in BETWEEN_NODES:  # rule 7: a rule for every operation does not mean these
            raise AccessDenied(f"{operation.value} is between nodes; no platform can ask it")
        return _decide(self._asking, province, platform, operation, basis, certificate_type, self.version)

    def may_answer(
        self, *, asking: str, platform: str, operation: Operation, basis: Basis, certificate_type: str = ""
    ) -> Grant:
        """What this node answers to a platform of the asking province, or to its node. Raises as `may_ask`."""
        if operation in BETWEEN_NODES:  # rule 7
            return Grant(BETWEEN_NODES_RULE, self.version)
        return _decide(self._answering, asking, platform, operation, basis, certificate_type, self.version)


class AccessHolder(Current[AccessPolicy]):
    """The policy in force; `yrd reload access` swaps it whole, or leaves it when the new text has faults."""


def parse_access(text: str) -> AccessPolicy:
    """The policy of an `access.toml`. Raises AccessFaults with every fault, each with its line."""
    return AccessPolicy(text)


def cut(elements: Sequence[Element], fields: frozenset[str] | None) -> tuple[Element, ...]:
    """Only the granted fields, in their order. A group is granted or cut as a whole, by its own name."""
    if fields is None:
        return tuple(elements)
    return tuple(element for element in elements if element.name in fields)


def _read(text: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AccessFaults((syntax_fault(error),)) from error
    faults = check_document(document, rule_lines(text))
    if faults:
        raise AccessFaults(tuple(sorted(faults)))
    return document


def _index(
    rules: Iterable[Mapping[str, Any]], counterpart: str, version: str
) -> dict[str, tuple[_Rule, ...]]:
    """Rules by province, in the order of the file; a rule for every province is in each list."""
    pairs = [(str(rule[counterpart]), _rule(rule, version)) for rule in rules]
    provinces = {province for province, _ in pairs} | {"*"}
    return {key: tuple(rule for province, rule in pairs if province in (key, "*")) for key in provinces}


def _rule(rule: Mapping[str, Any], version: str) -> _Rule:
    types, fields = _set(rule["certificate_types"]), _set(rule["fields"])
    grant = Grant(rule["rule"], version, types, fields, own_consents=rule.get(OWN_CONSENTS, False))
    operations, items, bases = (_set(rule[key]) for key in ("operations", "service_items", "bases"))
    return _Rule(rule["platform"], operations, items, bases, grant)


def _set(entries: Sequence[str]) -> frozenset[str] | None:
    return None if "*" in entries else frozenset(entries)


def _decide(
    rules: Mapping[str, tuple[_Rule, ...]],
    province: str,
    platform: str,
    operation: Operation,
    basis: Basis,
    certificate_type: str,
    version: str,
) -> Grant:
    if basis.kind is not BasisKind.OFFICIAL_DUTY and operation not in CONSENT_OPERATIONS:
        raise AccessConsentUnsupported(
            f"{operation.value} is not asked on the basis {basis.kind.word}; use official_duty"
        )
    for rule in rules.get(province) or rules["*"]:
        if rule.lets_through(platform, operation, basis, certificate_type):
            return rule.grant
    asked = operation.value + (f" of type {certificate_type}" if certificate_type else "")
    raise AccessDenied(f"policy {version} has no rule that allows platform {platform[:80]} {asked} here")
