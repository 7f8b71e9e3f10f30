"""What a hostile peer makes: envelopes with a real key and one thing wrong. Bytes only, nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from federation.query import Basis, BasisKind, MapSet, Operation, Request, RequestHeader, StateQuery
from federation.rpc.convert import ProtobufCodec
from trust.envelope import Sealed, seal
from trust.keys import Signer, SigningKey
from trust.protowire import bytes_field

__all__ = ["Forge", "envelope_of", "with_der_signature", "with_flipped_byte", "with_two_signatures"]

_OPERATION = Operation.NODE_STATE


@dataclass(frozen=True, slots=True)
class Forge:
    """Everything a forger has: the own key, entity and clock, whom to attack, whose name to take in vain."""

    signer: Signer
    own_entity: str
    target_entity: str
    third_entity: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def header(self, **changes: object) -> RequestHeader:
        """A header with which everything is right, but for the changes."""
        now = self.now()
        said: dict[str, Any] = {
            "request_id": self.new_id(),
            "asking": self.own_entity,
            "answering": self.target_entity,
            "operation": _OPERATION,
            "asked_at": now,
            "expires_at": now + timedelta(seconds=30),
            "platform": "hostile",
            "officer": "hostile",
            "basis": Basis(BasisKind.OFFICIAL_DUTY, "攻击演练", "0", "0", "drill"),
            "traceparent": "",
            "map_set": MapSet("hostile", bytes(32)),
        }
        return RequestHeader(**{**said, **changes})

    def sealed(self, signer: Signer | None = None, **changes: object) -> Sealed:
        """A request for the target's state, signed with the own key or another one."""
        payload = ProtobufCodec().encode_request(Request(self.header(**changes), StateQuery()))
        return seal(_OPERATION.request_type, payload, signer or self.signer)

    def asked(self, *, ago_s: float, life_s: float = 30) -> Sealed:
        """A request of so many seconds ago; of the future when negative."""
        asked_at = self.now() - timedelta(seconds=ago_s)
        return self.sealed(asked_at=asked_at, expires_at=asked_at + timedelta(seconds=life_s))

    def strangers(self) -> Sealed:
        """A request signed with a key that nobody knows."""
        return self.sealed(SigningKey.generate())


def envelope_of(payload_type: str, payload: bytes, *signatures: tuple[bytes, str]) -> bytes:
    """An envelope with these signatures (bytes, key id), however many and of whatever form."""
    said = b"".join(
        bytes_field(3, bytes_field(1, signature) + bytes_field(2, kid.encode()))
        for signature, kid in signatures
    )
    return bytes_field(1, payload) + bytes_field(2, payload_type.encode()) + said


def with_two_signatures(sealed: Sealed) -> bytes:
    """The same signature twice."""
    once = (sealed.signature, sealed.kid)
    return envelope_of(sealed.payload_type, sealed.payload, once, once)


def with_der_signature(sealed: Sealed) -> bytes:
    """The same signature in DER instead of r followed by s."""
    r, s = (int.from_bytes(half, "big") for half in (sealed.signature[:32], sealed.signature[32:]))
    return envelope_of(sealed.payload_type, sealed.payload, (encode_dss_signature(r, s), sealed.kid))


def with_flipped_byte(sealed: Sealed) -> bytes:
    """One bit of the payload changed after signing."""
    payload = bytearray(sealed.payload)
    payload[-1] ^= 1
    return envelope_of(sealed.payload_type, bytes(payload), (sealed.signature, sealed.kid))
