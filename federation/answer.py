"""Answer a peer. Thirteen checks, in this order; the code carries the same numbers (1 to 6 in `admission`).

 1. size, before parsing; form
 2. the TLS peer is a member in good standing and within its quota; payload type and version are known
 3. the key is one that the trust list gives to the TLS peer
 4. signature
 5. header: asking = signer = TLS peer; answering = this node; operation = payload type = the method called
 6. time: within the allowed skew, not expired
 7. claim (asking entity, request id): a repeat gets the first answer, other bytes under the same id nothing
 8. access: the rules, and where the basis is a consent, that (`consents`)
 9. shared words → own dialect
10. registry look-up, within the remaining deadline
11. own dialect → shared words, cut to the granted fields
12. seal
13. request and answer are durable; only then the answer leaves

Until 7 nothing is proven that is worth keeping: a refusal is raised, counted and logged. From 8 on a refusal
is a signed answer, stored like any other, at most so many a minute and peer; beyond that it is raised too. So
is `peer.replayed` of 7. A repeat is answered from what is stored, so its own refusals (`peer.in_progress`, an
access that is no longer granted) are raised.

Whoever calls `answer` does so in a task that outlives the peer's call (`rpc.work`): a peer that goes away
changes nothing, the answer is made and stored, and can be fetched. A task that is cancelled all the same
gives its claim back, unless it had come to 12: what the journal has begun it finishes.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import structlog

from federation.access import Grant
from federation.admission import Admission, Asked
from federation.between_nodes import NodeOperations
from federation.errors import (
    FederationError,
    PeerBusy,
    PeerInternal,
    PeerNoAnswer,
    PeerReplayed,
    PeerTooLarge,
    RegistryNotOffered,
    RegistryTimeout,
    code_of,
    detail_of,
    error_from,
)
from federation.exchange import ExchangeParts
from federation.granting import Granting
from federation.holders import holders_in_answer, holders_of_request
from federation.observe import Side, place_of, trace_id
from federation.operations import Operations
from federation.ports import Claim, ClaimState, ExchangeMeta, HolderHash, LocalRegistry
from federation.query import (
    BETWEEN_NODES,
    Answer,
    AnswerBody,
    AnswerHeader,
    Decision,
    Operation,
    Outcome,
    Request,
)
from federation.quota import InFlight, TokenBuckets
from federation.repeats import Repeats
from federation.translator import Translator
from trust.errors import TrustError

__all__ = ["Answerer"]

_log = structlog.get_logger("yrd.answer")


def _no_refresh(_entity_id: str) -> None:
    """Nobody to tell."""


class Answerer:
    """The answering side of a node. `version` is the software's, as `node.state` tells it."""

    def __init__(
        self,
        parts: ExchangeParts,
        registry: LocalRegistry,
        *,
        version: str,
        between_nodes: NodeOperations | None = None,
        request_refresh: Callable[[str], object] = _no_refresh,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`request_refresh` has a member's keys looked at in the background, or not if that was just done.

        `between_nodes` performs what nodes ask each other; without it that is not offered.
        """
        limits = parts.limits
        self._parts = parts
        self._now_s = now_s
        self._admission = Admission(parts, request_refresh=request_refresh, now_s=now_s)
        self._operations = Operations(registry, parts.clock, version=version, page_size=limits.page_size)
        self._between_nodes = between_nodes
        self._granting = Granting(parts)
        self._repeats = Repeats(parts, self._granting)
        self._in_flight = InFlight(limits.in_flight)
        per_minute = limits.signed_refusals_per_minute
        self._signed_refusals = TokenBuckets(per_minute / 60, per_minute, now_s=now_s)

    async def answer(
        self, envelope: bytes, *, tls_peer: str, method_operation: Operation | None, timeout_s: float
    ) -> bytes:
        """The answer envelope for a request envelope from the peer whose TLS certificate names `tls_peer`.

        `method_operation` is that of the method called, None for `Exchange`. What is returned is durable. A
        repeat is safe. Raises the FederationError of the check that refused before anything could be signed;
        its detail may be shown to the peer.
        """
        began_s = self._now_s()
        try:
            asked = self._admission.admit(envelope, tls_peer, method_operation)  # 1-6
            if not self._in_flight.enter(tls_peer):
                raise PeerBusy("too many requests are in flight here; try again shortly")
        except Exception as error:
            raise self._turn_away(error, tls_peer) from error
        self._parts.observer.stage(Side.ANSWER, "admit", self._now_s() - began_s)
        try:
            return await self._work(asked, began_s, timeout_s)
        finally:
            self._in_flight.leave(tls_peer)

    async def fetch_answer(self, request_identity: bytes, request_id: str, *, tls_peer: str) -> bytes:
        """The finished answer to an earlier request of `tls_peer`, whatever the request's expiry.

        Access is checked again. Raises PeerNoAnswer, AccessDenied, and the errors of check 2.
        """
        try:
            self._admission.require_peer(tls_peer)
            envelope = await self._parts.journal.find_answer(tls_peer, request_identity, request_id)
            if envelope is None:
                raise PeerNoAnswer("no finished answer to that request of yours is here")
            peer = self._parts.directory.current.peer(tls_peer)
            peer.require_standing(self._parts.clock.now())
            await self._repeats.require_fetch(envelope, peer)
        except Exception as error:
            raise self._turn_away(error, tls_peer) from error
        return envelope

    # --- 7 to 13 ----------------------------------------------------------------------------------

    async def _work(self, asked: Asked, began_s: float, timeout_s: float) -> bytes:
        observer, outcome = self._parts.observer, "internal"
        observer.began(Side.ANSWER)
        try:
            deadline_s = began_s + min(timeout_s, self._parts.limits.deadline_s)
            envelope, outcome = await self._claimed(asked, deadline_s)
        except Exception as error:
            refusal = self._turn_away(error, asked.peer.entity_id, asked.request)
            outcome = refusal.code
            raise refusal from error
        finally:
            took_s = self._now_s() - began_s
            observer.finished(Side.ANSWER, asked.header.operation, asked.peer.province, outcome, took_s)
        return envelope

    async def _claimed(self, asked: Asked, deadline_s: float) -> tuple[bytes, str]:
        header = asked.header
        claim = Claim(header.asking, header.request_id, asked.identity, self._parts.limits.lease_s)
        words = self._parts.translator()  # header and values are of this one version, whatever is reloaded
        since_s = self._now_s()
        verdict = await self._parts.journal.claim(claim)  # 7
        self._parts.observer.stage(Side.ANSWER, "claim", self._now_s() - since_s)
        if verdict.state is ClaimState.REPLAYED:
            replayed = PeerReplayed(f"request id {header.request_id} was used for other content")
            answer = self._refuse(asked, words, replayed)
            return await self._seal_and_store(asked, answer, self._parts.codec.encode_answer(answer))
        if verdict.state is not ClaimState.NEW:
            left_s = deadline_s - self._now_s()
            envelope = await self._repeats.first_answer(asked, claim, verdict, timeout_s=left_s)
            self._require_standing(asked)
            return envelope, "answered"
        try:
            return await self._fresh(asked, words, deadline_s)
        except BaseException:
            await self._release(claim)
            raise

    async def _fresh(self, asked: Asked, words: Translator, deadline_s: float) -> tuple[bytes, str]:
        since_s = self._now_s()
        try:
            answer = await self._decide(asked, words, deadline_s)
            self._require_standing(asked)
            payload = self._encode(answer)
        except FederationError as refusal:
            await self._granting.give_back(asked.request, asked.identity)
            answer = self._refuse(asked, words, refusal)
            payload = self._parts.codec.encode_answer(answer)
        self._parts.translations.add(words, self._parts.clock)
        self._parts.observer.stage(Side.ANSWER, "look_up", self._now_s() - since_s)
        return await self._seal_and_store(asked, answer, payload)

    async def _seal_and_store(self, asked: Asked, answer: Answer, payload: bytes) -> tuple[bytes, str]:
        since_s = self._now_s()
        meta = _meta(asked.request, answer, self._parts.holder_hash)
        sealed = await self._parts.journal.store_exchange(  # 12, 13
            meta, asked.sealed, asked.identity, answer.header.operation.answer_type, payload
        )
        self._parts.observer.stage(Side.ANSWER, "seal_and_store", self._now_s() - since_s)
        return sealed.envelope, answer.header.refusal_code or answer.header.outcome.word

    async def _decide(self, asked: Asked, words: Translator, deadline_s: float) -> Answer:
        shown = await self._granting.grant(asked.request, asked.peer, asked.identity)  # 8
        remaining_s = deadline_s - self._now_s()
        if remaining_s <= 0:
            raise RegistryTimeout("no time was left to ask the registry")
        body = await self._perform(asked.request, shown.grant, words, remaining_s)  # 9, 10, 11
        decision = Decision(shown.grant.rule, shown.grant.policy_version, shown.status)
        return Answer(self._header(asked, words, Outcome.ANSWERED, decision), body)

    async def _perform(
        self, request: Request, grant: Grant, words: Translator, timeout_s: float
    ) -> AnswerBody:
        if request.header.operation not in BETWEEN_NODES:
            return await self._operations.perform(request, grant, words, timeout_s=timeout_s)
        if self._between_nodes is None:
            raise RegistryNotOffered(f"{request.header.operation} is not offered here")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._between_nodes.perform(request)
        except TimeoutError:
            raise RegistryTimeout("the log could not be read in time; ask for less") from None

    def _require_standing(self, asked: Asked) -> None:
        """Once more, after the look-up: a peer that was revoked meanwhile is given nothing."""
        self._parts.directory.current.peer(asked.header.asking).require_standing(self._parts.clock.now())

    def _encode(self, answer: Answer) -> bytes:
        payload = self._parts.codec.encode_answer(answer)
        most = self._parts.limits.message_out_bytes - _ENVELOPE_BYTES
        if len(payload) > most:
            raise PeerTooLarge(f"the answer has {len(payload)} bytes, at most {most} are sent; ask for less")
        return payload

    def _refuse(self, asked: Asked, words: Translator, refusal: FederationError) -> Answer:
        """The signed refusal; raises it unsigned when this peer has had its share of signed ones."""
        if self._signed_refusals.take(asked.peer.entity_id):
            raise refusal
        _log.info("refused", code=refusal.code, peer=asked.peer.entity_id, **_ids(asked.request))
        decision = Decision(policy_version=self._parts.access.current.version)
        return Answer(self._header(asked, words, Outcome.REFUSED, decision, refusal), None)

    def _header(
        self,
        asked: Asked,
        words: Translator,
        outcome: Outcome,
        decision: Decision,
        refusal: FederationError | None = None,
    ) -> AnswerHeader:
        header = asked.header
        return AnswerHeader(
            request_id=header.request_id,
            request_identity=asked.identity,
            answering=header.answering,
            asking=header.asking,
            operation=header.operation,
            answered_at=self._parts.clock.now(),
            outcome=outcome,
            map_set=words.map_set,
            decision=decision,
            refusal_code=refusal.code if refusal else "",
            refusal_detail=refusal.detail if refusal else "",
        )

    async def _release(self, claim: Claim) -> None:
        try:
            await self._parts.journal.release(claim)
        except FederationError:
            _log.warning("claim_not_released", request_id=claim.request_id)  # its lease runs out

    # --- refusals that are not signed ---------------------------------------------------------------

    def _turn_away(self, error: Exception, tls_peer: str, request: Request | None = None) -> FederationError:
        """The error as the peer may see it: counted, logged, and nothing of this node's inside in it."""
        refusal = _as_seen_by_peer(error)
        peer = self._parts.directory.current.peers.get(tls_peer)
        self._parts.observer.turned_away(Side.ANSWER, peer.province if peer else "unknown", refusal.code)
        if isinstance(refusal, PeerInternal):
            incident = refusal.detail.removeprefix("incident ")
            _log.error("internal", incident=incident, peer=tls_peer, place=place_of(error), **_ids(request))
        else:
            _log.warning(
                "turned_away", code=refusal.code, detail=refusal.detail, peer=tls_peer, **_ids(request)
            )
        return refusal


_ENVELOPE_BYTES = 1024
"""What type, signature, key id and a batch path add to a payload, at most."""


def _as_seen_by_peer(error: Exception) -> FederationError:
    if not isinstance(error, FederationError | TrustError):
        return PeerInternal(f"incident {secrets.token_hex(8)}")
    code = code_of(error)
    if code.startswith("own."):  # this node's own troubles are not the asker's doing
        return PeerBusy(detail_of(error))
    return error if isinstance(error, FederationError) else error_from(code, detail_of(error))


def _meta(request: Request, answer: Answer, hashed: HolderHash | None) -> ExchangeMeta:
    header = request.header
    told_of = holders_in_answer(request.body, answer.body, hashed)
    return ExchangeMeta(
        request_id=header.request_id,
        asking=header.asking,
        answering=header.answering,
        operation=header.operation,
        outcome=answer.header.outcome.word,
        case_number=header.basis.case_number,
        holders=holders_of_request(request.body, hashed) + told_of,
    )


def _ids(request: Request | None) -> dict[str, str]:
    if request is None:
        return {}
    return {"request_id": request.header.request_id, "trace_id": trace_id(request.header.traceparent)}
