"""The attacks of a hostile peer on an answering node, by name, each with the one code that must come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from federation.query import Operation
from simulators.forging import (
    Forge,
    envelope_of,
    with_der_signature,
    with_flipped_byte,
    with_two_signatures,
)
from trust.envelope import seal

__all__ = ["ATTACKS", "Attack", "Shot"]

_OVERSIZE_BYTES = 1024 * 1024 + 1
_FLOOD = 6_000


@dataclass(frozen=True, slots=True)
class Shot:
    """One message. `method` is the unary method it is sent to, None for a frame; `times` how often."""

    envelope: bytes
    method: Operation | None = Operation.NODE_STATE
    times: int = 1


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to misbehave: the last shot must get `code`; of a flood, at least one."""

    name: str
    code: str
    zh: str
    en: str
    shots: Callable[[Forge], tuple[Shot, ...]]


def _one(envelope: Callable[[Forge], bytes]) -> Callable[[Forge], tuple[Shot, ...]]:
    return lambda forge: (Shot(envelope(forge)),)


def _replay(forge: Forge) -> tuple[Shot, ...]:
    request_id = forge.new_id()
    return tuple(Shot(forge.sealed(request_id=request_id, officer=who).envelope) for who in ("one", "other"))


def _wrong_method(forge: Forge) -> tuple[Shot, ...]:
    return (Shot(forge.sealed().envelope, Operation.CERTIFICATES_QUERY),)


def _oversize(forge: Forge) -> bytes:
    return envelope_of(Operation.NODE_STATE.request_type, bytes(_OVERSIZE_BYTES), (bytes(64), "k"))


def _unknown_type(forge: Forge) -> bytes:
    return seal("application/vnd.yrd.node.state.v9+protobuf", b"", forge.signer).envelope


def _flood(forge: Forge) -> tuple[Shot, ...]:
    """Each shot is refused early and cheaply, so what must come up is the quota, not the work."""
    return (Shot(_unknown_type(forge), None, _FLOOD),)


def _flipped(forge: Forge) -> bytes:
    return with_flipped_byte(forge.sealed())


_ALL = (
    Attack("altered", "peer.bad_signature", "签名后改动一位", "one bit changed after signing", _one(_flipped)),
    Attack(
        "two_signatures", "peer.two_signatures", "两个签名", "two signatures",
        _one(lambda forge: with_two_signatures(forge.sealed())),
    ),
    Attack(
        "der_signature", "peer.signature_form", "DER 编码的签名", "a signature in DER",
        _one(lambda forge: with_der_signature(forge.sealed())),
    ),
    Attack(
        "foreign_key", "peer.foreign_key", "以别人的密钥签名", "signed with a key that is not this peer's",
        _one(lambda forge: forge.strangers().envelope),
    ),
    Attack(
        "wrong_asker", "peer.wrong_asker", "冒称另一个请求方节点", "another asking node named than the signer",
        _one(lambda forge: forge.sealed(asking=forge.third_entity).envelope),
    ),
    Attack(
        "wrong_audience", "peer.wrong_audience", "发给别的节点的消息", "a message for another node",
        _one(lambda forge: forge.sealed(answering=forge.third_entity).envelope),
    ),
    Attack(
        "wrong_operation", "peer.wrong_operation", "操作与所调方法不符", "another operation than the method called",
        _wrong_method,
    ),
    Attack(
        "expired", "peer.expired", "已过期", "expired",
        _one(lambda forge: forge.asked(ago_s=80, life_s=10).envelope),
    ),
    Attack("stale", "peer.stale", "十一分钟前", "eleven minutes old", _one(lambda f: f.asked(ago_s=660).envelope)),
    Attack(
        "from_future", "peer.from_future", "来自十一分钟后", "from eleven minutes ahead",
        _one(lambda forge: forge.asked(ago_s=-660).envelope),
    ),
    Attack("replayed", "peer.replayed", "同一编号，另一内容", "the same id, other bytes", _replay),
    Attack("over_quota", "peer.over_quota", "超出配额的洪流", "a flood over the quota", _flood),
    Attack("oversize", "peer.too_large", "超出大小限制", "larger than the limit", _one(_oversize)),
    Attack(
        "unknown_critical", "peer.unknown_critical", "未知的关键字段", "a critical field nobody knows",
        _one(lambda forge: forge.sealed(critical=("from_next_year",)).envelope),
    ),
    Attack("unknown_type", "peer.unsupported_type", "未知的版本", "a version nobody knows", _one(_unknown_type)),
    Attack("malformed", "peer.malformed", "不成形", "bytes that are no envelope", _one(lambda _: b"\xff\xff\xff")),
)  # fmt: skip

ATTACKS: Mapping[str, Attack] = {attack.name: attack for attack in _ALL}
