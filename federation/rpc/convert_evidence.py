"""The bodies of what nodes ask each other about their logs (`yrd.evidence.v1`), as `convert_bodies` has the others.

What comes in is bounded here by form: request ids are UUIDv7, digests have 32 bytes, hours and limits are counts.
"""

from __future__ import annotations

from typing import Final

from yrd.evidence.v1 import evidence_pb2 as evidence

from federation.errors import PeerMalformed
from federation.query import (
    BasisKind,
    EvidenceRecords,
    EvidenceRecordsAnswer,
    EvidenceRoots,
    EvidenceRootsAnswer,
    HolderRecord,
    HolderRecordAnswer,
    HolderUse,
    HourRoot,
    LoggedMessage,
    Outcome,
    Part,
)
from federation.rpc.convert_header import read_digest, read_request_id, read_time, require_text, to_micros

_PARTS: Final = {part.value: part for part in Part}
_BASES: Final = {kind.value: kind for kind in BasisKind}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_LAST_HOUR: Final = 2_000_000
"""Of the year 2198; no request id of UUIDv7 is later than fits a database's integers by far."""


def _read_hour(value: int, name: str) -> int:
    if not 0 <= value <= _LAST_HOUR:
        raise PeerMalformed(f"{name} is no hour since 1970")
    return value


def _read_count(value: int, name: str) -> int:
    if value < 1:
        raise PeerMalformed(f"{name} counts from 1")
    return value


def _read_cursor(value: str) -> str:
    return read_request_id(value) if value else ""


# --- requests -------------------------------------------------------------------------------------


def fill_roots_request(target: evidence.RootsRequest, body: EvidenceRoots) -> None:
    """Some hours, up to a moment."""
    target.first_hour = body.first_hour
    target.hours = body.hours
    target.until = to_micros(body.until)


def read_roots_request(source: evidence.RootsRequest) -> EvidenceRoots:
    """Needs the hours and the moment."""
    return EvidenceRoots(
        _read_hour(source.first_hour, "first_hour"),
        _read_count(source.hours, "hours"),
        read_time(source.until, "until"),
    )


def fill_records_request(target: evidence.RecordsRequest, body: EvidenceRecords) -> None:
    """One page of one hour."""
    target.hour = body.hour
    target.until = to_micros(body.until)
    target.after = body.after
    target.limit = body.limit


def read_records_request(source: evidence.RecordsRequest) -> EvidenceRecords:
    """Needs the hour, the moment and the limit."""
    return EvidenceRecords(
        _read_hour(source.hour, "hour"),
        read_time(source.until, "until"),
        _read_cursor(source.after),
        _read_count(source.limit, "limit"),
    )


def fill_holder_request(target: evidence.HolderRecordRequest, body: HolderRecord) -> None:
    """One page of a holder's record."""
    target.holder_id_type = body.holder_id_type
    target.holder_id = body.holder_id
    target.statement = body.statement
    target.before = body.before
    target.limit = body.limit


def read_holder_request(source: evidence.HolderRecordRequest) -> HolderRecord:
    """Needs the holder and the statement."""
    if not source.statement:
        raise PeerMalformed("statement is missing")
    return HolderRecord(
        require_text(source.holder_id_type, "holder_id_type"),
        require_text(source.holder_id, "holder_id"),
        source.statement,
        _read_cursor(source.before),
        _read_count(source.limit, "limit"),
    )


# --- answers --------------------------------------------------------------------------------------


def fill_roots_answer(target: evidence.RootsAnswer, body: EvidenceRootsAnswer) -> None:
    """The roots, by hour."""
    for one in body.hours:
        item = target.hours.add()
        item.hour = one.hour
        item.exchanges = one.exchanges
        item.root = one.root
        item.checked = one.checked
    target.held_since_hour = body.held_since_hour


def read_roots_answer(source: evidence.RootsAnswer) -> EvidenceRootsAnswer:
    """Each hour has its root."""
    hours = [
        HourRoot(_read_hour(one.hour, "hour"), one.exchanges, read_digest(one.root, "root"), one.checked)
        for one in source.hours
    ]
    return EvidenceRootsAnswer(tuple(hours), _read_hour(source.held_since_hour, "held_since_hour"))


def fill_records_answer(target: evidence.RecordsAnswer, body: EvidenceRecordsAnswer) -> None:
    """The messages of one page."""
    for one in body.messages:
        item = target.messages.add()
        item.request_id = one.request_id
        item.asking_entity = one.asking
        item.part = one.part  # type: ignore[assignment]  # the domain's numbers are the wire's
        item.identity = one.identity
        item.recorded_at = to_micros(one.recorded_at)
        item.altered = one.altered
    target.next = body.next


def _read_message(source: evidence.Logged) -> LoggedMessage:
    part = _PARTS.get(source.part)
    if part is None:
        raise PeerMalformed(f"part {source.part} is not known")
    return LoggedMessage(
        read_request_id(source.request_id),
        require_text(source.asking_entity, "asking_entity"),
        part,
        read_digest(source.identity, "identity"),
        read_time(source.recorded_at, "recorded_at"),
        source.altered,
    )


def read_records_answer(source: evidence.RecordsAnswer) -> EvidenceRecordsAnswer:
    """Each message is whole."""
    return EvidenceRecordsAnswer(
        tuple([_read_message(one) for one in source.messages]), _read_cursor(source.next)
    )


def fill_holder_answer(target: evidence.HolderRecordAnswer, body: HolderRecordAnswer) -> None:
    """The uses of one page."""
    for one in body.uses:
        _fill_use(target.uses.add(), one)
    target.next = body.next


def read_holder_answer(source: evidence.HolderRecordAnswer) -> HolderRecordAnswer:
    """Each use says who asked whom, for what and when."""
    return HolderRecordAnswer(tuple([_read_use(one) for one in source.uses]), _read_cursor(source.next))


def _fill_use(target: evidence.Use, use: HolderUse) -> None:
    target.request_id = use.request_id
    target.request_identity = use.request_identity
    target.asking_entity = use.asking
    target.answering_entity = use.answering
    target.operation = use.operation
    target.asked_at = to_micros(use.asked_at)
    target.platform = use.platform
    target.certificate_types.extend(use.certificate_types)
    target.basis_kind = use.basis or 0  # type: ignore[assignment]
    target.service_item_name = use.service_item_name
    target.service_item_code = use.service_item_code
    target.case_number = use.case_number
    target.purpose = use.purpose
    target.consent = use.consent
    target.outcome = use.outcome or 0  # type: ignore[assignment]
    target.refusal_code = use.refusal_code
    target.forgotten = use.forgotten


def _read_use(source: evidence.Use) -> HolderUse:
    return HolderUse(
        request_id=read_request_id(source.request_id),
        request_identity=read_digest(source.request_identity, "request_identity"),
        asking=require_text(source.asking_entity, "asking_entity"),
        answering=require_text(source.answering_entity, "answering_entity"),
        operation=require_text(source.operation, "operation"),
        asked_at=read_time(source.asked_at, "asked_at"),
        platform=source.platform,
        certificate_types=tuple(source.certificate_types),
        basis=_BASES.get(source.basis_kind),
        service_item_name=source.service_item_name,
        service_item_code=source.service_item_code,
        case_number=source.case_number,
        purpose=source.purpose,
        consent=read_digest(source.consent, "consent") if source.consent else b"",
        outcome=_OUTCOMES.get(source.outcome),
        refusal_code=source.refusal_code,
        forgotten=source.forgotten,
    )
