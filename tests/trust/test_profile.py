"""A node is who the anchor pins it to be, and says the same itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trust.federation import (
    ANCHOR_KEY,
    ANHUI,
    FACTS,
    ZHEJIANG,
    ZHEJIANG_KEY,
    anchor_configuration,
    bend,
    chain,
    configuration,
    resolve,
    statement,
    superior,
)
from trust.errors import ChainBroken, EntityIdRejected, KeyRejected, StatementRejected, TrustError
from trust.policy import apply_policy, merge_policies, pin
from trust.profile import node_metadata, node_pins, read_node
from trust.tokens import read_token


def _metadata(**node: Any) -> dict[str, Any]:
    metadata = dict(read_token(configuration()).claims["metadata"])
    metadata["yrd_node"] = {
        name: value for name, value in {**metadata["yrd_node"], **node}.items() if value is not None
    }
    return metadata


def _with(metadata: dict[str, Any]) -> list[str]:
    return [bend(configuration(), ZHEJIANG_KEY, metadata=metadata), statement(), anchor_configuration()]


@pytest.mark.parametrize("fact", ["province", "name", "grpc_endpoint"])
def test_zhejiang_cannot_claim_to_be_anhui(fact: str) -> None:
    statements = [configuration(ZHEJIANG, **{fact: FACTS[ANHUI][fact]}), *chain()[1:]]
    entity = resolve(statements)
    assert entity.metadata["yrd_node"][fact] == FACTS[ZHEJIANG][fact], "policy decides whatever was claimed"
    with pytest.raises(StatementRejected, match=f"claims another yrd_node.{fact}"):
        read_node(entity)


def test_a_pinned_parameter_that_is_not_claimed_is_filled_in() -> None:
    assert read_node(resolve(_with(_metadata(grpc_endpoint=None)))).grpc_target == "node.zj.example:443"


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({}, StatementRejected),
        ({"openid_provider": {"issuer": ZHEJIANG}}, StatementRejected),
        ({**_metadata(), "openid_provider": {"issuer": ANHUI}}, StatementRejected),
        (_metadata(protocol_versions=["2"]), StatementRejected),
        (_metadata(protocol_versions=None), StatementRejected),
        (_metadata(protocol_versions="1"), StatementRejected),
        (_metadata(envelope_jwks=None), KeyRejected),
        (_metadata(envelope_jwks={"keys": []}), KeyRejected),
        (_metadata(envelope_jwks={"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB"}]}), KeyRejected),
    ],
)
def test_metadata_that_makes_no_node_is_refused(metadata: dict[str, Any], error: type[TrustError]) -> None:
    with pytest.raises(error):
        read_node(resolve(_with(metadata)))


@pytest.mark.parametrize(
    "loose", [("yrd_node", "province"), ("yrd_node", "grpc_endpoint"), ("openid_provider", "issuer")]
)
def test_who_and_where_must_be_pinned(loose: tuple[str, str]) -> None:
    policy = node_pins(entity_id=ZHEJIANG, **FACTS[ZHEJIANG])
    del policy[loose[0]][loose[1]]
    with pytest.raises(StatementRejected, match="no superior"):
        read_node(resolve([configuration(), statement(policy=policy), anchor_configuration()]))


def test_pins_that_are_no_facts_are_refused_too() -> None:
    policy = node_pins(entity_id=ZHEJIANG, **FACTS[ZHEJIANG])
    policy["yrd_node"]["province"] = {"value": "Zhejiang"}
    metadata = _metadata(province=None)
    chain_of = [
        bend(configuration(), ZHEJIANG_KEY, metadata=metadata),
        statement(policy=policy),
        anchor_configuration(),
    ]
    with pytest.raises(StatementRejected, match="province code"):
        read_node(resolve(chain_of))


@pytest.mark.parametrize(
    "facts",
    [{"province": value} for value in ("", "33", "330100", "030000", "３３0000", "330000\n")]
    + [{"name": value} for value in ("", "x" * 61, "a\nb")]
    + [{"grpc_endpoint": value} for value in ("", "node", "https://node:1")],
    ids=str,
)
def test_facts_that_are_none_are_not_pinned_nor_claimed(facts: dict[str, str]) -> None:
    both = {**FACTS[ZHEJIANG], **facts}
    with pytest.raises((StatementRejected, EntityIdRejected)):
        node_pins(entity_id=ZHEJIANG, **both)
    with pytest.raises((StatementRejected, EntityIdRejected)):
        node_metadata(entity_id=ZHEJIANG, envelope_keys=[ANCHOR_KEY.verification_key], **both)


def test_openid_endpoints_are_pinned_under_the_entity_only() -> None:
    endpoints = {"token_endpoint": ZHEJIANG + "/openid/token"}
    policy = node_pins(entity_id=ZHEJIANG, **FACTS[ZHEJIANG], openid_endpoints=endpoints)
    entity = resolve([configuration(), statement(policy=policy), anchor_configuration()])
    assert entity.metadata["openid_provider"]["token_endpoint"] == ZHEJIANG + "/openid/token"
    for url in (ANHUI + "/openid/token", ZHEJIANG + ".evil.example/x", ZHEJIANG, 7):
        with pytest.raises(StatementRejected):
            node_pins(entity_id=ZHEJIANG, **FACTS[ZHEJIANG], openid_endpoints={"token_endpoint": url})  # type: ignore[dict-item]


def test_the_anchor_limits_the_algorithms_of_openid() -> None:
    own = read_token(configuration()).claims["metadata"]
    own["openid_provider"]["id_token_signing_alg_values_supported"] = ["RS256", "ES256", "none"]
    entity = resolve([bend(configuration(), ZHEJIANG_KEY, metadata=own), statement(), anchor_configuration()])
    assert entity.metadata["openid_provider"]["id_token_signing_alg_values_supported"] == ["ES256"]
    assert [(change.parameter, change.by) for change in entity.changes] == [
        ("id_token_signing_alg_values_supported", ("subset_of",))
    ]
    own["openid_relying_party"]["id_token_signed_response_alg"] = "RS256"
    with pytest.raises(ChainBroken, match="id_token_signed_response_alg"):
        resolve([bend(configuration(), ZHEJIANG_KEY, metadata=own), statement(), anchor_configuration()])


@pytest.mark.parametrize("allowed", [[], ["openid_provider"]])
def test_who_may_hold_no_node_is_none(allowed: list[str]) -> None:
    entity = resolve(superior(constraints={"allowed_entity_types": allowed})(chain()))
    assert set(entity.metadata) == {"federation_entity", *allowed}
    with pytest.raises(StatementRejected, match="is not a node"):
        read_node(entity)


def test_a_node_may_be_allowed_without_a_login() -> None:
    entity = resolve(superior(constraints={"allowed_entity_types": ["yrd_node"]})(chain()))
    assert read_node(entity).province == "330000"


def test_value_sets_replaces_and_removes() -> None:
    """OpenID Federation 1.1 §6.1.3.1.1: value assigns, null removes."""
    policy = merge_policies([pin({"t": {"a": 1, "b": None}, "absent": {"c": 1}})])
    applied = apply_policy({"t": {"a": 0, "b": 2, "d": 3}, "u": {}}, policy)
    assert applied.metadata == {"t": {"a": 1, "d": 3}, "u": {}}


def test_equal_pins_merge() -> None:
    assert merge_policies([pin({"t": {"a": [1]}}), {}, pin({"t": {"a": [1], "b": 2}})]) == pin(
        {"t": {"a": [1], "b": 2}}
    )
