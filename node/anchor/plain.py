"""Entities that are no node: an authority of a province (an intermediate, OpenID Federation 1.1 §1.2) and the
cities below it. The superior's constraints (§6.2) decide what they may be; a `yrd_node` is never among it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from node.anchor.enrolment import check_names
from node.anchor.member import AnchorFacts, AnchorRefused
from trust.errors import TrustError
from trust.identity import check_entity_id, host_and_port
from trust.keys import VerificationKey, jwks_of, keys_from_jwks
from trust.policy import pin

__all__ = ["PLAIN_TYPES", "PlainEnrolment", "check_allowed", "is_plain", "plain_request", "read_plain"]

PLAIN_TYPES = frozenset(
    {
        "oauth_authorization_server",
        "oauth_client",
        "oauth_resource",
        "openid_provider",
        "openid_relying_party",
    }
)
_REQUIRED = frozenset({"entity_id", "name", "federation_jwks", "entity_types"})
_OPTIONAL = frozenset({"authority"})
_MOST_NAME = 60
_LONGEST_PATH = 1
"""Between the anchor and a city stands one authority, and below a city nobody (§6.2.1)."""


@dataclass(frozen=True, slots=True)
class PlainEnrolment:
    """A request that was checked. `permitted` are the hosts below an authority (§6.2.2); empty: any."""

    entity_id: str
    name: str
    federation_keys: tuple[VerificationKey, ...]
    entity_types: tuple[str, ...]
    is_authority: bool
    permitted: tuple[str, ...] = ()

    @property
    def key_ids(self) -> dict[str, tuple[str, ...]]:
        """What the entity's operator must recognise, by purpose."""
        return {"federation": tuple(key.kid for key in self.federation_keys)}

    @property
    def policy(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What the superior's statement pins the entity to: its issuer. An authority's would count for all
        below it, so there it is left to the authority.
        """
        if self.is_authority or "openid_provider" not in self.entity_types:
            return {}
        return pin({"openid_provider": {"issuer": self.entity_id}})

    @property
    def constraints(self) -> dict[str, Any]:
        """What the entity, and all below it, can be at most."""
        constraints: dict[str, Any] = {
            "max_path_length": _LONGEST_PATH if self.is_authority else 0,
            "allowed_entity_types": list(self.entity_types),
        }
        if self.permitted:
            own = urlsplit(self.entity_id).hostname or ""
            constraints["naming_constraints"] = {"permitted": sorted({own, *self.permitted})}
        return constraints

    def below(self, permitted: Sequence[str]) -> PlainEnrolment:
        """The same, with the hosts that may stand below it. Raises AnchorRefused."""
        if permitted and not self.is_authority:
            raise AnchorRefused(f"nobody stands below {self.entity_id}: it is not an authority")
        for host in permitted:
            bare = host[1:] if host.startswith(".") else host
            try:
                host_and_port(f"{bare}:443")
            except TrustError:
                raise AnchorRefused(f"{host!r} is not a host name, or one with a dot before it") from None
        return replace(self, permitted=tuple(permitted))


def is_plain(request: object) -> bool:
    """Whether a request is of an entity that is no node."""
    return isinstance(request, Mapping) and "entity_types" in request


def plain_request(
    *,
    entity_id: str,
    name: str,
    federation_keys: Sequence[VerificationKey],
    entity_types: Sequence[str],
    authority: bool = False,
) -> dict[str, Any]:
    """The request of an entity that is no node, for JSON; no secret is in it. Raises AnchorRefused."""
    request = {
        "entity_id": entity_id,
        "name": name,
        "federation_jwks": jwks_of(federation_keys),
        "entity_types": list(entity_types),
        **({"authority": True} if authority else {}),
    }
    read_plain(request, allow_http_on_loopback=True)
    return request


def read_plain(request: Mapping[str, Any], *, allow_http_on_loopback: bool) -> PlainEnrolment:
    """Check a request. Raises AnchorRefused, naming what is wrong."""
    check_names(request, _REQUIRED, _OPTIONAL)
    name, authority = request["name"], request.get("authority", False)
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise AnchorRefused(f"a name has 1 to {_MOST_NAME} printable characters")
    if not isinstance(authority, bool):
        raise AnchorRefused("authority is true or false")
    try:
        entity_id = check_entity_id(request["entity_id"], allow_http_on_loopback=allow_http_on_loopback)
        keys = tuple(keys_from_jwks(request["federation_jwks"]).values())
    except TrustError as error:
        raise AnchorRefused(error.detail) from error
    return PlainEnrolment(entity_id, name, keys, _types(request["entity_types"]), authority)


def check_allowed(enrolment: PlainEnrolment, facts: AnchorFacts) -> None:
    """Return when `facts` may take this entity in. Raises AnchorRefused: an authority below an authority, a
    type that the authority may not give.
    """
    if not facts.is_authority:
        return
    if enrolment.is_authority:
        raise AnchorRefused(f"{facts.entity_id} is an authority itself: no other stands below it")
    excess = sorted(set(enrolment.entity_types) - set(facts.entity_types))
    if excess:
        raise AnchorRefused(f"{facts.entity_id} may not take in {', '.join(excess)}")


def _types(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise AnchorRefused("entity_types is a list of entity types")
    unknown = sorted(set(value) - PLAIN_TYPES)
    if unknown:
        raise AnchorRefused(
            f"an entity that is no node cannot be {', '.join(unknown)}; it can be {', '.join(sorted(PLAIN_TYPES))}"
        )
    return tuple(sorted(set(value)))
