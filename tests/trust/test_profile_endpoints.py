"""A node's login endpoints are its own, also those that no superior pins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trust.federation import (
    ANHUI,
    FACTS,
    ZHEJIANG,
    ZHEJIANG_KEY,
    anchor_configuration,
    bend,
    configuration,
    resolve,
    statement,
)
from trust.errors import StatementRejected
from trust.profile import node_pins, read_node
from trust.tokens import read_token


def _claiming(kind: str, parameters: dict[str, Any]) -> list[str]:
    metadata = dict(read_token(configuration()).claims["metadata"])
    metadata[kind] = {**metadata[kind], **parameters}
    return [bend(configuration(), ZHEJIANG_KEY, metadata=metadata), statement(), anchor_configuration()]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("openid_provider", {"token_endpoint": f"{ANHUI}/token"}),
        ("openid_provider", {"authorization_endpoint": "https://evil.example/authorize"}),
        ("openid_provider", {"pushed_authorization_request_endpoint": f"{ZHEJIANG}.evil.example/par"}),
        ("openid_provider", {"userinfo_endpoint": f"{ZHEJIANG}@evil.example/"}),
        ("openid_provider", {"token_endpoint": ZHEJIANG}),
        ("openid_provider", {"token_endpoint": f"{ZHEJIANG}/../token"}),
        ("openid_provider", {"token_endpoint": f"{ZHEJIANG}/%2E%2e/token"}),
        ("openid_provider", {"token_endpoint": f"{ZHEJIANG}/\\evil.example"}),
        ("openid_provider", {"token_endpoint": 7}),
        ("openid_provider", {"token_endpoint": None}),
        ("openid_provider", {"jwks_uri": f"{ANHUI}/jwks.json"}),
        ("openid_provider", {"signed_jwks_uri": f"{ANHUI}/jwks.jose"}),
        ("openid_relying_party", {"redirect_uris": [f"{ZHEJIANG}/back", f"{ANHUI}/back"]}),
        ("openid_relying_party", {"backchannel_logout_uri": f"{ANHUI}/out"}),
    ],
    ids=str,
)
def test_an_endpoint_elsewhere_makes_no_node(kind: str, parameters: dict[str, Any]) -> None:
    try:
        entity = resolve(_claiming(kind, parameters))
    except StatementRejected:
        return  # null is refused before, as no metadata at all
    with pytest.raises(StatementRejected, match=f"{kind}.{next(iter(parameters))} that is not under"):
        read_node(entity)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("openid_provider", {"token_endpoint": f"{ZHEJIANG}/token"}),
        ("openid_provider", {"op_policy_uri": "https://www.zj.example/policy"}),
        ("openid_relying_party", {"redirect_uris": [f"{ZHEJIANG}/back", f"{ZHEJIANG}/login/back"]}),
    ],
    ids=str,
)
def test_own_endpoints_and_pages_for_people_are_fine(kind: str, parameters: dict[str, Any]) -> None:
    assert read_node(resolve(_claiming(kind, parameters))).entity_id == ZHEJIANG


def test_a_policy_is_the_same_words_each_time() -> None:
    """The anchor signs anew what says something else than before: an order that changes would be that."""
    policy = node_pins(entity_id=ZHEJIANG, **FACTS[ZHEJIANG])
    for parameters in policy.values():
        for operators in parameters.values():
            for operand in operators.values():
                assert not isinstance(operand, list) or operand == sorted(operand)
