"""One outbox stage: queue → sign → insert → COMMIT in one writer thread → one call back that resolves all
(design §9).

The event loop only appends; the writer gathers, like PostgreSQL's ``commit_siblings``: with more than 4
exchanges in flight and not all of them in the queue it waits up to 6 ms for the others, otherwise it
flushes at once. A lone job never waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, Protocol

from federation.errors import OwnBusy, OwnShuttingDown
from node.store.jobs import Job

__all__ = ["BATCH_JOBS", "GATHER_ABOVE", "GATHER_S", "QUEUE_BYTES", "QUEUE_JOBS", "JobStore", "Outbox"]

QUEUE_JOBS: Final = 4096
"""Jobs that may wait before callers are told that the node is busy."""

QUEUE_BYTES: Final = 128 * 1024 * 1024
"""Bytes of messages that may wait before callers are told that the node is busy."""

BATCH_JOBS: Final = 256
"""Jobs in one transaction at most."""

GATHER_ABOVE: Final = 4
"""In-flight exchanges up to which nothing is gathered."""

GATHER_S: Final = 0.006
"""The longest that a job waits for company: with 2 ms a sixth more transactions, and with them about 5 % more
processor time a query in both nodes, at 32 in flight; with half of what is in flight for company, a tenth more still.
"""


class JobStore(Protocol):
    """What the writer thread does with a batch; all methods are called in that thread only."""

    def open(self) -> None:
        """Connect ahead of the first batch; never raises."""
        ...

    def store(self, jobs: Sequence[Job]) -> None:
        """Set each job's result or error. Never raises."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class Outbox:
    """The bounded queue and its writer thread. `in_flight` says how many exchanges this node has open now.

    `resolved` is called on the event loop with each finished batch, after the futures were set.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        in_flight: Callable[[], int],
        resolved: Callable[[Sequence[Job]], None],
        queue_jobs: int = QUEUE_JOBS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._store = store
        self._in_flight = in_flight
        self._resolved = resolved
        self._queue_jobs = queue_jobs
        self._queue_bytes = queue_bytes
        self._pending: deque[Job] = deque()
        self._pending_bytes = 0
        self._signal: SimpleQueue[None] = SimpleQueue()
        self._wanted = 0
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer for callers on `loop`. A second call does nothing."""
        if self._thread is None:
            self._loop = loop
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def submit(self, job: Job) -> asyncio.Future[Any]:
        """Queue one job; its future ends when the job is stored or refused. On the event loop only.

        Raises OwnBusy when the queue is full, OwnShuttingDown after `close`.
        """
        if self._closing:
            raise OwnShuttingDown("the journal is closed")
        pending = self._pending
        size = job.size_bytes
        if len(pending) >= self._queue_jobs or self._pending_bytes + size > self._queue_bytes:
            raise OwnBusy(f"{len(pending)} jobs wait for the store already: try again in a moment")
        self._pending_bytes += size
        pending.append(job)
        wanted = self._wanted
        if wanted and len(pending) >= wanted:
            self._wanted = 0
            self._signal.put(None)
        return job.future

    async def close(self) -> None:
        """Take no more, store what waits, end the thread. A second call does nothing."""
        self._closing = True
        thread = self._thread
        if thread is not None:
            self._signal.put(None)
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        self._store.open()
        try:
            while batch := self._gather():
                self._store.store(batch)
                self._hand_back(batch)
        finally:
            self._store.close()

    def _gather(self) -> list[Job]:
        """The next batch; empty only when the outbox is closed and drained."""
        pending = self._pending
        while not pending:
            if self._closing:
                return []
            self._wanted = 1
            if not pending and not self._closing:
                self._signal.get()
            self._wanted = 0
        in_flight = self._in_flight()
        if in_flight > GATHER_ABOVE and len(pending) < in_flight and not self._closing:
            self._wait_for(min(in_flight, BATCH_JOBS))
        return [pending.popleft() for _ in range(min(len(pending), BATCH_JOBS))]

    def _wait_for(self, jobs: int) -> None:
        """Return when that many jobs wait, or after GATHER_S."""
        until = monotonic() + GATHER_S
        self._wanted = jobs
        while len(self._pending) < jobs and not self._closing:
            left = until - monotonic()
            if left <= 0:
                break
            try:
                # A signal left over from an earlier wait may end this one early; the loop looks again.
                self._signal.get(timeout=left)
            except Empty:
                break
            self._wanted = jobs
        self._wanted = 0

    def _hand_back(self, batch: list[Job]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._resolve, batch)
        except RuntimeError:
            # The loop was closed without `close`: what was stored is stored, and nobody is left to be told.
            self._closing = True

    def _resolve(self, batch: list[Job]) -> None:
        for job in batch:
            self._pending_bytes -= job.size_bytes
            future = job.future
            if future.done():
                continue
            if job.error is not None:
                future.set_exception(job.error)
            else:
                future.set_result(job.result)
        self._resolved(batch)
