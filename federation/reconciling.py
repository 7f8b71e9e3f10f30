"""Comparing this node's log with its peers': a look at some hours, and when the next one is due.

A look asks the peer for its roots of some hours over the ordinary exchange, and for the records of those hours only
whose roots differ. It repairs nothing, but fetches an answer that the peer gave and this node never got; all else it
tells. When a look is due (`Schedule`):

- after this log has grown by what platforms asked or were answered, at the next tick, which is a checkpoint's
  (`checkpoint_s`): while a log is small, what was altered is found within two checkpoints. A look that found nothing
  old enough to be compared is followed by none for `settle_s`, since nothing is until then
- but each look costs the stored messages that it looked at, of `audit_records` in `reconcile_s`: a look at so many is
  followed by none for `reconcile_s`, one at a tenth by none for a tenth of it. So under load it is rarer, and bounded.
  To sum up an hour costs something too: `SUMMED_FOR_ONE` exchanges as much as to look at one message
- and every `reconcile_s`, then with a block of older hours: one after the other down to the log's beginning, and again.
  When that is done and nothing was asked meanwhile it is done ever more seldom, down to every `CALMEST` times
  `reconcile_s`: looks are logged, and two nodes at rest must not fill their logs with them
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from federation.ask_peer import NodeAsker
from federation.errors import FederationError, PeerWrongAnswer, code_of, detail_of
from federation.pair_log import (
    PAGE_EXCHANGES,
    Alarm,
    HourState,
    OwnHours,
    PairLog,
    Reconciled,
    Reconciliations,
    tell_nobody,
)
from federation.peers import Directory, Peer
from federation.ports import Clock
from federation.query import (
    EvidenceRecords,
    EvidenceRecordsAnswer,
    EvidenceRoots,
    EvidenceRootsAnswer,
    HourRoot,
    LoggedMessage,
)
from federation.reconcile import (
    OPEN_S,
    Finding,
    FindingKind,
    HourSum,
    Place,
    bounds_of_hour,
    by_exchange,
    compare_exchange,
    hour_of,
    start_of_hour,
)
from federation.request_ids import time_of_request_id
from trust.errors import TrustError

__all__ = ["BLOCK_HOURS", "MOST_FINDINGS", "PeerLook", "ReconcileLimits", "Reconciler", "Schedule"]

_Body = TypeVar("_Body")
_log = structlog.get_logger("yrd.reconcile")

MOST_FINDINGS: Final = 200
"""Findings that are kept of an hour; of more their number."""
BLOCK_HOURS: Final = 24
SUMMED_FOR_ONE: Final = 20
PAGED_AS: Final = 10
CALMEST: Final = 60
_LONGEST_REST: Final = 30
"""In `reconcile_s`: however much there was to sum up."""
_MOST_FETCHED: Final = 20
_MOST_ALARMING: Final = 100
_PURPOSE: Final = "存证核对 reconciliation"


class ReconcileLimits(Struct, frozen=True):
    """``[evidence]`` and ``[limits]`` as comparing takes them. `settle_s`: how young an exchange is left for later."""

    reconcile_s: float = 60.0
    audit_records: int = 1000
    deadline_s: float = 5.0
    settle_s: float = 6.0
    most_pages: int = 400


class PeerLook(Struct, frozen=True):
    """What came of the last look at one peer that came to an end at `done_at`; `problem` says why the one at `at` did
    not.
    """

    at: datetime
    done_at: datetime | None
    hours: tuple[Reconciled, ...] = ()
    checked: int = 0
    problem: str = ""
    alarming: tuple[Reconciled, ...] = ()
    """All hours of that peer with something alarming, the newest hundred."""
    summed: int = 0
    """Exchanges of the own log that were summed up; one that was compared without a root counts `PAGED_AS` times."""
    archived_before: datetime | None = None
    """What of these hours lies before is in archives only, here or there, and was not compared."""


_DEFAULT: Final = ReconcileLimits()


class Reconciler:
    """Compares with one peer at a time."""

    def __init__(
        self,
        asker: NodeAsker,
        log: PairLog,
        rows: Reconciliations,
        directory: Directory,
        clock: Clock,
        limits: ReconcileLimits = _DEFAULT,
        *,
        alarm: Alarm = tell_nobody,
    ) -> None:
        self._asker = asker
        self._log = log
        self._rows = rows
        self._directory = directory
        self._clock = clock
        self._limits = limits
        self._alarm = alarm
        self._own = OwnHours(log, rows, clock, alarm=alarm)
        self.looks: dict[str, PeerLook] = {}

    @property
    def directory(self) -> Directory:
        """Who the peers are."""
        return self._directory

    async def look(self, peer: Peer, first_hour: int, hours: int, *, most: int) -> PeerLook:
        """Compare some hours with a peer, looking at `most` stored messages of this log. What comes of it is kept.

        Raises what the peer refused with, or why it cannot be asked.
        """
        now = self._clock.now()
        until = now - timedelta(seconds=self._limits.settle_s)
        own = await self._sum_up(peer, first_hour, hours, until, most)
        theirs, held_there = await self._roots(peer, first_hour, hours, until)
        held_since = max(held_there, await self._held_since())
        results = [
            await self._compare(peer, own[hour], theirs.get(hour), until)
            for hour in range(first_hour, first_hour + hours)
            if hour >= held_since
        ]
        kept = tuple([one for one in results if one.exchanges or one.findings])
        checked = sum(mine.checked for _, mine in own.values())
        summed = sum(mine.exchanges * (1 if hour in theirs else PAGED_AS) for hour, (_, mine) in own.items())
        alarming = tuple(await self._rows.alarming(peer.entity_id, limit=_MOST_ALARMING))
        archived = start_of_hour(held_since) if held_since > first_hour else None
        done = PeerLook(now, now, kept, checked, alarming=alarming, summed=summed, archived_before=archived)
        self.looks[peer.entity_id] = done
        return done

    def failed(self, peer: Peer, error: FederationError | TrustError) -> None:
        """Keep why a look came to nothing."""
        last = self.looks.get(peer.entity_id) or PeerLook(self._clock.now(), None)
        problem = f"{code_of(error)}: {detail_of(error)}"[:300]
        self.looks[peer.entity_id] = replace(last, at=self._clock.now(), problem=problem)

    async def _sum_up(
        self, peer: Peer, first_hour: int, hours: int, until: datetime, most: int
    ) -> Mapping[int, tuple[HourSum, HourRoot]]:
        own: dict[int, tuple[HourSum, HourRoot]] = {}
        recent = hour_of(self._clock.now()) - 1
        suspects = await self._own.suspects(peer.entity_id)
        for hour in range(first_hour + hours - 1, first_hour - 1, -1):
            own[hour] = await self._own.sum_up(
                peer.entity_id, hour, until, most=most, newest=hour >= recent, suspects=suspects
            )
            most -= own[hour][1].checked
        return own

    async def _roots(
        self, peer: Peer, first_hour: int, hours: int, until: datetime
    ) -> tuple[Mapping[int, HourRoot], int]:
        """The peer's roots by hour, and since which hour it holds them. An hour that the peer leaves out even when it
        is the first one to be answered has more exchanges than it sums up for one request: it has no root.
        """
        roots: dict[int, HourRoot] = {}
        held_since, left = 0, hours
        while left > 0:
            answer = await self._ask(peer, EvidenceRoots(first_hour, left, until), EvidenceRootsAnswer)
            told = _asked_for(answer.hours, first_hour, left)
            roots |= {root.hour: root for root in told}
            held_since = max(held_since, answer.held_since_hour)
            left -= max(1, len(told))
        return roots, held_since

    async def _held_since(self) -> int:
        archived = await self._log.archived_until()
        return 0 if archived is None else hour_of(archived) + 1

    async def _compare(
        self, peer: Peer, mine: tuple[HourSum, HourRoot], theirs: HourRoot | None, until: datetime
    ) -> Reconciled:
        """By the roots; message by message where they differ, and where the peer has too many for a root."""
        total, root = mine
        complete = True
        if theirs is not None and root.root == theirs.root and not total.altered:
            found = self._unanswered(total)
        else:
            found, complete = await self._differences(peer, root.hour, until)
        result = Reconciled(
            peer.entity_id,
            root.hour,
            self._clock.now(),
            max(root.exchanges, theirs.exchanges if theirs else 0),
            _state(found, complete=complete),
            tuple(found[:MOST_FINDINGS]),
            max(0, len(found) - MOST_FINDINGS),
        )
        if result.exchanges or found:
            await self._rows.keep(result)
        if result.state == HourState.ALARM:
            await self._alarm(result)
        await self._fetch(found)
        return result

    def _unanswered(self, total: HourSum) -> list[Finding]:
        """Where the roots are the same, what was asked here and never answered was never answered there."""
        oldest = self._clock.now() - timedelta(seconds=OPEN_S)
        return [
            Finding(request_id, FindingKind.ONE_SIDED, Place.HERE, True)
            for request_id in total.unanswered
            if time_of_request_id(request_id) < oldest
        ]

    async def _differences(self, peer: Peer, hour: int, until: datetime) -> tuple[list[Finding], bool]:
        """Page by page, both sides in the order of request ids; whether all of the hour was compared."""
        found: list[Finding] = []
        own_entity, now = self._directory.current.own_entity, self._clock.now()

        async def ours(after: str) -> tuple[Sequence[LoggedMessage], str]:
            page = await self._own.page(peer.entity_id, hour, until, after=after, limit=PAGE_EXCHANGES)
            return page.messages, page.next

        async def their(after: str) -> tuple[Sequence[LoggedMessage], str]:
            body = EvidenceRecords(hour, until, after, PAGE_EXCHANGES)
            page = await self._ask(peer, body, EvidenceRecordsAnswer)
            _require_order(page, after, bounds_of_hour(hour, until))
            return page.messages, page.next

        here, there = _Pages(ours, self._limits.most_pages), _Pages(their, self._limits.most_pages)
        while True:
            one, other = await here.peek(), await there.peek()
            if not one and not other:
                break
            request_id = min(messages[0].request_id for messages in (one, other) if messages)
            mine = here.take() if one and one[0].request_id == request_id else ()
            others = there.take() if other and other[0].request_id == request_id else ()
            found += compare_exchange(mine, others, own_entity=own_entity, now=now)
        return found, not (here.is_cut or there.is_cut)

    async def _ask(self, peer: Peer, body: EvidenceRoots | EvidenceRecords, kind: type[_Body]) -> _Body:
        answer = await self._asker.ask(peer, body, purpose=_PURPOSE, timeout_s=self._limits.deadline_s)
        if not isinstance(answer, kind):
            raise PeerWrongAnswer("the answer has the body of another operation")
        return answer

    async def _fetch(self, found: Sequence[Finding]) -> None:
        """What the peer answered and this node never got is fetched; the next look finds it in both logs."""
        wanted = [one for one in found if one.kind is FindingKind.UNFETCHED and one.place is Place.HERE]
        for finding in wanted[:_MOST_FETCHED]:
            try:
                await self._asker.fetch(finding.request_id, timeout_s=self._limits.deadline_s)
            except (FederationError, TrustError) as error:
                _log.info("answer_not_fetched", request_id=finding.request_id, code=code_of(error))


_Page = tuple[Sequence[LoggedMessage], str]


class _Pages:
    """One side's exchanges, one after the other; a page in memory."""

    def __init__(self, page: Callable[[str], Awaitable[_Page]], most_pages: int) -> None:
        self._page = page
        self._left = most_pages
        self._ready: list[tuple[LoggedMessage, ...]] = []
        self._after: str | None = ""
        self.is_cut = False

    async def peek(self) -> tuple[LoggedMessage, ...]:
        """The next exchange; empty at the end."""
        while not self._ready and self._after is not None:
            if not self._left:
                self.is_cut, self._after = True, None
                break
            self._left -= 1
            messages, following = await self._page(self._after)
            self._ready = list(reversed(list(by_exchange(messages))))
            self._after = following or None
        return self._ready[-1] if self._ready else ()

    def take(self) -> tuple[LoggedMessage, ...]:
        """Step over it."""
        return self._ready.pop()


def _asked_for(roots: Sequence[HourRoot], first_hour: int, hours: int) -> Sequence[HourRoot]:
    """The roots, when they are of hours that were asked for, each once. A peer may leave older ones for later."""
    told = [root.hour for root in roots]
    if told != list(range(first_hour + hours - len(told), first_hour + hours)):
        raise PeerWrongAnswer("the roots are not of the hours that were asked for")
    return roots


def _require_order(page: EvidenceRecordsAnswer, after: str, bounds: tuple[str, str]) -> None:
    """Return when a peer's page goes on from the one before, and within the hour. Raises PeerWrongAnswer."""
    ids = [message.request_id for message in page.messages]
    lower, upper = bounds
    goes_on = ids == sorted(ids) and all(max(after, lower) < one < upper for one in ids)
    if not goes_on or (page.next and (not ids or page.next != ids[-1])):
        raise PeerWrongAnswer("the page of records does not go on from the one before")


def _state(found: Sequence[Finding], *, complete: bool) -> str:
    if any(one.kind.is_alarming for one in found):
        return HourState.ALARM
    if not complete:
        return HourState.UNFINISHED
    return HourState.EXPLAINED if found else HourState.AGREE


class Schedule:
    """When the next look at each peer is due. Of one process: replicas look each for themselves."""

    def __init__(
        self,
        reconciler: Reconciler,
        log: PairLog,
        clock: Clock,
        limits: ReconcileLimits = _DEFAULT,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reconciler = reconciler
        self._log = log
        self._clock = clock
        self._limits = limits
        self._now_s = now_s
        self._peers: dict[str, _Due] = {}

    async def tick_once(self) -> int:
        """Look at every peer that is due; how many were. Peers that cannot be asked are told of and left."""
        directory = self._reconciler.directory.current
        peers = [peer for peer in directory.peers.values() if peer.standing == "member"]
        self._peers = {peer.entity_id: self._peers.get(peer.entity_id, _Due()) for peer in peers}
        return sum(await asyncio.gather(*(self._tick(peer, self._peers[peer.entity_id]) for peer in peers)))

    async def _tick(self, peer: Peer, due: _Due) -> bool:
        now_s = self._now_s()
        if now_s < due.rests_until_s:
            return False
        whole = now_s >= due.whole_at_s
        newest = await self._log.newest_index(peer.entity_id)
        if newest != due.newest:
            due.newest, due.grown_at_s, due.has_grown = newest, now_s, True
            due.calm, due.whole_at_s = 1, min(due.whole_at_s, now_s + self._limits.reconcile_s)
        # Once at once, and once more when the newest exchanges are old enough to be compared.
        again = due.looked_at_s < due.grown_at_s + self._limits.settle_s <= now_s
        if not (whole or due.has_grown or again):
            return False
        due.has_grown, due.looked_at_s = False, now_s
        try:
            cost = await self._look(peer, due, whole=whole)
        except (FederationError, TrustError) as error:
            self._reconciler.failed(peer, error)
            _log.info("not_reconciled", peer=peer.entity_id, code=code_of(error))
            due.rests_until_s = due.whole_at_s = now_s + self._limits.reconcile_s
            return True
        share = min(_LONGEST_REST, cost / max(1, self._limits.audit_records))
        # Where nothing was old enough to be compared, nothing is before `settle_s` either, however much comes.
        due.rests_until_s = now_s + (share * self._limits.reconcile_s or self._limits.settle_s)
        return True

    async def _look(self, peer: Peer, due: _Due, *, whole: bool) -> float:
        """What it cost, in messages that were looked at."""
        this_hour = hour_of(self._clock.now())
        most = self._limits.audit_records
        recent = await self._reconciler.look(peer, this_hour - 1, 2, most=most)
        if not whole:
            return _cost(recent)
        older = await self._look_at_older(peer, due, this_hour - 1, most - recent.checked)
        whole_look = self._reconciler.looks[peer.entity_id]
        self._reconciler.looks[peer.entity_id] = replace(whole_look, hours=recent.hours)
        due.whole_at_s = self._now_s() + due.calm * self._limits.reconcile_s
        if due.is_at_beginning:
            due.calm = min(2 * due.calm, CALMEST)
        return _cost(recent) + older

    async def _look_at_older(self, peer: Peer, due: _Due, before: int, most: int) -> float:
        """One block of older hours: the one before the last, or the newest again at the log's beginning."""
        begins_at = await self._log.begins_at()
        first = before if begins_at is None else hour_of(begins_at)
        end = due.older_than if due.older_than is not None and first < due.older_than < before else before
        hours = min(BLOCK_HOURS, end - first)
        due.is_at_beginning = end - hours <= first
        if hours < 1:
            return 0
        due.older_than = end - hours
        return _cost(await self._reconciler.look(peer, end - hours, hours, most=max(0, most)))


def _cost(look: PeerLook) -> float:
    return look.checked + look.summed / SUMMED_FOR_ONE


class _Due:
    """When a peer is due, and where in its older hours."""

    def __init__(self) -> None:
        self.newest = -1
        self.has_grown = False
        self.grown_at_s = self.looked_at_s = float("-inf")
        self.rests_until_s = 0.0
        self.whole_at_s = 0.0
        self.older_than: int | None = None
        self.is_at_beginning = False
        self.calm = 1
