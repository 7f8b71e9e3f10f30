"""What a node does beside answering: following trust, keys and health, and throwing away what has expired.

Each loop waits for a failing part and tries again; none of them ends by an error, and cancelling ends all
of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from federation.errors import FederationError, code_of
from federation.trust_sync import RefreshReport, TrustSync

__all__ = ["Background", "Loop", "TrustLog", "follow_readiness", "follow_trust", "repeat"]

_log = structlog.get_logger("yrd.background")

FIRST_PAUSES_S = (0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""After a start with something missing, refreshes come quickly and then ever slower, until all is there."""

Loop = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Background:
    """The loops of one node, by name."""

    loops: Sequence[tuple[str, Loop]]

    def start(self) -> list[asyncio.Task[None]]:
        """Start every loop; whoever starts them cancels them."""
        return [asyncio.create_task(_run(loop), name=name) for name, loop in self.loops]


async def _run(loop: Loop) -> None:
    await loop()


async def repeat(work: Callable[[], Awaitable[object]], *, every_s: float, name: str) -> None:
    """Do `work` every so often, for ever. The vocabulary's errors are logged; the next time may be better."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except FederationError as error:
            _log.warning("background.failed", work=name, code=code_of(error))
        except Exception:
            _log.exception("background.failed", work=name)


async def follow_trust(sync: TrustSync, refresh_s: float) -> None:
    """Refresh until the federation is all there, then every `refresh_s` and when it is asked for."""
    for pause_s in FIRST_PAUSES_S:
        try:
            report = await sync.refresh_once()
        except FederationError as error:
            _log.warning("trust.not_refreshed", code=code_of(error))
        else:
            if not report.problems:
                break
        await asyncio.sleep(min(pause_s, refresh_s))
    await sync.run(refresh_s)


async def follow_readiness(
    is_ready: Callable[[], bool], tell: Callable[[bool], Awaitable[None]], *, every_s: float = 0.5
) -> None:
    """Tell gRPC's health service whenever readiness changes."""
    told: bool | None = None
    while True:
        ready = is_ready()
        if ready is not told:
            _log.info("node.ready" if ready else "node.not_ready")
            await tell(ready)
            told = ready
        await asyncio.sleep(every_s)


class TrustLog:
    """Logs what came of refreshes, when it is another than the last time."""

    def __init__(self, status_max_age_s: float) -> None:
        self._status_max_age_s = status_max_age_s
        self._last: object = None

    def __call__(self, report: RefreshReport) -> None:
        """Take a report of the trust list."""
        age_s = (
            None if report.status_issued_at is None else (report.at - report.status_issued_at).total_seconds()
        )
        is_old = age_s is not None and age_s > self._status_max_age_s
        state = (report.members, report.revoked, report.denied, dict(report.problems), is_old, report.mirror)
        if state == self._last:
            return
        self._last = state
        tell = _log.warning if report.problems or is_old else _log.info
        tell(
            "trust.refreshed",
            sequence=report.sequence,
            members=report.members,
            revoked=report.revoked,
            denied=report.denied,
            problems=dict(report.problems),
            status_is_old=is_old,
            mirror=report.mirror,
        )
