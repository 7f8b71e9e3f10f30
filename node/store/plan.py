"""One transaction of the journal: its jobs by kind, the rows that are made of them, what each caller is told."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from federation.ports import Claim, ClaimState, ClaimVerdict, ExchangeMeta, RecordKind
from node.store.jobs import Job, ReleaseClaim, StoreAnswer, StoreExchange, StoreRequest, TakeClaim
from node.store.log_connection import LogConnection
from node.store.tables import CLAIM_FINISHED
from trust.envelope import parse
from trust.evidence import leaf_data

__all__ = [
    "GENERATION",
    "SALT_BYTES",
    "Plan",
    "RowRefusedError",
    "look_first",
    "number_records",
    "settle",
    "take_claims",
]

GENERATION: Final = 1
"""The log's generation; it changes only when an operator restarts the log."""

SALT_BYTES: Final = 16

_STORED_ENVELOPE_BYTES: Final = 1 << 30
"""What this node stored itself is read back whatever its size."""

NEW: Final = ClaimVerdict(ClaimState.NEW)
WORKING: Final = ClaimVerdict(ClaimState.WORKING)
REPLAYED: Final = ClaimVerdict(ClaimState.REPLAYED)

Row = tuple[Any, ...]


class RowRefusedError(Exception):
    """A claim changed under this batch: take the batch apart."""


@dataclass(slots=True)
class Plan:
    """The jobs of one transaction, by what is done with them."""

    requests: list[StoreRequest] = field(default_factory=list)
    answers: list[StoreAnswer] = field(default_factory=list)
    exchanges: list[StoreExchange] = field(default_factory=list)
    claims: list[TakeClaim] = field(default_factory=list)
    releases: list[ReleaseClaim] = field(default_factory=list)

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> Plan:
        """Sort the jobs, each kind in the order of arrival."""
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
        """Whether it holds a record; claims alone need not survive a power cut."""
        return bool(self.requests or self.answers or self.exchanges)

    @property
    def records(self) -> int:
        """How many records it stores at most."""
        return len(self.requests) + len(self.answers) + 2 * len(self.exchanges)


def look_first(connection: LogConnection, exchanges: Iterable[StoreExchange]) -> None:
    """Find the exchanges that were answered already, and those whose request id belongs to other bytes."""
    for job in exchanges:
        claim = connection.look(job.meta.asking, job.meta.request_id)
        job.first_answer, job.finishes = None, True
        if claim is None:
            continue
        if claim[0] != job.request_identity:
            job.finishes = False
        elif claim[1] == CLAIM_FINISHED and claim[3] is not None:
            # Parsed here and not after the commit, where nothing may fail any more.
            job.first_answer = parse(claim[3], max_bytes=_STORED_ENVELOPE_BYTES)


def number_records(plan: Plan, index: int, now: int, process: str) -> tuple[list[Row], list[Row]]:
    """The rows of `records` with their log indices, and the claims that are finished by them."""
    salts = os.urandom(SALT_BYTES * plan.records)
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


_NO_LEASE_IS_LONGER: Final = 2**62
"""In microseconds since 1970: later than any."""


def take_claims(connection: LogConnection, jobs: list[TakeClaim], now: int) -> None:
    """Take what is free in one statement; only when not all was free, look at each."""
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
    ended_by = _NO_LEASE_IS_LONGER if job.is_left_behind(owner) else now
    if connection.take_over((_lease(claim, now), job.owner, claim.asking, claim.request_id, ended_by)):
        return NEW
    return WORKING


def _lease(claim: Claim, now: int) -> int:
    return now + int(claim.lease_s * 1_000_000)


def settle(plan: Plan) -> None:
    """After the commit: what each caller may release. Nothing here can fail."""
    for request in plan.requests:
        request.result = request.sealed
    for job in plan.exchanges:
        job.result = job.sealed if job.first_answer is None else job.first_answer
