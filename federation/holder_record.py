"""A citizen's record: who asked about a holder, across the provinces.

The home node, where the holder is logged in, asks every other node with a fresh statement of its own that says so
(`trust.authentication`), over the ordinary exchange, so each asking is itself in both logs. Every node tells what its
own log has of that holder, and of nobody else: which platform of which province asked whom for what, when, why, and
with which outcome; no officer, no number. An exchange is in two logs; it is told once, by the request's identity.
That another node than the home one asked for the record is told as well: only the home node has a reason to.

Pages go by request id, newest first, in every log alike, so that pages of several logs can be merged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

from msgspec import Struct

from federation.ask_peer import NodeAsker
from federation.bodies import certificate_type_of
from federation.errors import (
    FederationError,
    PeerWrongAnswer,
    TrustAuthenticationRejected,
    code_of,
)
from federation.open_exchange import stored_answer, stored_request
from federation.peers import Directory, Peer
from federation.ports import Clock, Codec, RecordKind, StoredRecord
from federation.query import (
    Answer,
    Certificate,
    CertificateAnswer,
    CertificatesAnswer,
    HolderRecord,
    HolderRecordAnswer,
    HolderUse,
    Outcome,
    Request,
)
from federation.request_ids import time_of_request_id
from trust.authentication import MOST_LIFE_S, Authentication, open_authentication, seal_authentication
from trust.errors import TrustError
from trust.keys import Signer

__all__ = [
    "MOST_USES",
    "CitizenRecord",
    "HolderLog",
    "HolderRecords",
    "Login",
    "NotAsked",
    "OwnHolderRecord",
]

MOST_USES: Final = 100
"""Exchanges on a page."""
_PURPOSE: Final = "本人查询用证记录 the holder asks who looked"
_REQUESTS: Final = (RecordKind.ASKED_REQUEST, RecordKind.ANSWERED_REQUEST)
_ANSWERS: Final = (RecordKind.ASKED_ANSWER, RecordKind.ANSWERED_ANSWER)
_OUTCOMES: Final = {outcome.word: outcome for outcome in Outcome}


class HolderLog(Protocol):
    """The log as it is searched for a holder."""

    async def exchanges(
        self, holders: Sequence[bytes], *, before: str, limit: int, home: str
    ) -> Sequence[Sequence[StoredRecord]]:
        """The newest exchanges about a holder with request ids below `before` (empty: all), of at most `limit` ids.

        Without those by which the node `home` asked for the holder's record: these are the holder's own looks. Newest
        first; what is under one id goes together, in log order: several nodes may have used it, and each may have used
        it for others as well, so there are requests about this holder only, and of answers those to who asked them.
        What cannot be decrypted comes as forgotten. Raises OwnStoreUnavailable.
        """
        ...


class OwnHolderRecord:
    """What this node's log has of a holder. `hashes` gives the keyed hashes of a holder to search for."""

    def __init__(
        self,
        log: HolderLog,
        hashes: Callable[[str, str], Sequence[bytes]],
        codec: Codec,
        directory: Directory,
        clock: Clock,
        *,
        skew_s: float,
    ) -> None:
        self._log = log
        self._hashes = hashes
        self._codec = codec
        self._directory = directory
        self._clock = clock
        self._skew_s = skew_s

    async def answer(self, request: Request, body: HolderRecord) -> HolderRecordAnswer:
        """What is told to the peer where the holder is logged in. Raises TrustAuthenticationRejected."""
        snapshot, asking = self._directory.current, request.header.asking
        try:
            open_authentication(
                body.statement,
                keys=snapshot.peer(asking).envelope_keys,
                audience=snapshot.own_entity,
                holder=(body.holder_id_type, body.holder_id),
                request_id=request.header.request_id,
                now=self._clock.now(),
                skew_s=self._skew_s,
            )
        except TrustError as error:
            raise TrustAuthenticationRejected(error.detail) from error
        return await self._page(
            body.holder_id_type, body.holder_id, before=body.before, limit=body.limit, home=asking
        )

    async def page(self, id_type: str, number: str, *, before: str = "", limit: int) -> HolderRecordAnswer:
        """One page of the own log, for a holder who is logged in here. Whoever calls has made sure of that."""
        home = self._directory.current.own_entity
        return await self._page(id_type, number, before=before, limit=limit, home=home)

    async def _page(
        self, id_type: str, number: str, *, before: str, limit: int, home: str
    ) -> HolderRecordAnswer:
        limit = min(limit, MOST_USES)
        hashes = self._hashes(id_type, number)
        found = await self._log.exchanges(hashes, before=before, limit=limit + 1, home=home) if hashes else ()
        uses = [use for records in found[:limit] for use in _uses(self._codec, records)]
        return HolderRecordAnswer(
            tuple(uses), found[limit - 1][0].meta.request_id if len(found) > limit else ""
        )


class Login(Struct, frozen=True):
    """A holder who is logged in at this node: shared id type and number, assurance level, since when."""

    holder_id_type: str
    holder_id: str
    acr: str
    auth_time: datetime


class NotAsked(Struct, frozen=True):
    """A province whose part of the record is missing, and why, as a code of the vocabulary."""

    province: str
    name: str
    entity_id: str
    code: str


class CitizenRecord(Struct, frozen=True):
    """One page of a citizen's record, newest first; `next` is what to ask `before` for more."""

    uses: tuple[HolderUse, ...]
    next: str
    missing: tuple[NotAsked, ...]


class HolderRecords:
    """Gathers a citizen's record. `signer` gives the envelope key of the moment."""

    def __init__(
        self,
        own: OwnHolderRecord,
        asker: NodeAsker,
        directory: Directory,
        signer: Callable[[], Signer],
        clock: Clock,
        *,
        deadline_s: float,
    ) -> None:
        self._own = own
        self._asker = asker
        self._directory = directory
        self._signer = signer
        self._clock = clock
        self._deadline_s = deadline_s

    async def gather(self, login: Login, *, before: str = "", limit: int = MOST_USES) -> CitizenRecord:
        """One page from this node's log and all others', asked at the same time.

        Provinces that could not be asked are named. Raises OwnStoreUnavailable and such of the own log only.
        """
        limit = max(1, min(limit, MOST_USES))
        peers = sorted(self._directory.current.peers.values(), key=lambda peer: peer.province)
        told = await asyncio.gather(
            self._own.page(login.holder_id_type, login.holder_id, before=before, limit=limit),
            *(self._ask(peer, login, before, limit) for peer in peers),
        )
        pages = [page for page in told if isinstance(page, HolderRecordAnswer)]
        missing = tuple([page for page in told if isinstance(page, NotAsked)])
        uses = _merged(use for page in pages for use in page.uses)
        # The next page begins below an id, so what is under the last one goes on this page.
        shown = [use for use in uses if use.request_id >= uses[:limit][-1].request_id]
        is_more = len(uses) > len(shown) or any(page.next for page in pages)
        return CitizenRecord(tuple(shown), shown[-1].request_id if shown and is_more else "", missing)

    async def _ask(self, peer: Peer, login: Login, before: str, limit: int) -> HolderRecordAnswer | NotAsked:
        try:
            request_id = self._asker.new_request_id()
            body = HolderRecord(
                login.holder_id_type,
                login.holder_id,
                self._statement(peer, login, request_id),
                before,
                limit,
            )
            answer = await self._asker.ask(
                peer, body, purpose=_PURPOSE, timeout_s=self._deadline_s, request_id=request_id
            )
            if not isinstance(answer, HolderRecordAnswer):
                raise PeerWrongAnswer("the answer has the body of another operation")
            _check_page(answer, peer, before)
        except (FederationError, TrustError) as error:
            return NotAsked(peer.province, peer.name, peer.entity_id, code_of(error))
        return answer

    def _statement(self, peer: Peer, login: Login, request_id: str) -> bytes:
        now = self._clock.now().replace(microsecond=0)
        said = Authentication(
            holder_id_type=login.holder_id_type,
            holder_id=login.holder_id,
            acr=login.acr,
            auth_time=login.auth_time,
            aud=peer.entity_id,
            iat=now,
            exp=now + timedelta(seconds=MOST_LIFE_S),
            jti=request_id,
        )
        return seal_authentication(said, self._signer()).envelope


def _check_page(answer: HolderRecordAnswer, peer: Peer, before: str) -> None:
    """A peer tells of its own exchanges, newest first, and goes on from the page before. Raises PeerWrongAnswer."""
    ids = [use.request_id for use in answer.uses]
    if ids != sorted(ids, reverse=True) or (before and ids and ids[0] >= before):
        raise PeerWrongAnswer("the page of a holder's record is out of order")
    if any(peer.entity_id not in (use.asking, use.answering) for use in answer.uses):
        raise PeerWrongAnswer("a holder's record tells of exchanges of others")


def _merged(uses: Iterable[HolderUse]) -> list[HolderUse]:
    """Each exchange once, newest first; of two logs the one that knows more of it."""
    best: dict[bytes, HolderUse] = {}
    for use in uses:
        known = best.get(use.request_identity)
        if known is None or _knowledge(use) > _knowledge(known):
            best[use.request_identity] = use
    return sorted(best.values(), key=lambda use: (use.request_id, use.request_identity), reverse=True)


def _knowledge(use: HolderUse) -> tuple[bool, bool]:
    return not use.forgotten, use.outcome is not None


# --- one exchange -----------------------------------------------------------------------------------


def _uses(codec: Codec, records: Sequence[StoredRecord]) -> list[HolderUse]:
    """The requests among the records under an id, each with the answer to it."""
    uses = []
    for asking in dict.fromkeys(record.meta.asking for record in records):
        mine = [record for record in records if record.meta.asking == asking]
        requests = [record for record in mine if record.kind in _REQUESTS]
        answers = [record for record in mine if record.kind in _ANSWERS]
        is_only = len(requests) == 1 and len({record.meta.outcome for record in answers}) == 1
        uses += [_use(codec, request, answers, is_only=is_only) for request in requests]
    return uses


def _use(codec: Codec, record: StoredRecord, answers: Sequence[StoredRecord], *, is_only: bool) -> HolderUse:
    answer, outcome = _answer_to(codec, record, answers, is_only=is_only)
    meta = record.meta
    if not record.envelope:
        return HolderUse(
            request_id=meta.request_id,
            request_identity=record.identity,
            asking=meta.asking,
            answering=meta.answering,
            operation=meta.operation.value,
            asked_at=time_of_request_id(meta.request_id),
            platform=meta.client,
            case_number=meta.case_number,
            outcome=outcome,
            forgotten=True,
        )
    request = stored_request(codec, record)
    header, basis = request.header, request.header.basis
    return HolderUse(
        request_id=header.request_id,
        request_identity=record.identity,
        asking=header.asking,
        answering=header.answering,
        operation=header.operation.value,
        asked_at=header.asked_at,
        platform=header.platform,
        certificate_types=_types(request, answer),
        basis=basis.kind,
        service_item_name=basis.service_item_name,
        service_item_code=basis.service_item_code,
        case_number=basis.case_number,
        purpose=basis.purpose,
        consent=sha256(basis.consent.encode()).digest() if basis.consent else b"",
        outcome=outcome,
        refusal_code=answer.header.refusal_code if answer else "",
    )


def _answer_to(
    codec: Codec, request: StoredRecord, answers: Sequence[StoredRecord], *, is_only: bool
) -> tuple[Answer | None, Outcome | None]:
    """The answer to this very request; of one that was forgotten only the outcome."""
    for record in answers:
        if record.envelope:
            answer = stored_answer(codec, record)
            if answer.header.request_identity == request.identity:
                return answer, answer.header.outcome
        elif is_only:
            return None, _OUTCOMES.get(record.meta.outcome)
    return None, None


def _types(request: Request, answer: Answer | None) -> tuple[str, ...]:
    """The certificate types that were asked for, and those that were handed over."""
    asked = certificate_type_of(request.body)
    handed: Sequence[Certificate] = ()
    if answer is not None and isinstance(answer.body, CertificatesAnswer):
        handed = answer.body.certificates
    elif answer is not None and isinstance(answer.body, CertificateAnswer) and answer.body.certificate:
        handed = (answer.body.certificate,)
    return tuple(sorted({one.certificate_type for one in handed} | ({asked} - {""})))
