"""An exchange between its request and its answer, and what of it can be read back from the log."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from federation.access import Grant
from federation.peers import Peer
from federation.ports import Codec, ExchangeMeta, RecordKind, StoredRecord
from federation.query import Answer, Request, RequestHeader
from mapping.translate import Dialect
from trust.envelope import Sealed, parse

__all__ = ["OpenExchange", "record_of", "stored_answer", "stored_request"]


class OpenExchange(Struct, frozen=True):
    """What the asking node holds while it asks; `envelope` and `identity` once the request is sealed."""

    client: str
    peer: Peer
    request: Request
    grant: Grant
    dialect: Dialect
    """Of the version that the request is in; the answer is put into the same one."""
    deadline_s: float
    envelope: bytes = b""
    identity: bytes = b""

    @property
    def header(self) -> RequestHeader:
        """The request's header."""
        return self.request.header

    def meta(self, outcome: str = "", holders: tuple[bytes, ...] = ()) -> ExchangeMeta:
        """By what its records are found again."""
        header = self.header
        return ExchangeMeta(
            header.request_id,
            header.asking,
            header.answering,
            header.operation,
            self.client,
            outcome,
            header.basis.case_number,
            holders,
        )

    def sealed_as(self, sealed: Sealed) -> OpenExchange:
        """The same exchange with its sealed request."""
        return OpenExchange(
            self.client,
            self.peer,
            self.request,
            self.grant,
            self.dialect,
            self.deadline_s,
            sealed.envelope,
            sealed.identity,
        )


def record_of(records: Sequence[StoredRecord], kind: RecordKind) -> StoredRecord | None:
    """The first record of a kind, or None."""
    return next((record for record in records if record.kind is kind), None)


def stored_request(codec: Codec, record: StoredRecord) -> Request:
    """The request in a record of this node's own log, which was checked before it was stored."""
    sealed = parse(record.envelope, max_bytes=len(record.envelope))
    return codec.decode_request(sealed.payload_type, sealed.payload)


def stored_answer(codec: Codec, record: StoredRecord) -> Answer:
    """The answer in a record of this node's own log, which was checked before it was stored."""
    sealed = parse(record.envelope, max_bytes=len(record.envelope))
    return codec.decode_answer(sealed.payload_type, sealed.payload)
