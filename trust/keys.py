"""Keys: what verifies, and what signs. A key has one algorithm, and its key id is its RFC 7638 thumbprint.

- A key id is never taken from outside: it is computed, and a JWK that claims another one is refused.
- A public JWK with private members, with another `alg` than its curve's, or not for signatures, is refused.
- What signs is a `Signer`: here a key in memory; a key in hardware offers the same three things.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol, Self

import orjson

from trust.algorithms import (
    ALGORITHMS,
    JWS_ALGORITHMS,
    Algorithm,
    PrivateKey,
    PublicKey,
    algorithm_of,
    b64url,
    load_private_pem,
)
from trust.errors import AlgorithmUnavailable, AlgorithmUnknown, KeyRejected

__all__ = [
    "Signer",
    "SigningKey",
    "VerificationKey",
    "envelope_keys_from_jwks",
    "jwks_of",
    "keys_from_jwks",
    "thumbprint",
]

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MOST_KEYS = 16


def thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638: base64url of the SHA-256 of the required members as sorted JSON without white space."""
    return b64url(hashlib.sha256(orjson.dumps(dict(members), option=orjson.OPT_SORT_KEYS)).digest())


class VerificationKey:
    """A public key that may verify. Equal and hashed by key id, which is a digest of the key itself."""

    __slots__ = ("alg", "jwk", "kid", "public_key", "verify")

    def __init__(self, public_key: PublicKey) -> None:
        """Raises KeyRejected when the key is not of an allowed algorithm."""
        algorithm = algorithm_of(public_key)
        members = {"kty": algorithm.kty, "crv": algorithm.crv, **algorithm.public_members(public_key)}
        self.public_key = public_key
        self.alg: str = algorithm.name
        self.kid: str = thumbprint(members)
        self.jwk: Mapping[str, str] = MappingProxyType(
            {**members, "kid": self.kid, "alg": self.alg, "use": "sig"}
        )
        self.verify = algorithm.bind_verify(public_key)
        """(signature, message): returns when it verifies, else raises SignatureForm or BadSignature."""

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """The key of a public JWK (RFC 7517).

        Raises KeyRejected: kind or curve not allowed, private members, `alg`, `use` or `kid` that do not fit,
        not a point of the curve. AlgorithmUnavailable when nothing of that is wrong but this machine lacks SM2.
        """
        algorithm = _algorithm_for(jwk)
        if not _PRIVATE_MEMBERS.isdisjoint(jwk):
            raise KeyRejected("a public key must not carry private members")
        if jwk.get("alg", algorithm.name) != algorithm.name:
            raise KeyRejected(f"the key says alg {jwk['alg']!r}; its curve is for {algorithm.name}")
        if jwk.get("use", "sig") != "sig":
            raise KeyRejected("the key is not for signatures")
        values = [value for value in map(jwk.get, algorithm.members) if isinstance(value, str)]
        if len(values) != len(algorithm.members):
            raise KeyRejected(f"the key's {', '.join(algorithm.members)} are not all text")
        # What needs a library that may be away is loaded anew each time, so that its absence is told each time.
        load = cls._of if algorithm.name in JWS_ALGORITHMS else cls._loaded
        key = load(algorithm.name, *values)
        if jwk.get("kid", key.kid) != key.kid:
            raise KeyRejected("the key's kid is not its RFC 7638 thumbprint")
        return key

    @classmethod
    @lru_cache(maxsize=512)
    def _of(cls, alg: str, *values: str) -> Self:
        """Remembered: the same few keys come with every statement, and loading one costs a signature's half."""
        return cls._loaded(alg, *values)

    @classmethod
    def _loaded(cls, alg: str, *values: str) -> Self:
        algorithm = ALGORITHMS[alg]
        return cls(algorithm.load_public(dict(zip(algorithm.members, values, strict=True))))

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return ALGORITHMS[self.alg].public_pem(self.public_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerificationKey) and other.kid == self.kid

    def __hash__(self) -> int:
        return hash(self.kid)

    def __repr__(self) -> str:
        return f"VerificationKey({self.alg} {self.kid})"


def _algorithm_for(jwk: Mapping[str, Any]) -> Algorithm:
    if not isinstance(jwk, Mapping):
        raise KeyRejected("a key is a JSON object")
    for algorithm in ALGORITHMS.values():
        if jwk.get("kty") == algorithm.kty and jwk.get("crv") == algorithm.crv:
            return algorithm
    raise AlgorithmUnknown("only P-256, Ed25519 and SM2 keys are allowed")


class Signer(Protocol):
    """What can sign with one key. It may block for the time of one signature."""

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint of the public key."""
        ...

    @property
    def alg(self) -> str:
        """``ES256``, ``EdDSA`` or ``SM2``."""
        ...

    @property
    def verification_key(self) -> VerificationKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, in the form of the algorithm."""
        ...


class SigningKey:
    """A private key in memory. Its repr shows the key id only."""

    __slots__ = ("alg", "kid", "private_key", "sign", "verification_key")

    def __init__(self, private_key: PrivateKey) -> None:
        """Raises KeyRejected when the key is not of an allowed algorithm."""
        self.private_key = private_key
        self.verification_key = VerificationKey(private_key.public_key())
        self.kid: str = self.verification_key.kid
        self.alg: str = self.verification_key.alg
        self.sign = ALGORITHMS[self.alg].bind_sign(private_key)
        """message -> signature, 64 bytes."""

    @classmethod
    def generate(cls, alg: str = "ES256") -> Self:
        """A new key. Raises KeyRejected for an algorithm that is not allowed, AlgorithmUnavailable."""
        algorithm = ALGORITHMS.get(alg)
        if algorithm is None:
            raise KeyRejected(f"{alg} is not an allowed algorithm: {', '.join(ALGORITHMS)}")
        return cls(algorithm.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """The key of an unencrypted PKCS#8 PEM. Raises KeyRejected, AlgorithmUnavailable."""
        return cls(load_private_pem(pem))

    def to_pem(self) -> bytes:
        """PKCS#8 PEM, unencrypted: wrap it, or write it to a file of mode 0600."""
        return ALGORITHMS[self.alg].private_pem(self.private_key)

    def __repr__(self) -> str:
        return f"SigningKey({self.alg} {self.kid})"


def jwks_of(keys: Iterable[VerificationKey]) -> dict[str, list[dict[str, str]]]:
    """The JWK Set of these keys (RFC 7517 §5)."""
    return {"keys": [dict(key.jwk) for key in keys]}


def keys_from_jwks(jwks: object) -> Mapping[str, VerificationKey]:
    """The keys of a JWK Set that tokens are verified with, by key id; at most 16, each kid once.

    Raises KeyRejected: not a JWK Set, empty, too many, one key that is refused or not for tokens, the same key
    twice.
    """
    keys: dict[str, VerificationKey] = {}
    for entry in _entries(jwks):
        key = VerificationKey.from_jwk(entry)
        if key.alg not in JWS_ALGORITHMS:
            raise KeyRejected(f"the key {key.kid} is of {key.alg}, which is for envelopes only")
        _add_once(keys, key)
    return MappingProxyType(keys)


def envelope_keys_from_jwks(
    jwks: object, *, what: str = "an envelope"
) -> tuple[Mapping[str, VerificationKey], tuple[str, ...]]:
    """The keys of a JWK Set that envelopes are verified with, by key id, and what was left out, in words that begin
    with `what` they are for.

    Every algorithm may sign envelopes. A key whose algorithm this machine lacks, or this version does not know, is
    left out as long as there is another. Raises KeyRejected as `keys_from_jwks`, AlgorithmUnavailable or
    AlgorithmUnknown when no key is left.
    """
    keys: dict[str, VerificationKey] = {}
    missing: AlgorithmUnavailable | AlgorithmUnknown | None = None
    problems = []
    for entry in _entries(jwks):
        try:
            _add_once(keys, VerificationKey.from_jwk(entry))
        except (AlgorithmUnavailable, AlgorithmUnknown) as error:
            missing = error
            kind = str(entry.get("crv") or entry.get("kty") if isinstance(entry, Mapping) else "no kind")
            problems.append(f"{what} key of {kind[:20]!a} is left out: {error.detail}")
    if missing is not None and not keys:
        raise missing
    return MappingProxyType(keys), tuple(problems)


def _entries(jwks: object) -> list[Any]:
    entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(entries, list) or not entries:
        raise KeyRejected("a JWK Set has a non-empty list of keys")
    if len(entries) > _MOST_KEYS:
        raise KeyRejected(f"a JWK Set has at most {_MOST_KEYS} keys; this one has {len(entries)}")
    return entries


def _add_once(keys: dict[str, VerificationKey], key: VerificationKey) -> None:
    if key.kid in keys:
        raise KeyRejected(f"the key {key.kid} is in the set twice")
    keys[key.kid] = key
