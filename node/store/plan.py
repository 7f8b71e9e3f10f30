"""One transaction of the journal: its jobs by kind, the rows that are made of them, what each caller is told."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from federation.ports import Claim, ClaimState, ClaimVerdict, ExchangeMeta, RecordKind
from node.store.bodies import SALT_BYTES, Bodies, BodyLost, SealedBodies, split_body
from node.store.jobs import Job, ReleaseClaim, StoreAnswer, StoreExchange, StoreRequest, TakeClaim
from node.store.labels import Labels, label_of
from node.store.log_connection import ClaimRow, LogConnection, Place, Row
from node.store.tables import CLAIM_FINISHED, CLAIM_WORKING, HOLDERS_SEGMENT
from trust.envelope import parse
from trust.evidence import leaf_data

__all__ = [
    "Drafts",
    "Plan",
    "RowRefusedError",
    "Rows",
    "draft_records",
    "look_first",
    "place_records",
    "settle",
    "take_claims",
]

_STORED_ENVELOPE_BYTES: Final = 1 << 30
"""What this node stored itself is read back whatever its size."""

NEW: Final = ClaimVerdict(ClaimState.NEW)
WORKING: Final = ClaimVerdict(ClaimState.WORKING)
REPLAYED: Final = ClaimVerdict(ClaimState.REPLAYED)


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


def look_first(connection: LogConnection, exchanges: Iterable[StoreExchange], bodies: Bodies) -> None:
    """Find the exchanges that were answered already, and those whose request id belongs to other bytes."""
    for job in exchanges:
        claim = connection.look(job.meta.asking, job.meta.request_id)
        job.first_answer, job.finishes = None, True
        if claim is None:
            continue
        if claim.identity != job.request_identity:
            job.finishes = False
        elif claim.state == CLAIM_FINISHED and (answer := _answer_of(claim, bodies)):
            # Parsed here and not after the commit, where nothing may fail any more.
            job.first_answer = parse(answer, max_bytes=_STORED_ENVELOPE_BYTES)


def _answer_of(claim: ClaimRow, bodies: Bodies) -> bytes:
    """The envelope of a finished claim; empty when it was forgotten, or its key is lost."""
    if claim.sealed is None or claim.key_id is None:
        return b""
    try:
        return split_body(
            bodies.open(claim.key_id, bytes(claim.wrapped or b""), bytes(claim.sealed))
        ).envelope
    except BodyLost:
        return b""


@dataclass(slots=True)
class Drafts:
    """The records of a plan as they lack only their place in the log: each kind, meta, identity and leaf."""

    now: int
    records: list[tuple[RecordKind, ExchangeMeta, bytes, bytes]]
    bodies: SealedBodies
    finishes: list[tuple[int, StoreExchange]]
    """The number of the answer among the records, and the exchange whose claim it finishes."""


def draft_records(plan: Plan, now: int, bodies: Bodies) -> Drafts:
    """Leaves and sealed bodies, made before the transaction, which others may wait for.

    Raises OwnKeyUnavailable when there is nothing to seal with.
    """
    said, finishes = _said(plan)
    salts = os.urandom(SALT_BYTES * len(said))
    records, plain = [], []
    for number, (kind, meta, identity, envelope) in enumerate(said):
        salt = salts[SALT_BYTES * number : SALT_BYTES * (number + 1)]
        records.append((kind, meta, identity, leaf_data(kind, now, envelope, salt)))
        plain.append(salt + envelope)
    return Drafts(now, records, bodies.seal(plain), finishes)


_Said = tuple[RecordKind, ExchangeMeta, bytes, bytes]


def _said(plan: Plan) -> tuple[list[_Said], list[tuple[int, StoreExchange]]]:
    """Kind, meta, identity and envelope of each record, in the order of the log."""
    said: list[_Said] = []
    finishes: list[tuple[int, StoreExchange]] = []
    for request in plan.requests:
        assert request.sealed is not None
        said.append(
            (RecordKind.ASKED_REQUEST, request.meta, request.sealed.identity, request.sealed.envelope)
        )
    said += [(RecordKind.ASKED_ANSWER, one.meta, one.identity, one.envelope) for one in plan.answers]
    # Requests and answers apart: bodies of about one size leave less of the store's pages empty.
    answered = [job for job in plan.exchanges if job.first_answer is None]
    said += [(RecordKind.ANSWERED_REQUEST, job.meta, job.request_identity, job.request) for job in answered]
    for job in answered:
        assert job.sealed is not None
        if job.finishes:
            finishes.append((len(said), job))
        said.append((RecordKind.ANSWERED_ANSWER, job.meta, job.sealed.identity, job.sealed.envelope))
    return said, finishes


@dataclass(slots=True)
class Rows:
    """What a transaction writes, in the order of the columns of `log_connection`'s statements."""

    records: list[Row] = field(default_factory=list)
    bodies: list[Row] = field(default_factory=list)
    holders: list[Row] = field(default_factory=list)
    holders_later: list[Row] = field(default_factory=list)
    finishes: list[Row] = field(default_factory=list)


def place_records(
    drafts: Drafts, place: Place, labels: Labels, connection: LogConnection, process: str
) -> Rows:
    """The rows of the drafts from this place on, and the claims that are finished by them."""
    rows, (key_id, wrapped, sealed) = Rows(), drafts.bodies
    index = place.log_index
    for number, (kind, meta, identity, leaf) in enumerate(drafts.records):
        found_by = (meta.request_id, meta.case_number, drafts.now)
        label = labels.number(connection, label_of(kind, meta))
        kept = (identity, leaf, key_id, wrapped[number])
        rows.records.append((index, place.generation, int(kind), label, *found_by, *kept))
        rows.bodies.append((index, sealed[number]))
        if meta.holders:
            _add_holders(rows, kind, meta, index)
        index += 1
    rows.finishes = [
        (
            *(CLAIM_FINISHED, 0, job.meta.asking, job.meta.request_id, job.request_identity),
            *(f"{process}.", place.log_index + number),
        )
        for number, job in drafts.finishes
    ]
    # One order for all replicas, so that two of them do not wait for each other.
    rows.finishes.sort()
    return rows


def _add_holders(rows: Rows, kind: RecordKind, meta: ExchangeMeta, index: int) -> None:
    if kind in (RecordKind.ASKED_REQUEST, RecordKind.ANSWERED_REQUEST):
        rows.holders += [(index // HOLDERS_SEGMENT, holder, index) for holder in meta.holders]
    elif kind is RecordKind.ASKED_ANSWER:
        rows.holders_later += [(HOLDERS_SEGMENT, holder, meta.request_id) for holder in meta.holders]


_NO_LEASE_IS_LONGER: Final = 2**62
"""In microseconds since 1970: later than any."""


def take_claims(connection: LogConnection, jobs: list[TakeClaim], now: int, bodies: Bodies) -> None:
    """Take what is free in one statement; only when not all was free, look at each."""
    rows = [
        (
            CLAIM_WORKING,
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
        job.result = _verdict(connection, job, now, bodies)


def _verdict(connection: LogConnection, job: TakeClaim, now: int, bodies: Bodies) -> ClaimVerdict:
    claim = job.claim
    found = connection.look(claim.asking, claim.request_id)
    if found is None:
        # Given up by another replica between the two statements: its caller repeats.
        return WORKING
    if found.owner == job.owner:
        return NEW
    if found.identity != claim.identity:
        return REPLAYED
    if found.state == CLAIM_FINISHED:
        return ClaimVerdict(ClaimState.FINISHED, _answer_of(found, bodies))
    ended_by = _NO_LEASE_IS_LONGER if job.is_left_behind(found.owner) else now
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
