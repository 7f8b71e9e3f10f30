"""Signing and storing one batch, in the journal's thread.

A batch is one transaction. When a row in it cannot be stored, the batch is halved until that row is alone, so
that it fails by itself. When the store as a whole cannot take anything, all of the batch fails, and the next
one starts over with a new connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Protocol

import structlog

from federation.errors import FederationError, OwnKeyUnavailable, OwnLogClosed, OwnStoreUnavailable
from federation.ports import Clock
from node.store.bodies import IN_CLEAR, Bodies
from node.store.database import Database
from node.store.drivers import connect_log
from node.store.jobs import Job, StoreExchange, StoreRequest
from node.store.labels import Labels
from node.store.log_connection import LogConnection, Place
from node.store.plan import (
    Drafts,
    Plan,
    RowRefusedError,
    draft_records,
    look_first,
    place_records,
    settle,
    take_claims,
)
from node.store.times import to_micros
from trust.envelope import seal, seal_batch
from trust.errors import TrustError
from trust.keys import Signer

__all__ = ["BatchStore", "Gate", "JournalMetrics", "NoMetrics", "OpenGate"]

_log = structlog.get_logger("journal")


class JournalMetrics(Protocol):
    """Told about each transaction, in the writer thread."""

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        """One transaction: its records and claims, and how long signing, inserting and committing took."""
        ...

    def failed(self, *, jobs: int) -> None:
        """That many jobs were refused because the store could not take them."""
        ...

    def unsigned(self, *, jobs: int) -> None:
        """That many jobs were refused because they could not be signed."""
        ...


class NoMetrics:
    """Nobody is told."""

    def committed(self, *, records: int, claims: int, seconds: float) -> None:
        """Nothing."""

    def failed(self, *, jobs: int) -> None:
        """Nothing."""

    def unsigned(self, *, jobs: int) -> None:
        """Nothing."""


class Gate(Protocol):
    """As `federation.ports.LogGate`: asked before each transaction that stores a record."""

    def require_open(self) -> None:
        """Raises OwnLogClosed."""
        ...


class OpenGate:
    """Never closed."""

    def require_open(self) -> None:
        """Nothing."""


class BatchStore:
    """Implements `outbox.JobStore` on a database. `process` is unique to this journal among all replicas."""

    def __init__(
        self,
        database: Database,
        signer: Callable[[], Signer],
        clock: Clock,
        metrics: JournalMetrics,
        *,
        bodies: Bodies,
        gate: Gate,
        process: str,
        sign_batches: bool = False,
    ) -> None:
        self._database = database
        self._bodies = bodies
        self._gate = gate
        self._labels = Labels()
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
            _refuse([job for job in jobs if job.result is None], error)
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
        except Exception as error:
            # Whatever the key's keeper raises: what needs no key is stored all the same.
            _log.error("sealing_failed", error=type(error).__name__)
            unsigned = [job for job in outgoing if job.sealed is None]
            _refuse(unsigned, error, OwnKeyUnavailable(_NO_KEY))
            self._metrics.unsigned(jobs=len(unsigned))
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
            plan = Plan.of(jobs)
            if not self._transact(connection, plan, carefully=False):
                self._transact(connection, plan, carefully=True)
        except Exception as error:
            self._after_failure(jobs, error)
        else:
            self._tell_metrics(plan, perf_counter() - started)

    def _tell_metrics(self, plan: Plan, seconds: float) -> None:
        try:
            self._metrics.committed(records=plan.records, claims=len(plan.claims), seconds=seconds)
        except Exception:
            # All of it is on disk: a broken counter must not turn that into a refusal.
            _log.exception("journal_metrics_failed")

    def _after_failure(self, jobs: Sequence[Job], error: Exception) -> None:
        """Fail the batch when the store is gone, else take it apart."""
        connection = self._connection
        gone = connection is None or connection.is_unavailable(error)
        if not gone and connection is not None:
            try:
                connection.rollback()
            except Exception as second:
                gone, error = True, second
        if isinstance(
            error, OwnLogClosed | OwnKeyUnavailable
        ):  # about the log as a whole: no row is to blame
            _refuse(jobs, error)
            if not isinstance(
                error, OwnLogClosed
            ):  # the store itself would take it; the gate's reason is told
                self._metrics.failed(jobs=len(jobs))
            return
        if gone or len(jobs) == 1:
            code = _code_of(error)
            _log.error("store_failed", error=type(error).__name__, code=code, jobs=len(jobs), gone=gone)
            _refuse(jobs, error, OwnStoreUnavailable(_FULL) if code in _FULL_CODES else None)
            self._metrics.failed(jobs=len(jobs))
            if gone:
                self.close()
            return
        half = len(jobs) // 2
        self._store(jobs[:half])
        self._store(jobs[half:])

    def _transact(self, connection: LogConnection, plan: Plan, *, carefully: bool) -> bool:
        """All of the plan in one transaction. False, with nothing done, when a claim is not as expected.

        With `carefully` the claims of the exchanges are read before anything is written; a claim that still
        is not as expected then raises RowRefusedError.
        """
        now = to_micros(self._clock.now())
        drafts = None
        if plan.durable:
            self._gate.require_open()
            if not carefully:
                drafts = draft_records(plan, now, self._bodies)
        place = connection.begin(durable=plan.durable)
        if carefully:
            look_first(connection, plan.exchanges, self._bodies)
        if plan.durable:
            if place.halted:
                raise OwnLogClosed(_HALTED.format(place.halted))
            drafts = drafts or draft_records(plan, now, self._bodies)
            if IN_CLEAR < drafts.bodies.key_id < place.oldest_key:
                # This process missed a rotation: what lies under that key may be read by nobody soon.
                if carefully:
                    raise OwnKeyUnavailable(_OLD_KEY)
                connection.rollback()
                self._bodies.renew()
                return False
            if not self._add_records(connection, drafts, place):
                if carefully:
                    raise RowRefusedError
                connection.rollback()
                return False
        if plan.releases:
            pattern = f"{self._process}.%"
            connection.release_claims(
                [(job.claim.asking, job.claim.request_id, pattern) for job in plan.releases]
            )
        if plan.claims:
            take_claims(connection, plan.claims, now, self._bodies)
        connection.commit()
        self._labels.committed()
        settle(plan)
        return True

    def _add_records(self, connection: LogConnection, drafts: Drafts, place: Place) -> bool:
        """False when a claim that should be finished by them is not as expected."""
        self._labels.began()
        rows = place_records(drafts, place, self._labels, connection, self._process)
        connection.add_records(rows.records, rows.bodies)
        if rows.holders or rows.holders_later:
            connection.add_holders(rows.holders, rows.holders_later)
        return not rows.finishes or connection.finish_claims(rows.finishes) == len(rows.finishes)


_NO_KEY = "the signing key cannot be used now, so nothing was released: try again shortly"
_OLD_KEY = "the data key that is known here is retired, so nothing was released: try again shortly"
_HALTED = "the log takes nothing more: {}; yrd log restart begins a new generation"
_FULL = "the store has no room left, so nothing was released: make room on its disk, no restart is needed"
_FULL_CODES = ("SQLITE_FULL", "53100")
"""As SQLite and PostgreSQL (SQLSTATE ``disk_full``) name it."""
_NO_STORE = "the record could not be stored, so nothing was released: try again"


def _code_of(error: Exception) -> str:
    """What the driver names the error; never a row's content."""
    return str(getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or "")


def _refuse(jobs: Iterable[Job], cause: Exception, otherwise: FederationError | None = None) -> None:
    """Give each job an error of its own: an exception that is raised twice grows its traceback.

    `otherwise` stands for a cause that is not of our vocabulary.
    """
    known = cause if isinstance(cause, FederationError | TrustError) else otherwise
    for job in jobs:
        job.error = _again(known or OwnStoreUnavailable(_NO_STORE))
        job.error.__cause__ = cause


def _again(error: FederationError | TrustError) -> Exception:
    copy = type(error).__new__(type(error))
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy
