"""Client secrets are kept as scrypt hashes (RFC 7914) with a salt each; the secret itself is shown once and
forgotten.

Secrets are made here with 256 random bits, so the hash need not make up for weak passwords: N = 2^14, r = 8,
p = 1 (16 MiB, some 50 ms), scrypt's parameters for interactive use. They stand in the hash, so that they can
be raised without touching what is stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets

__all__ = ["hash_secret", "is_secret", "new_secret"]

_N, _R, _P = 2**14, 8, 1
_MOST_MEMORY = 64 * 1024 * 1024
_SALT_BYTES, _HASH_BYTES = 16, 32
_MOST_SECRET_BYTES = 1024


def new_secret() -> str:
    """256 random bits, base64url."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """``scrypt$N$r$p$salt$hash``."""
    salt = os.urandom(_SALT_BYTES)
    digest = _scrypt(secret, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(digest)}"


def is_secret(secret: str, stored: str) -> bool:
    """Whether `stored` is the hash of `secret`. With an empty `stored`: False, after as much work."""
    name, n, r, p, salt, digest = (stored or _NOBODYS).split("$")
    assert name == "scrypt"
    found = _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest)) and bool(stored)


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # surrogatepass: whatever a client sends is hashed, never an error. Longer ones can only be wrong.
    raw = secret.encode("utf-8", "surrogatepass")[: _MOST_SECRET_BYTES + 1]
    return hashlib.scrypt(raw, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_HASH_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_NOBODYS = f"scrypt${_N}${_R}${_P}${_text(bytes(_SALT_BYTES))}${_text(bytes(_HASH_BYTES))}"
