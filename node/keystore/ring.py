"""The keys in memory: an immutable set of rows with what signs for them, and what it comes to at a time.

Between two changes of state the answer for a purpose is the same, so it is worked out once and then costs a
comparison of times: the journal asks for every batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from node.keystore.life import as_of, next_change
from node.store.keys import KeyRow, KeyState
from trust.keys import Signer, VerificationKey

__all__ = ["Held", "Ring", "View"]

_FIRST = (KeyState.ACTIVE, KeyState.PUBLISHED, KeyState.PASSIVE)


@dataclass(frozen=True, slots=True)
class Held:
    """A row, its public key, and what signs with it: nothing for a retired key, and for one that this process
    could not open; `fault` says why.

    Who can write rows can write any public key into one. That it is this node's is proven by opening it, so others
    are told to take it, or that it was taken before, only when it `was_opened` here, or when its source `is_away`
    and cannot be asked.
    """

    row: KeyRow
    key: VerificationKey
    signer: Signer | None
    fault: str = ""
    was_opened: bool = False
    is_away: bool = False

    @property
    def is_told(self) -> bool:
        """Whether others may be told of it."""
        return self.was_opened or self.is_away


@dataclass(frozen=True, slots=True)
class View:
    """The keys of one purpose, from `since` until before `until`. `rows` are as of then, oldest first."""

    since: datetime
    until: datetime
    rows: Sequence[KeyRow]
    signer: Signer | None
    keys: Mapping[str, VerificationKey]
    """What verifies now, by key id: the active one first, then those to come, then those that were."""
    fault: str = ""
    """Why there is no `signer` although a key is active."""


class Ring:
    """What the store held at one time. Safe to read from several threads."""

    def __init__(
        self, held: Iterable[Held], overlap: timedelta, altered: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`altered` are the faults of rows that are not taken."""
        self.held: Mapping[str, Held] = MappingProxyType({one.row.kid: one for one in held})
        self._overlap = overlap
        self._altered = altered
        self._views: dict[str, View] = {}

    @property
    def rows(self) -> Sequence[KeyRow]:
        """As they were read."""
        return [one.row for one in self.held.values()]

    @property
    def faults(self) -> Mapping[str, str]:
        """By key id, why a key that is not retired could not be opened here."""
        faults = {kid: one.fault for kid, one in self.held.items() if one.fault and not _is_over(one)}
        return {**faults, **self._altered}

    @property
    def not_ours(self) -> Mapping[str, str]:
        """By key id, why a retired key is not told as one of this node's."""
        return {kid: one.fault for kid, one in self.held.items() if _is_over(one) and not one.is_told}

    def view(self, purpose: str, now: datetime) -> View:
        """The keys of a purpose at `now`."""
        view = self._views.get(purpose)
        if view is None or not view.since <= now < view.until:
            view = self._views[purpose] = self._look(purpose, now)
        return view

    def _look(self, purpose: str, now: datetime) -> View:
        written = [one.row for one in self.held.values() if one.row.purpose == purpose]
        rows = as_of(written, now, self._overlap)
        usable = sorted((row for row in rows if row.state in _FIRST), key=lambda row: _FIRST.index(row.state))
        told = [held for row in usable if (held := self.held[row.kid]).is_told]
        keys = MappingProxyType({held.row.kid: held.key for held in told})
        signer = self._signer(usable)
        is_active = bool(usable) and usable[0].state is KeyState.ACTIVE
        fault = self.held[usable[0].kid].fault if is_active and signer is None else ""
        return View(now, next_change(rows, now), rows, signer, keys, fault)

    def _signer(self, usable: Sequence[KeyRow]) -> Signer | None:
        """The active key's; when it cannot be opened here, that of the key before, which peers still take."""
        if not usable or usable[0].state is not KeyState.ACTIVE:
            return None
        before = sorted(
            (row for row in usable if row.state is KeyState.PASSIVE), key=lambda row: -row.generation
        )
        signers = (self.held[row.kid].signer for row in (usable[0], *before))
        return next((signer for signer in signers if signer is not None), None)


def _is_over(held: Held) -> bool:
    return held.row.state is KeyState.RETIRED
