"""Domain words to payload bytes and back; and what is refused on the way in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yrd.certificates.v1 import certificates_pb2 as certificates
from yrd.services.v1 import services_pb2 as services
from yrd.state.v1 import state_pb2 as state

from federation.errors import FederationError, PeerMalformed, PeerUnknownCritical, PeerUnsupportedType
from federation.query import Answer, Operation, Request
from federation.rpc.convert import ProtobufCodec
from tests.federation.rpc import samples

CODEC = ProtobufCodec()
QUERY = Operation.CERTIFICATES_QUERY
Change = Callable[[Any], Any]


@given(samples.requests())
def test_every_request_comes_back_as_it_was(request_: Request) -> None:
    payload = CODEC.encode_request(request_)
    assert CODEC.decode_request(request_.header.operation.request_type, payload) == request_


@given(samples.answers())
def test_every_answer_comes_back_as_it_was(answer: Answer) -> None:
    payload = CODEC.encode_answer(answer)
    assert CODEC.decode_answer(answer.header.operation.answer_type, payload) == answer


@given(st.sampled_from(Operation), st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused_in_our_words(operation: Operation, payload: bytes) -> None:
    for decode, payload_type in (
        (CODEC.decode_request, operation.request_type),
        (CODEC.decode_answer, operation.answer_type),
    ):
        with pytest.raises(FederationError):
            decode(payload_type, payload)


@given(st.sampled_from(Operation), st.data())
def test_a_changed_byte_is_decoded_or_refused_in_our_words(operation: Operation, data: st.DataObject) -> None:
    payload = bytearray(CODEC.encode_answer(samples.answer(operation)))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(PeerMalformed, PeerUnknownCritical):
        CODEC.decode_answer(operation.answer_type, bytes(payload))


def test_a_refusal_has_no_body_whatever_its_bytes_hold() -> None:
    message = certificates.QueryAnswer.FromString(CODEC.encode_answer(samples.answer(QUERY)))
    message.header.outcome = 2  # type: ignore[assignment]
    message.header.refusal_code = "access.denied"
    assert CODEC.decode_answer(QUERY.answer_type, message.SerializeToString()).body is None


def test_types_that_no_operation_has_are_refused() -> None:
    payload = CODEC.encode_request(samples.request(QUERY))
    for payload_type in ("", "application/json", QUERY.answer_type, QUERY.request_type.replace(".v1", ".v2")):
        with pytest.raises(PeerUnsupportedType):
            CODEC.decode_request(payload_type, payload)
    with pytest.raises(PeerUnsupportedType):
        CODEC.decode_answer(QUERY.request_type, payload)


def test_the_operation_in_the_header_is_left_to_check_5() -> None:
    payload = CODEC.encode_request(samples.request(Operation.SERVICES_GET))
    message = services.GetRequest.FromString(payload)
    message.header.operation = Operation.CERTIFICATES_GET
    decoded = CODEC.decode_request(Operation.SERVICES_GET.request_type, message.SerializeToString())
    assert decoded.header.operation is Operation.CERTIFICATES_GET


def set_field(path: str, value: object) -> Change:
    """A change of one field of a message."""

    def change(message: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            message = getattr(message, step)
        setattr(message, last, value)

    return change


def clear(path: str) -> Change:
    """A field left out."""

    def change(message: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            message = getattr(message, step)
        message.ClearField(last)

    return change


HEADER_FAULTS = [
    (clear("header"), "header is missing"),
    (set_field("header.request_id", "0190b3f0-1a2b-4c3d-8e4f-5a6b7c8d9e0f"), "UUIDv7"),
    (set_field("header.request_id", samples.REQUEST_ID.upper()), "UUIDv7"),
    (set_field("header.request_id", samples.REQUEST_ID + "\n"), "UUIDv7"),
    (clear("header.asking_entity"), "asking_entity"),
    (clear("header.answering_entity"), "answering_entity"),
    (set_field("header.operation", "certificates.steal"), "operation"),
    (clear("header.map_set"), "map_set.digest"),
    (set_field("header.map_set.digest", b"1" * 31), "map_set.digest"),
]
REQUEST_FAULTS = [
    *HEADER_FAULTS,
    (clear("header.asked_at"), "asked_at is missing"),
    (set_field("header.asked_at", -1), "asked_at"),
    (set_field("header.expires_at", 2**63 - 1), "expires_at is out of range"),
    (set_field("header.expires_at", 1), "not after"),
    (clear("header.basis"), "basis kind"),
    (set_field("header.basis.kind", 99), "basis kind 99"),
    (set_field("header.basis.case_number", "a\0b"), "case_number"),
    (clear("holder_id"), "holder_id"),
    (clear("holder_id_type"), "holder_id_type"),
]
ANSWER_FAULTS = [
    *HEADER_FAULTS,
    (clear("header.answered_at"), "answered_at"),
    (set_field("header.request_identity", b""), "request_identity"),
    (clear("header.outcome"), "outcome 0"),
    (set_field("header.outcome", 3), "outcome 3"),
    (set_field("header.outcome", 2), "refusal_code"),
    (set_field("header.refusal_code", "access.denied"), "refusal_code"),
    (lambda message: message.certificates[0].ClearField("certificate_type"), "certificate_type"),
    (lambda message: message.certificates[0].elements[1].provenance.ClearField("relation"), "relation 0"),
    (lambda m: setattr(m.certificates[0].elements[1].provenance, "relation", 8), "relation 8"),
]


@pytest.mark.parametrize(("change", "words"), REQUEST_FAULTS)
def test_a_request_that_misses_something_is_malformed(change: Change, words: str) -> None:
    message = certificates.QueryRequest.FromString(CODEC.encode_request(samples.request(QUERY)))
    change(message)
    with pytest.raises(PeerMalformed, match=words):
        CODEC.decode_request(QUERY.request_type, message.SerializeToString())


@pytest.mark.parametrize(("change", "words"), ANSWER_FAULTS)
def test_an_answer_that_misses_something_is_malformed(change: Change, words: str) -> None:
    message = certificates.QueryAnswer.FromString(CODEC.encode_answer(samples.answer(QUERY)))
    change(message)
    with pytest.raises(PeerMalformed, match=words):
        CODEC.decode_answer(QUERY.answer_type, message.SerializeToString())


@pytest.mark.parametrize(
    ("operation", "message", "change", "words"),
    [
        (Operation.CERTIFICATES_GET, certificates.GetRequest, clear("certificate_id"), "certificate_id"),
        (
            Operation.CERTIFICATES_VERIFY,
            certificates.VerifyRequest,
            set_field("digest", b"1"),
            "digest has 1",
        ),
        (Operation.SERVICES_SEARCH, services.SearchRequest, clear("page"), "page counts"),
        (Operation.SERVICES_SEARCH, services.SearchRequest, clear("page_size"), "page_size counts"),
        (Operation.SERVICES_GET, services.GetRequest, clear("item_code"), "item_code"),
    ],
)
def test_a_body_that_misses_something_is_malformed(
    operation: Operation, message: Any, change: Change, words: str
) -> None:
    parsed = message.FromString(CODEC.encode_request(samples.request(operation)))
    change(parsed)
    with pytest.raises(PeerMalformed, match=words):
        CODEC.decode_request(operation.request_type, parsed.SerializeToString())


def test_a_presented_certificate_needs_its_digest_or_its_face() -> None:
    operation = Operation.CERTIFICATES_VERIFY
    message = certificates.VerifyRequest.FromString(CODEC.encode_request(samples.request(operation)))
    message.ClearField("digest")
    assert CODEC.decode_request(operation.request_type, message.SerializeToString())
    message.ClearField("face")
    with pytest.raises(PeerMalformed, match="one of the two"):
        CODEC.decode_request(operation.request_type, message.SerializeToString())


def test_verdict_and_clock_must_be_there() -> None:
    verify = Operation.CERTIFICATES_VERIFY
    verdict = certificates.VerifyAnswer.FromString(CODEC.encode_answer(samples.answer(verify)))
    verdict.ClearField("verdict")
    with pytest.raises(PeerMalformed, match="verdict 0"):
        CODEC.decode_answer(verify.answer_type, verdict.SerializeToString())
    told = state.StateAnswer.FromString(CODEC.encode_answer(samples.answer(Operation.NODE_STATE)))
    told.ClearField("clock")
    with pytest.raises(PeerMalformed, match="clock"):
        CODEC.decode_answer(Operation.NODE_STATE.answer_type, told.SerializeToString())


def test_groups_deeper_than_any_document_needs_are_refused() -> None:
    message = certificates.QueryAnswer.FromString(CODEC.encode_answer(samples.answer(QUERY)))
    elements = message.certificates[0].elements
    for _ in range(9):
        elements = elements.add(name="group").groups.add().elements
    with pytest.raises(PeerMalformed, match="deeper than 8"):
        CODEC.decode_answer(QUERY.answer_type, message.SerializeToString())


def test_what_is_critical_and_not_known_is_refused_and_other_new_fields_are_ignored() -> None:
    payload = CODEC.encode_request(samples.request(QUERY))
    newer = certificates.QueryRequest.FromString(payload + b"\xc2\x3e\x03new")  # field 1000
    assert CODEC.decode_request(QUERY.request_type, newer.SerializeToString()) == samples.request(QUERY)
    newer.header.critical.append("quantum_seal")
    with pytest.raises(PeerUnknownCritical, match="quantum_seal"):
        CODEC.decode_request(QUERY.request_type, newer.SerializeToString())
