"""Who belongs, as lists: the standard's (OpenID Federation 1.1 §8.2) and the paged one of the Federation
Extended Subordinate Listing 1.0 (draft 03). Pure: members and query parameters in, JSON out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from node.anchor.member import Member
from trust.entity import read_statement

__all__ = ["MOST_PER_PAGE", "QueryRefused", "list_entities", "list_page"]

MOST_PER_PAGE = 100
_FILTERS = frozenset({"entity_type", "intermediate"})
_PAGING = frozenset({"from", "limit", "updated_after", "updated_before", "audit_timestamps", "claims"})
_STATEMENT = "subordinate_statement"


class QueryRefused(Exception):
    """A request that the standard has an error for (§8.9): `status`, `code` and the text."""

    def __init__(self, code: str, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.status = code, status


def list_entities(members: Iterable[Member], query: MultiMapping[str]) -> list[str]:
    """The entity ids of the members in good standing that the filters leave.

    Several `entity_type` ask for the entities of any of them. Raises QueryRefused: a filter that is not
    supported here, as trust marks are not issued.
    """
    _check_names(query, _FILTERS)
    return [member.entity_id for member in _filtered(members, query)]


def list_page(members: Iterable[Member], query: MultiMapping[str]) -> dict[str, Any]:
    """One page of the same, each entity with its statement or the claims of it that are asked for, and `next`
    when there are more. Raises QueryRefused.
    """
    _check_names(query, _FILTERS | _PAGING)
    wanted = _Page.read(query)
    found = [
        member
        for member in _filtered(members, query)
        if member.entity_id >= wanted.begin and wanted.after <= _updated(member) <= wanted.before
    ]
    page: dict[str, Any] = {
        "immediate_subordinate_entities": [_entry(member, wanted) for member in found[: wanted.limit]]
    }
    if len(found) > wanted.limit:
        page["next"] = found[wanted.limit].entity_id
    return page


@dataclass(frozen=True, slots=True)
class _Page:
    """The parameters of a page, read before anyone is looked at."""

    begin: str
    limit: int
    after: int
    before: int
    stamped: bool
    claims: tuple[str, ...]

    @classmethod
    def read(cls, query: MultiMapping[str]) -> _Page:
        limit = min(_number(query, "limit", MOST_PER_PAGE), MOST_PER_PAGE)
        if limit < 1:
            raise QueryRefused("invalid_request", "limit is a positive number")
        timed = "updated_after" in query or "updated_before" in query
        stamped = _boolean(query, "audit_timestamps")
        return cls(
            begin=query.get("from", ""),
            limit=limit,
            after=_number(query, "updated_after", 0),
            before=_number(query, "updated_before", 2**53),
            stamped=stamped or (timed and "audit_timestamps" not in query),
            claims=tuple(name for name in query.get("claims", "").split(",") if name),
        )


def _check_names(query: MultiMapping[str], known: frozenset[str]) -> None:
    unknown = sorted(set(query) - known)
    if unknown:
        raise QueryRefused("unsupported_parameter", f"not supported here: {', '.join(unknown)[:100]}")
    for name in known - {"entity_type"}:
        if len(query.getall(name, [])) > 1:
            raise QueryRefused("invalid_request", f"{name} is there more than once")


def _filtered(members: Iterable[Member], query: MultiMapping[str]) -> list[Member]:
    wanted = set(query.getall("entity_type", []))
    intermediates = _boolean(query, "intermediate")
    return sorted(
        (
            member
            for member in members
            if not member.is_revoked
            and (not wanted or wanted & set(member.types))
            and (not intermediates or member.is_authority)
        ),
        key=lambda member: member.entity_id,
    )


def _updated(member: Member) -> int:
    return member.updated_at or member.enrolled_at


def _entry(member: Member, wanted: _Page) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": member.entity_id}
    if not wanted.claims or _STATEMENT in wanted.claims:
        entry[_STATEMENT] = member.statement
    if wanted.claims:
        entry.update(_claims(member, wanted.claims))
    if wanted.stamped:
        entry.update(registered=member.enrolled_at, updated=_updated(member))
    return entry


def _claims(member: Member, names: Sequence[str]) -> Mapping[str, Any]:
    claims = read_statement(member.statement, allow_http_on_loopback=True).claims
    return {name: claims[name] for name in names if name in claims}


def _boolean(query: MultiMapping[str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise QueryRefused("invalid_request", f"{name} is true or false")
    return value == "true"


def _number(query: MultiMapping[str], name: str, otherwise: int) -> int:
    value = query.get(name)
    if value is None:
        return otherwise
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise QueryRefused("invalid_request", f"{name} is a whole number")
    return int(value)
