"""A small federation for tests: an anchor and two nodes, every statement of which can be bent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.support.clock import NOON
from trust.chain import VerifiedEntity, resolve_chain
from trust.entity import STATEMENT_TYPE, build_entity_configuration, build_subordinate_statement
from trust.keys import SigningKey, jwks_of
from trust.profile import node_metadata, node_pins
from trust.tokens import read_token, sign_token

ANCHOR, ZHEJIANG, ANHUI = "https://anchor.example", "https://node.zj.example", "https://node.ah.example"
ANCHOR_KEY, ZHEJIANG_KEY, ANHUI_KEY, CITY_KEY = (SigningKey.generate() for _ in range(4))
ENVELOPE_KEY = SigningKey.generate()
FACTS: Mapping[str, Mapping[str, Any]] = {
    ZHEJIANG: {"province": "330000", "name": "浙江省节点", "grpc_endpoint": "node.zj.example:443"},
    ANHUI: {"province": "340000", "name": "安徽省节点", "grpc_endpoint": "node.ah.example:443"},
}
KEYS = {ANCHOR: ANCHOR_KEY, ZHEJIANG: ZHEJIANG_KEY, ANHUI: ANHUI_KEY}
PINNED = {ANCHOR_KEY.kid: ANCHOR_KEY.verification_key}


def configuration(entity_id: str = ZHEJIANG, **facts: Any) -> str:
    metadata = node_metadata(
        entity_id=entity_id,
        envelope_keys=[ENVELOPE_KEY.verification_key],
        **{**FACTS[entity_id], **facts},
    )
    return build_entity_configuration(
        entity_id=entity_id, signer=KEYS[entity_id], metadata=metadata, now=NOON, authority_hints=[ANCHOR]
    )


def statement(subject: str = ZHEJIANG, *, policy: Mapping[str, Any] | None = None) -> str:
    return build_subordinate_statement(
        issuer=ANCHOR,
        subject=subject,
        subject_keys=[KEYS[subject].verification_key],
        metadata_policy=node_pins(entity_id=subject, **FACTS[subject]) if policy is None else policy,
        signer=ANCHOR_KEY,
        now=NOON,
    )


def anchor_configuration() -> str:
    return build_entity_configuration(
        entity_id=ANCHOR, signer=ANCHOR_KEY, metadata={"federation_entity": {}}, now=NOON, life_s=30 * 86400
    )


def bend(token: str, signer: SigningKey, *, typ: str = STATEMENT_TYPE, **claims: Any) -> str:
    """The statement with other claims (None takes one away), signed anew."""
    changed = {**read_token(token).claims, **claims}
    return sign_token({name: value for name, value in changed.items() if value is not None}, signer, typ=typ)


def chain(subject: str = ZHEJIANG) -> list[str]:
    return [configuration(subject), statement(subject), anchor_configuration()]


def resolve(statements: list[str], now: datetime = NOON, **options: Any) -> VerifiedEntity:
    return resolve_chain(statements, anchor=ANCHOR, anchor_keys=PINNED, now=now, **options)


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return jwks_of(key.verification_key for key in keys)


Bend = Callable[[list[str]], list[str]]
"""From the good chain of `chain()` to another."""


def leaf(signer: SigningKey = ZHEJIANG_KEY, **claims: Any) -> Bend:
    return lambda statements: [bend(statements[0], signer, **claims), *statements[1:]]


def superior(signer: SigningKey = ANCHOR_KEY, **claims: Any) -> Bend:
    return lambda statements: [statements[0], bend(statements[1], signer, **claims), statements[2]]


def top(signer: SigningKey = ANCHOR_KEY, **claims: Any) -> Bend:
    return lambda statements: [*statements[:2], bend(statements[2], signer, **claims)]


def graft(token: str, other: str) -> str:
    """The token with the signature of another."""
    return token.rpartition(".")[0] + "." + other.rpartition(".")[2]
