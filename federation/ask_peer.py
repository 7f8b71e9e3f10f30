"""What a node asks a peer for itself: an ordinary exchange, signed, stored and checked, but with no platform behind it.

No access rule speaks of these operations (`access`, rule 7) and nothing is translated. What comes back is checked by
`opening` and durable before it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from federation.bodies import operation_of
from federation.errors import FederationError, OwnNotFound, PeerInternal, code_of, detail_of, error_from
from federation.exchange import ExchangeParts
from federation.holders import holders_in_answer, holders_of_request
from federation.observe import Side
from federation.open_exchange import record_of, stored_request
from federation.opening import open_answer
from federation.peers import Peer
from federation.ports import ExchangeMeta, PeerTransport, RecordKind
from federation.query import Answer, AnswerBody, Basis, BasisKind, Request, RequestBody, RequestHeader
from federation.request_ids import RequestIds
from trust.errors import TrustError

__all__ = ["NodeAsker"]


class NodeAsker:
    """Asks peers in this node's own name."""

    def __init__(
        self, parts: ExchangeParts, transport: PeerTransport, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._parts = parts
        self._transport = transport
        self._now_s = now_s
        self._request_ids = RequestIds(parts.clock)

    def new_request_id(self) -> str:
        """A fresh UUIDv7, for a request that must be named before it is made."""
        return self._request_ids.new()

    async def ask(
        self, peer: Peer, body: RequestBody, *, purpose: str, timeout_s: float, request_id: str = ""
    ) -> AnswerBody:
        """The body of the peer's answer, which is stored.

        Raises what refused, as `ask.Asker.ask` does. Cancelling leaves what was stored; the answer can be fetched.
        """
        peer.require_standing(self._parts.clock.now())
        header = self._header(peer, body, purpose, request_id or self.new_request_id())
        request, hashed = Request(header, body), self._parts.holder_hash
        meta = _meta(header, holders=holders_of_request(body, hashed))
        payload = self._parts.codec.encode_request(request)
        sealed = await self._parts.journal.store_request(meta, header.operation.request_type, payload)
        began_s, outcome = self._now_s(), "internal"
        self._parts.observer.began(Side.ASK)
        try:
            envelope = await self._transport.exchange(
                peer, header.operation, sealed.envelope, timeout_s=timeout_s
            )
            answer = await self._keep(peer, request, sealed.identity, envelope)
            outcome = answer.header.refusal_code or answer.header.outcome.word
        except (FederationError, TrustError) as error:
            outcome = code_of(error)
            raise
        finally:
            took_s = self._now_s() - began_s
            self._parts.observer.finished(Side.ASK, header.operation, peer.province, outcome, took_s)
        return _body(answer)

    async def fetch(self, request_id: str, *, timeout_s: float) -> None:
        """Fetch and store the answer to an earlier request of this node, whoever asked here; nothing is released.

        Does nothing when the answer is here already. Raises OwnNotFound when nothing was asked under that id,
        PeerNoAnswer, AccessDenied when the peer no longer grants it, and as `ask`.
        """
        records = await self._parts.journal.find_records(request_id)
        asked = record_of(records, RecordKind.ASKED_REQUEST)
        if asked is None or not asked.envelope:
            raise OwnNotFound(f"no request {request_id[:40]} is in this log")
        if record_of(records, RecordKind.ASKED_ANSWER) is not None:
            return
        request = stored_request(self._parts.codec, asked)
        header = request.header
        peer = self._parts.directory.current.peer(header.answering)
        peer.require_standing(self._parts.clock.now())
        envelope = await self._transport.fetch_answer(
            peer, asked.identity, header.request_id, timeout_s=timeout_s
        )
        await self._keep(peer, request, asked.identity, envelope, client=asked.meta.client)

    def _header(self, peer: Peer, body: RequestBody, purpose: str, request_id: str) -> RequestHeader:
        now = self._parts.clock.now()
        return RequestHeader(
            request_id=request_id,
            asking=self._parts.directory.current.own_entity,
            answering=peer.entity_id,
            operation=operation_of(body),
            asked_at=now,
            expires_at=now + timedelta(seconds=self._parts.limits.request_life_s),
            platform="",
            officer="",
            basis=Basis(BasisKind.OFFICIAL_DUTY, purpose=purpose),
            traceparent="",
            map_set=self._parts.translator().map_set,
        )

    async def _keep(
        self, peer: Peer, request: Request, identity: bytes, envelope: bytes, *, client: str = ""
    ) -> Answer:
        """The answer, checked and stored."""
        current = self._parts.directory.current.peer(peer.entity_id)
        current.require_standing(self._parts.clock.now())  # it may have been revoked while it answered
        try:
            opened, answer = open_answer(
                self._parts,
                envelope,
                keys=current.envelope_keys,
                asked=request.header,
                request_identity=identity,
            )
        except (FederationError, TrustError) as error:
            code, detail = code_of(error), detail_of(error)
            self._parts.observer.turned_away(Side.ASK, peer.province, code)
            raise error_from(code, detail) from error
        holders = holders_in_answer(request.body, answer.body, self._parts.holder_hash)
        meta = _meta(request.header, client, answer.header.outcome.word, holders)
        await self._parts.journal.store_answer(meta, opened.identity, opened.sealed.envelope)
        return answer


def _meta(
    header: RequestHeader, client: str = "", outcome: str = "", holders: tuple[bytes, ...] = ()
) -> ExchangeMeta:
    return ExchangeMeta(
        header.request_id,
        header.asking,
        header.answering,
        header.operation,
        client,
        outcome,
        header.basis.case_number,
        holders,
    )


def _body(answer: Answer) -> AnswerBody:
    header = answer.header
    if answer.body is None:
        code = header.refusal_code
        if code.startswith("own.") or code == "internal":
            raise PeerInternal(f"{code}: {header.refusal_detail}"[:500])
        raise error_from(code, header.refusal_detail)
    return answer.body
