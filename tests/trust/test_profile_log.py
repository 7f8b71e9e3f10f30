"""What a node says of its log and of itself as a witness, and the anchor of the quorum."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trust.federation import (
    ENVELOPE_KEY,
    ZHEJIANG,
    ZHEJIANG_KEY,
    bend,
    chain,
    configuration,
    jwks,
    resolve,
)
from trust.errors import StatementRejected, TrustError
from trust.keys import SigningKey
from trust.profile import NodeProfile, log_origin, node_metadata, read_node, witness_name
from trust.status import read_witness_quorum
from trust.tokens import read_token

LOG, WITNESS, NEXT = (SigningKey.generate("EdDSA") for _ in range(3))
GOOD: dict[str, Any] = {"log_generation": 3, "log_jwks": jwks(LOG, NEXT), "witness_jwks": jwks(WITNESS)}
LATER = {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}


def _read(**node: Any) -> NodeProfile:
    metadata = dict(read_token(configuration()).claims["metadata"])
    metadata["yrd_node"] = {**metadata["yrd_node"], **node}
    return read_node(resolve([bend(configuration(), ZHEJIANG_KEY, metadata=metadata), *chain()[1:]]))


def test_names_follow_from_the_entity_id() -> None:
    assert log_origin("http://127.0.0.1:7011", 1) == "127.0.0.1:7011/log/1"
    assert log_origin("https://node.zj.example/yrd", 12) == "node.zj.example/yrd/log/12"
    assert witness_name("https://node.zj.example") == "node.zj.example/witness"


def test_log_and_witness_are_read_as_they_are_told() -> None:
    told = node_metadata(
        entity_id=ZHEJIANG,
        province="330000",
        name="浙江省节点",
        grpc_endpoint="node.zj.example:443",
        envelope_keys=[ENVELOPE_KEY.verification_key],
        log_keys=[LOG.verification_key, NEXT.verification_key],
        witness_keys=[WITNESS.verification_key],
        log_generation=3,
        log_reason="restored from Monday",
    )["yrd_node"]
    assert told["log_reason"] == "restored from Monday"
    assert {name: told[name] for name in GOOD} == GOOD
    node = _read(**GOOD)
    assert (set(node.log_keys), set(node.witness_keys)) == ({LOG.kid, NEXT.kid}, {WITNESS.kid})
    assert node.log_generation == 3


def test_a_node_that_tells_of_none_has_none() -> None:
    node = _read()
    assert (dict(node.log_keys), dict(node.witness_keys), node.log_generation) == ({}, {}, 0)


def test_a_key_of_a_later_version_is_left_out_and_told() -> None:
    node = _read(
        **{**GOOD, "log_jwks": {"keys": [LATER, *jwks(LOG)["keys"]]}, "witness_jwks": {"keys": [LATER]}}
    )
    assert (set(node.log_keys), dict(node.witness_keys)) == ({LOG.kid}, {})
    assert len(node.problems) == 2
    assert node.problems[0].startswith("log_jwks key of 'AKP' is left out")


def test_while_the_generation_is_not_known_no_log_is_told_of() -> None:
    """A node whose log is broken is a node still: its peers must not refuse what it says about itself."""
    facts = {
        "entity_id": ZHEJIANG,
        "province": "330000",
        "name": "浙",
        "grpc_endpoint": "node.zj.example:443",
    }
    keys = {"envelope_keys": [ENVELOPE_KEY.verification_key], "log_keys": [LOG.verification_key]}
    told = node_metadata(**facts, **keys, log_generation=0, log_reason="why")["yrd_node"]  # type: ignore[arg-type]
    assert not {"log_generation", "log_jwks", "log_reason"} & told.keys()


@pytest.mark.parametrize(
    ("reason", "read"), [("磁盘损坏", "磁盘损坏"), ("x" * 300, "x" * 200), ("a\nb", ""), (7, ""), (None, "")]
)
def test_why_a_log_began_anew_is_for_people_and_refuses_nobody(reason: object, read: str) -> None:
    assert _read(**GOOD, log_reason=reason if reason is not None else "").log_reason == read


@pytest.mark.parametrize(
    "bent",
    [
        {"log_generation": None},
        {"log_jwks": None},
        *({"log_generation": value} for value in (0, -1, 2**31, "1", 1.0, True)),
        {"log_jwks": {"keys": []}},
        {"log_jwks": jwks(SigningKey.generate("ES256"))},
        {"witness_jwks": jwks(SigningKey.generate("ES256"))},
        {"witness_jwks": "none"},
        {"witness_jwks": jwks(LOG)},
        {"log_jwks": jwks(LOG, LOG)},
    ],
    ids=lambda bent: next(iter(bent)),
)
def test_what_makes_no_log_or_witness_is_refused(bent: dict[str, Any]) -> None:
    told = {name: value for name, value in {**GOOD, **bent}.items() if value is not None}
    with pytest.raises(TrustError):
        _read(**told)


def test_the_quorum_is_the_anchors_to_say() -> None:
    assert read_witness_quorum({"metadata": {"yrd_anchor": {"witness_quorum": 2}}}) == 2
    assert read_witness_quorum({"metadata": {"yrd_anchor": {}}}) == 0
    assert read_witness_quorum({}) == 0


@pytest.mark.parametrize("quorum", [-1, 1001, "2", 2.0, True, None])
def test_a_quorum_that_is_none_is_refused(quorum: object) -> None:
    with pytest.raises(StatementRejected, match="witness_quorum"):
        read_witness_quorum({"metadata": {"yrd_anchor": {"witness_quorum": quorum}}})
