"""One exchange of an evidence file, checked: steps 6 to 11 of `federation.evidence`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from federation.errors import FederationError
from federation.evidence_checks import (
    Doubt,
    key_unproven,
    membership_unproven,
    time_unproven,
)
from federation.evidence_frame import Frame, named_node
from federation.evidence_report import EvidenceReport, RecordReport
from federation.ports import Codec, RecordKind
from federation.query import Answer, Request
from trust.chain_book import ProvenNode
from trust.container import INDEX, MANIFEST, answer_part, checkpoint_part, request_part
from trust.envelope import Opened, Sealed
from trust.errors import AlgorithmUnavailable, EvidenceBroken
from trust.evidence import leaf_data, open_envelope_part, parse_envelope_part
from trust.evidence_index import ExchangeEntry, Index, RecordEntry
from trust.merkle import leaf_hash
from trust.settlement import Settlement

__all__ = [
    "CheckedExchange",
    "ExchangeReading",
    "OpenFile",
    "OpenedExchange",
    "ReadExchange",
    "check_exchange",
    "conclude_exchange",
    "open_exchange",
    "open_signed",
]

_SKEW: Final = timedelta(seconds=60)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS_EVERY = timedelta(seconds=180)
"""A status this much older than the exchange is still the one of that moment: the anchor signs one a minute,
nodes fetch it a minute later, and clocks differ by as much.
"""
_KINDS: Final = {
    True: (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER),
    False: (RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER),
}


class OpenFile(Struct, frozen=True):
    """A file, and the frame that says what its chains, lists and checkpoints prove."""

    parts: Mapping[str, bytes]
    index: Index
    codec: Codec
    frame: Frame
    exported_at: datetime


class _Read(Struct, frozen=True):
    """An envelope that was taken apart, with its signer by the chain of when it says that it was signed."""

    part: str
    sealed: Sealed
    signer: ProvenNode
    at: datetime


class ReadExchange(Struct, frozen=True):
    """An exchange whose form is right and whose signatures nobody has looked at yet; one that was forgotten has none.

    `answering` is the answering node's chain, answer or not.
    """

    number: int
    entry: ExchangeEntry
    request: Request | None = None
    asked: _Read | None = None
    answer: Answer | None = None
    answered: _Read | None = None
    answering: ProvenNode | None = None


class _Signed(Struct, frozen=True):
    """An envelope whose signature holds, its signer by the chain of when it was signed, and that time."""

    part: str
    opened: Opened
    signer: ProvenNode
    at: datetime


class OpenedExchange(Struct, frozen=True):
    """An exchange whose signatures hold."""

    read: ReadExchange
    asked: _Signed | None
    answered: _Signed | None


class CheckedExchange(Struct, frozen=True):
    """One whose headers agree and whose leaves are in the log."""

    opened: OpenedExchange
    records: tuple[RecordReport, ...]


class ExchangeReading:
    """An exchange in the first part of steps 6 and 7. Each method is one step, in their order; each raises
    EvidenceBroken or AlgorithmUnavailable.
    """

    __slots__ = ("_answer", "_answered", "_asked", "_entry", "_file", "_number", "_request")

    def __init__(self, file: OpenFile, number: int) -> None:
        self._file = file
        self._number = number
        self._entry = file.index.exchanges[number - 1]
        self._asked: Sealed | None = None
        self._answered: Sealed | None = None
        self._request: Request | None = None
        self._answer: Answer | None = None

    def parse(self) -> ExchangeReading:
        """The form of the envelopes."""
        parts, records = self._file.parts, self._entry.records
        if not records[0].is_forgotten:
            self._asked = parse_envelope_part(parts, request_part(self._number))
            if len(records) == len(_KINDS[True]) and not records[1].is_forgotten:
                self._answered = parse_envelope_part(parts, answer_part(self._number))
        return self

    def decode_request(self) -> ExchangeReading:
        """What the request says."""
        if self._asked is not None:
            decode = self._file.codec.decode_request
            self._request = _decoded(request_part(self._number), decode, self._asked)
        return self

    def decode_answer(self) -> ExchangeReading:
        """What the answer says."""
        if self._answered is not None:
            decode = self._file.codec.decode_answer
            self._answer = _decoded(answer_part(self._number), decode, self._answered)
        return self

    def prove(self) -> ReadExchange:
        """The chains of the two nodes at the times that they say."""
        number, entry, request, sealed = self._number, self._entry, self._request, self._asked
        if request is None or sealed is None:
            return ReadExchange(number, entry)
        prove, at = self._file.frame.prove, request.header.asked_at
        asked = _Read(request_part(number), sealed, prove(entry.asking[0], at), at)
        answer, sealed = self._answer, self._answered
        if answer is None or sealed is None:
            return ReadExchange(number, entry, request, asked, None, None, prove(entry.answering[0], at))
        at = answer.header.answered_at
        answering = prove(entry.answering[0], at)
        answered = _Read(answer_part(number), sealed, answering, at)
        return ReadExchange(number, entry, request, asked, answer, answered, answering)


def open_exchange(read: ReadExchange) -> OpenedExchange:
    """Its signatures: the rest of steps 6 and 7. Raises as `ExchangeReading`."""
    return OpenedExchange(read, _opened(read.asked), _opened(read.answered))


def _opened(read: _Read | None) -> _Signed | None:
    if read is None:
        return None
    return _Signed(read.part, open_signed(read.part, read.sealed, read.signer), read.signer, read.at)


def check_exchange(file: OpenFile, opened: OpenedExchange) -> CheckedExchange:
    """Steps 8 and 9. Raises as `ExchangeReading`."""
    read, asked, answered = opened.read, opened.asked, opened.answered
    number, entry, request, answering = read.number, read.entry, read.request, read.answering
    if request is None or asked is None or answering is None:
        return CheckedExchange(opened, _check_forgotten(file, number, entry))
    _check_headers(file, entry, request, asked, answering)  # 8
    if read.answer is not None and answered is not None:
        _check_answer_header(request, asked, read.answer, answered)
    own = file.frame.exported_by.entity_id == request.header.asking
    return CheckedExchange(opened, _check_records(file, number, entry, own=own))  # 9


def conclude_exchange(file: OpenFile, checked: CheckedExchange) -> EvidenceReport:
    """Steps 10 and 11. Raises as `ExchangeReading`."""
    opened, records, frame = checked.opened, checked.records, file.frame
    read, asked, answered = opened.read, opened.asked, opened.answered
    entry, answering = read.entry, read.answering
    if asked is None or answering is None:
        unproven = [*_unsettled(records)]
    else:
        unproven = [*_check_times(records, asked, answered)]  # 10
        unproven += _check_signers(file, entry, records, asked, answered)  # 11
    return EvidenceReport(
        number=read.number,
        request_id=entry.request_id,
        request=read.request,
        answer=read.answer,
        asking=None if asked is None else named_node(asked.signer),
        answering=None if answering is None else named_node(answering),
        exported_by=frame.exported_by,
        exported_at=file.exported_at,
        anchor=frame.anchor,
        records=records,
        status_sequence=None if frame.status is None else frame.status.sequence,
        checkpoints=len(frame.settled),
        doubts=tuple(unproven),
    )


def _check_headers(
    file: OpenFile, entry: ExchangeEntry, request: Request, asked: _Signed, answering: ProvenNode
) -> None:
    """Step 8, for the request."""
    header, part = request.header, asked.part
    _agree(part, "asking node", header.asking, asked.signer.node.entity_id)
    _agree(part, "answering node", header.answering, answering.node.entity_id)
    _agree(part, "type", asked.opened.payload_type, header.operation.request_type)
    _agree(INDEX, "request id", entry.request_id, header.request_id)
    if file.frame.exported_by.entity_id not in (header.asking, header.answering):
        raise EvidenceBroken(MANIFEST, f"{file.frame.exported_by.entity_id} took no part in this exchange")


def _check_records(
    file: OpenFile, number: int, entry: ExchangeEntry, *, own: bool
) -> tuple[RecordReport, ...]:
    """Step 9."""
    named = zip((request_part(number), answer_part(number)), entry.records, _KINDS[own], strict=False)
    return tuple(_check_record(file, part, record, kind) for part, record, kind in named)


def _check_record(file: OpenFile, part: str, record: RecordEntry, kind: RecordKind) -> RecordReport:
    if not record.is_forgotten:
        if record.kind != kind:
            raise EvidenceBroken(INDEX, f"record {record.log_index} should be of kind {kind:d}")
        if leaf_data(kind, record.recorded_at, file.parts[part], record.salt) != record.leaf:
            raise EvidenceBroken(INDEX, f"the leaf of record {record.log_index} is not that of these bytes")
    settled = file.frame.settled[record.checkpoint - 1] if record.checkpoint else None
    if settled is not None:
        _check_inclusion(file, record, settled)
    return RecordReport(
        kind=record.kind,
        log_index=record.log_index,
        generation=record.generation,
        position=record.position,
        recorded_at=_EPOCH + timedelta(microseconds=record.recorded_at),
        is_forgotten=record.is_forgotten,
        evidence_at=settled.evidence_at if settled is not None else None,
        settlement=settled,
    )


def _check_inclusion(file: OpenFile, record: RecordEntry, settled: Settlement) -> None:
    part = checkpoint_part(record.checkpoint)
    if record.generation != settled.generation:
        raise EvidenceBroken(
            part, f"it is of generation {settled.generation}, record {record.log_index} of another"
        )
    if not file.frame.trees[record.checkpoint - 1].holds(
        leaf_hash(record.leaf), record.position, record.proof
    ):
        raise EvidenceBroken(
            INDEX, f"the proof of record {record.log_index} does not lead to the root of {part}"
        )


def _check_signers(
    file: OpenFile,
    entry: ExchangeEntry,
    records: Sequence[RecordReport],
    asked: _Signed,
    answered: _Signed | None,
) -> Iterator[Doubt]:
    """Step 11: what is not proven of it."""
    pairs = (asked, entry.asking[-1]), (answered, entry.answering[-1])
    for record, (signed, chain) in zip(records, pairs, strict=False):
        if signed is not None:
            yield from _check_signer(file, signed, chain, record.evidence_at or signed.at)


def _check_signer(file: OpenFile, signed: _Signed, chain: int, at: datetime) -> Iterator[Doubt]:
    entity_id, kid = signed.signer.node.entity_id, signed.opened.kid
    then = file.frame.prove(chain, at)
    _agree(signed.part, "signer at the evidence time", then.node.entity_id, entity_id)
    if kid not in then.node.envelope_keys:
        raise EvidenceBroken(signed.part, f"its key {kid} was none of {entity_id} at {at.isoformat()}")
    why = file.frame.ended.of(entity_id, kid, at)
    if why:
        raise EvidenceBroken(signed.part, f"{why}, before the evidence time {at.isoformat()}")
    document = file.frame.ended.former_keys.get(entity_id)
    if document is None or document.issued_at < at:
        yield 11, key_unproven(entity_id, None if document is None else document.issued_at)
    if file.frame.status is None or file.frame.status.issued_at + _STATUS_EVERY < at:
        issued_at = None if file.frame.status is None else file.frame.status.issued_at
        yield 11, membership_unproven(entity_id, issued_at)


def _check_forgotten(file: OpenFile, number: int, entry: ExchangeEntry) -> tuple[RecordReport, ...]:
    """Step 9 for one that was forgotten: only that its leaves are in the log can be shown."""
    if not all(record.is_forgotten for record in entry.records):
        raise EvidenceBroken(answer_part(number), "its request was forgotten, so it proves nothing")
    kinds = next((kinds for kinds in _KINDS.values() if kinds[0] == entry.records[0].kind), None)
    if kinds is None or [record.kind for record in entry.records] != list(kinds[: len(entry.records)]):
        raise EvidenceBroken(INDEX, f"exchange {number} has records that do not belong together")
    return _check_records(file, number, entry, own=kinds[0] is RecordKind.ASKED_REQUEST)


def open_signed(part: str, sealed: Sealed, signer: ProvenNode) -> Opened:
    """An envelope under its signer's keys. A key that this machine cannot use proves nothing against the file.

    Raises EvidenceBroken, AlgorithmUnavailable.
    """
    if signer.node.problems and sealed.kid not in signer.node.envelope_keys:
        raise AlgorithmUnavailable("; ".join(signer.node.problems))
    return open_envelope_part(part, sealed, signer.node.envelope_keys)


def _decoded(part: str, decode: Callable[[str, bytes], Any], sealed: Sealed) -> Any:
    try:
        return decode(sealed.payload_type, sealed.payload)
    except FederationError as error:
        raise EvidenceBroken(part, f"its payload cannot be read: {error.detail}") from error


def _check_answer_header(request: Request, asked: _Signed, answer: Answer, answered: _Signed) -> None:
    """Step 8, for the answer."""
    part, header, given = answered.part, request.header, answer.header
    _agree(part, "type", answered.opened.payload_type, header.operation.answer_type)
    _agree(part, "request id", given.request_id, header.request_id)
    _agree(part, "identity of the request", given.request_identity.hex(), asked.opened.identity.hex())
    _agree(part, "asking node", given.asking, header.asking)
    _agree(part, "answering node", given.answering, header.answering)
    _agree(part, "signer", answered.signer.node.entity_id, header.answering)
    _agree(part, "operation", given.operation, header.operation)
    if given.answered_at < header.asked_at - _SKEW:
        raise EvidenceBroken(part, "it was given before it was asked for")


def _agree(part: str, what: str, found: str, expected: str) -> None:
    if found != expected:
        raise EvidenceBroken(part, f"its {what} is {found}, expected {expected}")


def _check_times(
    records: Sequence[RecordReport], asked: _Signed, answered: _Signed | None
) -> Iterator[Doubt]:
    """Step 10: nothing was cosigned before it was signed; what is not proven of it."""
    for record, signed in zip(records, (asked, answered), strict=False):
        if signed is not None and record.evidence_at is not None and record.evidence_at + _SKEW < signed.at:
            raise EvidenceBroken(
                signed.part,
                f"it says that it was signed at {signed.at.isoformat()}, but it was in the log by "
                f"{record.evidence_at.isoformat()}",
            )
    return _unsettled(records)


def _unsettled(records: Sequence[RecordReport]) -> Iterator[Doubt]:
    for record in records:
        if record.evidence_at is None:
            yield 10, time_unproven(record)
            return
