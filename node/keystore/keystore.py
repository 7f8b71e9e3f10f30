"""The node's own keys, one per purpose, as all replicas share them: kept wrapped in the store, unwrapped in
memory.

A key is published before it is used and stays verifiable after it is retired. The ring in memory is an
immutable snapshot; `reload` takes the rows as they are now, so that replicas follow each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from federation.ports import Clock
from node.keystore.wrapping import KeyEncryptionKey, KeystoreError
from node.store.database import Database
from node.store.keys import KeyRow, KeyRows, KeyState
from trust.keys import SigningKey, VerificationKey, jwks_of

__all__ = ["Keystore", "Purpose", "RetiredKey"]


class Purpose(StrEnum):
    """What a key may be used for; never for two things."""

    FEDERATION = "federation"
    """Signs the entity configuration."""
    ENVELOPE = "envelope"
    """Signs requests, answers and evidence files."""
    OPENID = "openid"
    """Signs tokens for platforms."""
    LOG = "log"
    """Signs the log's checkpoints."""
    WITNESS = "witness"
    """Cosigns the checkpoints of the other nodes."""
    TLS = "tls"
    """Mutual TLS between nodes."""
    STATUS = "status"
    """The anchor's: signs the trust status."""
    CA = "ca"
    """The anchor's: issues X.509."""


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A key that signs no more, for the historical keys."""

    key: VerificationKey
    retired_at: datetime
    reason: str


class Keystore:
    """Private keys never leave it but as SigningKey objects; its repr and its errors show none."""

    def __init__(self, rows: KeyRows, wrapping: KeyEncryptionKey, clock: Clock) -> None:
        self._rows = rows
        self._wrapping = wrapping
        self._clock = clock
        self._ring: Mapping[str, tuple[KeyRow, SigningKey]] = MappingProxyType({})

    @classmethod
    async def open(cls, database: Database, wrapping: KeyEncryptionKey, clock: Clock) -> Self:
        """Load and unwrap all keys. Raises KeystoreError, OwnStoreUnavailable."""
        keystore = cls(KeyRows(database), wrapping, clock)
        await keystore.reload()
        return keystore

    async def reload(self) -> None:
        """Take the rows as they are now. Raises KeystoreError, OwnStoreUnavailable; the old ring stays
        then.
        """
        known = self._ring
        ring: dict[str, tuple[KeyRow, SigningKey]] = {}
        for row in await self._rows.load():
            key = known[row.kid][1] if row.kid in known else self._unwrap(row)
            ring[row.kid] = (row, key)
        self._ring = MappingProxyType(ring)

    def signing_key(self, purpose: str) -> SigningKey:
        """The active key of a purpose. Raises KeystoreError when there is none."""
        for row, key in self._of(purpose):
            if row.state is KeyState.ACTIVE:
                return key
        raise KeystoreError(f"there is no active {purpose} key: make one with yrd init")

    def verification_keys(self, purpose: str) -> Mapping[str, VerificationKey]:
        """The public keys that peers should take now, by key id: the active one first, then those to come."""
        rows = [(row, key) for row, key in self._of(purpose) if row.state is not KeyState.RETIRED]
        rows.sort(key=lambda pair: pair[0].state is not KeyState.ACTIVE)
        return MappingProxyType({row.kid: key.verification_key for row, key in rows})

    def retired_keys(self, purpose: str) -> Sequence[RetiredKey]:
        """The public keys that were used before, with when and why they were retired, oldest first."""
        return [
            RetiredKey(key.verification_key, row.retired_at, row.retired_reason)
            for row, key in self._of(purpose)
            if row.retired_at is not None
        ]

    def jwks(self, purpose: str) -> dict[str, list[dict[str, str]]]:
        """`verification_keys` as a JWK set (RFC 7517 §5), public members only."""
        return jwks_of(self.verification_keys(purpose).values())

    async def generate(self, purpose: str, *, alg: str = "ES256", activate: bool = True) -> VerificationKey:
        """Make a key and store it: active at once, retiring the one before, or published for a later
        `activate`.

        Raises OwnStoreUnavailable; then there is no new key.
        """
        return await self.add(purpose, SigningKey.generate(alg), activate=activate)

    async def add(self, purpose: str, key: SigningKey, *, activate: bool = True) -> VerificationKey:
        """Store a key that was made elsewhere, as `generate` does."""
        public = key.verification_key
        now = self._clock.now()
        row = KeyRow(
            kid=public.kid,
            purpose=str(purpose),
            alg=public.alg,
            state=KeyState.ACTIVE if activate else KeyState.PUBLISHED,
            generation=0,
            public_jwk=public.jwk,
            wrapped=self._wrapping.wrap(key.to_pem(), purpose=purpose, kid=public.kid),
            created_at=now,
            activated_at=now if activate else None,
        )
        await self._rows.add(row)
        await self.reload()
        return public

    async def activate(self, kid: str) -> None:
        """Sign with a published key from now on; the one before is retired. Raises KeystoreError."""
        activated = await self._rows.activate(kid, self._row(kid).purpose, self._clock.now())
        await self.reload()
        if not activated:
            state = self._row(kid).state.value
            raise KeystoreError(f"key {kid} is {state}; only a published key can be activated")

    async def retire(self, kid: str, reason: str) -> None:
        """Sign nothing with it any more. Raises KeystoreError for an unknown key."""
        self._row(kid)
        await self._rows.retire(kid, self._clock.now(), reason)
        await self.reload()

    def _row(self, kid: str) -> KeyRow:
        if kid not in self._ring:
            raise KeystoreError(f"there is no key {kid} in this node's store")
        return self._ring[kid][0]

    def _of(self, purpose: str) -> list[tuple[KeyRow, SigningKey]]:
        return [(row, key) for row, key in self._ring.values() if row.purpose == purpose]

    def _unwrap(self, row: KeyRow) -> SigningKey:
        pem = self._wrapping.unwrap(row.wrapped, purpose=row.purpose, kid=row.kid)
        key = SigningKey.from_pem(pem)
        if key.kid != row.kid:
            raise KeystoreError(f"the row of key {row.kid} ({row.purpose}) holds another key: it was altered")
        return key

    def __repr__(self) -> str:
        return f"Keystore({len(self._ring)} keys)"
