"""Chains: what a good one proves, with and without an intermediate. The refusals are in `test_chain_rules`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.clock import NOON
from tests.trust.federation import (
    ANCHOR,
    ANCHOR_KEY,
    ANHUI,
    CITY_KEY,
    ENVELOPE_KEY,
    ZHEJIANG,
    ZHEJIANG_KEY,
    anchor_configuration,
    bend,
    chain,
    configuration,
    jwks,
    leaf,
    resolve,
    statement,
    superior,
)
from trust.chain import resolve_chain, verify_statement
from trust.entity import build_entity_configuration, build_subordinate_statement, read_statement
from trust.errors import (
    ChainBroken,
    ChainExpired,
    EntityIdRejected,
    ForeignKey,
    StatementRejected,
)
from trust.keys import SigningKey
from trust.profile import node_metadata, read_node

IAT = int(NOON.timestamp())


def test_a_good_chain_proves_keys_metadata_and_end() -> None:
    entity = resolve(chain())
    assert entity.entity_id == ZHEJIANG
    assert set(entity.keys) == {ZHEJIANG_KEY.kid}
    assert entity.metadata["yrd_node"]["province"] == "330000"
    assert entity.expires_at == NOON + timedelta(hours=24)
    node = read_node(entity)
    assert (node.grpc_target, set(node.envelope_keys)) == ("node.zj.example:443", {ENVELOPE_KEY.kid})


def test_a_small_skew_is_allowed() -> None:
    assert resolve(leaf(iat=IAT + 60)(chain())).entity_id == ZHEJIANG
    assert resolve(chain(), now=NOON - timedelta(seconds=60)).entity_id == ZHEJIANG


def test_an_expired_chain_says_since_when_and_whose_turn_it_is() -> None:
    with pytest.raises(
        ChainExpired, match=r"expired at 2026-11-03T12:00:00\+00:00.*node\.zj\.example must publish"
    ):
        resolve(chain(), now=NOON + timedelta(hours=24))


def test_a_future_statement_shows_both_clocks() -> None:
    with pytest.raises(StatementRejected, match=r"12:05:00.*own clock 2026-11-02T12:00:00.*skew 60 s"):
        resolve(leaf(iat=IAT + 300)(chain()))


def test_http_is_taken_on_loopback_by_a_setting_only() -> None:
    node, anchor = "http://127.0.0.1:8330", "http://127.0.0.1:8300"
    statements = [
        build_entity_configuration(
            entity_id=node, signer=ZHEJIANG_KEY, metadata={}, now=NOON, authority_hints=[anchor]
        ),
        build_subordinate_statement(
            issuer=anchor,
            subject=node,
            subject_keys=[ZHEJIANG_KEY.verification_key],
            metadata_policy={},
            signer=ANCHOR_KEY,
            now=NOON,
        ),
        build_entity_configuration(entity_id=anchor, signer=ANCHOR_KEY, metadata={}, now=NOON),
    ]
    keys = {ANCHOR_KEY.kid: ANCHOR_KEY.verification_key}
    entity = resolve_chain(statements, anchor=anchor, anchor_keys=keys, now=NOON, allow_http_on_loopback=True)
    assert entity.entity_id == node
    with pytest.raises(EntityIdRejected):
        resolve_chain(statements, anchor=anchor, anchor_keys=keys, now=NOON)


def test_an_anchor_that_rolls_its_key_over_is_followed_from_the_pinned_key() -> None:
    """The pinned key signs the configuration, which publishes the new one, which signs the statement."""
    new = SigningKey.generate()
    top = bend(anchor_configuration(), ANCHOR_KEY, jwks=jwks(ANCHOR_KEY, new))
    assert resolve([configuration(), bend(statement(), new), top]).entity_id == ZHEJIANG


CITY = "https://hangzhou.example"


def _city_chain(*, limit: int | None = None, city_policy: dict[str, Any] | None = None) -> list[str]:
    """A city under Zhejiang: its own word, Zhejiang's about it, the anchor's about Zhejiang, and its own."""
    metadata = node_metadata(
        entity_id=CITY,
        province="340000",
        name="杭州市",
        grpc_endpoint="hangzhou.example:443",
        envelope_keys=[CITY_KEY.verification_key],
    )
    own = build_entity_configuration(
        entity_id=CITY, signer=CITY_KEY, metadata=metadata, now=NOON, authority_hints=[ZHEJIANG]
    )
    middle = build_subordinate_statement(
        issuer=ZHEJIANG,
        subject=CITY,
        subject_keys=[CITY_KEY.verification_key],
        metadata_policy=city_policy or {},
        signer=ZHEJIANG_KEY,
        now=NOON,
    )
    constraints = None if limit is None else {"max_path_length": limit}
    return [
        own,
        middle,
        bend(statement(policy={}), ANCHOR_KEY, constraints=constraints),
        anchor_configuration(),
    ]


def test_an_intermediate_may_stand_between() -> None:
    entity = resolve(_city_chain(limit=1))
    assert (entity.entity_id, set(entity.keys)) == (CITY, {CITY_KEY.kid})


def test_the_path_is_no_longer_than_the_anchor_allows() -> None:
    with pytest.raises(ChainBroken, match="allows 0"):
        resolve(_city_chain(limit=0))


def test_a_city_under_a_province_is_no_node_even_with_what_is_pinned_for_the_province() -> None:
    statements = _city_chain()
    for above in (statements[2], statement()):
        entity = resolve([*statements[:2], above, statements[3]])
        assert entity.superiors == (ZHEJIANG, ANCHOR)
        with pytest.raises(StatementRejected, match="it stands under"):
            read_node(entity)


def test_a_province_may_take_the_node_from_its_cities() -> None:
    statements = _city_chain()
    statements[1] = bend(statements[1], ZHEJIANG_KEY, constraints={"allowed_entity_types": []})
    entity = resolve(statements)
    assert set(entity.metadata) == {"federation_entity"}
    assert [(change.entity_type, change.parameter, change.by) for change in entity.changes] == [
        (kind, None, ("allowed_entity_types",))
        for kind in ("openid_provider", "openid_relying_party", "yrd_node")
    ]
    with pytest.raises(StatementRejected, match="no metadata"):
        read_node(entity)


def test_superiors_that_pin_differently_break_the_chain() -> None:
    statements = _city_chain(city_policy={"yrd_node": {"province": {"value": "340000"}}})
    statements[2] = statement(policy={"yrd_node": {"province": {"value": "330000"}}})
    with pytest.raises(ChainBroken, match="different values"):
        resolve(statements)


def test_metadata_in_the_superiors_statement_goes_first_and_policy_after_it() -> None:
    said = {
        "federation_entity": {"organization_name": "anchor's word"},
        "yrd_node": {"province": "340000"},
        "extra": {"a": 1},
    }
    entity = resolve(superior(metadata=said)(chain()))
    assert entity.metadata["federation_entity"]["organization_name"] == "anchor's word"
    assert "extra" not in entity.metadata  # §3.1.1: only for the entity types that the entity has
    assert entity.metadata["yrd_node"]["province"] == "330000"


def test_one_statement_alone_is_verified_for_whom_it_is() -> None:
    keys = {ANCHOR_KEY.kid: ANCHOR_KEY.verification_key}
    read = read_statement(statement())
    verify_statement(read, iss=ANCHOR, sub=ZHEJIANG, keys=keys, now=NOON)
    with pytest.raises(ChainBroken):
        verify_statement(read, iss=ANCHOR, sub=ANHUI, keys=keys, now=NOON)
    with pytest.raises(ForeignKey):
        verify_statement(read, iss=ANCHOR, sub=ZHEJIANG, keys={}, now=NOON)
