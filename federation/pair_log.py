"""What this node's own log says of its exchanges with one peer, hour by hour: for comparing, on either side of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from federation.ports import Clock
from federation.query import HourRoot, LoggedMessage
from federation.reconcile import (
    Finding,
    FindingKind,
    HourSum,
    Place,
    bounds_of_hour,
    by_exchange,
)

__all__ = [
    "PAGE_EXCHANGES",
    "Alarm",
    "Checked",
    "HourState",
    "HourTooBusy",
    "OwnHours",
    "PairLog",
    "PairPage",
    "Reconciled",
    "Reconciliations",
    "Span",
    "tell_nobody",
]

PAGE_EXCHANGES: Final = 500
"""Exchanges that are read, or sent, at a time."""


class Span(Struct, frozen=True):
    """The exchanges with `peer` from the request id `lower` on, below `upper`."""

    peer: str
    lower: str
    upper: str


class Checked(Struct, frozen=True):
    """Of how many messages the stored bytes were looked at, and those that are not what was logged."""

    messages: int
    altered: tuple[LoggedMessage, ...] = ()


class PairPage(Struct, frozen=True):
    """Whole exchanges in the order of request ids; `next` is the last one's id when there are more."""

    messages: tuple[LoggedMessage, ...]
    next: str = ""


class PairLog(Protocol):
    """The log as it is read for comparing. Every method raises OwnStoreUnavailable."""

    async def check(self, span: Span, *, most: int, newest: bool) -> Checked:
        """Make the identities and leaves of at most `most` messages anew from their stored bytes.

        The newest ones of the span, or as many in a row from a place in it that is another each time. Forgotten ones
        have no bytes and count as checked.
        """
        ...

    async def page(self, span: Span, *, after: str, limit: int, suspects: frozenset[str]) -> PairPage:
        """At most `limit` exchanges after a request id; the bytes of `suspects` are looked at."""
        ...

    async def newest_index(self, peer: str) -> int:
        """The log index of the newest record of what platforms asked of this peer, or it of ours; -1 for none."""
        ...

    async def begins_at(self) -> datetime | None:
        """When the first exchange was recorded that is still in the database; None when there is none."""
        ...

    async def archived_until(self) -> datetime | None:
        """Until when records have left the database for archives."""
        ...


class HourState:
    """What comparing an hour came to, as it is stored and shown."""

    AGREE: Final = "agree"
    EXPLAINED: Final = "explained"
    ALARM: Final = "alarm"
    UNFINISHED: Final = "unfinished"


class Reconciled(Struct, frozen=True):
    """One hour of one peer as it was last compared. `findings` are the first ones; `more` says how many there were
    beyond them.
    """

    peer: str
    hour: int
    checked_at: datetime
    exchanges: int
    state: str
    findings: tuple[Finding, ...] = ()
    more: int = 0


class Reconciliations(Protocol):
    """Keeps what came of comparing. Every method raises OwnStoreUnavailable."""

    async def keep(self, one: Reconciled) -> None:
        """Keep the newest of an hour."""
        ...

    async def find(self, peer: str, first_hour: int, last_hour: int) -> Sequence[Reconciled]:
        """What is kept of these hours, newest first."""
        ...

    async def alarming(self, peer: str, *, limit: int) -> Sequence[Reconciled]:
        """The hours with something alarming, newest first."""
        ...


Alarm = Callable[[Reconciled], Awaitable[None]]
"""Told of an hour with something alarming in it."""


async def tell_nobody(_hour: Reconciled) -> None:
    """Nobody is told."""


_SUSPECT_HOURS: Final = 100


class HourTooBusy(Exception):
    """An hour has more exchanges than were to be summed up; `checked` messages were looked at."""

    def __init__(self, checked: int) -> None:
        super().__init__("too many exchanges in one hour")
        self.checked = checked


class OwnHours:
    """Sums up hours of the own log, looking at stored bytes as far as it is told to."""

    def __init__(
        self, log: PairLog, rows: Reconciliations, clock: Clock, *, alarm: Alarm = tell_nobody
    ) -> None:
        self._log = log
        self._rows = rows
        self._clock = clock
        self._alarm = alarm

    async def suspects(self, peer: str) -> frozenset[str]:
        """Exchanges whose bytes here were found altered: they are looked at each time until they are as they were."""
        hours = await self._rows.alarming(peer, limit=_SUSPECT_HOURS)
        return frozenset(
            finding.request_id
            for hour in hours
            for finding in hour.findings
            if finding.kind is FindingKind.ALTERED and finding.place is Place.HERE
        )

    async def sum_up(
        self,
        peer: str,
        hour: int,
        until: datetime,
        *,
        most: int,
        newest: bool,
        suspects: frozenset[str],
        most_exchanges: int | None = None,
    ) -> tuple[HourSum, HourRoot]:
        """One hour: its sum, and its root with how many messages were looked at.

        Raises HourTooBusy with more than `most_exchanges`, after reading a page more than these.
        """
        lower, upper = bounds_of_hour(hour, until)
        span, total = Span(peer, lower, upper), HourSum(hour)
        checked = await self._log.check(span, most=most, newest=newest) if most > 0 else Checked(0)
        found = {message.request_id for message in checked.altered} - suspects
        if found:
            await self._note_altered(peer, hour, checked.altered)
        after = ""
        while True:
            page = await self._log.page(span, after=after, limit=PAGE_EXCHANGES, suspects=suspects | found)
            for exchange in by_exchange(page.messages):
                total.add(exchange)
            if most_exchanges is not None and total.exchanges > most_exchanges:
                raise HourTooBusy(checked.messages)
            after = page.next
            if not after:
                return total, total.root(checked.messages)

    async def page(self, peer: str, hour: int, until: datetime, *, after: str, limit: int) -> PairPage:
        """One page of an hour's messages."""
        lower, upper = bounds_of_hour(hour, until)
        suspects = await self.suspects(peer)
        return await self._log.page(Span(peer, lower, upper), after=after, limit=limit, suspects=suspects)

    async def _note_altered(self, peer: str, hour: int, altered: Sequence[LoggedMessage]) -> None:
        """A node that finds its own store changed says so itself, also when a peer's question made it look."""
        before = await self._rows.find(peer, hour, hour)
        known = {finding for one in before for finding in one.findings}
        found = {
            Finding(one.request_id, FindingKind.ALTERED, Place.HERE, one.asking != peer) for one in altered
        }
        exchanges = before[0].exchanges if before else len(found)
        findings = tuple(sorted(known | found))
        now = self._clock.now()
        told = Reconciled(peer, hour, now, exchanges, HourState.ALARM, findings)
        await self._rows.keep(told)
        await self._alarm(told)
