"""Where a keystore's keys are made and opened: from rows and the sources that they name to what signs, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from node.keystore.errors import KeystoreError, SourceAway
from node.keystore.purposes import ALGORITHMS_FOR
from node.keystore.ring import Held, Ring
from node.keystore.sources import GIVEN_UP, STORE, GivenUpSource, SignerSource, StoreSource
from node.keystore.wrapping import KeyEncryptionKey
from node.store.keys import KeyRow, KeyState
from trust.errors import AlgorithmUnavailable, KeyRejected
from trust.keys import Signer, SigningKey, VerificationKey

__all__ = ["KeyOpener"]

_log = structlog.get_logger("yrd.keys")


class KeyOpener:
    """Makes keys, and rings of them. A token may be slow, so it is never called on the event loop."""

    def __init__(self, wrapping: KeyEncryptionKey, tokens: Mapping[str, SignerSource]) -> None:
        self._store = StoreSource(wrapping)
        self._given_up = GivenUpSource(wrapping)
        self._sources: Mapping[str, SignerSource] = {
            **tokens,
            STORE: self._store,
            GIVEN_UP: self._given_up,
        }

    async def make(
        self, purpose: str, alg: str, *, backend: str, beside: Ring
    ) -> tuple[bytes, VerificationKey]:
        """A new key in a source: its reference there, and its public half.

        Raises KeystoreError, KeyRejected for an algorithm that the purpose or the source does not have.
        """
        _check_algorithm(purpose, alg)
        source = self._source(backend, f"a new {purpose} key would be")
        if backend != STORE:
            return await asyncio.to_thread(source.generate, purpose, alg)
        _check_wrapping(beside)
        return source.generate(purpose, alg)

    def wrap(self, purpose: str, key: SigningKey) -> bytes:
        """The reference of a key that was made elsewhere and comes into the store. Raises KeyRejected."""
        _check_algorithm(purpose, key.alg)
        return self._store.wrap(purpose, key)

    def give_up(self, row: KeyRow) -> KeyRow:
        """The row of a key that nobody can open any more, vouched for as this node's own of before."""
        return replace(row, backend=GIVEN_UP, wrapped=self._given_up.vouch(row.purpose, row.kid))

    async def ring(self, rows: Sequence[KeyRow], before: Ring, overlap: timedelta) -> Ring:
        """The rows with what signs for them; what was open in `before` is not opened again.

        A row that was altered leaves the key as it was known before, if it was; it is one of the ring's faults.
        """
        held, altered = [], {}
        for row in rows:
            known = before.held.get(row.kid)
            try:
                held.append(await self._hold(row, known))
            except KeystoreError as error:
                altered[row.kid] = str(error)
                held += [known] if known else []
        ring = Ring(held, overlap, altered)
        for kid, fault in ring.faults.items():
            if kid not in before.faults:
                _log.error("keys.unusable", kid=kid, fault=fault)
        for kid, fault in ring.not_ours.items():
            if kid not in before.not_ours:
                _log.warning("keys.left_out_of_history", kid=kid, fault=fault)
        return ring

    def opened_again(self, row: KeyRow) -> Signer:
        """A retired key of the store. Raises KeystoreError: it cannot be opened, or is elsewhere."""
        if row.backend != STORE:
            raise KeystoreError(f"key {row.kid} ({row.purpose}) is in {row.backend}, not in the store")
        return self._store.signer(row.wrapped, row.public_jwk, purpose=row.purpose)

    async def _hold(self, row: KeyRow, known: Held | None) -> Held:
        """A retired key is opened once, to prove that it was this node's, and signs nothing.

        Raises KeystoreError when the public part was altered.
        """
        public = known.key if known else _public(row)
        if row.state is KeyState.RETIRED:
            return await self._hold_retired(row, public, known)
        if known and known.signer and _place(known.row) == _place(row):
            return Held(row, public, known.signer, was_opened=True)
        try:
            return Held(row, public, await self._open(row), was_opened=True)
        except KeystoreError as error:
            was_opened, is_away = known is not None and known.was_opened, isinstance(error, SourceAway)
            return Held(row, public, None, str(error), was_opened, is_away)

    async def _hold_retired(self, row: KeyRow, public: VerificationKey, known: Held | None) -> Held:
        if known and not known.is_away and _place(known.row) == _place(row):
            if known.was_opened:
                return Held(row, public, None, was_opened=True)
            if known.row.state is KeyState.RETIRED:
                return Held(row, public, None, known.fault)
        try:
            await self._open(row)
        except KeystoreError as error:
            return Held(row, public, None, str(error), is_away=isinstance(error, SourceAway))
        return Held(row, public, None, was_opened=True)

    async def _open(self, row: KeyRow) -> Signer:
        if row.backend == GIVEN_UP and row.state is not KeyState.RETIRED:
            raise KeystoreError(f"key {row.kid} ({row.purpose}) was given up: its row was altered")
        source = self._source(row.backend, f"key {row.kid} ({row.purpose}) is")
        if row.backend in (STORE, GIVEN_UP):
            return source.signer(row.wrapped, row.public_jwk, purpose=row.purpose)
        return await asyncio.to_thread(source.signer, row.wrapped, row.public_jwk, purpose=row.purpose)

    def _source(self, backend: str, which: str) -> SignerSource:
        source = self._sources.get(backend)
        if source is None:
            raise KeystoreError(f"{which} in {backend}, and the configuration has no [keys.{backend}]")
        return source


def _check_algorithm(purpose: str, alg: str) -> None:
    allowed = ALGORITHMS_FOR.get(purpose)
    if allowed is not None and alg not in allowed:
        raise KeyRejected(f"a {purpose} key is {' or '.join(allowed)}, not {alg}")


def _check_wrapping(ring: Ring) -> None:
    """Nothing new is wrapped by a key that opens nothing of what is there. Raises KeystoreError."""
    wrapped = [
        one
        for one in ring.held.values()
        if one.row.backend == STORE and one.row.state is not KeyState.RETIRED
    ]
    if wrapped and all(one.fault for one in wrapped):
        raise KeystoreError(wrapped[0].fault)


def _place(row: KeyRow) -> tuple[str, str, bytes]:
    return row.purpose, row.backend, row.wrapped


def _public(row: KeyRow) -> VerificationKey:
    """The public key of a row. Raises KeystoreError for a row that was altered, and without its algorithm."""
    try:
        key = VerificationKey.from_jwk(row.public_jwk)
    except AlgorithmUnavailable as error:
        raise KeystoreError(f"key {row.kid} ({row.purpose}) cannot be used: {error.detail}") from None
    except KeyRejected as error:
        raise KeystoreError(f"the row of key {row.kid} ({row.purpose}) was altered: {error.detail}") from None
    if key.kid != row.kid:
        raise KeystoreError(f"the row of key {row.kid} ({row.purpose}) holds another key: it was altered")
    return key
