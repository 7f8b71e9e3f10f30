"""The signature algorithms that are believed, one object each. Nothing else is an algorithm here.

An algorithm knows its JWK (kty, crv and the members that RFC 7638 hashes), makes and loads keys, and binds a
loaded key to a function that signs or verifies. The bound functions are what the hot path calls: no look-up
and no object is made per message beyond the signature itself.

ES256: ECDSA on P-256 with SHA-256, signature = r ‖ s, 64 bytes (RFC 7518 §3.4). DER is refused, so that one
signature has one form on the wire. EdDSA: Ed25519 (RFC 8032, RFC 8037). SM2: SM2 with SM3 (GB/T 32918.2, GB/T
32905), signature = r ‖ s, 64 bytes; JOSE has no name for it, so it is for envelopes only: tokens are of
`JWS_ALGORITHMS`, which off-the-shelf software can read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from trust.errors import BadSignature, KeyRejected, SignatureForm
from trust.sm2 import Sm2PrivateKey, Sm2PublicKey, is_private_pem

__all__ = [
    "ALGORITHMS",
    "JWS_ALGORITHMS",
    "Algorithm",
    "PrivateKey",
    "PublicKey",
    "Sign",
    "Verify",
    "algorithm_of",
    "b64url",
    "b64url_bytes",
    "load_private_pem",
]

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | Sm2PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | Sm2PublicKey

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
        raw = text.encode("ascii").translate(_TO_BASE64)
        data = binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"not base64url: {error}") from None
    over = len(raw) % 4  # characters of a last group that is not whole: some of their bits say nothing
    if over and binascii.b2a_base64(data[1 - over :])[:over] != raw[-over:]:
        raise ValueError("not canonical base64url")
    return data


_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
"""Base64url in the alphabet of base64; what is base64's alone, and padding, is in neither."""


class Algorithm(Protocol):
    """What a key needs from its algorithm."""

    name: ClassVar[str]
    kty: ClassVar[str]
    crv: ClassVar[str]
    members: ClassVar[tuple[str, ...]]
    """The JWK members that make the key, beside kty and crv."""

    def generate(self) -> PrivateKey:
        """A new private key. Raises AlgorithmUnavailable when this machine cannot make one."""
        ...

    def load_public(self, jwk: Mapping[str, Any]) -> PublicKey:
        """The key of a JWK whose kty and crv fit.

        Raises KeyRejected when it is not a point of the curve, AlgorithmUnavailable when this machine cannot tell.
        """
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

    def public_pem(self, public: Any) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        ...

    def private_pem(self, private: Any) -> bytes:
        """PKCS#8 in PEM, unencrypted."""
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


class _WrittenByCryptography:
    """PEM of the keys that `cryptography` knows."""

    def public_pem(self, public: Any) -> bytes:
        """See Algorithm."""
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def private_pem(self, private: Any) -> bytes:
        """See Algorithm."""
        pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem


class Es256(_WrittenByCryptography):
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


class EdDsa(_WrittenByCryptography):
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


class Sm2:
    """SM2 with SM3, by the system's OpenSSL (`trust.sm2`)."""

    name: ClassVar[str] = "SM2"
    kty: ClassVar[str] = "EC"
    crv: ClassVar[str] = "SM2"
    members: ClassVar[tuple[str, ...]] = ("x", "y")

    def generate(self) -> PrivateKey:
        """See Algorithm."""
        return Sm2PrivateKey.generate()

    def load_public(self, jwk: Mapping[str, Any]) -> PublicKey:
        """See Algorithm; the point is checked to be on the curve."""
        x, y = (_coordinate(jwk, member) for member in self.members)
        return Sm2PublicKey.from_coordinates(x, y)

    def public_members(self, public: Sm2PublicKey) -> dict[str, str]:
        """See Algorithm."""
        return {"x": b64url(public.x), "y": b64url(public.y)}

    def bind_verify(self, public: Sm2PublicKey) -> Verify:
        """See Algorithm."""
        return public.verify

    def bind_sign(self, private: Sm2PrivateKey) -> Sign:
        """See Algorithm."""
        return private.sign

    def public_pem(self, public: Sm2PublicKey) -> bytes:
        """See Algorithm."""
        return public.to_pem()

    def private_pem(self, private: Sm2PrivateKey) -> bytes:
        """See Algorithm."""
        return private.to_pem()


_ES256: Algorithm = Es256()
_EDDSA: Algorithm = EdDsa()
_SM2: Algorithm = Sm2()
ALGORITHMS: Mapping[str, Algorithm] = {algorithm.name: algorithm for algorithm in (_ES256, _EDDSA, _SM2)}
JWS_ALGORITHMS = frozenset({_ES256.name, _EDDSA.name})
"""What may sign a token (RFC 7515): entity statements, statuses, everything that other software reads."""


def algorithm_of(key: object) -> Algorithm:
    """The algorithm of a loaded key. Raises KeyRejected for a kind or curve that is not allowed."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    ):
        return _ES256
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return _EDDSA
    if isinstance(key, Sm2PrivateKey | Sm2PublicKey):
        return _SM2
    raise KeyRejected("only P-256, Ed25519 and SM2 keys are allowed")


def load_private_pem(pem: bytes) -> PrivateKey:
    """The key of an unencrypted PKCS#8 PEM.

    Raises KeyRejected when it is not one, or not of an allowed algorithm; AlgorithmUnavailable.
    """
    if is_private_pem(pem):  # `cryptography` does not know the curve
        return Sm2PrivateKey.from_pem(pem)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRejected("not an unencrypted private key in PEM") from None
    algorithm_of(key)
    return key  # type: ignore[return-value]  # algorithm_of has refused every other kind
