"""What a node says about itself as a node: the entity type `yrd_node`, and what the anchor pins of it.

`yrd_node` has `province` (GB/T 2260, 6 digits), `name`, `grpc_endpoint` (host:port), `envelope_jwks` and
`protocol_versions`. Province, name, endpoint and issuer are the anchor's to say, by a policy that pins them:
a node with Zhejiang's statement cannot be Anhui. A node that claims something else than it is pinned to is
not silently corrected but refused, since one of the two is wrong.

A node with a log says so by `log_generation` and `log_jwks`, one that cosigns the logs of others by `witness_jwks`
(Ed25519 keys, as C2SP signed-note has them). The names in the notes follow from the entity id, so that nobody can
sign under another's: `log_origin` and `witness_name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from trust.algorithms import JWS_ALGORITHMS
from trust.chain import VerifiedEntity
from trust.errors import (
    AlgorithmUnavailable,
    AlgorithmUnknown,
    EntityIdRejected,
    KeyRejected,
    StatementRejected,
)
from trust.identity import host_and_port, tls_name
from trust.keys import VerificationKey, envelope_keys_from_jwks, jwks_of
from trust.openid_profile import OpenIdProfile, read_openid
from trust.policy import pin
from trust.recipient_keys import RecipientKey, recipient_jwks, recipient_keys_from_jwks

__all__ = [
    "NODE_TYPE",
    "PROTOCOL_VERSION",
    "NodeProfile",
    "check_node_facts",
    "log_origin",
    "node_metadata",
    "node_pins",
    "read_node",
    "witness_name",
]

NODE_TYPE = "yrd_node"
PROTOCOL_VERSION = "1"
_PROVINCE = re.compile(r"[1-9][0-9]0000")
_MOST_NAME = 60
_LARGEST_GENERATION = 2**31 - 1
_MOST_REASON = 200
_NOTE_ALGORITHM = "EdDSA"
"""What signed notes are signed with (C2SP signed-note, type 0x01; tlog-cosignature, type 0x04)."""
_NO_KEYS: Mapping[str, VerificationKey] = MappingProxyType({})
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MUST_BE_PINNED = frozenset(
    {(NODE_TYPE, "province"), (NODE_TYPE, "grpc_endpoint"), ("openid_provider", "issuer")}
)
_LOGIN_ALGORITHM = "ES256"
"""What a node signs with for off-the-shelf OpenID software (design §5), whatever its envelopes are signed with."""
_PROVIDER_ALGORITHMS = (
    "id_token_signing_alg_values_supported",
    "userinfo_signing_alg_values_supported",
    "request_object_signing_alg_values_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
)
_OWN_URLS = frozenset(
    {
        "backchannel_logout_uri",
        "check_session_iframe",
        "frontchannel_logout_uri",
        "initiate_login_uri",
        "jwks_uri",
        "post_logout_redirect_uris",
        "redirect_uris",
        "request_uris",
        "signed_jwks_uri",
    }
)
_CLIENT_ALGORITHMS = (
    "id_token_signed_response_alg",
    "userinfo_signed_response_alg",
    "request_object_signing_alg",
    "token_endpoint_auth_signing_alg",
)


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """A node as its chain proves it. Keys are by key id; `expires_at` is when the chain ends.

    `problems` says which of its keys this machine cannot use, and why. A node without a log has no `log_keys` and the
    generation 0; one that cosigns nothing has no `witness_keys`.
    """

    entity_id: str
    province: str
    name: str
    grpc_target: str
    tls_name: str
    envelope_keys: Mapping[str, VerificationKey]
    expires_at: datetime
    problems: tuple[str, ...] = ()
    log_keys: Mapping[str, VerificationKey] = field(default_factory=lambda: _NO_KEYS)
    witness_keys: Mapping[str, VerificationKey] = field(default_factory=lambda: _NO_KEYS)
    log_generation: int = 0
    log_reason: str = ""
    openid: OpenIdProfile | None = None
    """None: it offers no logins."""
    consent_keys: Mapping[str, RecipientKey] = field(default_factory=lambda: MappingProxyType({}))
    """What tells this node whose a consent is is encrypted to the first of these; none: it takes no consents."""


def log_origin(entity_id: str, generation: int) -> str:
    """The origin line of a node's checkpoints, which is also the name in their signatures (C2SP tlog-checkpoint)."""
    return f"{_bare(entity_id)}/log/{generation}"


def witness_name(entity_id: str) -> str:
    """The name in the cosignatures of a node (C2SP tlog-cosignature: a URL without its scheme)."""
    return f"{_bare(entity_id)}/witness"


def _bare(entity_id: str) -> str:
    return entity_id.partition("://")[2]


def node_metadata(
    *,
    entity_id: str,
    province: str,
    name: str,
    grpc_endpoint: str,
    envelope_keys: Iterable[VerificationKey],
    protocol_versions: Iterable[str] = (PROTOCOL_VERSION,),
    log_keys: Iterable[VerificationKey] = (),
    witness_keys: Iterable[VerificationKey] = (),
    log_generation: int = 0,
    log_reason: str = "",
    openid_provider: Mapping[str, Any] = _NOTHING,
    openid_relying_party: Mapping[str, Any] = _NOTHING,
    consent_keys: Iterable[VerificationKey] = (),
) -> dict[str, dict[str, Any]]:
    """The metadata of a node's entity configuration (§5). Raises StatementRejected as `check_node_facts`.

    Without `log_keys`, or while nobody knows the generation (0), it tells of no log; without `witness_keys` of no
    witness. `log_reason` is why the generation before this one was closed. `openid_provider` and
    `openid_relying_party` are what it says of its logins besides: endpoints and keys, all of them or nothing. Without
    `consent_keys` it takes no consents.
    """
    check_node_facts(province=province, name=name, grpc_endpoint=grpc_endpoint)
    return {
        "federation_entity": {"organization_name": name},
        "openid_provider": {**_provider(entity_id), **openid_provider},
        "openid_relying_party": {**_relying_party(name), **openid_relying_party},
        NODE_TYPE: {
            "province": province,
            "name": name,
            "grpc_endpoint": grpc_endpoint,
            "envelope_jwks": jwks_of(envelope_keys),
            "protocol_versions": list(protocol_versions),
            **_told(log_keys, witness_keys, log_generation, log_reason),
            **_consents(consent_keys),
        },
    }


def _provider(entity_id: str) -> dict[str, Any]:
    """What every node says of itself as a provider of logins (OpenID Connect Discovery 1.0 §3, Federation §5.1.3)."""
    return {
        "issuer": entity_id,
        "client_registration_types_supported": ["automatic"],
        **{parameter: [_LOGIN_ALGORITHM] for parameter in _PROVIDER_ALGORITHMS},
    }


def _relying_party(name: str) -> dict[str, Any]:
    """What every node says of itself as one that takes logins (Federation §5.1.2)."""
    return {
        "client_name": name,
        "client_registration_types": ["automatic"],
        **dict.fromkeys(_CLIENT_ALGORITHMS, _LOGIN_ALGORITHM),
    }


def _told(
    log_keys: Iterable[VerificationKey],
    witness_keys: Iterable[VerificationKey],
    log_generation: int,
    log_reason: str,
) -> dict[str, Any]:
    log, witness = jwks_of(log_keys), jwks_of(witness_keys)
    has_log = bool(log["keys"]) and log_generation > 0
    of_log = {"log_generation": log_generation, "log_jwks": log} if has_log else {}
    if of_log and log_reason:
        of_log["log_reason"] = log_reason[:_MOST_REASON]
    return {**of_log, "witness_jwks": witness} if witness["keys"] else of_log


def _consents(consent_keys: Iterable[VerificationKey]) -> dict[str, Any]:
    keys = recipient_jwks(consent_keys)
    return {"consent_jwks": keys} if keys["keys"] else {}


def node_pins(
    *,
    entity_id: str,
    province: str,
    name: str,
    grpc_endpoint: str,
    openid_endpoints: Mapping[str, str] | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """The anchor's metadata policy for a node: who it is and where, by `value`; which algorithms it may use.

    `openid_endpoints` are metadata parameters of its OpenID provider, URLs under the entity id. Raises
    StatementRejected.
    """
    check_node_facts(province=province, name=name, grpc_endpoint=grpc_endpoint)
    endpoints = dict(openid_endpoints or {})
    for parameter, url in endpoints.items():
        if not isinstance(url, str) or not url.startswith(entity_id + "/"):
            raise StatementRejected(f"{parameter} is not a URL under {entity_id}")
    policy = pin(
        {
            NODE_TYPE: {"province": province, "name": name, "grpc_endpoint": grpc_endpoint},
            "openid_provider": {"issuer": entity_id, **endpoints},
        }
    )
    for parameter in _PROVIDER_ALGORITHMS:
        policy["openid_provider"][parameter] = {"subset_of": sorted(JWS_ALGORITHMS)}
    policy["openid_relying_party"] = {
        parameter: {"one_of": sorted(JWS_ALGORITHMS)} for parameter in _CLIENT_ALGORITHMS
    }
    return policy


def check_node_facts(*, province: object, name: object, grpc_endpoint: object) -> None:
    """Return when these are a province code, a name and an endpoint. Raises StatementRejected."""
    if not isinstance(province, str) or not _PROVINCE.fullmatch(province):
        raise StatementRejected(f"{province!r} is not a province code: six digits, the last four zero")
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise StatementRejected(f"a node's name has 1 to {_MOST_NAME} printable characters")
    if not isinstance(grpc_endpoint, str):
        raise EntityIdRejected("a gRPC endpoint is host:port")
    host_and_port(grpc_endpoint)


def read_node(entity: VerifiedEntity) -> NodeProfile:
    """The node that a chain proves. Raises StatementRejected, KeyRejected, AlgorithmUnavailable.

    Refused: no `yrd_node`, or none that its superiors allow; a superior other than the anchor, since what is
    pinned for a province binds its cities too and would make them nodes of it; a province, endpoint or issuer
    that nobody pins, a claim that differs from its pin, an issuer other than the entity, an OpenID endpoint
    that is not its own, a protocol version that this node does not speak; a log without a generation or the other
    way round, a key of log or witness that is not Ed25519, one key for two purposes.
    """
    node = _node_type(entity)
    _check_pins(entity)
    _check_endpoints(entity)
    province, name, endpoint = node.get("province"), node.get("name"), node.get("grpc_endpoint")
    check_node_facts(province=province, name=name, grpc_endpoint=endpoint)
    if PROTOCOL_VERSION not in _list_of(node, "protocol_versions"):
        raise StatementRejected(f"{entity.entity_id} does not speak protocol version {PROTOCOL_VERSION}")
    envelope_keys, problems = envelope_keys_from_jwks(node.get("envelope_jwks"))
    log_keys, of_log = _note_keys(node, "log_jwks")
    witness_keys, of_witness = _note_keys(node, "witness_jwks")
    openid, of_openid = read_openid(entity.entity_id, entity.metadata)
    login_keys = {**openid.provider_keys, **openid.client_keys} if openid else _NO_KEYS
    consent_keys, of_consent = _consent_keys(node)
    _check_apart(envelope_keys, log_keys, witness_keys, login_keys, consent_keys)
    return NodeProfile(
        entity.entity_id,
        str(province),
        str(name),
        str(endpoint),
        tls_name(entity.entity_id),
        envelope_keys,
        entity.expires_at,
        (*problems, *of_log, *of_witness, *filter(None, (of_openid, of_consent))),
        log_keys,
        witness_keys,
        _generation(entity.entity_id, node),
        _reason(node),
        openid,
        consent_keys,
    )


def _node_type(entity: VerifiedEntity) -> Mapping[str, Any]:
    """What it says as a node, and that it may be one."""
    node = entity.metadata.get(NODE_TYPE)
    if node is None:
        raise StatementRejected(f"{entity.entity_id} is not a node: it has no metadata of type {NODE_TYPE}")
    if len(entity.superiors) != 1:
        raise StatementRejected(
            f"{entity.entity_id} is not a node: it stands under {entity.superiors[0]}, not under the anchor"
        )
    return node


def _consent_keys(node: Mapping[str, Any]) -> tuple[Mapping[str, RecipientKey], str]:
    """What consents are encrypted to, and what is wrong with it: that takes nothing from the exchange."""
    if "consent_jwks" not in node:
        return MappingProxyType({}), ""
    try:
        return recipient_keys_from_jwks(node["consent_jwks"]), ""
    except KeyRejected as error:
        return MappingProxyType({}), f"no consents for it: {error.detail}"


def _note_keys(
    node: Mapping[str, Any], parameter: str
) -> tuple[Mapping[str, VerificationKey], tuple[str, ...]]:
    """Keys that notes are verified with, and what was left out, in words. Absent: none; none that this version knows:
    none either, since that takes nothing from the exchange.
    """
    if parameter not in node:
        return _NO_KEYS, ()
    try:
        keys, problems = envelope_keys_from_jwks(node[parameter], what=parameter)
    except (AlgorithmUnavailable, AlgorithmUnknown) as error:
        return _NO_KEYS, (f"{parameter} has no key that can be used here: {error.detail}",)
    wrong = sorted(kid for kid, key in keys.items() if key.alg != _NOTE_ALGORITHM)
    if wrong:
        raise KeyRejected(f"{parameter} has a key that is not Ed25519: {wrong[0]}")
    return keys, problems


def _reason(node: Mapping[str, Any]) -> str:
    """Only for people: what is not fit to be shown is left out, and refuses nobody."""
    reason = node.get("log_reason", "")
    return reason[:_MOST_REASON] if isinstance(reason, str) and reason.isprintable() else ""


def _check_apart(*purposes: Mapping[str, VerificationKey | RecipientKey]) -> None:
    """A key signs for one purpose: what is signed for one must never pass for another."""
    kids = [kid for keys in purposes for kid in keys]
    twice = sorted(kid for kid in kids if kids.count(kid) > 1)
    if twice:
        raise KeyRejected(f"the key {twice[0]} is named for two purposes")


def _generation(entity_id: str, node: Mapping[str, Any]) -> int:
    if ("log_generation" in node) is not ("log_jwks" in node):
        raise StatementRejected(f"{entity_id} names one of log_generation and log_jwks without the other")
    generation = node.get("log_generation", 0)
    if type(generation) is not int or not ("log_jwks" not in node or 0 < generation <= _LARGEST_GENERATION):
        raise StatementRejected(f"{entity_id} names a log_generation that is not a number from 1 on")
    return generation


def _check_pins(entity: VerifiedEntity) -> None:
    """Who and where a node is must be pinned, and what it says for itself must be what it is pinned to."""
    loose = sorted(_MUST_BE_PINNED - entity.pinned)
    if loose:
        raise StatementRejected(f"no superior of {entity.entity_id} pins {_names(loose)}")
    wrong = [
        (kind, parameter)
        for kind, parameter in sorted(entity.pinned)
        if kind in entity.metadata
        and parameter in entity.claimed.get(kind, {})
        and entity.claimed[kind][parameter] != entity.metadata[kind].get(parameter)
    ]
    if wrong:
        raise StatementRejected(f"{entity.entity_id} claims another {_names(wrong)} than its superior pins")
    issuer = entity.metadata.get("openid_provider", {}).get("issuer", entity.entity_id)
    if issuer != entity.entity_id:
        raise StatementRejected(f"{entity.entity_id} names another issuer than itself")


def _check_endpoints(entity: VerifiedEntity) -> None:
    """What a login is sent to, or keys are read from, lies under the node's own URL, whether or not a superior
    pins it: metadata policy has no operator for the beginning of a URL.
    """
    foreign = sorted(
        (kind, parameter)
        for kind in ("openid_provider", "openid_relying_party")
        for parameter, value in entity.metadata.get(kind, {}).items()
        if parameter.endswith("_endpoint") or parameter in _OWN_URLS
        if not _is_below(value, entity.entity_id)
    )
    if foreign:
        raise StatementRejected(
            f"{entity.entity_id} names {_names(foreign)} that is not under its own entity id"
        )


def _is_below(value: object, entity_id: str) -> bool:
    """Whether a URL, or each of several, is under the entity id, with no way up out of it."""
    if isinstance(value, list):
        return all(_is_below(item, entity_id) for item in value)
    if not isinstance(value, str) or not value.startswith(f"{entity_id}/"):
        return False
    return not any(way in value.lower() for way in ("..", "%2e", "\\"))


def _names(parameters: Iterable[tuple[str, str]]) -> str:
    return ", ".join(".".join(parameter) for parameter in parameters)


def _list_of(node: Mapping[str, Any], name: str) -> list[Any]:
    value = node.get(name)
    return value if isinstance(value, list) else []
