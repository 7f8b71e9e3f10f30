"""This node as a witness of its peers' logs (C2SP tlog-witness): it cosigns a checkpoint that extends what it knows.

Steps, in this order; the code carries the same numbers.
 1. form: one spelling, within its size
 2. the origin is the log of a member in good standing, never this node's own; of two members that would share it
    (entity ids that differ in the scheme alone) the one that was cosigned first
 3. its sender, and all senders together, asked for no more than they may; a key of the log signed it; it counts against
    what this log may ask when it extends what is known, and else again against what its sender may: anyone may send
    again what a log once signed
 4. one transaction: its generation is the one that the member's configuration tells, and none before one that was
    cosigned; it extends what was cosigned last; what is known now is written
 5. only after the commit the cosignature leaves, with the time of step 4

So no two histories are ever cosigned, whichever replica is asked, and a cosignature that left is never forgotten.
A clock that went back a little tells the time that it told before; one that was far ahead once is not believed again.
A repeat of what is known is cosigned again. What contradicts what is known is kept (`federation.log_conflicts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Protocol

import structlog
from msgspec import Struct

from federation.errors import FederationError
from federation.log_conflicts import Conflict, ConflictKind, ConflictStore, conflict_of
from federation.peers import Directory, Peer, TrustSnapshot
from federation.ports import Clock
from federation.quota import TokenBuckets
from trust.checkpoint import Checkpoint, check_checkpoint
from trust.cosignature import cosign
from trust.errors import NoteRejected
from trust.keys import Signer
from trust.merkle import verify_consistency
from trust.note import NoteSignature, note_key_id, write_note
from trust.profile import log_origin, witness_name
from trust.witnessing import (
    AddCheckpoint,
    BadProof,
    CheckpointRefused,
    Fork,
    KnownTree,
    Shrunk,
    UnknownKey,
    UnknownOrigin,
    check_add_checkpoint,
    read_add_checkpoint,
)

__all__ = [
    "NotWitnessed",
    "PassedGeneration",
    "SharedOrigin",
    "TooManyRequests",
    "Witness",
    "WitnessParts",
    "WitnessStore",
    "Witnessed",
]

_log = structlog.get_logger("yrd.witness")

REQUESTS_PER_S: Final = 5.0
REQUESTS_BURST: Final = 50.0
"""Of one log, in requests that extend what is known of it: it asks once a second under load."""
REPEATS_PER_S: Final = 50.0
REPEATS_BURST: Final = 100.0
"""Of one log and one sender, in all other requests that the log once signed."""
_MOST_SENDERS: Final = 1024
"""More than `UNPROVEN_PER_S` lets in while a bucket fills up, so that there is always room for one more."""
UNPROVEN_PER_S: Final = 200.0
UNPROVEN_BURST: Final = 400.0
"""Of everyone together, before a signature is looked at."""
SENDER_PER_S: Final = 100.0
SENDER_BURST: Final = 200.0
"""Of one sender among them: one who floods with what nobody signed leaves half of the room to the others."""
_MOST_FLOODING: Final = 4096


class NotWitnessed(CheckpointRefused):
    """The log is that of a member whom this node does not deal with now: revoked, denied, or its chain expired."""

    code = "peer.revoked"
    status = 403


class PassedGeneration(CheckpointRefused):
    """This generation of the log is over: a later one was cosigned, or the member's configuration tells of one."""

    status = 410


class SharedOrigin(CheckpointRefused):
    """The log of another member was cosigned under this origin: their entity ids differ in the scheme alone."""

    status = 403

    def __init__(self, origin: str, entity_id: str) -> None:
        super().__init__(
            f"{origin} is the origin of another member's log, which was cosigned first: {entity_id} needs an entity"
            " id that differs in more than its scheme"
        )


class TooManyRequests(CheckpointRefused):
    """More requests for one origin than are taken; `retry_after_s` is when there is room."""

    code = "peer.over_quota"
    status: ClassVar[int] = 429

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests for this log")
        self.retry_after_s = retry_after_s


class Witnessed(Struct, frozen=True):
    """The last checkpoint of a log that this node cosigned; `note` is as the log signed it."""

    origin: str
    entity_id: str
    generation: int
    size: int
    root: bytes
    note: str
    cosigned_at: datetime


class WitnessStore(Protocol):
    """What was cosigned. Every method raises OwnStoreUnavailable."""

    async def advance(self, entity_id: str, decide: Callable[[Witnessed | None], Witnessed]) -> Witnessed:
        """Write what `decide` makes of the newest generation that was cosigned for that entity, in one transaction
        that no other for it can come between, in this process or another; durable on return.

        `decide` may be called in another thread; what it raises comes through, and nothing is written. Raises
        SharedOrigin when the origin of what it makes was cosigned for another entity.
        """
        ...

    async def newest(self, entity_id: str) -> Witnessed | None:
        """The newest generation that was cosigned for that entity."""
        ...


@dataclass(frozen=True, slots=True)
class WitnessParts:
    """What a witness is made of. `signer` gives the witness key; `look_again` has a member's configuration fetched
    anew when it may have changed (it is rate-limited there). `skew_s` is how far apart clocks may be: nobody takes a
    cosignature with a time that is further off.
    """

    directory: Directory
    store: WitnessStore
    conflicts: ConflictStore
    signer: Callable[[], Signer]
    clock: Clock
    now_s: Callable[[], float]
    look_again: Callable[[str], object] = lambda _entity_id: None
    skew_s: float = 60.0


class Witness:
    """Answers add-checkpoint, and what is known of a log. Safe in several replicas over one store."""

    def __init__(self, parts: WitnessParts) -> None:
        self._parts = parts
        self._quota = TokenBuckets(REQUESTS_PER_S, REQUESTS_BURST, now_s=parts.now_s, most=256)
        self._repeats = TokenBuckets(REPEATS_PER_S, REPEATS_BURST, now_s=parts.now_s, most=_MOST_SENDERS)
        self._of_sender = TokenBuckets(SENDER_PER_S, SENDER_BURST, now_s=parts.now_s, most=_MOST_FLOODING)
        self._unproven = TokenBuckets(UNPROVEN_PER_S, UNPROVEN_BURST, now_s=parts.now_s, most=1)

    async def add_checkpoint(self, body: bytes, *, sender: str = "") -> str:
        """The signature lines for a peer's checkpoint. Nothing of `body` is trusted; `sender` is the address that it
        came from.

        Raises CheckpointRefused with the HTTP status of tlog-witness, OwnStoreUnavailable, OwnKeyUnavailable. A
        repeat is safe. Cancelled, the checkpoint may be known without a cosignature having left; a repeat gets it.
        """
        request = read_add_checkpoint(body)  # 1
        now, snapshot = self._parts.clock.now(), self._parts.directory.current
        peer, generation = self._member(request, snapshot, now)  # 2
        _take(self._of_sender, sender)
        _take(self._unproven, "")
        self._require_signed(request, peer)  # 3
        await self._charge(request, peer, generation, sender)
        known = await self._advance(request, peer, generation, now)  # 4
        checkpoint = Checkpoint(known.origin, known.size, known.root)
        name = witness_name(snapshot.own_entity)
        return cosign(checkpoint.text(), name=name, signer=self._parts.signer(), at=known.cosigned_at)  # 5

    async def known_of(self, entity_id: str) -> str | None:
        """The newest checkpoint of a member's log that was cosigned here, as the log signed it: what the log itself
        asks for when it starts. Raises OwnStoreUnavailable.
        """
        known = await self._parts.store.newest(entity_id)
        return known.note if known else None

    def _member(self, request: AddCheckpoint, snapshot: TrustSnapshot, now: datetime) -> tuple[Peer, int]:
        """Raises UnknownOrigin, NotWitnessed, PassedGeneration."""
        origin = request.claimed.origin
        stem, _, number = origin.rpartition("/")
        peers = [one for one in snapshot.peers.values() if log_origin(one.entity_id, 0) == f"{stem}/0"]
        # Of several the one that signed: the store knows which of them has the origin.
        peer = next((one for one in peers if _own_lines(request, one)), peers[0] if peers else None)
        generation = int(number) if number.isascii() and number.isdigit() and len(number) < 11 else 0
        if peer is None or origin != log_origin(peer.entity_id, generation) or not generation:
            raise UnknownOrigin("no member of the federation has a log of this origin")
        try:
            peer.require_standing(now)
        except FederationError as error:
            raise NotWitnessed(error.detail) from None
        if not peer.log_keys or generation > peer.log_generation:
            self._parts.look_again(peer.entity_id)
            raise UnknownOrigin(f"{peer.entity_id} tells of no such log (yet): it is looked at again now")
        return peer, generation

    def _require_signed(self, request: AddCheckpoint, peer: Peer) -> None:
        try:
            check_checkpoint(request.note, origin=request.claimed.origin, keys=peer.log_keys)
        except NoteRejected as error:
            self._parts.look_again(peer.entity_id)
            raise UnknownKey(error.detail) from None

    async def _charge(self, request: AddCheckpoint, peer: Peer, generation: int, sender: str) -> None:
        """Raises TooManyRequests, OwnStoreUnavailable."""
        known = await self._parts.store.newest(peer.entity_id)
        if generation >= peer.log_generation and _extends(request, generation, known):
            _take(self._quota, peer.entity_id)
        else:
            _take(self._repeats, f"{sender} {request.claimed.origin}")

    async def _advance(self, request: AddCheckpoint, peer: Peer, generation: int, now: datetime) -> Witnessed:
        found: list[Witnessed | None] = []

        def decide(newest: Witnessed | None) -> Witnessed:
            found[:] = [newest]
            _require_current(peer, generation, newest)
            known = newest if newest and newest.generation == generation else None
            checkpoint = _checked(request, peer, known)
            at = _time_after(now, known, timedelta(seconds=self._parts.skew_s))
            return _now_known(request, checkpoint, peer, generation, known, at)

        try:
            after = await self._parts.store.advance(peer.entity_id, decide)
        except CheckpointRefused as refusal:
            await self._keep_refused(refusal, request, peer, found[0] if found else None, now)
            raise
        before = found[0]
        if before is not None and after.cosigned_at < before.cosigned_at:
            _log.warning(
                "witness.clock_was_ahead",
                entity_id=peer.entity_id,
                told=before.cosigned_at.isoformat(),
                now=after.cosigned_at.isoformat(),
            )
        if before is not None and before.generation < generation:
            await self._keep(_restart(before, after, peer.log_reason, now))
        return after

    async def _keep_refused(
        self,
        refusal: CheckpointRefused,
        request: AddCheckpoint,
        peer: Peer,
        known: Witnessed | None,
        now: datetime,
    ) -> None:
        kind = _kind_of(refusal, peer, known)
        if kind is None or known is None:
            return
        conflict = conflict_of(
            kind,
            peer.entity_id,
            request.claimed.origin,
            now,
            known=known.note,
            offered=_written(request, peer),
            detail=refusal.detail,
        )
        await self._keep(conflict)

    async def _keep(self, conflict: Conflict) -> None:
        if await self._parts.conflicts.keep(conflict):
            _log.error(
                "log.conflict",
                kind=conflict.kind.value,
                entity_id=conflict.entity_id,
                origin=conflict.origin,
                detail=conflict.detail,
            )


def _take(buckets: TokenBuckets, key: str) -> None:
    """Raises TooManyRequests."""
    if wait_s := buckets.take(key):
        raise TooManyRequests(wait_s)


def _extends(request: AddCheckpoint, generation: int, known: Witnessed | None) -> bool:
    """Whether it is shown to go beyond what is known: nobody but the log can make such a one, and each only once."""
    if known is None or generation > known.generation:
        return request.old_size == 0
    claimed = request.claimed
    if generation < known.generation or claimed.size <= known.size or request.old_size != known.size:
        return False
    return verify_consistency(known.size, known.root, claimed.size, claimed.root, request.proof)


def _require_current(peer: Peer, generation: int, newest: Witnessed | None) -> None:
    """What the member tells may only go up. Raises PassedGeneration."""
    seen = newest.generation if newest else 0
    if generation < max(seen, peer.log_generation):
        raise PassedGeneration(
            f"generation {generation} of the log of {peer.entity_id} is over: "
            f"{max(seen, peer.log_generation)} has begun"
        )


def _checked(request: AddCheckpoint, peer: Peer, known: Witnessed | None) -> Checkpoint:
    tree = KnownTree(known.size, known.root) if known else None
    return check_add_checkpoint(request, known=tree, keys=peer.log_keys)


def _time_after(now: datetime, known: Witnessed | None, skew: timedelta) -> datetime:
    """A clock that went back a little tells no earlier time than it told before. One that was further ahead told
    a time that nobody takes: to go on with it would mean to cosign in vain until then.
    """
    return max(now, known.cosigned_at) if known and known.cosigned_at - now <= skew else now


def _now_known(
    request: AddCheckpoint,
    checkpoint: Checkpoint,
    peer: Peer,
    generation: int,
    known: Witnessed | None,
    at: datetime,
) -> Witnessed:
    return Witnessed(
        checkpoint.origin,
        peer.entity_id,
        generation,
        checkpoint.size,
        checkpoint.root,
        known.note if known and known.size == checkpoint.size else _written(request, peer),
        at,
    )


def _written(request: AddCheckpoint, peer: Peer) -> str:
    """The note with the signatures of the log's keys alone: whatever else is on it is not this witness's to keep."""
    return write_note(request.note.text, _own_lines(request, peer))


def _own_lines(request: AddCheckpoint, peer: Peer) -> Sequence[NoteSignature]:
    """The signatures that name a key of the log; they need not be valid."""
    origin = request.claimed.origin
    ids = {note_key_id(origin, key) for key in peer.log_keys.values()}
    return [line for line in request.note.signatures if line.name == origin and line.key_id in ids]


def _kind_of(refusal: CheckpointRefused, peer: Peer, known: Witnessed | None) -> ConflictKind | None:
    if isinstance(refusal, Fork):
        return ConflictKind.FORK
    if isinstance(refusal, Shrunk):
        return ConflictKind.SHRUNK
    if isinstance(refusal, BadProof):
        return ConflictKind.BAD_PROOF
    # An old checkpoint sent again says nothing; a configuration that went back does.
    if isinstance(refusal, PassedGeneration) and known and peer.log_generation < known.generation:
        return ConflictKind.GENERATION
    return None


def _restart(before: Witnessed, after: Witnessed, reason: str, now: datetime) -> Conflict:
    return conflict_of(
        ConflictKind.RESTART,
        after.entity_id,
        after.origin,
        now,
        known=before.note,
        offered=after.note,
        detail=f"{after.entity_id} began its log anew: generation {after.generation} after {before.generation}, "
        f"which was cosigned up to size {before.size}; it says why: {reason or 'nothing'}",
    )
