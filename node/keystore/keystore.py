"""The node's own keys, one per purpose, as all replicas share them: rows in the store, signers in memory.

A key is published before it is used, and stays for verification after the next one took over; then it is history
(`node.keystore.life` has the rules). Which key signs follows from the rows and the time alone, so replicas need
only read the rows now and then: `reload` takes them as they are, `advance` also writes what has become due.
Private keys are in a `SignerSource`, whichever a row names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Self

from federation.ports import Clock
from node.keystore import life
from node.keystore.errors import KeystoreError
from node.keystore.opener import KeyOpener
from node.keystore.purposes import Purpose
from node.keystore.ring import Held, Ring
from node.keystore.sources import STORE, SignerSource
from node.keystore.wrapping import KeyEncryptionKey
from node.store.database import Database
from node.store.keys import KeyRow, KeyRows, KeyState
from trust.keys import Signer, SigningKey, VerificationKey, jwks_of

__all__ = ["KeyPlan", "Keystore", "MayActivate", "Purpose", "RetiredKey"]

MayActivate = Callable[[str, str], Awaitable[bool]]
"""(purpose, key id) -> whether a key that waits to be vouched for may be used now."""


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """How keys follow each other (``[keys]``). `homes` are the sources of new keys by purpose; the store's
    without.
    """

    publish_s: float = 180.0
    overlap_s: float = 3600.0
    homes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A key that signs no more, for the historical keys."""

    key: VerificationKey
    retired_at: datetime
    reason: str
    created_at: datetime


class Keystore:
    """Private keys never leave it but as what signs; its repr and its errors show none. `wrapping` is for whatever else
    the store keeps wrapped.
    """

    def __init__(
        self,
        rows: KeyRows,
        wrapping: KeyEncryptionKey,
        clock: Clock,
        tokens: Mapping[str, SignerSource] = MappingProxyType({}),
        plan: KeyPlan = KeyPlan(),
    ) -> None:
        self._rows = rows
        self.wrapping = wrapping
        self._opener = KeyOpener(wrapping, tokens)
        # So that rows that were read earlier never replace later ones.
        self._one_at_a_time = asyncio.Lock()
        self._clock = clock
        self._overlap = timedelta(seconds=plan.overlap_s)
        self._ring = Ring((), self._overlap)
        self.plan = plan

    @classmethod
    async def open(
        cls,
        database: Database,
        wrapping: KeyEncryptionKey,
        clock: Clock,
        tokens: Mapping[str, SignerSource] = MappingProxyType({}),
        plan: KeyPlan = KeyPlan(),
    ) -> Self:
        """Load and open all keys; `tokens` are the sources beside the store, by the name of their backend.

        Raises KeystoreError naming the first key that cannot be opened, OwnStoreUnavailable.
        """
        keystore = cls(KeyRows(database), wrapping, clock, tokens, plan)
        await keystore.reload()
        for fault in keystore.faults.values():
            raise KeystoreError(fault)
        return keystore

    # --- what the keys are ----------------------------------------------------------------------------------

    def signing_key(self, purpose: str) -> Signer:
        """What signs for a purpose now.

        Raises KeystoreError when no key of it is active, or none that could be opened.
        """
        view = self._ring.view(purpose, self._clock.now())
        if view.signer is None:
            raise KeystoreError(
                view.fault
                or f"there is no active {purpose} key: yrd init makes the first ones, yrd keys rotate {purpose} one"
            )
        return view.signer

    def tls_key(self, kid: str = "") -> SigningKey:
        """A TLS key in memory, the active one without `kid`: TLS keys are always in the store.

        Raises KeystoreError: there is none, it is not a TLS key, it is retired.
        """
        held = self._held(kid or self.signing_key(Purpose.TLS).kid)
        if held.row.purpose != Purpose.TLS or not isinstance(held.signer, SigningKey):
            raise KeystoreError(held.fault or f"key {kid} is no TLS key of this node that can be used")
        return held.signer

    def consent_key(self, kid: str) -> SigningKey:
        """A key in memory that decrypts consents; they are always in the store. Also one that made way for the next:
        consents live longer than it. Raises KeystoreError: there is none, it is for something else, it was retired by
        hand.
        """
        held = self._held(kid)
        row = next(row for row in self.describe() if row.kid == kid)  # as of now
        if row.purpose == Purpose.CONSENT and row.retired_reason in ("", life.ROTATED):
            signer = held.signer or self._opener.opened_again(held.row)
            if isinstance(signer, SigningKey):
                return signer
        raise KeystoreError(held.fault or f"key {kid} is no consent key of this node that can be used")

    def verification_keys(self, purpose: str) -> Mapping[str, VerificationKey]:
        """The public keys that others should take now, by key id: the active one first, then those to come, then
        those before it. A key that was never opened here is none of them: whoever writes the store may have put it
        there.
        """
        return self._ring.view(purpose, self._clock.now()).keys

    def retired_keys(self, purpose: str) -> Sequence[RetiredKey]:
        """The public keys that were used before, with when and why they were retired, oldest first. As with
        `verification_keys`, one that was never opened here is none of them.
        """
        return [
            RetiredKey(held.key, row.retired_at, row.retired_reason, row.created_at)
            for row in self._ring.view(purpose, self._clock.now()).rows
            if row.retired_at is not None and (held := self._held(row.kid)).is_told
        ]

    def jwks(self, purpose: str) -> dict[str, list[dict[str, str]]]:
        """`verification_keys` as a JWK set (RFC 7517 §5), public members only."""
        return jwks_of(self.verification_keys(purpose).values())

    def describe(self) -> Sequence[KeyRow]:
        """Every key as it is now, by purpose and generation; `wrapped` is not for people."""
        return life.as_of(self._ring.rows, self._clock.now(), self._overlap)

    def revision(self) -> tuple[tuple[str, KeyState, bool], ...]:
        """Differs whenever a key was added or became something else: what was built from the keys is old then."""
        now = self._clock.now()
        purposes = dict.fromkeys(row.purpose for row in self._ring.rows)
        views = [self._ring.view(name, now) for name in purposes]
        return tuple((row.kid, row.state, self._held(row.kid).is_told) for view in views for row in view.rows)

    @property
    def faults(self) -> Mapping[str, str]:
        """By key id, why a key that is not retired cannot be used by this process. All others work."""
        return self._ring.faults

    @property
    def away(self) -> Collection[str]:
        """The ids of the keys whose source cannot be asked now, so that nothing can be said of them."""
        return frozenset(kid for kid, one in self._ring.held.items() if one.is_away)

    @property
    def left_out(self) -> Mapping[str, str]:
        """By key id, why a retired key is none of the `retired_keys`."""
        return self._ring.not_ours

    def silent(self) -> Sequence[str]:
        """The purposes for which nothing can sign here although a key is active."""
        now = self._clock.now()
        purposes = dict.fromkeys(row.purpose for row in self._ring.rows)
        return [purpose for purpose in purposes if self._ring.view(purpose, now).fault]

    # --- how they change ------------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Take the rows as they are now; a key that cannot be opened becomes one of the `faults`.

        Raises OwnStoreUnavailable; the old ring stays then.
        """
        async with self._one_at_a_time:
            await self._take(await self._rows.load())

    async def advance(self, may_activate: MayActivate | None = None) -> None:
        """Take the rows as they are now and write what has become due; a repeat, here or elsewhere, is safe.

        A federation key that waits is planned, `publish_s` from now, when `may_activate` says so. Raises
        OwnStoreUnavailable.
        """
        await self.reload()
        for row in self.describe():
            if may_activate and _waits_for_vouching(row) and await may_activate(row.purpose, row.kid):
                await self.plan_activation(row.kid)
        if list(self.describe()) != list(self._ring.rows):
            await self._change(list)

    async def generate(
        self,
        purpose: str,
        *,
        alg: str = "ES256",
        activate: bool = True,
        activates_at: datetime | None = None,
        alone: bool = False,
    ) -> VerificationKey:
        """Make a key and store it: active at once, or published, for the time planned or a later `activate`.

        `alone`: only when no other one of the purpose is published. Raises KeystoreError, KeyRejected,
        OwnStoreUnavailable; then there is no new key.
        """
        backend = self.plan.homes.get(purpose, STORE)
        reference, public = await self._opener.make(purpose, alg, backend=backend, beside=self._ring)
        row = self._new_row(purpose, public, reference, backend)
        return await self._add(row, public, activate=activate, activates_at=activates_at, alone=alone)

    async def add(self, purpose: str, key: SigningKey, *, activate: bool = True) -> VerificationKey:
        """Store a key that was made elsewhere, as `generate` does."""
        public = key.verification_key
        row = self._new_row(purpose, public, self._opener.wrap(purpose, key), STORE)
        return await self._add(row, public, activate=activate)

    async def activate(self, kid: str) -> None:
        """Sign with a published key from now on; the one before becomes passive. Raises KeystoreError."""
        await self._change(lambda rows: life.activated(rows, kid, self._clock.now()))

    async def plan_activation(self, kid: str, *, in_s: float | None = None) -> None:
        """Sign with a published key in so many seconds, `publish_s` without. Raises KeystoreError."""
        at = self._clock.now() + timedelta(seconds=self.plan.publish_s if in_s is None else in_s)
        await self._change(lambda rows: life.planned(rows, kid, at))

    async def retire(self, kid: str, reason: str, *, successor: str = "") -> None:
        """Sign nothing with it any more, and have nobody take it: from now on it is history.

        `successor` is a published key that takes over in the same moment. Raises KeystoreError for an unknown
        key, and for the only active one of its purpose.
        """
        now = self._clock.now()

        def decide(rows: Sequence[KeyRow]) -> Sequence[KeyRow]:
            if successor:
                rows = life.as_of(life.activated(rows, successor, now), now, self._overlap)
            return life.retired(rows, kid, now, reason)

        await self._change(decide)

    async def begin_again(
        self, lost: Collection[str], wanted: Mapping[str, str], reason: str
    ) -> Sequence[VerificationKey]:
        """Give keys up for ever that cannot be opened, and have new ones, of the algorithms wanted by purpose,
        sign from now on: all of it or nothing.

        Raises KeystoreError, KeyRejected, OwnStoreUnavailable.
        """
        now, nothing = self._clock.now(), Ring((), self._overlap)
        given_up = {row.kid: self._opener.give_up(row) for row in self.describe() if row.kid in lost}
        new, keys = [], []
        for purpose, alg in wanted.items():
            backend = self.plan.homes.get(purpose, STORE)
            reference, public = await self._opener.make(purpose, alg, backend=backend, beside=nothing)
            new.append(self._new_row(purpose, public, reference, backend))
            keys.append(public)
        await self._change(lambda rows: life.begun_again(rows, given_up, new, now, reason))
        return keys

    async def _add(
        self,
        row: KeyRow,
        public: VerificationKey,
        *,
        activate: bool,
        activates_at: datetime | None = None,
        alone: bool = False,
    ) -> VerificationKey:
        if activate:
            row = replace(row, state=KeyState.ACTIVE, activated_at=row.created_at)
        else:
            row = replace(row, activates_at=activates_at)
        await self._change(lambda rows: life.added(rows, row, alone=alone))
        return public

    async def _change(self, decide: Callable[[Sequence[KeyRow]], Sequence[KeyRow]]) -> None:
        """Write what `decide` changes in the rows as they are now, with what follows from it."""
        now = self._clock.now()

        def settle(rows: Sequence[KeyRow]) -> Sequence[KeyRow]:
            due = life.as_of(rows, now, self._overlap)
            return life.as_of(decide(due), now, self._overlap)

        async with self._one_at_a_time:
            await self._take(await self._rows.change(settle))

    # --- what is in memory ----------------------------------------------------------------------------------

    async def _take(self, rows: Sequence[KeyRow]) -> None:
        self._ring = await self._opener.ring(rows, self._ring, self._overlap)

    def _new_row(self, purpose: str, public: VerificationKey, reference: bytes, backend: str) -> KeyRow:
        return KeyRow(
            kid=public.kid,
            purpose=str(purpose),
            alg=public.alg,
            state=KeyState.PUBLISHED,
            generation=0,
            public_jwk=public.jwk,
            wrapped=reference,
            created_at=self._clock.now(),
            backend=backend,
        )

    def _held(self, kid: str) -> Held:
        if kid not in self._ring.held:
            raise KeystoreError(f"there is no key {kid} in this node's store")
        return self._ring.held[kid]

    def __repr__(self) -> str:
        return f"Keystore({len(self._ring.held)} keys)"


def _waits_for_vouching(row: KeyRow) -> bool:
    return row.purpose == Purpose.FEDERATION and row.state is KeyState.PUBLISHED and row.activates_at is None
