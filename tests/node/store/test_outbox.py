"""The queue before the writer: bounded, gathered, drained; a store that holds its first batch shows the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from federation.errors import OwnBusy, OwnShuttingDown
from node.store.jobs import Job, ReleaseClaim, StoreAnswer
from node.store.outbox import BATCH_JOBS, Outbox
from tests.support.exchanges import claim_of, meta_of, request_of


class HeldStore:
    """Stores nothing; keeps its first batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.is_closed = False

    def open(self) -> None:
        pass

    def store(self, jobs: Sequence[Job]) -> None:
        self.batches.append(len(jobs))
        self.began.set()
        self.go_on.wait(timeout=60)
        for number, job in enumerate(jobs):
            job.result = number

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


def job_of(size_bytes: int = 1) -> StoreAnswer:
    future = asyncio.get_running_loop().create_future()
    return StoreAnswer(future, meta_of("r"), b"i" * 32, b"x" * size_bytes)


async def opened(store: HeldStore, *, in_flight: int = 0, **limits: int) -> Outbox:
    outbox = Outbox(store, in_flight=lambda: in_flight, resolved=lambda _: None, **limits)
    outbox.start(asyncio.get_running_loop())
    return outbox


async def hold(outbox: Outbox, store: HeldStore) -> asyncio.Future[int]:
    """The first job, now in the writer's hands."""
    future = outbox.submit(job_of())
    await asyncio.to_thread(store.began.wait)
    return future


@pytest.fixture
async def outbox(store: HeldStore) -> AsyncIterator[Outbox]:
    made = await opened(store, queue_jobs=1000)
    yield made
    store.go_on.set()
    await made.close()


async def test_what_waits_goes_in_one_batch(outbox: Outbox, store: HeldStore) -> None:
    first = await hold(outbox, store)
    others = [outbox.submit(job_of()) for _ in range(20)]
    store.go_on.set()
    assert await first == 0
    assert await asyncio.gather(*others) == list(range(20))
    assert store.batches == [1, 20]


async def test_a_batch_is_bounded(outbox: Outbox, store: HeldStore) -> None:
    await hold(outbox, store)
    others = [outbox.submit(job_of()) for _ in range(BATCH_JOBS + 44)]
    store.go_on.set()
    await asyncio.gather(*others)
    assert store.batches == [1, BATCH_JOBS, 44]


async def test_a_lone_job_goes_at_once_and_many_in_flight_are_not_lost(store: HeldStore) -> None:
    store.go_on.set()
    outbox = await opened(store, in_flight=100)
    assert await outbox.submit(job_of()) == 0
    results = await asyncio.gather(*(outbox.submit(job_of()) for _ in range(50)))
    assert len(results) == 50
    assert sum(store.batches) == 51
    await outbox.close()


async def test_the_queue_is_bounded_by_jobs_and_by_bytes(store: HeldStore) -> None:
    outbox = await opened(store, queue_jobs=3, queue_bytes=100)
    await hold(outbox, store)
    with pytest.raises(OwnBusy):
        outbox.submit(job_of(101))
    waiting = [outbox.submit(job_of(30)) for _ in range(3)]
    with pytest.raises(OwnBusy):
        outbox.submit(job_of())
    store.go_on.set()
    await asyncio.gather(*waiting)
    await outbox.submit(job_of(100))
    await outbox.close()


async def test_close_drains_and_then_refuses(outbox: Outbox, store: HeldStore) -> None:
    first = await hold(outbox, store)
    others = [outbox.submit(job_of()) for _ in range(5)]
    closing = asyncio.ensure_future(outbox.close())
    await asyncio.sleep(0)
    with pytest.raises(OwnShuttingDown):
        outbox.submit(job_of())
    assert not closing.done()
    store.go_on.set()
    await closing
    assert [await future for future in (first, *others)] == [0, *range(5)]
    assert store.is_closed


async def test_a_cancelled_caller_does_not_disturb_the_others(outbox: Outbox, store: HeldStore) -> None:
    await hold(outbox, store)
    gone, stays = outbox.submit(job_of()), outbox.submit(job_of())
    gone.cancel()
    store.go_on.set()
    assert await stays == 1
    assert store.batches == [1, 2]


async def test_an_error_reaches_its_caller(outbox: Outbox, store: HeldStore) -> None:
    await hold(outbox, store)
    future = asyncio.get_running_loop().create_future()
    job = ReleaseClaim(future, claim_of(request_of("r"), "r"))
    job.error = OwnBusy("this one")
    outbox.submit(job)
    store.go_on.set()
    with pytest.raises(OwnBusy, match="this one"):
        await future
