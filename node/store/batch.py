"""Signing and storing one batch, in the journal's thread.

A batch is one transaction. When a row in it cannot be stored, the batch is halved until that row is alone, so
that it fails by itself. When the store as a whole cannot take anything, all of the batch fails, and the next
one starts over with a new connection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Protocol

import structlog

from federation.errors import FederationError, OwnStoreUnavailable
from federation.ports import Claim, ClaimState, ClaimVerdict, Clock, ExchangeMeta, RecordKind
from node.store.database import Database
from node.store.drivers import LogConnection, connect_log, is_unavailable
from node.store.jobs import Job, ReleaseClaim, StoreAnswer, StoreExchange, StoreRequest, TakeClaim
from node.store.tables import CLAIM_FINISHED
from node.store.times import to_micros
from trust.envelope import Sealed, parse, seal, seal_batch
from trust.errors import TrustError
from trust.evidence import leaf_data
from trust.keys import SigningKey

__all__ = ["GENERATION", "SALT_BYTES", "BatchStore", "JournalMetrics", "NoMetrics"]

GENERATION: Final = 1
"""The log's generation; it changes only when an operator restarts the log."""

SALT_BYTES: Final = 16

_STORED_ENVELOPE_BYTES: Final = 1 << 30
"""What this node stored itself is read back whatever its size."""

_log = structlog.get_logger("journal")

Row = tuple[Any, ...]


class JournalMetrics(Protocol):
    """Told about each transaction, in the writer thread."""

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        """One transaction: its records and claims, and how long signing, inserting and committing took."""
        ...

    def failed(self, *, jobs: int) -> None:
        """That many jobs were refused because the store could not take them."""
        ...


class NoMetrics:
    """Nobody is told."""

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        """Nothing."""

    def failed(self, *, jobs: int) -> None:
        """Nothing."""


class _RowRefusedError(Exception):
    """A claim changed under this batch: take the batch apart."""


@dataclass(slots=True)
class _Plan:
    """The jobs of one transaction, by what is done with them."""

    requests: list[StoreRequest] = field(default_factory=list)
    answers: list[StoreAnswer] = field(default_factory=list)
    exchanges: list[StoreExchange] = field(default_factory=list)
    claims: list[TakeClaim] = field(default_factory=list)
    releases: list[ReleaseClaim] = field(default_factory=list)

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> _Plan:
        plan = cls()
        for job in jobs:
            kind = type(job)
            if kind is StoreExchange:
                plan.exchanges.append(job)  # type: ignore[arg-type]
            elif kind is TakeClaim:
                plan.claims.append(job)  # type: ignore[arg-type]
            elif kind is StoreRequest:
                plan.requests.append(job)  # type: ignore[arg-type]
            elif kind is StoreAnswer:
                plan.answers.append(job)  # type: ignore[arg-type]
            else:
                plan.releases.append(job)  # type: ignore[arg-type]
        return plan

    @property
    def durable(self) -> bool:
        return bool(self.requests or self.answers or self.exchanges)


class BatchStore:
    """Implements `outbox.JobStore` on a database. `process` is unique to this journal among all replicas."""

    def __init__(
        self,
        database: Database,
        signer: Callable[[], SigningKey],
        clock: Clock,
        metrics: JournalMetrics,
        *,
        process: str,
        sign_batches: bool = False,
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._metrics = metrics
        self._process = process
        self._sign_batches = sign_batches
        self._connection: LogConnection | None = None

    def open(self) -> None:
        """Connect ahead of the first batch; a failure shows with the first batch."""
        try:
            self._connection = connect_log(self._database)
        except Exception as error:
            _log.warning("store_unavailable", error=type(error).__name__)

    def close(self) -> None:
        """Let go of the connection. Never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:
                _log.warning("store_close_failed", error=type(error).__name__)

    def store(self, jobs: Sequence[Job]) -> None:
        """Sign what goes out, store all, set each job's result or error. Never raises."""
        try:
            self._store(self._sign(jobs))
        except Exception as error:
            # Not ours and not the driver's: the batch must not take the writer with it.
            _log.exception("journal_failed")
            _refuse(jobs, error)
            self.close()

    # --- sign ---

    def _sign(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Seal what this node says; what cannot be sealed gets its error and is left out."""
        outgoing = [job for job in jobs if isinstance(job, StoreRequest | StoreExchange)]
        if not outgoing:
            return jobs
        try:
            signer = self._signer()
            if self._sign_batches and len(outgoing) > 1:
                all_sealed = seal_batch([(job.payload_type, job.payload) for job in outgoing], signer)
                for job, sealed in zip(outgoing, all_sealed, strict=True):
                    job.sealed = sealed
            else:
                for job in outgoing:
                    job.sealed = seal(job.payload_type, job.payload, signer)
        except (
            Exception
        ) as error:  # whatever the key's keeper raises: what needs no key is stored all the same
            _log.error("sealing_failed", error=type(error).__name__)
            _refuse([job for job in outgoing if job.sealed is None], error)
            return [job for job in jobs if job.error is None]
        return jobs

    # --- store ---

    def _store(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        started = perf_counter()
        try:
            if self._connection is None:
                self._connection = connect_log(self._database)
            connection = self._connection
            plan = _Plan.of(jobs)
            if not self._transact(connection, plan, look_first=False):
                self._transact(connection, plan, look_first=True)
        except Exception as error:
            self._after_failure(jobs, error)
        else:
            records = len(plan.requests) + len(plan.answers) + 2 * len(plan.exchanges)
            self._metrics.committed(
                records=records, claims=len(plan.claims), seconds=perf_counter() - started
            )

    def _after_failure(self, jobs: Sequence[Job], error: Exception) -> None:
        """Fail the batch when the store is gone, else take it apart."""
        connection = self._connection
        gone = connection is None or is_unavailable(connection, error)
        if not gone and connection is not None:
            try:
                connection.rollback()
            except Exception as second:
                gone, error = True, second
        if gone or len(jobs) == 1:
            _log.error("store_failed", error=type(error).__name__, jobs=len(jobs), gone=gone)
            _refuse(jobs, error)
            self._metrics.failed(jobs=len(jobs))
            if gone:
                self.close()
            return
        half = len(jobs) // 2
        self._store(jobs[:half])
        self._store(jobs[half:])

    def _transact(self, connection: LogConnection, plan: _Plan, *, look_first: bool) -> bool:
        """All of the plan in one transaction. False, with nothing done, when a claim is not as expected.

        With `look_first` the claims of the exchanges are read before anything is written; a claim that still
        is not as expected then raises _RowRefusedError.
        """
        now = to_micros(self._clock.now())
        index = connection.begin(durable=plan.durable)
        if look_first:
            _look_first(connection, plan.exchanges)
        if plan.durable:
            rows, finishes = _number(plan, index, now, self._process)
            connection.add_records(rows)
            if finishes and connection.finish_claims(finishes) != len(finishes):
                if look_first:
                    raise _RowRefusedError
                connection.rollback()
                return False
        if plan.releases:
            pattern = f"{self._process}.%"
            connection.release_claims(
                [(job.claim.asking, job.claim.request_id, pattern) for job in plan.releases]
            )
        if plan.claims:
            _take_claims(connection, plan.claims, now)
        connection.commit()
        _settle(plan)
        return True


def _refuse(jobs: Iterable[Job], cause: Exception) -> None:
    """Give each job an error of its own: an exception that is raised twice grows its traceback."""
    for job in jobs:
        if isinstance(cause, FederationError | TrustError):
            job.error = _again(cause)
        else:
            job.error = OwnStoreUnavailable(
                "the record could not be stored, so nothing was released: try again"
            )
        job.error.__cause__ = cause


def _again(error: FederationError | TrustError) -> Exception:
    copy = type(error).__new__(type(error))
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy


def _look_first(connection: LogConnection, exchanges: Iterable[StoreExchange]) -> None:
    """Find the exchanges that were answered already, and those whose request id belongs to other bytes."""
    for job in exchanges:
        claim = connection.look(job.meta.asking, job.meta.request_id)
        job.first_answer, job.finishes = None, True
        if claim is None:
            continue
        if claim[0] != job.request_identity:
            job.finishes = False
        elif claim[1] == CLAIM_FINISHED:
            job.first_answer = claim[3]


def _number(plan: _Plan, index: int, now: int, process: str) -> tuple[list[Row], list[Row]]:
    """The rows of `records` with their log indices, and the claims that are finished by them."""
    count = len(plan.requests) + len(plan.answers) + 2 * len(plan.exchanges)
    salts = os.urandom(SALT_BYTES * count)
    rows: list[Row] = []
    finishes: list[Row] = []

    def add(kind: RecordKind, meta: ExchangeMeta, identity: bytes, envelope: bytes) -> int:
        number = len(rows)
        salt = salts[SALT_BYTES * number : SALT_BYTES * (number + 1)]
        found_by = (meta.request_id, meta.asking, meta.answering, meta.operation.value)
        kept = (now, identity, envelope, salt, leaf_data(kind, now, envelope, salt))
        rows.append(
            (
                index + number,
                GENERATION,
                int(kind),
                *found_by,
                meta.outcome,
                meta.client,
                meta.case_number,
                *kept,
            )
        )
        return index + number

    for request in plan.requests:
        assert request.sealed is not None
        add(RecordKind.ASKED_REQUEST, request.meta, request.sealed.identity, request.sealed.envelope)
    for answer in plan.answers:
        add(RecordKind.ASKED_ANSWER, answer.meta, answer.identity, answer.envelope)
    for job in plan.exchanges:
        if job.first_answer is not None:
            continue
        assert job.sealed is not None
        meta = job.meta
        add(RecordKind.ANSWERED_REQUEST, meta, job.request_identity, job.request)
        number = add(RecordKind.ANSWERED_ANSWER, meta, job.sealed.identity, job.sealed.envelope)
        if job.finishes:
            finishes.append((meta.asking, meta.request_id, job.request_identity, f"{process}.", number))
    # One order for all replicas, so that two of them do not wait for each other.
    finishes.sort()
    return rows, finishes


def _take_claims(connection: LogConnection, jobs: list[TakeClaim], now: int) -> None:
    rows = [
        (
            job.claim.asking,
            job.claim.request_id,
            job.claim.identity,
            now + int(job.claim.lease_s * 1e6),
            job.owner,
        )
        for job in jobs
    ]
    rows.sort()
    if connection.take_claims(rows) == len(rows):
        for job in jobs:
            job.result = NEW
        return
    for job in jobs:
        job.result = _verdict(connection, job, now)


def _verdict(connection: LogConnection, job: TakeClaim, now: int) -> ClaimVerdict:
    claim = job.claim
    found = connection.look(claim.asking, claim.request_id)
    if found is None:
        # Given up by another replica between the two statements: its caller repeats.
        return WORKING
    identity, state, owner, answer = found
    if owner == job.owner:
        return NEW
    if identity != claim.identity:
        return REPLAYED
    if state == CLAIM_FINISHED:
        return ClaimVerdict(ClaimState.FINISHED, answer or b"")
    if connection.take_over((_lease(claim, now), job.owner, claim.asking, claim.request_id, now)):
        return NEW
    return WORKING


def _lease(claim: Claim, now: int) -> int:
    return now + int(claim.lease_s * 1_000_000)


NEW: Final = ClaimVerdict(ClaimState.NEW)
WORKING: Final = ClaimVerdict(ClaimState.WORKING)
REPLAYED: Final = ClaimVerdict(ClaimState.REPLAYED)


def _settle(plan: _Plan) -> None:
    """After the commit: what each caller may release."""
    for request in plan.requests:
        request.result = request.sealed
    for job in plan.exchanges:
        job.result = job.sealed if job.first_answer is None else _read_back(job.first_answer)


def _read_back(envelope: bytes) -> Sealed:
    return parse(envelope, max_bytes=_STORED_ENVELOPE_BYTES)
