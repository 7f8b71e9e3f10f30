"""Chains: a good one, and a row for each rule that refuses another. Numbers are the steps of the module."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support.clock import NOON
from tests.trust.federation import (
    ANCHOR,
    ANCHOR_KEY,
    ANHUI,
    ANHUI_KEY,
    CITY_KEY,
    ENVELOPE_KEY,
    ZHEJIANG,
    ZHEJIANG_KEY,
    anchor_configuration,
    bend,
    chain,
    configuration,
    jwks,
    resolve,
    statement,
)
from trust.chain import resolve_chain, verify_statement
from trust.entity import build_entity_configuration, build_subordinate_statement, read_statement
from trust.errors import (
    BadSignature,
    ChainBroken,
    ChainExpired,
    EntityIdRejected,
    ForeignKey,
    KeyRejected,
    StatementRejected,
    TrustError,
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


Bend = Callable[[list[str]], list[str]]


def _leaf(signer: SigningKey = ZHEJIANG_KEY, **claims: Any) -> Bend:
    return lambda statements: [bend(statements[0], signer, **claims), *statements[1:]]


def _superior(signer: SigningKey = ANCHOR_KEY, **claims: Any) -> Bend:
    return lambda statements: [statements[0], bend(statements[1], signer, **claims), statements[2]]


def _anchor(signer: SigningKey = ANCHOR_KEY, **claims: Any) -> Bend:
    return lambda statements: [*statements[:2], bend(statements[2], signer, **claims)]


PINS_TWICE = {"yrd_node": {"province": {"value": "340000"}}}

ROWS: list[tuple[str, Bend, type[TrustError]]] = [
    ("1 none", lambda _: [], ChainBroken),
    ("1 too short", lambda s: s[1:], ChainBroken),
    ("1 too deep", lambda s: [s[0], *[s[1]] * 4, s[2]], ChainBroken),
    ("2 noise", lambda s: ["x", *s[1:]], StatementRejected),
    ("2 too long", lambda s: [s[0] + "A" * 70000, *s[1:]], StatementRejected),
    ("2 typ of the configuration", _leaf(typ="JWT"), StatementRejected),
    ("2 typ of the statement", _superior(typ="trust-status+jwt"), StatementRejected),
    ("2 no iss", _leaf(iss=None), StatementRejected),
    ("2 no sub", _superior(sub=None), StatementRejected),
    ("2 sub is no entity id", _superior(sub="zhejiang"), EntityIdRejected),
    ("2 iss over http", _leaf(iss="http://node.zj.example", sub="http://node.zj.example"), EntityIdRejected),
    ("2 no iat", _leaf(iat=None), StatementRejected),
    ("2 no exp", _superior(exp=None), StatementRejected),
    ("2 iat is text", _leaf(iat=str(IAT)), StatementRejected),
    ("2 iat is true", _leaf(iat=True), StatementRejected),
    ("2 exp beyond time", _leaf(exp=10**15), StatementRejected),
    ("2 exp before iat", _leaf(exp=IAT - 1), StatementRejected),
    ("2 no jwks", _leaf(jwks=None), KeyRejected),
    ("2 jwks with one key twice", _leaf(jwks=jwks(ZHEJIANG_KEY, ZHEJIANG_KEY)), KeyRejected),
    ("2 jwks with a wrong key", _superior(jwks={"keys": [{"kty": "oct", "k": "AA"}]}), KeyRejected),
    ("2 crit not understood", _superior(crit=["delegation"], delegation=1), StatementRejected),
    ("2 crit empty", _leaf(crit=[]), StatementRejected),
    ("2 crit no list", _leaf(crit="exp"), StatementRejected),
    ("2 policy in a configuration", _leaf(metadata_policy={}), StatementRejected),
    ("2 constraints in a configuration", _leaf(constraints={}), StatementRejected),
    ("2 hints in a subordinate statement", _superior(authority_hints=[ANCHOR]), StatementRejected),
    ("2 hints no list", _leaf(authority_hints=ANCHOR), StatementRejected),
    ("2 too many hints", _leaf(authority_hints=[ANCHOR] * 5), StatementRejected),
    ("2 metadata no object", _leaf(metadata=[]), StatementRejected),
    ("2 metadata of no objects", _leaf(metadata={"yrd_node": 1}), StatementRejected),
    ("3 configuration from the future", _leaf(iat=IAT + 61, exp=IAT + 9999), StatementRejected),
    ("3 statement from the future", _superior(iat=IAT + 61, exp=IAT + 9999), StatementRejected),
    ("3 anchor from the future", _anchor(iat=IAT + 61, exp=IAT + 9999), StatementRejected),
    ("3 configuration expired", _leaf(iat=IAT - 9, exp=IAT), ChainExpired),
    ("3 statement expired", _superior(iat=IAT - 9, exp=IAT), ChainExpired),
    ("3 anchor expired", _anchor(iat=IAT - 9, exp=IAT), ChainExpired),
    ("4 begins with a superior's statement", lambda s: [s[1], s[1], s[2]], ChainBroken),
    (
        "4 ends with another anchor",
        _anchor(iss="https://evil.example", sub="https://evil.example"),
        ChainBroken,
    ),
    ("4 ends with a statement about the anchor", _anchor(iss=ZHEJIANG), ChainBroken),
    ("4 configuration in the middle", lambda s: [s[0], s[0], s[2]], ChainBroken),
    (
        "5 mix-up: Zhejiang's statement, Anhui's configuration",
        lambda s: [configuration(ANHUI), *s[1:]],
        ChainBroken,
    ),
    ("5 statement about another", _superior(sub=ANHUI), ChainBroken),
    ("5 statement by another superior", _superior(iss=ANHUI), ChainBroken),
    ("6 no hint", _leaf(authority_hints=None), ChainBroken),
    ("6 hint to another", _leaf(authority_hints=["https://other.example"]), ChainBroken),
    ("7 anchor signed with a key that is not pinned", _anchor(CITY_KEY, jwks=jwks(CITY_KEY)), ForeignKey),
    ("8 statement not signed by the anchor", _superior(CITY_KEY), ForeignKey),
    (
        "8 configuration signed with a key the anchor does not give",
        _leaf(CITY_KEY, jwks=jwks(CITY_KEY)),
        ForeignKey,
    ),
    ("8 Anhui signs as Zhejiang", _leaf(ANHUI_KEY, jwks=jwks(ANHUI_KEY)), ForeignKey),
    ("8 configuration signed with a key it does not publish", _leaf(jwks=jwks(CITY_KEY)), ChainBroken),
    ("8 signature of another", lambda s: [_graft(s[0], configuration(ANHUI)), *s[1:]], BadSignature),
    ("9 unknown constraint", _superior(constraints={"naming_constraints": {}}), ChainBroken),
    ("9 constraints no object", _superior(constraints=[]), ChainBroken),
    ("9 path length no number", _superior(constraints={"max_path_length": "1"}), ChainBroken),
    (
        "10 unknown operator",
        _superior(metadata_policy={"yrd_node": {"province": {"regexp": "3.*"}}}),
        ChainBroken,
    ),
    (
        "10 operator not applied",
        _superior(metadata_policy={"yrd_node": {"name": {"one_of": ["a"]}}}),
        ChainBroken,
    ),
    ("10 critical operator", _superior(metadata_policy_crit=["regexp"]), ChainBroken),
    ("10 policy no object", _superior(metadata_policy={"yrd_node": {"province": "330000"}}), ChainBroken),
]


def _graft(token: str, other: str) -> str:
    return token.rpartition(".")[0] + "." + other.rpartition(".")[2]


@pytest.mark.parametrize(("bent", "error"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_chain_that_breaks_a_rule_is_refused(bent: Bend, error: type[TrustError]) -> None:
    with pytest.raises(error):
        resolve(bent(chain()))


def test_a_small_skew_is_allowed() -> None:
    assert resolve(_leaf(iat=IAT + 60)(chain())).entity_id == ZHEJIANG
    assert resolve(chain(), now=NOON - timedelta(seconds=60)).entity_id == ZHEJIANG


def test_an_expired_chain_says_since_when_and_whose_turn_it_is() -> None:
    with pytest.raises(
        ChainExpired, match=r"expired at 2026-11-03T12:00:00\+00:00.*node\.zj\.example must publish"
    ):
        resolve(chain(), now=NOON + timedelta(hours=24))


def test_a_future_statement_shows_both_clocks() -> None:
    with pytest.raises(StatementRejected, match=r"12:05:00.*own clock 2026-11-02T12:00:00.*skew 60 s"):
        resolve(_leaf(iat=IAT + 300)(chain()))


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


def test_a_city_that_nobody_pins_is_no_node() -> None:
    with pytest.raises(StatementRejected, match="no superior"):
        read_node(resolve(_city_chain()))


def test_superiors_that_pin_differently_break_the_chain() -> None:
    statements = _city_chain(city_policy=PINS_TWICE)
    statements[2] = statement(policy={"yrd_node": {"province": {"value": "330000"}}})
    with pytest.raises(ChainBroken, match="different values"):
        resolve(statements)


def test_metadata_in_the_superiors_statement_goes_first_and_policy_after_it() -> None:
    said = {"federation_entity": {"organization_name": "anchor's word"}, "extra": {"a": 1}}
    entity = resolve(_superior(metadata=said)(chain()))
    assert entity.metadata["federation_entity"]["organization_name"] == "anchor's word"
    assert entity.metadata["extra"] == {"a": 1}
    assert entity.metadata["yrd_node"]["province"] == "330000"


def test_one_statement_alone_is_verified_for_whom_it_is() -> None:
    keys = {ANCHOR_KEY.kid: ANCHOR_KEY.verification_key}
    read = read_statement(statement())
    verify_statement(read, iss=ANCHOR, sub=ZHEJIANG, keys=keys, now=NOON)
    with pytest.raises(ChainBroken):
        verify_statement(read, iss=ANCHOR, sub=ANHUI, keys=keys, now=NOON)
    with pytest.raises(ForeignKey):
        verify_statement(read, iss=ANCHOR, sub=ZHEJIANG, keys={}, now=NOON)
