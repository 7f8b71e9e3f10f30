"""The sequencer: beside the loop, never on the way of a query, it takes what was logged into the tree and signs it.

One turn: look whether the log is still the one that was signed (`node.store.log_mark`), sign what an earlier turn,
here or in another process, left unsigned, let the tree grow, sign that. What is broken closes the gate, and is kept
with the generation, so that every replica stops and a restart does not forget it; `restart` opens the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import structlog

from federation.errors import FederationError, code_of, detail_of
from federation.ports import CheckpointRow, Clock, LogGeneration
from node.store.generations import LogBrokenError
from node.store.log_gate import StoreLogGate
from node.store.log_mark import LogMark, MarkFile
from node.store.tree_growth import Look, TreeGrowth
from trust.checkpoint import Checkpoint, sign_checkpoint
from trust.keys import Signer
from trust.merkle import EMPTY_ROOT
from trust.profile import log_origin

__all__ = ["LogState", "Sequencer"]

_log = structlog.get_logger("yrd.log")

_T = TypeVar("_T")

_PROGRESS_EVERY_S = 10.0
"""How often a long catch-up says how far it is."""


@dataclass(frozen=True, slots=True)
class LogState:
    """The own log as the last turn saw it. `size` is what the last checkpoint holds, made at `checkpoint_at`;
    `records` how many there are, `settled` how many are settled, all of this generation. `waits_since` is when records
    were first seen that no signed checkpoint holds, None when there are none. `reason` is why the generation before
    was closed.
    """

    generation: int = 0
    size: int = 0
    records: int = 0
    settled: int = 0
    checkpoint_at: datetime | None = None
    waits_since: datetime | None = None
    reason: str = ""

    @property
    def unsettled(self) -> int:
        """Records whose time is not proven yet."""
        return self.records - self.settled


class Sequencer:
    """Keeps one process' part of the log going. `signer` gives the log key of the moment, or raises
    OwnKeyUnavailable: then records wait, and nothing is lost.
    """

    def __init__(
        self,
        growth: TreeGrowth,
        mark: MarkFile,
        gate: StoreLogGate,
        signer: Callable[[], Signer],
        clock: Clock,
        *,
        entity_id: str,
    ) -> None:
        self._growth = growth
        self._mark = mark
        self._gate = gate
        self._signer = signer
        self._clock = clock
        self._entity_id = entity_id
        self._one_at_a_time = asyncio.Lock()
        self._compared = False
        self.state = LogState()

    @property
    def generation(self) -> int:
        """The open generation, as last seen."""
        return self.state.generation

    async def begin(self) -> None:
        """Before anything is written: compare the store with the mark. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._guarded, self._look)

    async def look(self) -> None:
        """Bring `state` up to date. Raises OwnStoreUnavailable; what is broken closes the gate."""
        await self.begin()

    async def turn(self) -> bool:
        """Sign, grow, sign; whether there is more to take at once.

        Raises OwnStoreUnavailable, OwnKeyUnavailable; a repeat is safe. What is broken closes the gate instead.
        Cancelled, the turn still ends in its thread.
        """
        async with self._one_at_a_time:
            return bool(await asyncio.to_thread(self._guarded, self._turn))

    async def restart(self, reason: str, *, above: int = 0) -> tuple[LogGeneration, LogGeneration]:
        """Close the open generation, after the rest was taken into it unless it is halted, and open the next.

        Its number is also above `above`. Returns both. Raises OwnStoreUnavailable; OwnKeyUnavailable never: what
        cannot be signed now is signed later.
        """
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._restart, reason, above)

    async def run(self, every_s: float) -> None:
        """A turn every so often, for ever; without a pause between turns that took all they may, but giving as much
        time as they take to what else the process does. Failures are logged when they begin and change.
        """
        failing, told_at = "", time.monotonic()
        while True:
            began = time.monotonic()
            more = False
            try:
                more = await self.turn()
            except FederationError as error:
                if failing != code_of(error):
                    _log.warning("log.waits", code=code_of(error), detail=detail_of(error))
                failing = code_of(error)
            except Exception:
                _log.exception("log.failed")
            else:
                failing = ""
            ended = time.monotonic()
            if more and ended - told_at > _PROGRESS_EVERY_S:
                told_at = ended
                _log.info("log.catches_up", size=self.state.size, records=self.state.records)
            await asyncio.sleep(min(ended - began, every_s) if more else every_s)

    # --- in the thread ---

    def _guarded(self, work: Callable[[], _T]) -> _T | None:
        try:
            return work()
        except LogBrokenError as error:
            self._gate.close(str(error))
        self._growth.halt(self._gate.reason)
        return None

    def _turn(self) -> bool:
        look = self._look()
        if not self._sign(look):
            return False
        grown = self._growth.advance(self._clock.now())
        if grown is None:
            return False
        # Grown by this turn from what it looked at: that was held against the mark, and the tiles against that.
        self._sign_one(grown.row, base=look.last if grown.before == look.size else None)
        size, records = grown.row.size, max(self.state.records, grown.row.size)
        # The next look says whether more came meanwhile.
        self.state = replace(
            self.state, size=size, records=records, checkpoint_at=grown.row.made_at, waits_since=None
        )
        return records > size

    def _look(self) -> Look:
        """The log as it stands, after the gate and the generation were followed."""
        mark = self._mark.read()  # first: the store must know at least as much
        look = self._growth.look(mark, deeply=not self._compared)
        self._compared = True
        self._follow(look)
        return look

    def _follow(self, look: Look) -> None:
        generation, seen = look.generation, self.state
        if (generation.generation, look.size) < (seen.generation, seen.size) and not generation.halted:
            raise LogBrokenError(
                f"the store went back from generation {seen.generation} with {seen.size} records to generation"
                f" {generation.generation} with {look.size}: it was restored from an older copy, or it lags behind"
            )
        if seen.generation and seen.generation != generation.generation:
            self._gate.open()
        if generation.halted:
            self._gate.close(generation.halted)
        elif self._gate.reason:
            self._growth.halt(self._gate.reason)
        waits = look.records > look.size or bool(look.unsigned)
        self.state = LogState(
            generation=generation.generation,
            size=look.size,
            records=look.records,
            settled=look.settled,
            checkpoint_at=look.last.made_at if look.last else None,
            waits_since=(seen.waits_since or self._clock.now()) if waits else None,
            reason=generation.reason,
        )

    def _sign(self, look: Look) -> bool:
        """Sign what waits. False: the log is closed."""
        if self._gate.reason:
            return False
        for row in look.unsigned:
            try:
                self._sign_one(row)
            except LogBrokenError as error:
                if row.generation == look.generation.generation:
                    raise
                _log.error("log.broken", generation=row.generation, reason=str(error))
                self._growth.halt(str(error), generation=row.generation)
        return True

    def _sign_one(self, row: CheckpointRow, *, base: CheckpointRow | None = None) -> None:
        """`base` is what the row was grown from just now: when that is the mark, all is compared already."""
        mark = self._mark.read()
        if base is None or base.generation != row.generation or mark != _mark_of(base):
            self._growth.check_root(row, mark)
        if mark is None or (mark.generation, mark.size) < (row.generation, row.size):
            self._mark.write(_mark_of(row))
        checkpoint = Checkpoint(log_origin(self._entity_id, row.generation), row.size, row.root)
        self._growth.keep_note(row, sign_checkpoint(checkpoint, self._signer()))

    def _restart(self, reason: str, above: int) -> tuple[LogGeneration, LogGeneration]:
        try:
            mark = self._mark.read()
            above = max(above, mark.generation if mark else 0)
            self._finish()
        except LogBrokenError as error:
            self._gate.close(str(error))
        if self._gate.reason:
            self._growth.halt(self._gate.reason)
        closed, opened = self._growth.restart(reason, self._clock.now(), above=above)
        # From now on a store that knows nothing of this generation is an older one.
        self._mark.write(LogMark(opened.generation, 0, EMPTY_ROOT))
        self._gate.open()
        try:
            self._sign(self._look())
        except FederationError as error:
            _log.warning("log.waits", code=code_of(error), detail=detail_of(error))
        return closed, opened

    def _finish(self) -> None:
        """Take all but the last few records into the tree, so that the last step is short."""
        self._follow(self._growth.look(self._mark.read(), deeply=True))
        while not self._gate.reason and self._growth.advance(self._clock.now()) is not None:
            continue


def _mark_of(row: CheckpointRow) -> LogMark:
    return LogMark(row.generation, row.size, row.root)
