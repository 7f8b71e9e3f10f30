"""What a node answers to another node about their common log, and about a holder who is logged in there.

There is no access rule for these, and there can be none (`access`, rule 7). Instead:

1. Roots and records are of exchanges between the asking node and this one: the asker is who signed the request, so
   nobody learns anything of a third party's. Every member may ask.
2. A holder's record takes a statement of the asking node that the holder is logged in there (`holder_record`).

What an answer costs is bounded: hours and exchanges a request, and stored bytes that are looked at by `audit_records`
in `reconcile_s` for each peer, however often it asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from federation.errors import PeerMalformed
from federation.pair_log import PAGE_EXCHANGES, HourTooBusy, OwnHours, PairLog
from federation.ports import Clock
from federation.query import (
    AnswerBody,
    EvidenceRecords,
    EvidenceRecordsAnswer,
    EvidenceRoots,
    EvidenceRootsAnswer,
    HolderRecord,
    HolderRecordAnswer,
    HourRoot,
    Request,
)
from federation.reconcile import hour_of

__all__ = ["MOST_HOURS", "HolderRecordAnswerer", "NodeOperations", "WorkBudget"]

MOST_HOURS: Final = 48
"""Hours a request may name."""
MOST_SUMMED: Final = 20_000
"""Exchanges that are summed up for one request, well within its deadline. What is left is of hours that the asker asks
for next; an hour that has more by itself it compares page by page.
"""


class HolderRecordAnswerer(Protocol):
    """Answers for a holder (`holder_record.OwnHolderRecord`)."""

    async def answer(self, request: Request, body: HolderRecord) -> HolderRecordAnswer:
        """One page. Raises what the statement is refused with."""
        ...


class WorkBudget:
    """How many stored messages may be looked at for each peer: `most` at once, and as many again in `every_s`."""

    def __init__(self, most: int, every_s: float, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._rate = most / every_s
        self._now_s = now_s
        self._spent: dict[str, tuple[float, float]] = {}

    def left(self, peer: str) -> int:
        """How many may be looked at now."""
        left, at_s = self._spent.get(peer, (float(self._most), 0.0))
        return int(min(self._most, left + (self._now_s() - at_s) * self._rate))

    def spend(self, peer: str, messages: int) -> None:
        """That many were."""
        self._spent[peer] = (self.left(peer) - messages, self._now_s())


class NodeOperations(Struct, frozen=True):
    """Performs what nodes ask each other. Only members get here, so budgets are as many as members."""

    log: PairLog
    hours: OwnHours
    budget: WorkBudget
    holders: HolderRecordAnswerer
    clock: Clock

    async def perform(self, request: Request) -> AnswerBody:
        """The answer's body. Raises PeerMalformed beyond the bounds, OwnStoreUnavailable, and of `holders`."""
        body, peer = request.body, request.header.asking
        if isinstance(body, EvidenceRoots):
            return await self._roots(peer, body)
        if isinstance(body, EvidenceRecords):
            return await self._records(peer, body)
        assert isinstance(body, HolderRecord)
        return await self.holders.answer(request, body)

    async def _roots(self, peer: str, body: EvidenceRoots) -> EvidenceRootsAnswer:
        if body.hours > MOST_HOURS:
            raise PeerMalformed(f"{body.hours} hours were asked for, at most {MOST_HOURS} are answered")
        roots: list[HourRoot] = []
        summed, recent = 0, hour_of(self.clock.now()) - 1
        suspects = await self.hours.suspects(peer)
        for hour in range(body.first_hour + body.hours - 1, body.first_hour - 1, -1):  # the newest first
            try:
                _, root = await self.hours.sum_up(
                    peer,
                    hour,
                    body.until,
                    most=self.budget.left(peer),
                    newest=hour >= recent,
                    suspects=suspects,
                    most_exchanges=MOST_SUMMED - summed,
                )
            except HourTooBusy as busy:
                self.budget.spend(peer, busy.checked)
                break
            self.budget.spend(peer, root.checked)
            summed += root.exchanges
            roots.append(root)
        archived = await self.log.archived_until()
        held_since = 0 if archived is None else hour_of(archived) + 1
        return EvidenceRootsAnswer(tuple(reversed(roots)), held_since)

    async def _records(self, peer: str, body: EvidenceRecords) -> EvidenceRecordsAnswer:
        limit = min(body.limit, PAGE_EXCHANGES)
        page = await self.hours.page(peer, body.hour, body.until, after=body.after, limit=limit)
        return EvidenceRecordsAnswer(page.messages, page.next)
