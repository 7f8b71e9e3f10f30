"""The life of keys as a function of their rows and the time, so that replicas agree without a message.

Of the keys of one purpose, at a time:

 1. A key has started when it is active, or when it is published and its planned `activates_at` has come.
 2. The one that started last is active: it signs. Of two that started together, the younger generation.
 3. A key that started before it is passive, and signs no more, until its `retires_at`; when none was written yet,
    that is the overlap after its successor started.
 4. A passive key whose `retires_at` has come is retired, with that time and the reason ``rotated``.
 5. A key that was retired stays so.

What is written into the rows by and by only ever follows from these rules, so it does not matter which replica
writes it, or when. An operator's changes are functions from rows to rows too; each refuses what would leave a
purpose without a key that signs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from node.keystore.errors import KeystoreError
from node.store.keys import KeyRow, KeyState

__all__ = ["ROTATED", "activated", "added", "as_of", "begun_again", "next_change", "planned", "retired"]

ROTATED = "rotated"
"""Why a key was retired that only made way for the next one."""

_NEVER = datetime.max.replace(tzinfo=UTC)

Rows = Sequence[KeyRow]


def as_of(rows: Rows, now: datetime, overlap: timedelta) -> list[KeyRow]:
    """The rows as they are at `now`, in their order; those that differ from what is written are due."""
    by_purpose: dict[str, list[KeyRow]] = {}
    for row in rows:
        by_purpose.setdefault(row.purpose, []).append(row)
    found = {row.kid: row for some in by_purpose.values() for row in _as_of(some, now, overlap)}
    return [found[row.kid] for row in rows]


def next_change(rows: Rows, now: datetime) -> datetime:
    """The first time after `now` at which one of these rows, which are as of `now`, is something else."""
    activating = [row.activates_at for row in rows if row.state is KeyState.PUBLISHED]
    ending = [row.retires_at for row in rows if row.state is KeyState.PASSIVE]
    return min((at for at in [*activating, *ending] if at is not None), default=_NEVER)


# --- the rules, for the keys of one purpose -----------------------------------------------------------------


def _as_of(rows: Rows, now: datetime, overlap: timedelta) -> list[KeyRow]:
    started = sorted((row for row in rows if _has_started(row, now)), key=_order)
    ends = {
        before.kid: before.retires_at or _start(after) + overlap  # 3
        for before, after in pairwise(started)
    }
    active = started[-1].kid if started else None
    return [_one_as_of(row, now, active, ends.get(row.kid)) for row in rows]


def _has_started(row: KeyRow, now: datetime) -> bool:
    """Rule 1. An active key has started whatever the clock here says: another replica's may be ahead."""
    due = row.activates_at is not None and row.activates_at <= now
    return row.state is KeyState.ACTIVE or (row.state is KeyState.PUBLISHED and due)


def _start(row: KeyRow) -> datetime:
    return row.activated_at or row.activates_at or row.created_at


def _order(row: KeyRow) -> tuple[datetime, int]:
    return _start(row), row.generation


def _one_as_of(row: KeyRow, now: datetime, active: str | None, ends_at: datetime | None) -> KeyRow:
    if row.kid == active:  # 2
        return replace(row, state=KeyState.ACTIVE, activated_at=_start(row))
    if ends_at is not None:
        row = replace(row, state=KeyState.PASSIVE, activated_at=_start(row), retires_at=ends_at)
    if row.state is KeyState.PASSIVE and row.retires_at is not None and row.retires_at <= now:  # 4
        return replace(row, state=KeyState.RETIRED, retired_at=row.retires_at, retired_reason=ROTATED)
    return row


# --- what an operator changes -------------------------------------------------------------------------------


def added(rows: Rows, key: KeyRow, *, alone: bool = False) -> list[KeyRow]:
    """One more key, with the next generation of its purpose.

    Raises KeystoreError when it was to be `alone` in being published and another one is already.
    """
    of_purpose = [row for row in rows if row.purpose == key.purpose]
    waiting = [row for row in of_purpose if row.state is KeyState.PUBLISHED]
    if alone and waiting:
        raise KeystoreError(
            f"a new {key.purpose} key is published already: {waiting[0].kid}; wait until it is used, or retire"
            " it first"
        )
    generation = max((row.generation for row in of_purpose), default=0) + 1
    return [*rows, replace(key, generation=generation)]


def planned(rows: Rows, kid: str, activates_at: datetime) -> list[KeyRow]:
    """The published key is used from that time on; nothing changes when its time is planned already."""

    def plan(row: KeyRow) -> KeyRow:
        if row.state is not KeyState.PUBLISHED or row.activates_at is not None:
            return row
        return replace(row, activates_at=activates_at)

    return _with(rows, kid, plan)


def activated(rows: Rows, kid: str, now: datetime) -> list[KeyRow]:
    """The published key is used from now on; one that is active already stays so.

    Raises KeystoreError when it is past that.
    """

    def activate(row: KeyRow) -> KeyRow:
        if row.state is KeyState.ACTIVE:
            return row
        if row.state is not KeyState.PUBLISHED:
            raise KeystoreError(f"key {kid} is {row.state.value}; only a published key can be activated")
        return replace(row, state=KeyState.ACTIVE, activated_at=now)

    return _with(rows, kid, activate)


def retired(rows: Rows, kid: str, now: datetime, reason: str) -> list[KeyRow]:
    """The key is history from now on; one that is retired keeps its first time and reason.

    The rows are as of `now`. Raises KeystoreError for the one that signs: activate another one first.
    """

    def retire(row: KeyRow) -> KeyRow:
        if row.state is KeyState.RETIRED:
            return row
        if row.state is KeyState.ACTIVE:
            raise KeystoreError(
                f"key {kid} is the only active {row.purpose} key; without it nothing could be signed: rotate"
                " first, or retire it with a replacement"
            )
        return replace(row, state=KeyState.RETIRED, retired_at=now, retired_reason=reason)

    return _with(rows, kid, retire)


def begun_again(
    rows: Rows, lost: Mapping[str, KeyRow], new: Rows, now: datetime, reason: str
) -> list[KeyRow]:
    """The `lost` keys, as they are to be kept, are history from now on, and each new one signs with the next
    generation of its purpose; one that was retired before keeps its time and reason.
    """
    for key in new:
        rows = added(rows, replace(key, state=KeyState.ACTIVE, activated_at=now))

    def give_up(row: KeyRow) -> KeyRow:
        if row.kid not in lost:
            return row
        kept = lost[row.kid]
        row = replace(row, backend=kept.backend, wrapped=kept.wrapped)
        if row.state is KeyState.RETIRED:
            return row
        return replace(row, state=KeyState.RETIRED, retired_at=now, retired_reason=reason)

    return [give_up(row) for row in rows]


def _with(rows: Rows, kid: str, change: Callable[[KeyRow], KeyRow]) -> list[KeyRow]:
    if all(row.kid != kid for row in rows):
        raise KeystoreError(f"there is no key {kid} in this node's store")
    return [change(row) if row.kid == kid else row for row in rows]
