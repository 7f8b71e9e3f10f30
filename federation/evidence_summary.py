"""A report boiled down to what people and programs are told of it: plain values, no numbers of holders in clear.

Texts, pages and JSON are all made of summaries, so that they say the same; a summary is small enough to be handed from
one process to another by the million.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from federation.evidence_checks import checks_of
from federation.evidence_report import Check, EvidenceReport, NamedNode, RecordReport, Sentence
from federation.evidence_words import basis_of, operation_of, subject_of, what_came_back

__all__ = ["ExchangeSummary", "FileSummary", "QuestionSummary", "RecordSummary", "summarize"]


class RecordSummary(Struct, frozen=True):
    """A record in the exporting node's log: where, and by when it was there."""

    kind: int
    log_index: int
    generation: int
    position: int
    recorded_at: datetime
    evidence_at: datetime | None
    witnesses: tuple[str, ...]


class QuestionSummary(Struct, frozen=True):
    """Who asked whom for what, why, and what came back."""

    asking: NamedNode
    answering: NamedNode
    operation: str
    asked_for: Sentence
    subject: Sentence
    basis: Sentence
    basis_kind: str
    service_item: str
    case_number: str
    purpose: str
    platform: str
    officer: str
    asked_at: datetime
    answered_at: datetime | None
    came_back: Sentence
    access_rule: str
    policy_version: str


class ExchangeSummary(Struct, frozen=True):
    """One exchange. `question` is None when it was forgotten."""

    number: int
    request_id: str
    verdict: str
    outcome: str
    question: QuestionSummary | None
    evidence_at: datetime | None
    records: tuple[RecordSummary, ...]
    checks: tuple[Check, ...]
    unproven: tuple[Sentence, ...]


class FileSummary(Struct, frozen=True):
    """What all exchanges of a file have in common."""

    exported_by: NamedNode
    exported_at: datetime
    scope: str
    anchor: str


def summarize(report: EvidenceReport) -> ExchangeSummary:
    """What is told of an exchange."""
    return ExchangeSummary(
        number=report.number,
        request_id=report.request_id,
        verdict=report.verdict,
        outcome=report.outcome,
        question=_question(report),
        evidence_at=report.evidence_at,
        records=tuple(map(_record, report.records)),
        checks=checks_of(report),
        unproven=report.unproven,
    )


def _question(report: EvidenceReport) -> QuestionSummary | None:
    request, answer = report.request, report.answer
    if request is None or report.asking is None or report.answering is None:
        return None
    header, basis = request.header, request.header.basis
    decision = answer.header.decision if answer is not None else None
    return QuestionSummary(
        asking=report.asking,
        answering=report.answering,
        operation=header.operation.value,
        asked_for=operation_of(request),
        subject=subject_of(request),
        basis=basis_of(request),
        basis_kind=basis.kind.word,
        service_item=f"{basis.service_item_name} {basis.service_item_code}".strip(),
        case_number=basis.case_number,
        purpose=basis.purpose,
        platform=header.platform,
        officer=header.officer,
        asked_at=header.asked_at,
        answered_at=answer.header.answered_at if answer is not None else None,
        came_back=what_came_back(answer, forgotten=report.outcome == "forgotten"),
        access_rule=decision.rule if decision is not None else "",
        policy_version=decision.policy_version if decision is not None else "",
    )


def _record(record: RecordReport) -> RecordSummary:
    settled = record.settlement
    return RecordSummary(
        record.kind,
        record.log_index,
        record.generation,
        record.position,
        record.recorded_at,
        record.evidence_at,
        settled.witnesses if settled is not None and record.evidence_at is not None else (),
    )
