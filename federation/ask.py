"""Ask a peer on behalf of a platform.

find peer → translate → may ask → seal and store → send → unseal and check → store → translate back

Nothing leaves before the request is durable, nothing is released before the answer is. An answer that does
not pass its checks (`opening`) is counted and logged and never stored as an answer. From the moment the
request is to be stored the work runs in its own task: a platform that goes away changes nothing, the answer
is stored and can be fetched by request id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from federation.access import Grant
from federation.bodies import certificate_type_of, cut_body, operation_of
from federation.consents import is_on_consent
from federation.errors import (
    AccessConsentUnsupported,
    FederationError,
    OwnBusy,
    OwnDeadline,
    OwnNotFound,
    OwnOverQuota,
    OwnTooLarge,
    PeerForeignKey,
    PeerInternal,
    PeerTimeout,
    code_of,
    detail_of,
    error_from,
)
from federation.exchange import ExchangeParts
from federation.holders import holders_in_answer, holders_of_request
from federation.local_words import check_basis, shared_province, to_local_body, to_shared_body
from federation.observe import Side, trace_id
from federation.open_exchange import OpenExchange, record_of, stored_answer, stored_request
from federation.opening import open_answer
from federation.peers import Peer, TrustSnapshot
from federation.ports import PeerTransport, RecordKind, StoredRecord
from federation.query import (
    Answer,
    AnswerBody,
    AnswerHeader,
    Basis,
    MapSet,
    Operation,
    Outcome,
    Request,
    RequestBody,
    RequestHeader,
)
from federation.quota import InFlight, TokenBuckets
from federation.request_ids import RequestIds
from federation.translator import Translator
from mapping.translate import Dialect
from trust.envelope import Opened
from trust.errors import TrustError

__all__ = ["AskCommand", "AskResult", "Asker"]

_log = structlog.get_logger("yrd.ask")

_ENVELOPE_BYTES = 1024
"""What type, signature, key id and a batch path add to a payload, at most."""


class AskCommand(Struct, frozen=True):
    """What a platform asks, in its own words. `request_id` is a UUIDv7; empty: one is made."""

    client: str
    officer: str
    province: str
    basis: Basis
    body: RequestBody
    timeout_s: float = 5.0
    request_id: str = ""
    traceparent: str = ""


class AskResult(Struct, frozen=True):
    """What came back. `body` is in the platform's own words, those of `dialect`, cut to what both nodes grant."""

    request_id: str
    peer: Peer
    request_header: RequestHeader
    answer_header: AnswerHeader
    body: AnswerBody
    dialect: Dialect


class Asker:
    """The asking side of a node."""

    def __init__(
        self,
        parts: ExchangeParts,
        transport: PeerTransport,
        *,
        refresh_trust: Callable[[str], Awaitable[None]],
        now_s: Callable[[], float] = time.monotonic,
        repeat_after_s: float = 1.0,
    ) -> None:
        """`refresh_trust` looks at the keys of one peer, or returns at once when that was just done.

        `repeat_after_s` is what a peer that did not know this node's key is given to look at them.
        """
        limits = parts.limits
        self._parts = parts
        self._transport = transport
        self._refresh_trust = refresh_trust
        self._now_s = now_s
        self._repeat_after_s = repeat_after_s
        self._request_ids = RequestIds(parts.clock)
        self._quota = TokenBuckets(limits.platform_quota_per_s, limits.platform_quota_burst, now_s=now_s)
        self._in_flight = InFlight(limits.in_flight)
        self._running: dict[str, tuple[str, asyncio.Task[AskResult]]] = {}
        # Bound once: the module's logger is made anew for each line, also for one below the level.
        self._log = _log.bind()

    def new_request_id(self) -> str:
        """A fresh UUIDv7, greater than all before it."""
        return self._request_ids.new()

    def peers(self) -> TrustSnapshot:
        """Who can be asked, and as of when."""
        return self._parts.directory.current

    async def ask(self, command: AskCommand) -> AskResult:
        """Ask, and return the checked and stored answer in the platform's own words.

        Raises FederationError only: `own.*` when nothing left this node (OwnStoreUnavailable also when the
        answer could not be stored), `access.*`, `peer.*` and `registry.*` by what refused; a signed refusal
        was stored before it is raised. After PeerTimeout the answer may still come: `fetch` it. Cancelling
        the caller leaves the exchange going.
        """
        began_s = self._now_s()
        self._require_quota(command.client)
        exchange = await self._on_consent(self._prepare(command, began_s))
        self._parts.observer.stage(Side.ASK, "translate", self._now_s() - began_s)
        return await self._run(exchange, self._exchange(exchange), began_s)

    async def fetch(self, request_id: str, *, client: str | None = None, timeout_s: float = 5.0) -> AskResult:
        """The result of an earlier request: from the log, or from the peer that was asked.

        With `client`, only of one that this client made; without, whoever calls has made sure of that. Access
        is checked again. Raises OwnNotFound when there is no such request, PeerNoAnswer when the peer has not
        finished one, and as `ask`.
        """
        running = self._running.get(request_id)
        if running is not None and client in (None, running[0]):
            return await asyncio.shield(running[1])
        began_s = self._now_s()
        records = await self._parts.journal.find_records(request_id)
        asked = record_of(records, RecordKind.ASKED_REQUEST)
        if asked is None or client not in (None, asked.meta.client):
            raise OwnNotFound(f"no request {request_id[:40]} was made here by this client")
        exchange = await self._on_consent(self._reopen(asked, began_s + timeout_s))
        answered = record_of(records, RecordKind.ASKED_ANSWER)
        if answered is not None:
            return self._result(exchange, stored_answer(self._parts.codec, answered))
        running = self._running.get(request_id)
        if running is not None:  # another fetch came first while the log was read: one answer is stored once
            return await asyncio.shield(running[1])
        return await self._run(exchange, self._fetch(exchange), began_s)

    async def drain(self) -> None:
        """Wait until all that was asked is answered and stored; for a stopping node."""
        while self._running:
            await asyncio.wait([task for _, task in self._running.values()])

    # --- before anything leaves ---------------------------------------------------------------------

    def _require_quota(self, client: str) -> None:
        wait_s = self._quota.take(client)
        if wait_s:
            raise OwnOverQuota(f"the quota of {client} is used up; try again in {wait_s:.3f} s")

    def _prepare(self, command: AskCommand, began_s: float) -> OpenExchange:
        snapshot = self._parts.directory.current
        words = self._parts.translator()
        try:
            peer = snapshot.peer_in(shared_province(words, command.province))
            peer.require_standing(self._parts.clock.now())
            check_basis(command.basis)
            page_size = self._parts.limits.page_size
            body = to_shared_body(words, command.body, page_size_max=page_size)
        finally:
            self._parts.translations.add(words, self._parts.clock)
        grant = self._may_ask(command.client, peer, command.basis, body)
        header = self._header(command, snapshot.own_entity, peer, operation_of(body), words.map_set)
        deadline_s = began_s + command.timeout_s
        return OpenExchange(command.client, peer, Request(header, body), grant, words.dialect, deadline_s)

    def _may_ask(self, client: str, peer: Peer, basis: Basis, body: RequestBody) -> Grant:
        return self._parts.access.current.may_ask(
            platform=client,
            province=peer.province,
            operation=operation_of(body),
            basis=basis,
            certificate_type=certificate_type_of(body),
        )

    async def _on_consent(self, exchange: OpenExchange) -> OpenExchange:
        """The exchange with its grant cut to its consent, where it is asked on one. Raises `access.consent_…`."""
        if not is_on_consent(exchange.header):
            return exchange
        if self._parts.consents is None:
            raise AccessConsentUnsupported("this node takes no consents")
        grant = await self._parts.consents.require_to_ask(exchange.request, exchange.grant)
        return replace(exchange, grant=grant)

    def _header(
        self, command: AskCommand, own: str, peer: Peer, operation: Operation, map_set: MapSet
    ) -> RequestHeader:
        now = self._parts.clock.now()
        return RequestHeader(
            request_id=command.request_id or self._request_ids.new(),
            asking=own,
            answering=peer.entity_id,
            operation=operation,
            asked_at=now,
            expires_at=now + timedelta(seconds=self._parts.limits.request_life_s),
            platform=command.client,
            officer=command.officer,
            basis=command.basis,
            traceparent=command.traceparent,
            map_set=map_set,
        )

    # --- the exchange ---------------------------------------------------------------------------------

    async def _run(
        self, exchange: OpenExchange, work: Coroutine[Any, Any, AskResult], began_s: float
    ) -> AskResult:
        """Let the work go on when the caller goes away."""
        if not self._in_flight.enter(exchange.client):
            work.close()
            raise OwnBusy("too many requests of this platform are in flight; try again shortly")
        self._parts.observer.began(Side.ASK)
        task = asyncio.create_task(work)
        request_id = exchange.header.request_id
        self._running[request_id] = (exchange.client, task)
        task.add_done_callback(lambda done: self._end(exchange, done, began_s))
        return await asyncio.shield(task)

    def _end(self, exchange: OpenExchange, task: asyncio.Task[AskResult], began_s: float) -> None:
        self._in_flight.leave(exchange.client)
        self._running.pop(exchange.header.request_id, None)
        error = None if task.cancelled() else task.exception()
        outcome = "answered" if error is None else code_of(error)
        took_s = self._now_s() - began_s
        header = exchange.header
        self._parts.observer.finished(Side.ASK, header.operation, exchange.peer.province, outcome, took_s)
        self._log.debug("asked", outcome=outcome, peer=exchange.peer.entity_id, **_ids(header))

    async def _exchange(self, unsealed: OpenExchange) -> AskResult:
        exchange = await self._seal_and_store(unsealed)
        opened, answer = await self._send(exchange, self._exchange_once)
        await self._store_answer(exchange, opened, answer)
        return self._result(exchange, answer)

    async def _fetch(self, exchange: OpenExchange) -> AskResult:
        self._in_standing(exchange.peer)
        opened, answer = await self._send(exchange, self._fetch_once)
        await self._store_answer(exchange, opened, answer)
        return self._result(exchange, answer)

    async def _seal_and_store(self, exchange: OpenExchange) -> OpenExchange:
        since_s = self._now_s()
        payload = self._parts.codec.encode_request(exchange.request)
        most = self._parts.limits.message_in_bytes - _ENVELOPE_BYTES
        if len(payload) > most:
            raise OwnTooLarge(f"the request has {len(payload)} bytes; at most {most} can be sent")
        payload_type = exchange.header.operation.request_type
        holders = holders_of_request(exchange.request.body, self._parts.holder_hash)
        meta = exchange.meta(holders=holders)
        sealed = await self._parts.journal.store_request(meta, payload_type, payload)
        self._parts.observer.stage(Side.ASK, "store_request", self._now_s() - since_s)
        return exchange.sealed_as(sealed)

    async def _send(
        self, exchange: OpenExchange, once: Callable[[OpenExchange, Peer, float], Awaitable[bytes]]
    ) -> tuple[Opened, Answer]:
        """Send and open. When either side does not know the other's key, both look, and it is repeated once."""
        try:
            return await self._send_once(exchange, exchange.peer, once)
        except PeerForeignKey:
            await self._look_at_keys(exchange)
            return await self._send_once(exchange, self._in_standing(exchange.peer), once)

    async def _look_at_keys(self, exchange: OpenExchange) -> None:
        """Look at the peer's keys, while it looks at this node's. Raises OwnStoreUnavailable."""
        left_s = max(0.0, exchange.deadline_s - self._now_s())
        pause = asyncio.sleep(min(self._repeat_after_s, left_s / 2))
        await asyncio.gather(self._refresh_trust(exchange.peer.entity_id), pause)

    def _in_standing(self, peer: Peer) -> Peer:
        """The peer as it is known now. Raises PeerUnknown, PeerRevoked, PeerDenied, PeerChainExpired."""
        current = self._parts.directory.current.peer(peer.entity_id)
        current.require_standing(self._parts.clock.now())
        return current

    async def _send_once(
        self,
        exchange: OpenExchange,
        peer: Peer,
        once: Callable[[OpenExchange, Peer, float], Awaitable[bytes]],
    ) -> tuple[Opened, Answer]:
        since_s = self._now_s()
        remaining_s = exchange.deadline_s - since_s
        if remaining_s <= 0:
            raise OwnDeadline("no time was left to send the request")
        try:
            envelope = await once(exchange, peer, remaining_s)
        except PeerTimeout as error:
            request_id = exchange.header.request_id
            detail = f"{peer.entity_id} did not answer within {remaining_s:.1f} s; fetch {request_id} later"
            raise PeerTimeout(detail) from error
        self._parts.observer.stage(Side.ASK, "send", self._now_s() - since_s)
        return self._open(exchange, peer, envelope)

    async def _exchange_once(self, exchange: OpenExchange, peer: Peer, timeout_s: float) -> bytes:
        operation = exchange.header.operation
        return await self._transport.exchange(peer, operation, exchange.envelope, timeout_s=timeout_s)

    async def _fetch_once(self, exchange: OpenExchange, peer: Peer, timeout_s: float) -> bytes:
        return await self._transport.fetch_answer(
            peer, exchange.identity, exchange.header.request_id, timeout_s=timeout_s
        )

    def _open(self, exchange: OpenExchange, peer: Peer, envelope: bytes) -> tuple[Opened, Answer]:
        since_s = self._now_s()
        try:
            self._in_standing(peer)  # it may have been revoked while it answered
            opened, answer = open_answer(
                self._parts,
                envelope,
                keys=peer.envelope_keys,
                asked=exchange.header,
                request_identity=exchange.identity,
            )
        except (FederationError, TrustError) as error:
            code, detail = code_of(error), detail_of(error)
            self._parts.observer.turned_away(Side.ASK, peer.province, code)
            _log.warning(
                "answer_rejected", code=code, detail=detail, peer=peer.entity_id, **_ids(exchange.header)
            )
            raise error_from(code, detail) from error
        self._parts.observer.stage(Side.ASK, "open", self._now_s() - since_s)
        return opened, answer

    async def _store_answer(self, exchange: OpenExchange, opened: Opened, answer: Answer) -> None:
        since_s = self._now_s()
        holders = holders_in_answer(exchange.request.body, answer.body, self._parts.holder_hash)
        meta = exchange.meta(answer.header.outcome.word, holders)
        await self._parts.journal.store_answer(meta, opened.identity, opened.sealed.envelope)
        self._parts.observer.stage(Side.ASK, "store_answer", self._now_s() - since_s)

    def _result(self, exchange: OpenExchange, answer: Answer) -> AskResult:
        """The stored answer for the platform; raises what a refusal says."""
        header = answer.header
        if header.outcome is Outcome.REFUSED or answer.body is None:
            raise _refused(header)
        since_s = self._now_s()
        body = cut_body(answer.body, exchange.grant)
        words = Translator(exchange.dialect)
        local = to_local_body(words, body, exchange.request.body)
        self._parts.translations.add(words, self._parts.clock)
        self._parts.observer.stage(Side.ASK, "translate_back", self._now_s() - since_s)
        return AskResult(header.request_id, exchange.peer, exchange.header, header, local, exchange.dialect)

    def _reopen(self, asked: StoredRecord, deadline_s: float) -> OpenExchange:
        """An exchange taken up again from its stored request."""
        request = stored_request(self._parts.codec, asked)
        peer = self._parts.directory.current.peer(request.header.answering)
        client = asked.meta.client
        grant = self._may_ask(client, peer, request.header.basis, request.body)
        dialect = self._parts.dialect.current  # that of then may be gone
        return OpenExchange(client, peer, request, grant, dialect, deadline_s, asked.envelope, asked.identity)


def _refused(header: AnswerHeader) -> FederationError:
    """What the peer refused with; its `own.*` and `internal` are not this node's but the peer's."""
    code = header.refusal_code
    if code.startswith("own.") or code == "internal":
        return PeerInternal(f"{code}: {header.refusal_detail}"[:500])
    return error_from(code, header.refusal_detail)


def _ids(header: RequestHeader) -> dict[str, str]:
    return {"request_id": header.request_id, "trace_id": trace_id(header.traceparent)}
