"""Evidence files: made from the log and the trust statements of that day, checked from the anchor's public
key.

`verify_evidence` needs no network and no store. Its steps; the code and the report carry the same numbers:

1. The file is one container and spelled as only this format spells it
2. The manifest names every part with its size and SHA-256
3. The exporting node's trust chain holds at the time of export, and its envelope key signed the manifest
4. The asking node's trust chain held when it asked, and its envelope key signed the request
5. The answering node's trust chain held when it answered, and its envelope key signed the answer
6. The headers agree: asking node, answering node, operation and type, request id, identity of the request,
    times
7. The log leaves are those of these very bytes
8. Neither node was revoked before, as far as the enclosed trust status tells

The anchor's key may be the one of that day, or an older or newer one: the roll-overs, enclosed or given, lead from
it to the one that signed then (`trust.rollover`). A time in 4 and 5 is what the node itself signed; that is why the
report says "time unproven".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from federation.errors import FederationError
from federation.evidence_export import Exporter, export_exchange
from federation.evidence_report import Check, EvidenceReport, NamedNode, Sentence, render_report
from federation.ports import Codec, RecordKind
from federation.query import Answer, Request
from trust.chain import VerifiedEntity
from trust.entity import read_statement
from trust.envelope import Opened, Sealed
from trust.errors import AlgorithmUnavailable, EvidenceBroken, TrustError
from trust.evidence import (
    ANSWER,
    MANIFEST,
    MAX_FILE_BYTES,
    NO_ROLL_OVERS,
    RECORDS,
    REQUEST,
    ROLES,
    STATUS,
    Manifest,
    chain_part,
    leaf_data,
    open_envelope_part,
    open_json_part,
    parse_envelope_part,
    read_container,
    read_manifest,
    resolve_chain_parts,
)
from trust.keys import VerificationKey, keys_from_jwks
from trust.profile import NodeProfile, read_node
from trust.status import ANCHOR_TYPE, TrustStatus, verify_status

__all__ = [
    "Exporter",
    "export_exchange",
    "render_report",
    "verify_evidence",
]

_SKEW = timedelta(seconds=60)
_STATUS_EVERY = timedelta(seconds=180)
"""A status this much older than the exchange is still the one of that moment: the anchor signs one a minute,
nodes fetch it a minute later, and clocks differ by as much.
"""
_ASKING, _ANSWERING, _EXPORTING = ROLES


@dataclass(frozen=True, slots=True)
class _File:
    """What the steps hand on."""

    parts: Mapping[str, bytes]
    pinned: Mapping[str, VerificationKey]
    """Keys of the anchor's, from whichever time."""
    roll_overs: str | bytes
    codec: Codec


def verify_evidence(
    data: bytes, anchor_jwks: Mapping[str, Any], codec: Codec, *, roll_overs: str | bytes = NO_ROLL_OVERS
) -> EvidenceReport:
    """What a file proves, starting from nothing but public keys of the anchor (a JWK set).

    `roll_overs` are those that the anchor has published since: a file cannot hold what came after it.

    Raises trust.errors.EvidenceBroken, naming the part that does not hold; KeyRejected for `anchor_jwks`;
    AlgorithmUnavailable when the file may hold, but this machine lacks what one of its signatures needs.
    """
    pinned = keys_from_jwks(anchor_jwks)
    parts = read_container(data)  # 1
    manifest, sealed = read_manifest(parts)  # 2
    file = _File(parts, pinned, roll_overs, codec)
    exporter, anchor = _chain(file, _EXPORTING, manifest.exported_at)  # 3
    _opened(MANIFEST, sealed, exporter)
    if exporter.entity_id != manifest.exported_by:
        raise EvidenceBroken(MANIFEST, f"it names {manifest.exported_by}, its chain {exporter.entity_id}")
    request, opened_request, asking = _open_request(file)  # 4
    answer, opened_answer, answering = _open_answer(file, request)  # 5
    _check_headers(request, opened_request, asking, answering, manifest)  # 6
    if answer is not None and opened_answer is not None:
        _check_answer_header(request, opened_request, answer, opened_answer)
    indices = _check_records(file, exported_by_asker=exporter.entity_id == asking.entity_id)  # 7
    status = _check_status(file, anchor, manifest, request, answer)  # 8
    return EvidenceReport(
        request=request,
        answer=answer,
        asking=_named(asking),
        answering=_named(answering),
        exported_by=_named(exporter),
        exported_at=manifest.exported_at,
        anchor=anchor.entity_id,
        log_indices=indices,
        status_sequence=None if status is None else status.sequence,
        checks=_checks(request, answer, status),
    )


@dataclass(frozen=True, slots=True)
class _Anchor:
    entity_id: str
    status_keys: Mapping[str, VerificationKey]


def _chain(file: _File, role: str, at: datetime) -> tuple[NodeProfile, _Anchor]:
    """A node and its anchor, as the chain of that role proves them at that time."""
    entity: VerifiedEntity = resolve_chain_parts(
        file.parts, role, pinned=file.pinned, at=at, roll_overs=file.roll_overs
    )
    try:
        return read_node(entity), _Anchor(entity.anchor, _status_keys(file, role))
    except AlgorithmUnavailable:
        raise
    except TrustError as error:
        raise EvidenceBroken(chain_part(role, 0), error.detail) from error


def _status_keys(file: _File, role: str) -> Mapping[str, VerificationKey]:
    """The keys that the anchor's configuration, the last of a verified chain, delegates the status to."""
    names = [name for name in file.parts if name.startswith(f"{role}/")]
    top = read_statement(file.parts[names[-1]], allow_http_on_loopback=True)
    own = top.claims.get("metadata", {}).get(ANCHOR_TYPE, {})
    return keys_from_jwks(own["status_jwks"]) if "status_jwks" in own else {}


def _opened(part: str, sealed: Sealed, signer: NodeProfile) -> Opened:
    """An envelope under its signer's keys. A key that this machine cannot use proves nothing against the file."""
    if signer.problems and sealed.kid not in signer.envelope_keys:
        raise AlgorithmUnavailable("; ".join(signer.problems))
    return open_envelope_part(part, sealed, signer.envelope_keys)


def _open_request(file: _File) -> tuple[Request, Opened, NodeProfile]:
    sealed = parse_envelope_part(file.parts, REQUEST)
    request = _decoded(REQUEST, file.codec.decode_request, sealed)
    asking, _ = _chain(file, _ASKING, request.header.asked_at)
    return request, _opened(REQUEST, sealed, asking), asking


def _open_answer(file: _File, request: Request) -> tuple[Answer | None, Opened | None, NodeProfile]:
    if ANSWER not in file.parts:
        return None, None, _chain(file, _ANSWERING, request.header.asked_at)[0]
    sealed = parse_envelope_part(file.parts, ANSWER)
    answer = _decoded(ANSWER, file.codec.decode_answer, sealed)
    answering, _ = _chain(file, _ANSWERING, answer.header.answered_at)
    return answer, _opened(ANSWER, sealed, answering), answering


def _decoded(part: str, decode: Callable[[str, bytes], Any], sealed: Sealed) -> Any:
    try:
        return decode(sealed.payload_type, sealed.payload)
    except FederationError as error:
        raise EvidenceBroken(part, f"its payload cannot be read: {error.detail}") from error


def _check_headers(
    request: Request,
    opened: Opened,
    asking: NodeProfile,
    answering: NodeProfile,
    manifest: Manifest,
) -> None:
    """Step 6, for the request."""
    asked = request.header
    _agree(REQUEST, "asking node", asked.asking, asking.entity_id)
    _agree(REQUEST, "answering node", asked.answering, answering.entity_id)
    _agree(REQUEST, "type", opened.payload_type, asked.operation.request_type)
    _agree(MANIFEST, "request id", manifest.request_id, asked.request_id)
    if manifest.exported_by not in (asked.asking, asked.answering):
        raise EvidenceBroken(MANIFEST, f"{manifest.exported_by} took no part in this exchange")


def _check_answer_header(request: Request, opened: Opened, answer: Answer, opened_answer: Opened) -> None:
    """Step 6, for the answer."""
    asked, given = request.header, answer.header
    _agree(ANSWER, "type", opened_answer.payload_type, asked.operation.answer_type)
    _agree(ANSWER, "request id", given.request_id, asked.request_id)
    _agree(ANSWER, "identity of the request", given.request_identity.hex(), opened.identity.hex())
    _agree(ANSWER, "asking node", given.asking, asked.asking)
    _agree(ANSWER, "answering node", given.answering, asked.answering)
    _agree(ANSWER, "operation", given.operation, asked.operation)
    if given.answered_at < asked.asked_at - _SKEW:
        raise EvidenceBroken(ANSWER, "it was given before it was asked for")


def _agree(part: str, what: str, found: str, expected: str) -> None:
    if found != expected:
        raise EvidenceBroken(part, f"its {what} is {found}, expected {expected}")


_KINDS: Final = {
    True: (RecordKind.ASKED_REQUEST, RecordKind.ASKED_ANSWER),
    False: (RecordKind.ANSWERED_REQUEST, RecordKind.ANSWERED_ANSWER),
}


def _check_records(file: _File, *, exported_by_asker: bool) -> tuple[int, ...]:
    """Step 7: the log indices of request and answer."""
    records = open_json_part(file.parts, RECORDS)
    envelopes = [file.parts[name] for name in (REQUEST, ANSWER) if name in file.parts]
    if not isinstance(records, list) or len(records) != len(envelopes):
        raise EvidenceBroken(RECORDS, f"it should describe {len(envelopes)} record(s)")
    described = zip(records, envelopes, _KINDS[exported_by_asker], strict=False)
    return tuple(_check_record(record, envelope, kind) for record, envelope, kind in described)


def _check_record(record: Any, envelope: bytes, kind: RecordKind) -> int:
    try:
        index, recorded_at = record["log_index"], record["recorded_at"]
        salt, leaf = (base64.b64decode(record[name], validate=True) for name in ("salt", "leaf"))
        if record["kind"] != kind or type(index) is not int or type(recorded_at) is not int:
            raise EvidenceBroken(RECORDS, f"record {index} should be of kind {kind:d}, with whole numbers")
        found = leaf_data(kind, recorded_at, envelope, salt)
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        raise EvidenceBroken(RECORDS, "a record is malformed") from None
    if found != leaf:
        raise EvidenceBroken(RECORDS, f"the leaf of record {index} is not that of these bytes")
    return index


def _check_status(
    file: _File, anchor: _Anchor, manifest: Manifest, request: Request, answer: Answer | None
) -> TrustStatus | None:
    """Step 8. A node that was revoked later was a member then."""
    if STATUS not in file.parts:
        return None
    try:
        status = verify_status(
            file.parts[STATUS],
            anchor=anchor.entity_id,
            keys=anchor.status_keys,
            now=manifest.exported_at,
            expired_too=True,
            max_bytes=MAX_FILE_BYTES,
        )
    except TrustError as error:
        raise EvidenceBroken(STATUS, error.detail) from error
    for part, entity, at in (
        (REQUEST, request.header.asking, request.header.asked_at),
        (ANSWER, request.header.answering, answer.header.answered_at if answer else None),
    ):
        revoked = status.revocations.get(entity)
        if revoked is not None and at is not None and revoked.at <= at:
            raise EvidenceBroken(
                part, f"{entity} had been revoked at {revoked.at.isoformat()}: {revoked.reason}"
            )
    return status


def _named(node: NodeProfile) -> NamedNode:
    return NamedNode(node.entity_id, node.province, node.name)


def _said_of_status(request: Request, answer: Answer | None, status: TrustStatus | None) -> Sentence:
    """What the enclosed status can tell; one from before the exchange tells nothing of what came after it."""
    if status is None:
        return Sentence(
            "文件中没有状态声明，撤销与否未核", "no trust status in the file: revocation not checked"
        )
    last = answer.header.answered_at if answer else request.header.asked_at
    if status.issued_at + _STATUS_EVERY < last:
        at = status.issued_at.isoformat()
        return Sentence(
            f"状态声明第 {status.sequence} 号签于 {at}，早于本次交换：其后是否撤销未核",
            f"status {status.sequence} is of {at}, before the exchange: later revocation not checked",
        )
    return Sentence(
        f"状态声明第 {status.sequence} 号：当时双方均未被撤销",
        f"by status {status.sequence} neither was revoked",
    )


def _checks(request: Request, answer: Answer | None, status: TrustStatus | None) -> tuple[Check, ...]:
    said = [
        Sentence("文件格式唯一，逐字节一致", "the container is spelled as only this format spells it"),
        Sentence("清单与各部分的长度和摘要一致", "the manifest fits every part, by size and SHA-256"),
        Sentence(
            "导出节点的信任链成立，清单签名有效", "the exporting node's chain holds; it signed the manifest"
        ),
        Sentence(
            "请求方的信任链当时成立，请求签名有效", "the asking node's chain held; it signed the request"
        ),
        Sentence(
            "应答方的信任链当时成立，答复签名有效", "the answering node's chain held; it signed the answer"
        )
        if answer
        else Sentence(
            "应答方的信任链当时成立；没有答复", "the answering node's chain held; there is no answer"
        ),
        Sentence("请求与答复的各项一致", "the headers agree with each other and with the signers"),
        Sentence("日志叶子与原始字节一致", "the log leaves are those of these bytes"),
        _said_of_status(request, answer, status),
    ]
    return tuple(Check(number, sentence) for number, sentence in enumerate(said, start=1))
