"""What a chain proves of a node's logins: all of it, or no logins, and the exchange goes on."""

from __future__ import annotations

from typing import Any

import pytest

from federation.login.discovery import client_metadata, discovery, provider_metadata
from tests.trust.federation import (
    ENVELOPE_KEY,
    ZHEJIANG,
    ZHEJIANG_KEY,
    anchor_configuration,
    bend,
    configuration,
    resolve,
    statement,
)
from trust.errors import KeyRejected, StatementRejected
from trust.keys import SigningKey
from trust.profile import NodeProfile, read_node
from trust.tokens import read_token

OPENID_KEY, CLIENT_KEY = SigningKey.generate(), SigningKey.generate()
PROVIDER = provider_metadata(ZHEJIANG, [OPENID_KEY.verification_key])
CLIENT = client_metadata(ZHEJIANG, [CLIENT_KEY.verification_key])


def _read(provider: dict[str, Any] | None = None, client: dict[str, Any] | None = None) -> NodeProfile:
    facts: dict[str, Any] = {
        "openid_provider": {**PROVIDER, **(provider or {})},
        "openid_relying_party": {**CLIENT, **(client or {})},
    }
    return read_node(resolve([configuration(**facts), statement(), anchor_configuration()]))


def test_a_node_that_offers_logins_is_read_whole() -> None:
    node = _read()
    assert node.openid is not None
    assert node.problems == ()
    assert node.openid.issuer == ZHEJIANG
    assert node.openid.token_endpoint == f"{ZHEJIANG}/oidc/token"
    assert node.openid.pushed_authorization_request_endpoint == f"{ZHEJIANG}/oidc/par"
    assert set(node.openid.provider_keys) == {OPENID_KEY.kid}
    assert set(node.openid.client_keys) == {CLIENT_KEY.kid}
    assert node.openid.redirect_uris == (f"{ZHEJIANG}/login/callback",)
    assert node.openid.backchannel_logout_uri == f"{ZHEJIANG}/login/backchannel-logout"


def test_a_node_that_offers_none_says_nothing() -> None:
    plain = resolve([configuration(), statement(), anchor_configuration()])
    assert (read_node(plain).openid, read_node(plain).problems) == (None, ())


def test_discovery_says_the_same_as_the_chain() -> None:
    metadata = read_token(configuration(openid_provider=PROVIDER)).claims["metadata"]
    said = discovery(ZHEJIANG)
    assert {name: metadata["openid_provider"][name] for name in said} == said


@pytest.mark.parametrize(
    ("provider", "client"),
    [
        ({"jwks": {"keys": []}}, {}),
        ({"jwks": {"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB"}]}}, {}),
        ({"token_endpoint": f"{ZHEJIANG}/token#here"}, {}),
        ({"token_endpoint": f"{ZHEJIANG}/to ken"}, {}),
        ({"token_endpoint": f"{ZHEJIANG}/{'x' * 600}"}, {}),
        ({}, {"jwks": "none"}),
        ({}, {"redirect_uris": []}),
        ({}, {"redirect_uris": [f"{ZHEJIANG}/back#fragment"]}),
        ({}, {"redirect_uris": [f"{ZHEJIANG}/{n}" for n in range(17)]}),
    ],
    ids=str,
)
def test_what_is_wrong_takes_the_login_only(provider: dict[str, Any], client: dict[str, Any]) -> None:
    node = _read(provider, client)
    assert node.openid is None
    assert node.entity_id == ZHEJIANG
    assert [problem.partition(":")[0] for problem in node.problems] == ["no logins with it"]


@pytest.mark.parametrize("missing", ["token_endpoint", "end_session_endpoint", "jwks"])
def test_what_is_missing_takes_the_login_only(missing: str) -> None:
    metadata = dict(read_token(configuration()).claims["metadata"])
    metadata["openid_provider"] = {name: value for name, value in PROVIDER.items() if name != missing}
    metadata["openid_relying_party"] = CLIENT
    statements = [
        bend(configuration(), ZHEJIANG_KEY, metadata=metadata),
        statement(),
        anchor_configuration(),
    ]
    node = read_node(resolve(statements))
    assert node.openid is None
    assert len(node.problems) == 1


def test_a_key_of_envelopes_signs_no_tokens() -> None:
    with pytest.raises(KeyRejected, match="two purposes"):
        _read({"jwks": provider_metadata(ZHEJIANG, [ENVELOPE_KEY.verification_key])["jwks"]})


def test_an_endpoint_elsewhere_makes_no_node() -> None:
    with pytest.raises(StatementRejected, match=r"openid_provider\.token_endpoint"):
        _read({"token_endpoint": "https://evil.example/token"})
