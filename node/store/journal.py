"""The journal: `federation.ports.Journal` on the store. What it returns from is on disk.

Everything that is written goes through one outbox (`node.store.outbox`); what is only read goes through the
async engine. Several journals, in several processes, may share one PostgreSQL: what they must agree on is
rows.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from sqlalchemy import and_, select

from federation.errors import OwnStoreUnavailable
from federation.ports import Claim, ClaimVerdict, Clock, ExchangeMeta, StoredRecord
from node.store.batch import BatchStore, Gate, JournalMetrics, NoMetrics, OpenGate
from node.store.bodies import Bodies, ClearBodies
from node.store.database import Database
from node.store.jobs import Job, ReleaseClaim, StoreAnswer, StoreExchange, StoreRequest, TakeClaim
from node.store.outbox import QUEUE_BYTES, QUEUE_JOBS, Outbox
from node.store.records import RECORD_ROWS, RecordReader
from node.store.tables import BODIES, CLAIM_FINISHED, CLAIMS, LABELS, RECORDS
from trust.envelope import Sealed
from trust.keys import Signer

__all__ = ["POLL_FIRST_S", "POLL_LONGEST_S", "RECENT_CLAIMS", "StoreJournal"]

POLL_FIRST_S: Final = 0.02
"""After how long another replica's answer is looked for the first time; each next time half as much later."""

POLL_LONGEST_S: Final = 0.25

RECENT_CLAIMS: Final = 2000
"""How many requests of a peer are looked through for one whose id it does not say."""

_BODY = (RECORDS.c.key_id, RECORDS.c.wrapped, BODIES.c.sealed)

_FORGOTTEN_AFTER_S: Final = 5.0
"""An exchange that was begun and never ended (a timeout) counts as in flight for at most twice this long."""


class _InFlight:
    """How many exchanges are open here, to within those that never end: these are forgotten by and by."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._before: set[str] = set()
        self._turns_at = 0.0

    def begin(self, request_id: str) -> None:
        self._now.add(request_id)

    def end(self, request_id: str) -> None:
        self._now.discard(request_id)
        self._before.discard(request_id)

    def count(self) -> int:
        return len(self._now) + len(self._before)

    def turn(self) -> None:
        now = monotonic()
        if now >= self._turns_at:
            self._before, self._now = self._now, set()
            self._turns_at = now + _FORGOTTEN_AFTER_S


class StoreJournal:
    """Implements `federation.ports.Journal`.

    `signer` gives the envelope key of the moment; it is called in the writer thread, once a batch. `bodies` seals
    what is stored, in clear without; while `gate` is closed nothing is stored and OwnLogClosed is raised. With
    `sign_batches` the messages of one flush share one signature over their Merkle root. With `sole_process`,
    which says that no other process works on this store, a claim that an ended process left behind is taken up
    at once by a repeat, not only when its lease has run out. All methods raise OwnBusy when more waits than
    `queue_jobs` or `queue_bytes` allow, and OwnShuttingDown after `close`.
    """

    def __init__(
        self,
        database: Database,
        signer: Callable[[], Signer],
        clock: Clock,
        metrics: JournalMetrics | None = None,
        *,
        bodies: Bodies | None = None,
        gate: Gate | None = None,
        sign_batches: bool = False,
        sole_process: bool = False,
        queue_jobs: int = QUEUE_JOBS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._database = database
        bodies = bodies or ClearBodies()
        self._reader = RecordReader(bodies)
        self._process = secrets.token_hex(8)
        self._takes = 0
        self._sole = sole_process
        self._in_flight = _InFlight()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: dict[tuple[str, str], list[asyncio.Future[bytes | None]]] = {}
        store = BatchStore(
            database,
            signer,
            clock,
            metrics or NoMetrics(),
            bodies=bodies,
            gate=gate or OpenGate(),
            process=self._process,
            sign_batches=sign_batches,
        )
        self._outbox = Outbox(
            store,
            in_flight=self._in_flight.count,
            resolved=self._wake,
            queue_jobs=queue_jobs,
            queue_bytes=queue_bytes,
        )

    async def start(self) -> None:
        """Start the writer ahead of the first call. Every other method does so when needed."""
        self._running_loop()

    async def close(self) -> None:
        """Store what waits, then end the writer. The database stays open."""
        await self._outbox.close()

    # --- asking ---

    async def store_request(self, meta: ExchangeMeta, payload_type: str, payload: bytes) -> Sealed:
        """Sign and store a request of this node. Durable on return."""
        self._in_flight.begin(meta.request_id)
        sealed: Sealed = await self._submit(StoreRequest(self._future(), meta, payload_type, payload))
        return sealed

    async def store_answer(self, meta: ExchangeMeta, identity: bytes, envelope: bytes) -> None:
        """Store a verified answer that this node got. Durable on return."""
        try:
            await self._submit(StoreAnswer(self._future(), meta, identity, envelope))
        finally:
            self._in_flight.end(meta.request_id)

    # --- answering ---

    async def claim(self, claim: Claim) -> ClaimVerdict:
        """Check 7, by one insert."""
        self._in_flight.begin(claim.request_id)
        self._takes += 1
        owner = f"{self._process}.{self._takes}"
        verdict: ClaimVerdict = await self._submit(TakeClaim(self._future(), claim, owner, self._sole))
        return verdict

    async def release(self, claim: Claim) -> None:
        """Give up a claim that this journal holds; another's, or a finished one, stays."""
        try:
            await self._submit(ReleaseClaim(self._future(), claim))
        finally:
            self._in_flight.end(claim.request_id)

    async def store_exchange(
        self, meta: ExchangeMeta, request: Sealed, request_identity: bytes, payload_type: str, payload: bytes
    ) -> Sealed:
        """Sign the answer, store both, finish the claim. Durable on return.

        When the claim was finished meanwhile (its lease had run out and another took it up), the first answer
        is returned and nothing is stored. When the request id belongs to other bytes (a signed `replayed`),
        both are stored and the claim is left alone.
        """
        job = StoreExchange(self._future(), meta, request.envelope, request_identity, payload_type, payload)
        try:
            sealed: Sealed = await self._submit(job)
        finally:
            self._in_flight.end(meta.request_id)
        return sealed

    async def await_answer(self, claim: Claim, *, timeout_s: float) -> bytes | None:
        """The answer as soon as it is finished, here or in another replica; None on timeout or when it is
        given up.

        Safe to cancel and to repeat.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        key = (claim.asking, claim.request_id)
        woken: asyncio.Future[bytes | None] = loop.create_future()
        waiters = self._waiters.setdefault(key, [])
        waiters.append(woken)
        pause = POLL_FIRST_S
        try:
            while True:
                given_up, answer = await self._look(claim)
                if given_up or answer is not None:
                    return answer
                left = until - loop.time()
                if left <= 0:
                    return None
                done, _ = await asyncio.wait((woken,), timeout=min(pause, left))
                if done:
                    return woken.result()
                pause = min(pause * 1.5, POLL_LONGEST_S)
        finally:
            waiters.remove(woken)
            if not waiters:
                self._waiters.pop(key, None)

    async def find_answer(self, asking: str, request_identity: bytes, request_id: str = "") -> bytes | None:
        """The envelope of the finished answer to a request of `asking`, or None.

        There is no index by identity, which every claim would pay for: without `request_id` the newest
        `RECENT_CLAIMS` of `asking` are looked through.
        """
        recent = select(CLAIMS.c.request_id).where(CLAIMS.c.asking == asking)
        recent = recent.order_by(CLAIMS.c.request_id.desc()).limit(RECENT_CLAIMS)
        query = (
            select(*_BODY)
            .join(CLAIMS, CLAIMS.c.answer == RECORDS.c.log_index)
            .join(BODIES, BODIES.c.log_index == RECORDS.c.log_index)
            .where(CLAIMS.c.identity == request_identity, CLAIMS.c.asking == asking)
            .where(CLAIMS.c.request_id == request_id if request_id else CLAIMS.c.request_id.in_(recent))
            .where(CLAIMS.c.state == CLAIM_FINISHED)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        return self._reader.body(row).envelope if row else None

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        """All records under a request id in log order; with `asking`, those of what that node asked."""
        query = RECORD_ROWS.where(RECORDS.c.request_id == request_id).order_by(RECORDS.c.log_index)
        query = query.where(LABELS.c.asking == asking) if asking else query
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [self._reader.read(row) for row in rows]

    # --- inside ---

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the first call, with the writer started for it: a journal serves one loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._outbox.start(self._loop)
        return self._loop

    def _future(self) -> asyncio.Future[Any]:
        return self._running_loop().create_future()

    def _submit(self, job: Job) -> asyncio.Future[Any]:
        self._in_flight.turn()
        return self._outbox.submit(job)

    async def _look(self, claim: Claim) -> tuple[bool, bytes | None]:
        """Whether the claim is gone, and its answer when there is one. A store that is away now is tried
        later.
        """
        query = (
            select(CLAIMS.c.state, *_BODY)
            .outerjoin(RECORDS, RECORDS.c.log_index == CLAIMS.c.answer)
            .outerjoin(BODIES, BODIES.c.log_index == CLAIMS.c.answer)
            .where(and_(CLAIMS.c.asking == claim.asking, CLAIMS.c.request_id == claim.request_id))
            .where(CLAIMS.c.identity == claim.identity)
        )
        try:
            async with self._database.reading() as connection:
                row = (await connection.execute(query)).mappings().one_or_none()
        except OwnStoreUnavailable:
            return False, None
        return row is None, (self._reader.body(row).envelope or None) if row else None

    def _wake(self, batch: Sequence[Job]) -> None:
        """Tell those who wait in this process; on the event loop, after each batch."""
        if not self._waiters:
            return
        for job in batch:
            if job.error is not None:
                continue
            if isinstance(job, StoreExchange):
                self._tell((job.meta.asking, job.meta.request_id), job)
            elif isinstance(job, ReleaseClaim):
                self._tell((job.claim.asking, job.claim.request_id), None)

    def _tell(self, key: tuple[str, str], job: StoreExchange | None) -> None:
        if job is not None and not job.finishes:
            return
        for woken in self._waiters.get(key, ()):
            if not woken.done():
                woken.set_result(job.result.envelope if job is not None else None)
