"""A deeper federation for tests: the anchor, a province's authority, a city under it, a district under that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.clock import NOON
from tests.trust.federation import ANCHOR, ANCHOR_KEY, ZHEJIANG, ZHEJIANG_KEY, anchor_configuration
from trust.entity import build_entity_configuration, build_subordinate_statement
from trust.keys import SigningKey

HANGZHOU, YUHANG = "https://hangzhou.zj.example", "https://yuhang.hangzhou.zj.example"
_KEYS = {ANCHOR: ANCHOR_KEY, ZHEJIANG: ZHEJIANG_KEY, YUHANG: SigningKey.generate("EdDSA")}
_CITY_KEY = SigningKey.generate()
LINE = [YUHANG, HANGZHOU, ZHEJIANG, ANCHOR]
METADATA: dict[str, dict[str, Any]] = {
    "federation_entity": {"organization_name": "杭州市"},
    "openid_relying_party": {"client_name": "Hangzhou", "scope": "openid profile"},
    "openid_provider": {},
}


def key_of(entity_id: str) -> SigningKey:
    """Each entity's key; all cities share one."""
    return _KEYS.get(entity_id, _CITY_KEY)


def own(entity_id: str, *hints: str, metadata: Mapping[str, Any] | None = None) -> str:
    if entity_id == ANCHOR:
        return anchor_configuration()
    return build_entity_configuration(
        entity_id=entity_id,
        signer=key_of(entity_id),
        metadata=METADATA if metadata is None else metadata,
        now=NOON,
        authority_hints=hints or [LINE[LINE.index(entity_id) + 1]],
    )


def about(
    subject: str, issuer: str | None = None, policy: Mapping[str, Any] | None = None, **said: Any
) -> str:
    superior = issuer or LINE[LINE.index(subject) + 1]
    return build_subordinate_statement(
        issuer=superior,
        subject=subject,
        subject_keys=[key_of(subject).verification_key],
        metadata_policy=policy or {},
        signer=key_of(superior),
        **{"now": NOON, **said},
    )


def line(subject: str, *, said: Sequence[Mapping[str, Any]] = (), **options: Any) -> list[str]:
    """The chain from `subject` to the anchor; `said` are what its superiors say, the nearest first."""
    below = LINE[LINE.index(subject) : -1]
    extra = [*said, *({} for _ in below[len(said) :])]
    statements = [about(entity, **claims) for entity, claims in zip(below, extra, strict=True)]
    return [own(subject, **options), *statements, own(ANCHOR)]
