"""The first answer again: for a repeated request (check 7) and for a fetch.

An answer that left once leaves again only if all of it is still granted: the rules may have changed since. A
refusal holds nothing that a rule could keep back, so it is given again as it is.
"""

from __future__ import annotations

from msgspec.structs import replace

from federation.admission import Asked
from federation.bodies import cut_body
from federation.errors import AccessDenied, PeerInProgress, PeerNoAnswer
from federation.exchange import ExchangeParts
from federation.granting import Granting
from federation.peers import Peer
from federation.ports import Claim, ClaimState, ClaimVerdict, RecordKind
from federation.query import Answer, Request
from trust.envelope import parse

__all__ = ["Repeats"]


class Repeats:
    """Gives first answers again, after access is checked again."""

    def __init__(self, parts: ExchangeParts, granting: Granting) -> None:
        self._parts = parts
        self._granting = granting

    async def first_answer(
        self, asked: Asked, claim: Claim, verdict: ClaimVerdict, *, timeout_s: float
    ) -> bytes:
        """The answer to a repeat, waiting for the first one when it is still at work.

        Raises PeerInProgress when it does not come in time, AccessDenied when it is no longer granted.
        """
        envelope: bytes | None = verdict.answer
        if verdict.state is ClaimState.WORKING:
            envelope = await self._parts.journal.await_answer(claim, timeout_s=max(0.0, timeout_s))
        if not envelope:
            raise PeerInProgress(f"request {claim.request_id} is still at work; fetch its answer later")
        await self._require_granted(asked.request, asked.peer, self._stored(envelope))
        return envelope

    async def require_fetch(self, envelope: bytes, peer: Peer) -> None:
        """Return when this stored answer may be handed to the peer that asked for it.

        Raises PeerNoAnswer when the request it answers is gone, AccessDenied when it is no longer granted.
        """
        answer = self._stored(envelope)
        identity = answer.header.request_identity
        for record in await self._parts.journal.find_records(answer.header.request_id):
            if record.kind is RecordKind.ANSWERED_REQUEST and record.identity == identity:
                sealed = parse(record.envelope, max_bytes=len(record.envelope))
                request = self._parts.codec.decode_request(sealed.payload_type, sealed.payload)
                await self._require_granted(request, peer, answer)
                return
        raise PeerNoAnswer("the request of that answer is no longer here")

    def _stored(self, envelope: bytes) -> Answer:
        sealed = parse(envelope, max_bytes=len(envelope))
        return self._parts.codec.decode_answer(sealed.payload_type, sealed.payload)

    async def _require_granted(self, request: Request, peer: Peer, answer: Answer) -> None:
        if answer.body is None:
            return
        shown = await self._granting.grant(request, peer, answer.header.request_identity)
        grant = replace(shown.grant, holder=None)  # compared when it was looked up; what is left may not tell
        if cut_body(answer.body, grant) != answer.body:
            raise AccessDenied(f"rule {grant.rule} no longer grants all of the first answer; ask anew")
