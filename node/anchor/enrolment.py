"""The paper that passes between a node and the anchor: the request, and what it is checked for.

A node's request is a JSON object: entity_id, province, name, grpc_endpoint, federation_jwks, tls_csr_pem, and
optionally openid_endpoints (metadata parameters of the OpenID provider, URLs under the entity id). An entity
that is no node asks with entity_id, name, federation_jwks, entity_types, and `authority` when others stand
below it: `node.anchor.plain`. Neither is signed: it is handed over in a ceremony where the people know each
other, and what it leads to is worthless without the keys it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from node.anchor.member import AnchorRefused, Member
from trust.errors import TrustError
from trust.identity import check_entity_id
from trust.keys import SigningKey, VerificationKey, jwks_of, keys_from_jwks
from trust.profile import check_node_facts, node_pins
from trust.x509 import create_csr, read_csr

__all__ = [
    "AnchorRefused",
    "Enrolment",
    "check_names",
    "enrolment_request",
    "read_enrolment",
    "with_current_policy",
]

_REQUIRED = frozenset({"entity_id", "province", "name", "grpc_endpoint", "federation_jwks", "tls_csr_pem"})
_OPTIONAL = frozenset({"openid_endpoints"})

NODE_CONSTRAINTS: Mapping[str, Any] = {"max_path_length": 0}
"""Nobody stands below a node (§6.2.1): its federation key cannot say who else belongs."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A request that was checked."""

    entity_id: str
    province: str
    name: str
    grpc_endpoint: str
    federation_keys: tuple[VerificationKey, ...]
    tls_csr_pem: bytes
    openid_endpoints: Mapping[str, str]

    @property
    def key_ids(self) -> dict[str, tuple[str, ...]]:
        """What the node's operator must recognise, by purpose: all that a forger would have to exchange."""
        tls_key = VerificationKey(read_csr(self.tls_csr_pem).public_key)
        return {"federation": tuple(key.kid for key in self.federation_keys), "tls": (tls_key.kid,)}

    @property
    def constraints(self) -> dict[str, Any]:
        """What binds it beside the policy."""
        return dict(NODE_CONSTRAINTS)

    @property
    def policy(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What the anchor's statement pins this node to."""
        return node_pins(
            entity_id=self.entity_id,
            province=self.province,
            name=self.name,
            grpc_endpoint=self.grpc_endpoint,
            openid_endpoints=self.openid_endpoints,
        )


def enrolment_request(
    *,
    entity_id: str,
    province: str,
    name: str,
    grpc_endpoint: str,
    federation_keys: Iterable[VerificationKey],
    tls_key: SigningKey,
    openid_endpoints: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The request of a node, for JSON; no secret is in it. Raises TrustError for what no anchor takes."""
    check_entity_id(entity_id, allow_http_on_loopback=True)
    check_node_facts(province=province, name=name, grpc_endpoint=grpc_endpoint)
    request: dict[str, Any] = {
        "entity_id": entity_id,
        "province": province,
        "name": name,
        "grpc_endpoint": grpc_endpoint,
        "federation_jwks": jwks_of(federation_keys),
        "tls_csr_pem": create_csr(tls_key, entity_id).decode("ascii"),
    }
    if openid_endpoints:
        request["openid_endpoints"] = dict(openid_endpoints)
    return request


def read_enrolment(request: object, *, allow_http_on_loopback: bool) -> Enrolment:
    """Check a request from a node. Raises AnchorRefused, naming the member that is wrong."""
    if not isinstance(request, Mapping):
        raise AnchorRefused("an enrolment request is a JSON object")
    check_names(request, _REQUIRED, _OPTIONAL)
    try:
        entity_id = check_entity_id(request["entity_id"], allow_http_on_loopback=allow_http_on_loopback)
        endpoints = request.get("openid_endpoints", {})
        if not isinstance(endpoints, Mapping):
            raise AnchorRefused("openid_endpoints is not an object")
        enrolment = Enrolment(
            entity_id=entity_id,
            province=request["province"],
            name=request["name"],
            grpc_endpoint=request["grpc_endpoint"],
            federation_keys=tuple(keys_from_jwks(request["federation_jwks"]).values()),
            tls_csr_pem=_pem(request["tls_csr_pem"]),
            openid_endpoints=dict(endpoints),
        )
        _ = enrolment.policy
        if read_csr(enrolment.tls_csr_pem).entity_id != entity_id:
            raise AnchorRefused(f"tls_csr_pem is for another entity than {entity_id}")
    except TrustError as error:
        raise AnchorRefused(error.detail) from error
    return enrolment


def with_current_policy(member: Member) -> Member:
    """A node as this release of the anchor binds it: what an earlier one pinned stays, rules that came since
    are added.
    """
    if not member.is_node:
        return member
    provider = member.policy.get("openid_provider", {})
    endpoints = {
        parameter: operators["value"]
        for parameter, operators in provider.items()
        if parameter != "issuer" and "value" in operators
    }
    policy = node_pins(
        entity_id=member.entity_id,
        province=member.province,
        name=member.name,
        grpc_endpoint=member.grpc_endpoint,
        openid_endpoints=endpoints,
    )
    return replace(member, policy=policy, constraints=dict(NODE_CONSTRAINTS))


def check_names(request: Mapping[str, Any], required: Set[str], optional: Set[str]) -> None:
    """Return when the request has these members and no others. Raises AnchorRefused."""
    missing, unknown = sorted(required - request.keys()), sorted(request.keys() - required - optional)
    if missing or unknown:
        raise AnchorRefused(
            f"the request lacks {missing or 'nothing'} and has unknown {unknown or 'nothing'}"
        )


def _pem(value: object) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise AnchorRefused("tls_csr_pem is not PEM")
    return value.encode("ascii")
