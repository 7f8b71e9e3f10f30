"""Keys that something is encrypted to (`consent_jwks` of a node), and the one form of JWE that is used: RFC 7516
compact, ECDH-ES on P-256 straight to A256GCM (RFC 7518 §4.6, §5.3), the recipient named by its key id.

Such a key signs nothing, and one that signs is none of these: a JWK says ``use: enc`` here and ``alg: ECDH-ES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol

from trust.errors import KeyRejected, StatementRejected
from trust.keys import SigningKey, VerificationKey

__all__ = [
    "MAX_ENCRYPTED_BYTES",
    "RecipientKey",
    "decrypt",
    "encrypt_to",
    "recipient_jwks",
    "recipient_keys_from_jwks",
]

MAX_ENCRYPTED_BYTES: Final = 4096
"""What is encrypted here is a few words."""
_ALG, _ENC, _USE, _CURVE_OF = "ECDH-ES", "A256GCM", "enc", "ES256"
_HEADER: Final = {"alg": _ALG, "enc": _ENC}
_MOST_KEYS = 16


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """A public key that may be encrypted to; `kid` is its RFC 7638 thumbprint."""

    kid: str
    jwk: Mapping[str, str]


def recipient_jwks(keys: Iterable[VerificationKey]) -> dict[str, list[dict[str, str]]]:
    """The JWK Set of these keys, as those to encrypt to; the first is the one to take."""
    return {"keys": [dict(_recipient(key).jwk) for key in keys]}


def recipient_keys_from_jwks(jwks: object) -> Mapping[str, RecipientKey]:
    """The keys of a JWK Set, by key id, the first first; those for another algorithm are left out.

    Raises KeyRejected: not a set of 1 to 16 keys, none of them of this kind, or one that breaks a rule.
    """
    entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_KEYS:
        raise KeyRejected(f"a JWK Set to encrypt to has 1 to {_MOST_KEYS} keys")
    known = [_read(entry) for entry in entries if isinstance(entry, Mapping) and entry.get("alg") == _ALG]
    keys = {key.kid: key for key in known}
    if not keys or len(keys) != len(known):
        raise KeyRejected(f"a JWK Set to encrypt to has a key for {_ALG}, and none twice")
    return MappingProxyType(keys)


def encrypt_to(key: RecipientKey, plain: bytes) -> str:
    """The bytes for whoever has the private half."""
    recipient = ECKey.import_key(dict(key.jwk))
    return jwe.encrypt_compact({**_HEADER, "kid": key.kid}, plain, recipient, algorithms=[_ALG, _ENC])


def decrypt(text: str, private_key: Callable[[str], SigningKey]) -> bytes:
    """The bytes in a JWE; `private_key` gives the key of a key id, or raises.

    Raises StatementRejected: no JWE of this form, or it is not for that key.
    """
    if len(text) > MAX_ENCRYPTED_BYTES:
        raise StatementRejected(f"what is encrypted has at most {MAX_ENCRYPTED_BYTES} bytes")

    def find(recipient: GuestProtocol) -> ECKey:
        kid = recipient.headers().get("kid")
        if not isinstance(kid, str):
            raise StatementRejected("what is encrypted names no key")
        private = private_key(kid).private_key
        if not isinstance(private, EllipticCurvePrivateKey):
            raise StatementRejected("what is encrypted names a key of another kind")
        return ECKey.import_key(private)

    try:
        plain = jwe.decrypt_compact(text.encode("ascii"), find, algorithms=[_ALG, _ENC]).plaintext
    except (JoseError, ValueError, KeyError):
        raise StatementRejected(
            f"what is encrypted is not a JWE by {_ALG} and {_ENC} for this node"
        ) from None
    if plain is None:
        raise StatementRejected("what is encrypted is empty")
    return plain


def _recipient(key: VerificationKey) -> RecipientKey:
    if key.alg != _CURVE_OF:
        raise KeyRejected(f"only a P-256 key can be encrypted to, {key.kid} is for {key.alg}")
    return RecipientKey(key.kid, MappingProxyType({**key.jwk, "alg": _ALG, "use": _USE}))


def _read(entry: Mapping[str, Any]) -> RecipientKey:
    if entry.get("use") != _USE:
        raise KeyRejected(f"a key to encrypt to says use {_USE}")
    bare = {name: value for name, value in entry.items() if name not in ("use", "alg")}
    return _recipient(VerificationKey.from_jwk(bare))
