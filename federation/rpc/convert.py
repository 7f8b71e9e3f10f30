"""Between domain words and payload bytes: `ProtobufCodec`, driven by one table with a row per operation.

What comes in is checked for form only: parsed without a fault, header present and whole (`convert_header`),
body whole (`convert_bodies`). Whether it is true is the matter of `answer` and `ask`. In particular the
operation in the header may be another than that of the payload type: check 5 compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError
from yrd.certificates.v1 import certificates_pb2 as certificates
from yrd.evidence.v1 import evidence_pb2 as evidence
from yrd.services.v1 import services_pb2 as services
from yrd.state.v1 import state_pb2 as state

from federation.errors import PeerMalformed, PeerUnsupportedType
from federation.query import Answer, Operation, Outcome, Request
from federation.rpc import convert_bodies as bodies
from federation.rpc import convert_evidence as logged
from federation.rpc.convert_header import (
    fill_answer_header,
    fill_request_header,
    read_answer_header,
    read_request_header,
)

__all__ = ["ProtobufCodec"]


@dataclass(frozen=True, slots=True)
class _Form:
    """One side of one operation: its message and the functions for its body.

    The types of a row belong together, which the type system cannot say of a table; the round trip test does.
    """

    message: Callable[[], Any]
    fill: Callable[[Any, Any], None]
    read: Callable[[Any], Any]


_REQUESTS: Final[dict[Operation, _Form]] = {
    Operation.CERTIFICATES_QUERY: _Form(
        certificates.QueryRequest, bodies.fill_certificate_query, bodies.read_certificate_query
    ),
    Operation.CERTIFICATES_GET: _Form(
        certificates.GetRequest, bodies.fill_certificate_get, bodies.read_certificate_get
    ),
    Operation.CERTIFICATES_VERIFY: _Form(
        certificates.VerifyRequest, bodies.fill_certificate_verify, bodies.read_certificate_verify
    ),
    Operation.CERTIFICATES_TYPES: _Form(
        certificates.TypesRequest, bodies.fill_certificate_types, bodies.read_certificate_types
    ),
    Operation.SERVICES_SEARCH: _Form(
        services.SearchRequest, bodies.fill_service_search, bodies.read_service_search
    ),
    Operation.SERVICES_GET: _Form(services.GetRequest, bodies.fill_service_get, bodies.read_service_get),
    Operation.NODE_STATE: _Form(state.StateRequest, bodies.fill_state_query, bodies.read_state_query),
    Operation.EVIDENCE_ROOTS: _Form(
        evidence.RootsRequest, logged.fill_roots_request, logged.read_roots_request
    ),
    Operation.EVIDENCE_RECORDS: _Form(
        evidence.RecordsRequest, logged.fill_records_request, logged.read_records_request
    ),
    Operation.HOLDER_RECORD: _Form(
        evidence.HolderRecordRequest, logged.fill_holder_request, logged.read_holder_request
    ),
}

_ANSWERS: Final[dict[Operation, _Form]] = {
    Operation.CERTIFICATES_QUERY: _Form(
        certificates.QueryAnswer, bodies.fill_certificates_answer, bodies.read_certificates_answer
    ),
    Operation.CERTIFICATES_GET: _Form(
        certificates.GetAnswer, bodies.fill_certificate_answer, bodies.read_certificate_answer
    ),
    Operation.CERTIFICATES_VERIFY: _Form(
        certificates.VerifyAnswer, bodies.fill_verify_answer, bodies.read_verify_answer
    ),
    Operation.CERTIFICATES_TYPES: _Form(
        certificates.TypesAnswer, bodies.fill_types_answer, bodies.read_types_answer
    ),
    Operation.SERVICES_SEARCH: _Form(
        services.SearchAnswer, bodies.fill_services_answer, bodies.read_services_answer
    ),
    Operation.SERVICES_GET: _Form(
        services.GetAnswer, bodies.fill_service_item_answer, bodies.read_service_item_answer
    ),
    Operation.NODE_STATE: _Form(state.StateAnswer, bodies.fill_state_answer, bodies.read_state_answer),
    Operation.EVIDENCE_ROOTS: _Form(evidence.RootsAnswer, logged.fill_roots_answer, logged.read_roots_answer),
    Operation.EVIDENCE_RECORDS: _Form(
        evidence.RecordsAnswer, logged.fill_records_answer, logged.read_records_answer
    ),
    Operation.HOLDER_RECORD: _Form(
        evidence.HolderRecordAnswer, logged.fill_holder_answer, logged.read_holder_answer
    ),
}

_REQUEST_TYPES: Final = {operation.request_type: form for operation, form in _REQUESTS.items()}
_ANSWER_TYPES: Final = {operation.answer_type: form for operation, form in _ANSWERS.items()}


class ProtobufCodec:
    """The `Codec` of the wire. It keeps nothing and may be shared."""

    def encode_request(self, request: Request) -> bytes:
        """The payload of a request; its type is ``request.header.operation.request_type``."""
        form = _REQUESTS[request.header.operation]
        message = form.message()
        fill_request_header(message.header, request.header)
        form.fill(message, request.body)
        return bytes(message.SerializeToString())

    def decode_request(self, payload_type: str, payload: bytes) -> Request:
        """The request in these bytes.

        Raises PeerUnsupportedType when no operation has that request type, PeerMalformed when the bytes are
        not that message or miss something, PeerUnknownCritical when it must not be answered by a node of this
        version.
        """
        form = _form(_REQUEST_TYPES, payload_type)
        message = _parse(form, payload)
        header = read_request_header(message.header)
        return Request(header, form.read(message))

    def encode_answer(self, answer: Answer) -> bytes:
        """The payload of an answer; its type is ``answer.header.operation.answer_type``."""
        form = _ANSWERS[answer.header.operation]
        message = form.message()
        fill_answer_header(message.header, answer.header)
        if answer.body is not None:
            form.fill(message, answer.body)
        return bytes(message.SerializeToString())

    def decode_answer(self, payload_type: str, payload: bytes) -> Answer:
        """The answer in these bytes; a refusal has no body, whatever else its bytes hold.

        Raises PeerUnsupportedType, PeerMalformed, PeerUnknownCritical as `decode_request` does.
        """
        form = _form(_ANSWER_TYPES, payload_type)
        message = _parse(form, payload)
        header = read_answer_header(message.header)
        return Answer(header, form.read(message) if header.outcome is Outcome.ANSWERED else None)


def _form(types: dict[str, _Form], payload_type: str) -> _Form:
    form = types.get(payload_type)
    if form is None:
        raise PeerUnsupportedType(f"payload type {payload_type[:120]!r} is not known to this version")
    return form


def _parse(form: _Form, payload: bytes) -> Any:
    message = form.message()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        raise PeerMalformed("the payload is not the message that its type names") from None
    if not message.HasField("header"):
        raise PeerMalformed("header is missing")
    return message
