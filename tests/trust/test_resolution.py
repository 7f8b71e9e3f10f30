"""Resolve responses: what a resolver says, for whom, until when; and each refusal."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwk, jws

from tests.support.clock import NOON
from tests.trust.federation import (
    ANCHOR,
    ANCHOR_KEY,
    ANHUI,
    CITY_KEY,
    PINNED,
    ZHEJIANG,
    bend,
    chain,
    resolve,
)
from trust.errors import ForeignKey, StatementRejected, TrustError
from trust.resolution import (
    RESOLVE_RESPONSE_TYPE,
    ResolveResponse,
    build_resolve_response,
    verify_resolve_response,
)

CHAIN = chain()
ENTITY = resolve(CHAIN)


def _build(**other: Any) -> str:
    facts: dict[str, Any] = {"issuer": ANCHOR, "entity": ENTITY, "trust_chain": CHAIN, "signer": ANCHOR_KEY}
    return build_resolve_response(**{**facts, "now": NOON, **other})


def _verify(token: str, **other: Any) -> ResolveResponse:
    facts: dict[str, Any] = {"issuer": ANCHOR, "subject": ZHEJIANG, "keys": PINNED, "now": NOON}
    return verify_resolve_response(token, **{**facts, **other})


def test_what_was_built_is_read_and_its_chain_proves_it() -> None:
    response = _verify(_build())
    assert (response.issuer, response.subject, response.issued_at) == (ANCHOR, ZHEJIANG, NOON)
    assert response.expires_at == ENTITY.expires_at
    assert response.metadata == ENTITY.metadata == resolve(list(response.trust_chain)).metadata


def test_an_independent_reader_finds_the_claims_of_the_standard() -> None:
    key = jwk.import_key(dict(ANCHOR_KEY.verification_key.jwk))
    opened = jws.deserialize_compact(_build(), key, algorithms=["ES256"])
    claims = json.loads(opened.payload or b"")
    assert opened.headers()["typ"] == "resolve-response+jwt"
    assert set(claims) == {"iss", "sub", "iat", "exp", "metadata", "trust_chain"}
    assert claims["trust_chain"] == CHAIN


def test_only_the_entity_types_that_were_asked_for() -> None:
    assert set(_verify(_build(entity_types=["openid_provider", "unknown"])).metadata) == {"openid_provider"}
    assert _verify(_build(entity_types=[])).metadata == {}


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": ANHUI}, StatementRejected),
        ({"sub": ANHUI}, StatementRejected),
        ({"sub": None}, StatementRejected),
        ({"iat": None}, StatementRejected),
        ({"exp": None}, StatementRejected),
        ({"iat": int(NOON.timestamp()) + 61}, StatementRejected),
        ({"exp": int(NOON.timestamp())}, StatementRejected),
        ({"metadata": None}, StatementRejected),
        ({"metadata": []}, StatementRejected),
        ({"metadata": {"yrd_node": 1}}, StatementRejected),
        ({"trust_chain": None}, StatementRejected),
        ({"trust_chain": []}, StatementRejected),
        ({"trust_chain": "a.b.c"}, StatementRejected),
        ({"trust_chain": [1]}, StatementRejected),
        ({"trust_chain": CHAIN * 2}, StatementRejected),
        ({"typ": "entity-statement+jwt"}, StatementRejected),
        ({"signer": CITY_KEY}, ForeignKey),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value.__name__,
)
def test_what_breaks_a_rule_is_refused(claims: dict[str, Any], error: type[TrustError]) -> None:
    options = {"signer": ANCHOR_KEY, "typ": RESOLVE_RESPONSE_TYPE, **claims}
    with pytest.raises(error):
        _verify(bend(_build(), **options))


def test_it_ends_when_the_chain_ends() -> None:
    token = _build()
    assert _verify(token, now=ENTITY.expires_at - timedelta(seconds=1)).subject == ZHEJIANG
    with pytest.raises(StatementRejected, match="expired"):
        _verify(token, now=ENTITY.expires_at)


def test_too_long_a_response_is_refused_unread() -> None:
    with pytest.raises(StatementRejected, match="at most 100"):
        _verify(_build(), max_bytes=100)
