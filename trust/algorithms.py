"""The signature algorithms that are believed, one object each. Nothing else is an algorithm here.

An algorithm knows its JWK (kty, crv and the members that RFC 7638 hashes), makes and loads keys, and binds a
loaded key to a function that signs or verifies. The bound functions are what the hot path calls: no look-up
and no object is made per message beyond the signature itself.

ES256: ECDSA on P-256 with SHA-256, signature = r ‖ s, 64 bytes (RFC 7518 §3.4). DER is refused, so that one
signature has one form on the wire. EdDSA: Ed25519 (RFC 8032, RFC 8037).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trust.errors import BadSignature, KeyRejected, SignatureForm

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "PrivateKey",
    "PublicKey",
    "Sign",
    "Verify",
    "algorithm_of",
    "b64url",
    "b64url_bytes",
]

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

Verify = Callable[[bytes, bytes], None]
"""(signature, message): returns or raises SignatureForm, BadSignature."""
Sign = Callable[[bytes], bytes]
"""message -> signature in the form of its algorithm."""

_ECDSA_SHA256 = ec.ECDSA(SHA256())
_SIGNATURE_BYTES = 64
_COORDINATE_BYTES = 32


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_bytes(text: str) -> bytes:
    """The bytes of base64url text; only the one canonical spelling is taken. Raises ValueError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


class Algorithm(Protocol):
    """What a key needs from its algorithm."""

    name: ClassVar[str]
    kty: ClassVar[str]
    crv: ClassVar[str]
    members: ClassVar[tuple[str, ...]]
    """The JWK members that make the key, beside kty and crv."""

    def generate(self) -> PrivateKey:
        """A new private key."""
        ...

    def load_public(self, jwk: Mapping[str, Any]) -> PublicKey:
        """The key of a JWK whose kty and crv fit. Raises KeyRejected when it is not a point of the curve."""
        ...

    def public_members(self, public: Any) -> dict[str, str]:
        """The JWK members of a public key, beside kty and crv."""
        ...

    def bind_verify(self, public: Any) -> Verify:
        """The function that verifies under this key."""
        ...

    def bind_sign(self, private: Any) -> Sign:
        """The function that signs with this key."""
        ...


def _coordinate(jwk: Mapping[str, Any], member: str) -> bytes:
    text = jwk.get(member)
    if not isinstance(text, str):
        raise KeyRejected(f"the key has no member {member}")
    try:
        data = b64url_bytes(text)
    except ValueError as error:
        raise KeyRejected(f"the key's member {member} is {error}") from None
    if len(data) != _COORDINATE_BYTES:
        raise KeyRejected(
            f"the key's member {member} is {len(data)} bytes long, expected {_COORDINATE_BYTES}"
        )
    return data


class Es256:
    """ECDSA on P-256 with SHA-256."""

    name: ClassVar[str] = "ES256"
    kty: ClassVar[str] = "EC"
    crv: ClassVar[str] = "P-256"
    members: ClassVar[tuple[str, ...]] = ("x", "y")

    def generate(self) -> PrivateKey:
        """A new P-256 key."""
        return ec.generate_private_key(ec.SECP256R1())

    def load_public(self, jwk: Mapping[str, Any]) -> PublicKey:
        """See Algorithm; the point is checked to be on the curve."""
        x, y = (int.from_bytes(_coordinate(jwk, member), "big") for member in self.members)
        try:
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        except ValueError:
            raise KeyRejected("the key is not a point of P-256") from None

    def public_members(self, public: ec.EllipticCurvePublicKey) -> dict[str, str]:
        """See Algorithm."""
        numbers = public.public_numbers()
        return {
            "x": b64url(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
            "y": b64url(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
        }

    def bind_verify(self, public: ec.EllipticCurvePublicKey) -> Verify:
        """See Algorithm."""
        verify_der = public.verify
        from_bytes = int.from_bytes

        def verify(signature: bytes, message: bytes) -> None:
            if len(signature) != _SIGNATURE_BYTES:
                raise SignatureForm(f"an ES256 signature is 64 bytes r‖s; this one has {len(signature)}")
            der = encode_dss_signature(from_bytes(signature[:32], "big"), from_bytes(signature[32:], "big"))
            try:
                verify_der(der, message, _ECDSA_SHA256)
            except InvalidSignature:
                raise BadSignature("the ES256 signature does not verify") from None

        return verify

    def bind_sign(self, private: ec.EllipticCurvePrivateKey) -> Sign:
        """See Algorithm."""
        sign_der = private.sign

        def sign(message: bytes) -> bytes:
            r, s = decode_dss_signature(sign_der(message, _ECDSA_SHA256))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")

        return sign


class EdDsa:
    """Ed25519."""

    name: ClassVar[str] = "EdDSA"
    kty: ClassVar[str] = "OKP"
    crv: ClassVar[str] = "Ed25519"
    members: ClassVar[tuple[str, ...]] = ("x",)

    def generate(self) -> PrivateKey:
        """A new Ed25519 key."""
        return ed25519.Ed25519PrivateKey.generate()

    def load_public(self, jwk: Mapping[str, Any]) -> PublicKey:
        """See Algorithm."""
        try:
            return ed25519.Ed25519PublicKey.from_public_bytes(_coordinate(jwk, "x"))
        except ValueError:
            raise KeyRejected("the key is not an Ed25519 key") from None

    def public_members(self, public: ed25519.Ed25519PublicKey) -> dict[str, str]:
        """See Algorithm."""
        return {"x": b64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}

    def bind_verify(self, public: ed25519.Ed25519PublicKey) -> Verify:
        """See Algorithm."""
        verify_raw = public.verify

        def verify(signature: bytes, message: bytes) -> None:
            if len(signature) != _SIGNATURE_BYTES:
                raise SignatureForm(f"an Ed25519 signature is 64 bytes; this one has {len(signature)}")
            try:
                verify_raw(signature, message)
            except InvalidSignature:
                raise BadSignature("the Ed25519 signature does not verify") from None

        return verify

    def bind_sign(self, private: ed25519.Ed25519PrivateKey) -> Sign:
        """See Algorithm."""
        return private.sign


_ES256: Algorithm = Es256()
_EDDSA: Algorithm = EdDsa()
ALGORITHMS: Mapping[str, Algorithm] = {_ES256.name: _ES256, _EDDSA.name: _EDDSA}


def algorithm_of(key: object) -> Algorithm:
    """The algorithm of a loaded key. Raises KeyRejected for a kind or curve that is not allowed."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    ):
        return _ES256
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return _EDDSA
    raise KeyRejected("only P-256 and Ed25519 keys are allowed")
