"""The asking node's checks of an answer, in this order: nothing in it is used before the last.

1. size, before parsing; form
2. payload type: that of an answer to the operation asked
3. the key is one that the trust list gives to the peer that was asked
4. signature
5. header: answering = signer = the peer asked; asking = this node; request id, request identity, operation
6. time: made after the request and not in the future, within the allowed skew
"""

from __future__ import annotations

from collections.abc import Mapping

from federation.errors import PeerWrongAnswer, PeerWrongAudience
from federation.exchange import ExchangeParts, check_answer_time
from federation.query import Answer, AnswerHeader, RequestHeader
from trust.envelope import Opened, parse, unseal
from trust.keys import VerificationKey

__all__ = ["open_answer"]


def open_answer(
    parts: ExchangeParts,
    envelope: bytes,
    *,
    keys: Mapping[str, VerificationKey],
    asked: RequestHeader,
    request_identity: bytes,
) -> tuple[Opened, Answer]:
    """The verified answer to the request `asked`.

    `keys` are those of the peer that was asked. Raises the error of the step that refuses: a TrustError or a
    FederationError.
    """
    sealed = parse(envelope, max_bytes=parts.limits.message_out_bytes)  # 1
    if sealed.payload_type != asked.operation.answer_type:  # 2
        raise PeerWrongAnswer(f"expected {asked.operation.answer_type}, got {sealed.payload_type[:120]}")
    opened = unseal(sealed, keys=keys)  # 3, 4
    answer = parts.codec.decode_answer(opened.payload_type, opened.payload)
    _check_header(answer.header, asked, request_identity)  # 5
    check_answer_time(answer.header, asked.asked_at, parts.clock.now(), parts.limits)  # 6
    return opened, answer


def _check_header(header: AnswerHeader, asked: RequestHeader, request_identity: bytes) -> None:
    if header.answering != asked.answering:
        raise PeerWrongAnswer(f"the answer names {header.answering[:200]}; {asked.answering} was asked")
    if header.asking != asked.asking:
        raise PeerWrongAudience(f"the answer is for {header.asking[:200]}; this is {asked.asking}")
    if header.request_id != asked.request_id:
        raise PeerWrongAnswer(f"the answer is to request {header.request_id}, not {asked.request_id}")
    if header.request_identity != request_identity:
        raise PeerWrongAnswer("the answer is to other request bytes under the same request id")
    if header.operation is not asked.operation:
        raise PeerWrongAnswer(f"the answer is to {header.operation}, not {asked.operation}")
