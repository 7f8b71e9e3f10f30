"""What verifying one chain costs: three statements and the anchor's configuration, in CPU time.

A city under a province under the anchor, ES256 throughout: four signatures, a policy, constraints. Measured
anew, as for an entity never seen, and again, as at each refresh, when its keys and ids are known already. The
aim is less than 1 ms. Prints; asserts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from trust.chain import resolve_chain
from trust.entity import build_entity_configuration, build_subordinate_statement
from trust.keys import SigningKey
from trust.profile import node_metadata, node_pins

__all__ = ["run_chains"]

_AIM_US = 1000
_ANCHOR, _PROVINCE, _CITY = "https://anchor.example", "https://node.zj.example", "https://hangzhou.zj.example"
_NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
_CODE, _NAME, _ENDPOINT = "330000", "浙江省节点", "node.zj.example:443"


def run_chains(share: float, say: Callable[[str], None]) -> None:
    """Measure and print a line for chains known and for chains new."""
    rounds = max(20, int(400 * share))
    anchor = SigningKey.generate()
    first, *others = (_chain(anchor) for _ in range(rounds + 1))
    resolve = _resolver(anchor)
    resolve(first)  # the first use of everything
    new = _cost_us(lambda: [resolve(statements) for statements in others], rounds)
    known = _cost_us(lambda: [resolve(first) for _ in range(rounds)], rounds)
    say(f"\n{'a chain of four statements':<28}{'CPU µs':>9}   aim < {_AIM_US} µs")
    for name, cost in (("known keys and ids", known), ("never seen before", new)):
        say(f"{name:<28}{cost:>9.0f}   {'pass' if cost < _AIM_US else 'FAIL'}")


def _cost_us(work: Callable[[], object], times: int) -> float:
    before = time.process_time()
    work()
    return (time.process_time() - before) / times * 1e6


def _resolver(key: SigningKey) -> Callable[[list[str]], object]:
    pinned = {key.kid: key.verification_key}
    return lambda statements: resolve_chain(statements, anchor=_ANCHOR, anchor_keys=pinned, now=_NOW)


def _chain(anchor: SigningKey) -> list[str]:
    province, city = SigningKey.generate(), SigningKey.generate()
    return [
        build_entity_configuration(
            entity_id=_CITY,
            signer=city,
            metadata=node_metadata(
                entity_id=_CITY,
                envelope_keys=[city.verification_key],
                province=_CODE,
                name=_NAME,
                grpc_endpoint=_ENDPOINT,
            ),
            now=_NOW,
            authority_hints=[_PROVINCE],
        ),
        build_subordinate_statement(
            issuer=_PROVINCE,
            subject=_CITY,
            subject_keys=[city.verification_key],
            metadata_policy={},
            signer=province,
            now=_NOW,
            constraints={"allowed_entity_types": ["openid_relying_party"]},
        ),
        build_subordinate_statement(
            issuer=_ANCHOR,
            subject=_PROVINCE,
            subject_keys=[province.verification_key],
            metadata_policy=node_pins(
                entity_id=_PROVINCE, province=_CODE, name=_NAME, grpc_endpoint=_ENDPOINT
            ),
            signer=anchor,
            now=_NOW,
            constraints={"max_path_length": 1, "naming_constraints": {"permitted": [".zj.example"]}},
        ),
        build_entity_configuration(
            entity_id=_ANCHOR, signer=anchor, metadata={"federation_entity": {}}, now=_NOW
        ),
    ]
