"""The lies of a hostile peer that is asked: what it answers, and the code with which the asking node refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from federation.query import (
    Answer,
    AnswerBody,
    AnswerHeader,
    CertificateAnswer,
    CertificatesAnswer,
    CertificateTypesAnswer,
    Decision,
    MapSet,
    Operation,
    Outcome,
    Request,
    ServiceItemAnswer,
    ServicesAnswer,
    StateAnswer,
    Verdict,
    VerifyAnswer,
)
from federation.rpc.convert import ProtobufCodec
from simulators.forging import with_der_signature, with_flipped_byte, with_two_signatures
from trust.envelope import Sealed, parse, seal
from trust.keys import Signer, SigningKey

__all__ = ["LIES", "Liar", "Lie"]

_MOST_BYTES = 1024 * 1024
_LATER = timedelta(minutes=11)


@dataclass(frozen=True, slots=True)
class Lie:
    """One way to lie: `header` is what is said otherwise than it is, `envelope` what is made of the signed answer."""

    name: str
    code: str
    zh: str
    en: str
    header: Callable[[datetime], Mapping[str, Any]] = lambda now: {}
    envelope: Callable[[Sealed], bytes] = lambda sealed: sealed.envelope
    own_key: bool = True
    silent: bool = False


def _say(**changes: object) -> Callable[[datetime], Mapping[str, Any]]:
    return lambda now: changes


_ALL = (
    Lie("altered", "peer.bad_signature", "签名后改动", "changed after signing", envelope=with_flipped_byte),
    Lie("two_signatures", "peer.two_signatures", "两个签名", "two signatures", envelope=with_two_signatures),
    Lie("der_signature", "peer.signature_form", "DER 签名", "a DER signature", envelope=with_der_signature),
    Lie("foreign_key", "peer.foreign_key", "以别人的密钥签名", "signed with another's key", own_key=False),
    Lie("malformed", "peer.malformed", "不成形的字节", "no envelope", envelope=lambda _: b"\xff\xff\xff"),
    Lie(
        "other_request", "peer.wrong_answer", "答的是另一个请求", "an answer to another request id",
        _say(request_id="01941f29-7c00-7000-8000-00000000beef"),
    ),
    Lie("other_bytes", "peer.wrong_answer", "所答不同", "for other bytes", _say(request_identity=bytes(32))),
    Lie(
        "in_anothers_name", "peer.wrong_answer", "冒称另一个应答方", "in another node's name",
        _say(answering="https://node.example"),
    ),
    Lie("for_another", "peer.wrong_audience", "答给别人", "for another node", _say(asking="https://node.example")),
    Lie("backdated", "peer.stale", "倒填时间", "back-dated", lambda now: {"answered_at": now - _LATER}),
    Lie(
        "from_future", "peer.from_future", "来自未来", "from the future",
        lambda now: {"answered_at": now + _LATER},
    ),
    Lie(
        "unknown_critical", "peer.unknown_critical", "未知的关键字段", "a critical field nobody knows",
        _say(critical=("from_next_year",)),
    ),
    Lie("silent", "peer.timeout", "不作答", "never answers", silent=True),
)  # fmt: skip

LIES: Mapping[str, Lie] = {lie.name: lie for lie in _ALL}


class Liar:
    """An answering side that understands each request, and answers it with one lie."""

    def __init__(self, lie: Lie, signer: Signer, now: Callable[[], datetime]) -> None:
        self._lie = lie
        self._signer = signer if lie.own_key else SigningKey.generate()
        self._now = now
        self._codec = ProtobufCodec()

    async def answer(
        self, envelope: bytes, *, tls_peer: str, method_operation: Operation | None, timeout_s: float
    ) -> bytes:
        """See `federation.rpc.work.AnswerHandler`; nothing of the request is checked."""
        if self._lie.silent:
            await asyncio.sleep(timeout_s + 60)
        sealed = parse(envelope, max_bytes=_MOST_BYTES)
        request = self._codec.decode_request(sealed.payload_type, sealed.payload)
        answer = Answer(self._header(request, sealed), _nothing(request, self._now()))
        payload = self._codec.encode_answer(answer)
        return self._lie.envelope(seal(request.header.operation.answer_type, payload, self._signer))

    async def fetch_answer(self, request_identity: bytes, request_id: str, *, tls_peer: str) -> bytes:
        """The same lie has nothing to add: random bytes."""
        return b"\xff\xff\xff"

    def _header(self, request: Request, sealed: Sealed) -> AnswerHeader:
        asked, now = request.header, self._now()
        said: dict[str, Any] = {
            "request_id": asked.request_id,
            "request_identity": sealed.identity,
            "answering": asked.answering,
            "asking": asked.asking,
            "operation": asked.operation,
            "answered_at": now,
            "outcome": Outcome.ANSWERED,
            "map_set": MapSet("hostile", bytes(32)),
            "decision": Decision("hostile", "1"),
        }
        return AnswerHeader(**{**said, **self._lie.header(now)})


def _nothing(request: Request, now: datetime) -> AnswerBody:
    """An answer of the right kind with nothing in it."""
    bodies: Mapping[Operation, AnswerBody] = {
        Operation.CERTIFICATES_QUERY: CertificatesAnswer(),
        Operation.CERTIFICATES_GET: CertificateAnswer(),
        Operation.CERTIFICATES_VERIFY: VerifyAnswer(Verdict.UNKNOWN),
        Operation.CERTIFICATES_TYPES: CertificateTypesAnswer(),
        Operation.SERVICES_SEARCH: ServicesAnswer(),
        Operation.SERVICES_GET: ServiceItemAnswer(),
        Operation.NODE_STATE: StateAnswer("0", now),
    }
    return bodies[request.header.operation]
