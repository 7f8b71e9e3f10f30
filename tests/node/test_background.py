from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import MappingProxyType

import pytest
from structlog.testing import capture_logs

from federation.errors import OwnStoreUnavailable
from federation.trust_sync import RefreshReport
from node import background
from node.background import Background, TrustLog, follow_readiness, follow_trust, repeat
from tests.support.clock import NOON


def report(*, members: int = 1, problems: Sequence[str] = (), age_s: float = 0) -> RefreshReport:
    return RefreshReport(
        at=NOON,
        sequence=1,
        status_issued_at=NOON - timedelta(seconds=age_s),
        expires_at=None,
        members=members,
        revoked=0,
        denied=0,
        problems=MappingProxyType(dict.fromkeys(problems, "away")),
    )


class Sync:
    """A trust list whose refreshes come out as told; after the last it runs for ever."""

    def __init__(self, *outcomes: RefreshReport | Exception) -> None:
        self.outcomes = list(outcomes)
        self.running_every_s: float | None = None

    async def refresh_once(self) -> RefreshReport:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run(self, interval_s: float) -> None:
        self.running_every_s = interval_s


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSES_S", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("no_pauses")
async def test_trust_is_refreshed_quickly_until_all_is_there() -> None:
    sync = Sync(report(problems=["https://sh.example"]), OwnStoreUnavailable("away"), report(), report())
    with capture_logs():
        await follow_trust(sync, 60.0)  # type: ignore[arg-type]
    assert len(sync.outcomes) == 1
    assert sync.running_every_s == 60.0


@pytest.mark.usefixtures("no_pauses")
async def test_a_peer_that_stays_away_does_not_keep_trust_from_its_pace() -> None:
    sync = Sync(*[report(problems=["https://sh.example"])] * 3)
    await follow_trust(sync, 60.0)  # type: ignore[arg-type]
    assert sync.running_every_s == 60.0


async def test_what_is_repeated_goes_on_after_an_error() -> None:
    done = asyncio.Event()
    outcomes: list[Exception | None] = [OwnStoreUnavailable("away"), RuntimeError("a fault of ours"), None]

    async def work() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        done.set()
        await asyncio.Event().wait()

    with capture_logs() as lines:
        (task,) = Background([("work", lambda: repeat(work, every_s=0, name="work"))]).start()
        await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [line["log_level"] for line in lines] == ["warning", "error"]
    assert lines[0]["code"] == "own.store_unavailable"


async def test_readiness_is_told_when_it_changes_only() -> None:
    ready = iter([False, False, True, True, False])
    told: list[bool] = []
    ended = asyncio.Event()

    def is_ready() -> bool:
        try:
            return next(ready)
        except StopIteration:
            ended.set()
            return False

    async def tell(value: bool) -> None:
        told.append(value)

    with capture_logs():
        task = asyncio.create_task(follow_readiness(is_ready, tell, every_s=0))
        await ended.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert told == [False, True, False]


def test_refreshes_are_logged_when_something_changed() -> None:
    with capture_logs() as lines:
        tell = TrustLog(status_max_age_s=600)
        tell(report())
        tell(report())
        tell(report(problems=["https://sh.example"]))
        tell(report())
        tell(report(age_s=601))
    assert [(line["log_level"], line["status_is_old"]) for line in lines] == [
        ("info", False),
        ("warning", False),
        ("info", False),
        ("warning", True),
    ]
