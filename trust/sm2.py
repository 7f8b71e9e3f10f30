"""SM2 signatures with SM3 (GB/T 32918.2, GB/T 32905), by the system's OpenSSL 3; `cryptography` exposes none.

The smallest binding of libcrypto that does it, by ctypes. Its rules:

 - Nothing is loaded on import. The first key loads the library; without it, or without SM2 in it, that key is
   refused with AlgorithmUnavailable, and everything else goes on.
 - OpenSSL's high-level EVP calls only; every object is freed where it was made, a key when it is collected.
 - A key is immutable once made and each operation has a context of its own, so any thread may use any key.
 - Calls keep the interpreter's lock. A signature takes 0.4 ms; a thread that gave the lock away for it would wait
   for up to 5 ms to have it back while another one is busy.
 - A signature is r ‖ s, 64 bytes, here and on the wire; OpenSSL's DER does not leave this module.
 - Neither a repr nor an error holds key material, and OpenSSL's error queue is left empty.

Signer and verifier hash an identity of the signer into the digest (GB/T 32918.2 §5.5). It is the default
identity for which no other was agreed, ``1234567812345678`` (GM/T 0009-2012 §10): who signed is told by the
key id here.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import ctypes.util
import weakref
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from trust.errors import AlgorithmUnavailable, BadSignature, KeyRejected, SignatureForm

__all__ = ["USER_ID", "Sm2PrivateKey", "Sm2PublicKey", "is_private_pem", "require_sm2"]

USER_ID: Final = b"1234567812345678"
"""The signer's identity by default, GM/T 0009-2012 §10."""

_LIBRARY: Final = "libcrypto.so.3"
_MAJOR: Final = 3
_NUMBER_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_MOST_DER_BYTES: Final = 80
_MOST_PEM_BYTES: Final = 4096

# AlgorithmIdentifier of a key on the SM2 curve: id-ecPublicKey, 1.2.156.10197.1.301 (GM/T 0006).
_ALGORITHM: Final = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")
# SubjectPublicKeyInfo up to the point: that identifier, then a BIT STRING with the uncompressed point (RFC 5480 §2).
_PUBLIC_PREFIX: Final = bytes.fromhex("3059") + _ALGORITHM + bytes.fromhex("03420004")
_BEGIN: Final = b"-----BEGIN PRIVATE KEY-----"
_END: Final = b"-----END PRIVATE KEY-----"

_OUT = POINTER(c_void_p)
_PROTOTYPES: Final[dict[str, tuple[Any, ...]]] = {  # result, then arguments
    "CRYPTO_clear_free": (None, c_void_p, c_size_t, c_char_p, c_int),
    "ERR_clear_error": (None,),
    "ERR_peek_last_error": (c_ulong,),
    "ERR_reason_error_string": (c_char_p, c_ulong),
    "EVP_DigestSign": (c_int, c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t),
    "EVP_DigestSignInit": (c_int, c_void_p, _OUT, c_void_p, c_void_p, c_void_p),
    "EVP_DigestVerify": (c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t),
    "EVP_DigestVerifyInit": (c_int, c_void_p, _OUT, c_void_p, c_void_p, c_void_p),
    "EVP_MD_CTX_free": (None, c_void_p),
    "EVP_MD_CTX_new": (c_void_p,),
    "EVP_MD_fetch": (c_void_p, c_void_p, c_char_p, c_char_p),
    "EVP_PKCS82PKEY": (c_void_p, c_void_p),
    "EVP_PKEY2PKCS8": (c_void_p, c_void_p),
    "EVP_PKEY_CTX_free": (None, c_void_p),
    "EVP_PKEY_CTX_new": (c_void_p, c_void_p, c_void_p),
    "EVP_PKEY_CTX_new_from_name": (c_void_p, c_void_p, c_char_p, c_char_p),
    "EVP_PKEY_CTX_set1_id": (c_int, c_void_p, c_char_p, c_int),
    "EVP_PKEY_check": (c_int, c_void_p),
    "EVP_PKEY_free": (None, c_void_p),
    "EVP_PKEY_generate": (c_int, c_void_p, _OUT),
    "EVP_PKEY_is_a": (c_int, c_void_p, c_char_p),
    "EVP_PKEY_keygen_init": (c_int, c_void_p),
    "EVP_PKEY_public_check": (c_int, c_void_p),
    "OpenSSL_version_num": (c_ulong,),
    "PKCS8_PRIV_KEY_INFO_free": (None, c_void_p),
    "d2i_PKCS8_PRIV_KEY_INFO": (c_void_p, c_void_p, _OUT, c_long),
    "d2i_PUBKEY": (c_void_p, c_void_p, _OUT, c_long),
    "i2d_PKCS8_PRIV_KEY_INFO": (c_int, c_void_p, _OUT),
    "i2d_PUBKEY": (c_int, c_void_p, _OUT),
}


class _Crypto:
    """The library's functions, declared, and SM3, fetched once for the life of the process."""

    def __init__(self, name: str) -> None:
        try:
            self.lib = ctypes.PyDLL(name)
            _declare(self.lib)
        except (OSError, AttributeError):
            raise AlgorithmUnavailable(f"SM2 needs OpenSSL 3 ({_LIBRARY}), which is not there") from None
        if self.lib.OpenSSL_version_num() >> 28 != _MAJOR:
            raise AlgorithmUnavailable(f"SM2 needs OpenSSL {_MAJOR}; {name} is of another version")
        self.sm3: int | None = self.lib.EVP_MD_fetch(None, b"SM3", None)
        context = self.lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        self.lib.EVP_PKEY_CTX_free(context)
        if not context or not self.sm3:
            self.lib.ERR_clear_error()
            raise AlgorithmUnavailable(f"this system's OpenSSL ({name}) offers no SM2 with SM3")

    def failure(self, what: str) -> AlgorithmUnavailable:
        """The error for an operation that OpenSSL did not do, with its reason; leaves the error queue empty."""
        reason = self.lib.ERR_reason_error_string(self.lib.ERR_peek_last_error())
        self.lib.ERR_clear_error()
        return AlgorithmUnavailable(f"OpenSSL could not {what}: {(reason or b'no reason given').decode()}")

    def begin(self, start: Callable[..., int], key: int, user_id: bytes) -> int:
        """A new EVP_MD_CTX for one operation with `key`, to be freed by the caller."""
        lib, of_key = self.lib, c_void_p()
        context: int | None = lib.EVP_MD_CTX_new()
        if (
            context
            and start(context, byref(of_key), self.sm3, None, key) == 1
            and lib.EVP_PKEY_CTX_set1_id(of_key, user_id, len(user_id)) == 1
        ):
            return context
        lib.EVP_MD_CTX_free(context)
        raise self.failure("begin with SM2")


def _declare(library: ctypes.PyDLL) -> None:
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


@lru_cache(maxsize=1)
def _crypto() -> _Crypto:
    """The library, loaded once. Raises AlgorithmUnavailable, and looks again the next time."""
    try:
        return _Crypto(_LIBRARY)
    except AlgorithmUnavailable:
        found = ctypes.util.find_library("crypto")
        if found is None or found == _LIBRARY or ".so" not in found:  # macOS ends who loads its own libcrypto
            raise
        return _Crypto(found)


def require_sm2() -> None:
    """Return when SM2 can be used here. Raises AlgorithmUnavailable, which says what is missing."""
    _crypto()


class _Key:
    """Owns one EVP_PKEY, freed with it."""

    __slots__ = ("__weakref__", "_crypto", "_pkey")

    def __init__(self, crypto: _Crypto, pkey: int) -> None:
        self._crypto = crypto
        self._pkey = pkey
        weakref.finalize(self, crypto.lib.EVP_PKEY_free, pkey)


class Sm2PublicKey(_Key):
    """A point of the SM2 curve that verifies. Made by `from_coordinates`, which checks it."""

    __slots__ = ("x", "y")

    def __init__(self, crypto: _Crypto, pkey: int, x: bytes, y: bytes) -> None:
        super().__init__(crypto, pkey)
        self.x, self.y = x, y

    @classmethod
    def from_coordinates(cls, x: bytes, y: bytes) -> Sm2PublicKey:
        """The key of the affine point, 32 bytes each.

        Raises KeyRejected when it is not a point of the curve, AlgorithmUnavailable.
        """
        crypto = _crypto()
        if len(x) != _NUMBER_BYTES or len(y) != _NUMBER_BYTES:
            raise KeyRejected("a coordinate of an SM2 key has 32 bytes")
        pkey = _read_der(crypto, "d2i_PUBKEY", _PUBLIC_PREFIX + x + y)
        if not pkey:
            raise KeyRejected("the key is not a point of the SM2 curve")
        key = cls(crypto, pkey, x, y)
        if not _passes(crypto, "EVP_PKEY_public_check", pkey):
            raise KeyRejected("the key is not a point of the SM2 curve")
        return key

    def verify(self, signature: bytes, message: bytes, user_id: bytes = USER_ID) -> None:
        """Return when `signature`, r ‖ s, is over `message` by this key. Raises SignatureForm, BadSignature."""
        if len(signature) != _SIGNATURE_BYTES:
            raise SignatureForm(f"an SM2 signature is 64 bytes r‖s; this one has {len(signature)}")
        der = encode_dss_signature(
            int.from_bytes(signature[:_NUMBER_BYTES], "big"), int.from_bytes(signature[_NUMBER_BYTES:], "big")
        )
        crypto = self._crypto
        context = crypto.begin(crypto.lib.EVP_DigestVerifyInit, self._pkey, user_id)
        try:
            found = crypto.lib.EVP_DigestVerify(context, der, len(der), message, len(message))
        finally:
            crypto.lib.EVP_MD_CTX_free(context)
        if found != 1:
            crypto.lib.ERR_clear_error()
            raise BadSignature("the SM2 signature does not verify")

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return _pem(b"PUBLIC KEY", _PUBLIC_PREFIX + self.x + self.y)

    def __repr__(self) -> str:
        return "Sm2PublicKey()"


class Sm2PrivateKey(_Key):
    """A private key that signs. Made by `generate` or `from_pem`."""

    __slots__ = ()

    @classmethod
    def generate(cls) -> Sm2PrivateKey:
        """A new key. Raises AlgorithmUnavailable."""
        crypto, pkey = _crypto(), c_void_p()
        context = crypto.lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        try:
            made = (
                crypto.lib.EVP_PKEY_keygen_init(context) == 1
                and crypto.lib.EVP_PKEY_generate(context, byref(pkey)) == 1
            )
        finally:
            crypto.lib.EVP_PKEY_CTX_free(context)
        if not made or pkey.value is None:
            raise crypto.failure("make an SM2 key")
        return cls(crypto, pkey.value)

    @classmethod
    def from_pem(cls, pem: bytes) -> Sm2PrivateKey:
        """The key of an unencrypted PKCS#8 PEM (RFC 5958, RFC 7468), range and pair checked.

        Raises KeyRejected when it is something else, AlgorithmUnavailable.
        """
        der, crypto = _der(pem), _crypto()
        if der is None or not _is_sm2(der):
            raise KeyRejected("not an unencrypted SM2 private key in PEM")
        info = _read_der(crypto, "d2i_PKCS8_PRIV_KEY_INFO", der)
        try:
            pkey = crypto.lib.EVP_PKCS82PKEY(info) if info else None
        finally:
            crypto.lib.PKCS8_PRIV_KEY_INFO_free(info)
        crypto.lib.ERR_clear_error()
        if not pkey:
            raise KeyRejected("not an unencrypted SM2 private key in PEM")
        key = cls(crypto, pkey)
        if not crypto.lib.EVP_PKEY_is_a(pkey, b"SM2") or not _passes(crypto, "EVP_PKEY_check", pkey):
            raise KeyRejected("the private key is not one of the SM2 curve, or does not fit its public key")
        return key

    def public_key(self) -> Sm2PublicKey:
        """The public half, without the private one in it."""
        der = _written(self._crypto, "i2d_PUBKEY", self._pkey)
        point = der[-2 * _NUMBER_BYTES :]
        return Sm2PublicKey.from_coordinates(point[:_NUMBER_BYTES], point[_NUMBER_BYTES:])

    def sign(self, message: bytes, user_id: bytes = USER_ID) -> bytes:
        """The signature over `message`, r ‖ s, 64 bytes. Raises AlgorithmUnavailable when OpenSSL fails."""
        crypto = self._crypto
        buffer, length = ctypes.create_string_buffer(_MOST_DER_BYTES), c_size_t(_MOST_DER_BYTES)
        context = crypto.begin(crypto.lib.EVP_DigestSignInit, self._pkey, user_id)
        try:
            made = crypto.lib.EVP_DigestSign(context, buffer, byref(length), message, len(message))
        finally:
            crypto.lib.EVP_MD_CTX_free(context)
        if made != 1:
            raise crypto.failure("sign with SM2")
        r, s = decode_dss_signature(buffer.raw[: length.value])
        return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")

    def to_pem(self) -> bytes:
        """PKCS#8 PEM, unencrypted."""
        crypto = self._crypto
        info = crypto.lib.EVP_PKEY2PKCS8(self._pkey)
        try:
            if not info:
                raise crypto.failure("write an SM2 key")
            return _pem(b"PRIVATE KEY", _written(crypto, "i2d_PKCS8_PRIV_KEY_INFO", info))
        finally:
            crypto.lib.PKCS8_PRIV_KEY_INFO_free(info)

    def __repr__(self) -> str:
        return "Sm2PrivateKey()"


def is_private_pem(pem: bytes) -> bool:
    """Whether this is PKCS#8 PEM that says it is an SM2 key; nothing else about it is looked at."""
    der = _der(pem)
    return der is not None and _is_sm2(der)


# --- PEM and DER --------------------------------------------------------------------------------------------


def _is_sm2(der: bytes) -> bool:
    """PrivateKeyInfo of an SM2 key: SEQUENCE, version 0, then the algorithm (RFC 5958 §2); and nothing after it."""
    begin = 2 + (der[1] - 0x80 if der[1:2] > b"\x80" else 0)
    length = int.from_bytes(der[2:begin] or der[1:2], "big")
    version = b"\x02\x01\x00"
    return der[:1] == b"\x30" and len(der) == begin + length and der.startswith(version + _ALGORITHM, begin)


def _der(pem: bytes) -> bytes | None:
    """What one block of PKCS#8 PEM holds, with nothing around it; None when it is something else."""
    text = pem.strip()
    if len(text) > _MOST_PEM_BYTES or not text.startswith(_BEGIN) or not text.endswith(_END):
        return None
    try:
        return base64.b64decode(b"".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except binascii.Error:
        return None


def _pem(label: bytes, der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN %b-----" % label, *lines, b"-----END %b-----" % label, b""])


def _read_der(crypto: _Crypto, function: str, der: bytes) -> int | None:
    """What OpenSSL reads at the beginning of `der`; None when nothing. The caller owns it."""
    at = ctypes.cast(c_char_p(der), c_void_p)  # which keeps `der` alive as long
    found: int | None = getattr(crypto.lib, function)(None, byref(at), len(der))
    crypto.lib.ERR_clear_error()
    return found


def _written(crypto: _Crypto, function: str, pointer: int) -> bytes:
    """What OpenSSL writes in DER. Its own copy is wiped."""
    out = c_void_p()
    length = getattr(crypto.lib, function)(pointer, byref(out))
    if length <= 0 or out.value is None:
        raise crypto.failure("write an SM2 key")
    try:
        return ctypes.string_at(out, length)
    finally:
        crypto.lib.CRYPTO_clear_free(out, length, b"", 0)


def _passes(crypto: _Crypto, check: str, pkey: int) -> bool:
    context = crypto.lib.EVP_PKEY_CTX_new(pkey, None)
    try:
        return bool(context) and getattr(crypto.lib, check)(context) == 1
    finally:
        crypto.lib.EVP_PKEY_CTX_free(context)
        crypto.lib.ERR_clear_error()
