"""Whoever holds a real key may sign anything: every reader of tokens refuses noise, and only ever by a TrustError."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import NOON
from tests.trust.federation import (
    ANCHOR,
    ANCHOR_KEY,
    CITY_KEY,
    PINNED,
    ZHEJIANG,
    ZHEJIANG_KEY,
    anchor_configuration,
    bend,
    chain,
    configuration,
    resolve,
    statement,
)
from trust.errors import TrustError
from trust.historical import (
    HISTORICAL_KEYS_TYPE,
    HistoricalKey,
    build_historical_keys,
    verify_historical_keys,
)
from trust.profile import read_node
from trust.resolution import RESOLVE_RESPONSE_TYPE, build_resolve_response, verify_resolve_response
from trust.rollover import ROLL_OVER_TYPE, build_roll_over, read_roll_overs, roll_overs_document
from trust.status import STATUS_TYPE, build_status, verify_status
from trust.tokens import read_token

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from([ANCHOR, ZHEJIANG, "yrd_node", "federation_entity", ".example", "value", "ES256"])
)
_POLICY = ["value", "add", "default", "one_of", "subset_of", "superset_of", "essential", "scope", "province"]
_LIMITS = ["max_path_length", "naming_constraints", "permitted", "excluded", "allowed_entity_types"]
_KEYS = ["keys", "kty", "crv", "x", "y", "kid", "exp", "revoked", "sub", "at", "envelope_jwks"]
_NAMES = st.sampled_from([*_POLICY, *_LIMITS, *_KEYS, "yrd_node", "openid_provider"])
noise = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=10,
)


def _claims(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """One or two of these claims as noise."""
    return st.dictionaries(st.sampled_from(names), noise, min_size=1, max_size=2)


@given(
    _claims("iss", "sub", "iat", "exp", "jwks", "metadata", "crit", "authority_hints", "trust_anchor_hints"),
    _claims("metadata", "metadata_policy", "metadata_policy_crit", "constraints", "jwks", "crit", "exp"),
    st.sampled_from([(True, False), (False, True), (True, True)]),
)
def test_a_chain_of_noise(leaf: dict[str, Any], superior: dict[str, Any], bent: tuple[bool, bool]) -> None:
    statements = chain()
    if bent[0]:
        statements[0] = bend(statements[0], ZHEJIANG_KEY, **leaf)
    if bent[1]:
        statements[1] = bend(statements[1], ANCHOR_KEY, **superior)
    with suppress(TrustError):
        read_node(resolve(statements))


@given(noise, noise)
def test_a_policy_and_constraints_of_noise(policy: Any, constraints: Any) -> None:
    said: dict[str, Any] = {
        "metadata_policy": {"yrd_node": {"name": policy}, "openid_provider": policy},
        "constraints": {
            "naming_constraints": constraints,
            "max_path_length": 0,
            "allowed_entity_types": constraints,
        },
    }
    statements = [configuration(), bend(statement(), ANCHOR_KEY, **said), anchor_configuration()]
    with suppress(TrustError):
        read_node(resolve(statements))


@given(noise)
def test_metadata_of_noise(metadata: Any) -> None:
    own = dict(read_token(configuration()).claims["metadata"])
    own["yrd_node"] = {**own["yrd_node"], "envelope_jwks": metadata, "protocol_versions": metadata}
    with suppress(TrustError):
        read_node(resolve([bend(configuration(), ZHEJIANG_KEY, metadata=own), *chain()[1:]]))


RESPONSE = build_resolve_response(
    issuer=ANCHOR, entity=resolve(chain()), trust_chain=chain(), signer=ANCHOR_KEY, now=NOON
)
OLD_KEYS = build_historical_keys(
    entity_id=ANCHOR, keys=[HistoricalKey(CITY_KEY.verification_key, NOON)], signer=ANCHOR_KEY, now=NOON
)
ROLL_OVER = build_roll_over(
    anchor=ANCHOR, number=1, old=ANCHOR_KEY, new=CITY_KEY, now=NOON, old_until=NOON, reason="yearly"
)
STATUS = build_status(anchor=ANCHOR, sequence=1, statements={}, revocations=[], signer=ANCHOR_KEY, now=NOON)

READERS: list[tuple[str, str, Callable[[str], object]]] = [
    (
        RESPONSE,
        RESOLVE_RESPONSE_TYPE,
        lambda t: verify_resolve_response(t, issuer=ANCHOR, subject=ZHEJIANG, keys=PINNED, now=NOON),
    ),
    (
        OLD_KEYS,
        HISTORICAL_KEYS_TYPE,
        lambda t: verify_historical_keys(t, entity_id=ANCHOR, keys=PINNED, now=NOON),
    ),
    (ROLL_OVER, ROLL_OVER_TYPE, lambda t: read_roll_overs(roll_overs_document([t]), anchor=ANCHOR)),
    (STATUS, STATUS_TYPE, lambda t: verify_status(t, anchor=ANCHOR, keys=PINNED, now=NOON)),
]


@pytest.mark.parametrize(("token", "typ", "read"), READERS, ids=[row[1] for row in READERS])
@given(
    _claims(
        *("iat", "exp", "metadata", "trust_chain", "keys", "number", "old", "new", "proof", "old_until"),
        *("reason", "sequence", "statements", "revocations"),
    )
)
def test_a_token_of_noise(
    token: str, typ: str, read: Callable[[str], object], claims: dict[str, Any]
) -> None:
    read(token)
    with suppress(TrustError):
        read(bend(token, ANCHOR_KEY, typ=typ, **claims))


@given(noise)
def test_a_document_of_noise(document: Any) -> None:
    with suppress(TrustError):
        read_roll_overs(json.dumps(document), anchor=ANCHOR)
