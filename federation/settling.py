"""Has the other members cosign this node's checkpoints, and settles those that a quorum cosigned (design §6).

A round asks every other member's witness for the newest signed checkpoint, in parallel, with the proof from where that
witness stands. Where it stands is only remembered; a witness that stands elsewhere says so, and is asked again from
there. A witness that is away delays settling only, and is asked again ever more seldom. A round costs every member some
ten milliseconds of processor time and settles all records before it, so under load not each checkpoint has one.

A cosignature counts when it verifies under a key of the member's chain, with a time near this node's; a checkpoint is
settled at the quorum's time, the quorum being the anchor's to say. This node never counts as its own witness.

A witness that knows what this node's store does not have means that the store is not the one that signed last: an old
backup, or a second history. Whoever shows a checkpoint that this node signed proves it, and the log is closed at once;
what a witness only claims closes it when as many claim so as the quorum is, and two at least, so that one of them alone
cannot stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from federation.errors import FederationError, OwnStoreUnavailable, code_of
from federation.log_conflicts import ConflictStore
from federation.own_history import OwnHistory
from federation.peers import Directory, Peer
from federation.ports import CheckpointRow, Clock, Cosignature, LogGate, Tree
from federation.witnesses import Cosigned, StandsAt, WitnessAnswer, Witnesses, WitnessRefused
from trust.cosignature import quorum_time, verify_cosignatures
from trust.errors import NoteRejected
from trust.keys import VerificationKey
from trust.note import Note, read_note, read_signature_lines
from trust.profile import witness_name
from trust.witnessing import write_add_checkpoint

__all__ = ["Settler", "SettlingParts", "SettlingStore"]

_log = structlog.get_logger("yrd.settling")

_TRIES: Final = 3
"""In one round: from what is remembered, from what the witness says, and once more when a replica came between."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_HISTORY_DIFFERS: Final = frozenset({410, 422})
_FEW_RECORDS: Final = 50
"""With no more than these since the last round the next checkpoint is settled at once."""


class SettlingStore(Protocol):
    """Where cosignatures are kept. Both methods raise OwnStoreUnavailable."""

    async def add_cosignature(self, generation: int, size: int, cosignature: Cosignature) -> None:
        """Keep a witness's cosignature of a checkpoint; the first one stays."""
        ...

    async def settle(self, generation: int, size: int, at: datetime) -> None:
        """Write the quorum's time of a checkpoint."""
        ...


@dataclass(frozen=True, slots=True)
class SettlingParts:
    """What settling is made of. `own_keys` are all keys that ever signed this node's log, as far as it knows."""

    tree: Tree
    store: SettlingStore
    conflicts: ConflictStore
    witnesses: Witnesses
    directory: Directory
    gate: LogGate
    clock: Clock
    now_s: Callable[[], float]
    own_keys: Callable[[], Mapping[str, VerificationKey]]
    skew_s: float = 60.0
    request_s: float = 2.0
    """How long one request to a witness may take."""
    start_s: float = 1.0
    """Likewise before the node serves: one that is away must not delay it."""
    round_s: float = 0.0
    """How long after a round the next one comes at the earliest while the log grows fast."""


@dataclass(slots=True)
class _Stand:
    """What is remembered of a witness: where it stands, and when it may be asked again."""

    generation: int = 0
    size: int = 0
    failures: int = 0
    rests_until_s: float = field(default=float("-inf"))


class _NotCosigned(Exception):
    """A witness gave no cosignature; the text says why, for the log."""


class Settler:
    """Rounds of cosigning. One object a process; replicas may each have one."""

    def __init__(self, parts: SettlingParts) -> None:
        self._parts = parts
        self._history = OwnHistory(
            parts.tree, parts.conflicts, parts.directory, parts.gate, parts.clock, parts.own_keys
        )
        self._stands: dict[str, _Stand] = {}
        self._round: tuple[int, int, float] = (0, 0, float("-inf"))
        self._over: tuple[object, ...] = ()

    async def look_back(self) -> None:
        """Ask every witness for the newest checkpoint of this log that it knows, before anything is added to the log:
        a store that was restored from a backup does not know what it signed since. Closes the gate when it finds so.

        Who cannot be reached soon is asked by the rounds that follow. Raises OwnStoreUnavailable.
        """
        await self._look_back(self._parts.start_s)

    async def _look_back(self, timeout_s: float) -> None:
        peers = self._eligible()
        found = await asyncio.gather(*(self._look(peer, timeout_s) for peer in peers), return_exceptions=True)
        for peer, error in zip(peers, found, strict=True):
            if isinstance(error, OwnStoreUnavailable):
                raise error
            if isinstance(error, BaseException):
                _log.info("settling.witness_not_asked", witness=peer.entity_id, why=_why(error))

    async def newest_generation(self) -> int:
        """Look back, and tell the highest generation that this node signed more of than its store has, as far as
        witnesses can be reached; 0: none. The next one must be above it. Raises OwnStoreUnavailable.
        """
        await self._look_back(self._parts.request_s)
        return self._history.generation_ahead

    async def _look(self, peer: Peer, timeout_s: float) -> None:
        own = self._parts.directory.current.own_entity
        note = await self._parts.witnesses.known(peer.entity_id, own, timeout_s=timeout_s)
        if note is not None:
            await self._history.compare(peer, note)

    async def settle_when_due(self) -> None:
        """`settle_once`, unless much was logged since a round that was less than `round_s` ago."""
        checkpoint = await self._parts.tree.latest()
        if checkpoint is not None and self._is_due(checkpoint) and not self._is_over(checkpoint):
            await self._settle_newest(checkpoint)

    async def settle_once(self) -> None:
        """One round for the newest signed checkpoint, where there is a witness left to ask.

        Safe to repeat, also in another replica. Cancelled, what was cosigned may not be stored; it is asked for again.
        Raises OwnStoreUnavailable.
        """
        checkpoint = await self._parts.tree.latest()
        if checkpoint is not None:
            await self._settle_newest(checkpoint)

    def _is_due(self, checkpoint: CheckpointRow) -> bool:
        generation, size, at_s = self._round
        few = checkpoint.generation == generation and checkpoint.size - size <= _FEW_RECORDS
        return few or self._parts.now_s() - at_s >= self._parts.round_s

    def _is_over(self, checkpoint: CheckpointRow) -> bool:
        """Whether every witness there is now cosigned it, and it is settled if that can be: nothing is left to do."""
        return checkpoint.settled_at is not None and self._over == self._what_counts(checkpoint)

    def _what_counts(self, checkpoint: CheckpointRow) -> tuple[object, ...]:
        witnesses = frozenset(peer.entity_id for peer in self._eligible())
        return checkpoint.generation, checkpoint.size, witnesses, self._parts.directory.current.witness_quorum

    async def _settle_newest(self, checkpoint: CheckpointRow) -> None:
        if self._parts.gate.reason:
            return
        self._round = checkpoint.generation, checkpoint.size, self._parts.now_s()
        cosigned = await self._cosignatures(checkpoint)
        known = {one.witness for one in cosigned}
        asked = [peer for peer in self._eligible() if peer.entity_id not in known and self._may_ask(peer)]
        if asked:
            # Each tells of its own failure; what comes through is the store's.
            await asyncio.gather(*(self._ask(peer, checkpoint) for peer in asked))
            cosigned = await self._cosignatures(checkpoint)
        await self._settle(checkpoint, cosigned)
        known = {one.witness for one in cosigned}
        if all(peer.entity_id in known for peer in self._eligible()):
            self._over = self._what_counts(checkpoint)

    def _eligible(self) -> Sequence[Peer]:
        """The members in good standing that cosign. This node is not among its peers."""
        snapshot, now = self._parts.directory.current, self._parts.clock.now()
        return [peer for peer in snapshot.peers.values() if peer.witness_keys and _stands_well(peer, now)]

    def _may_ask(self, peer: Peer) -> bool:
        stand = self._stands.get(peer.entity_id)
        return stand is None or self._parts.now_s() >= stand.rests_until_s

    async def _ask(self, peer: Peer, checkpoint: CheckpointRow) -> None:
        stand = self._stands.setdefault(peer.entity_id, _Stand())
        try:
            cosignature = await self._cosigned(peer, checkpoint, stand)
            await self._parts.store.add_cosignature(checkpoint.generation, checkpoint.size, cosignature)
        except OwnStoreUnavailable:
            raise
        except (FederationError, NoteRejected, _NotCosigned) as error:
            self._rest(peer, stand, error)
            return
        self._history.cosigned(peer)
        stand.generation, stand.size = checkpoint.generation, checkpoint.size
        stand.failures, stand.rests_until_s = 0, float("-inf")

    def _rest(self, peer: Peer, stand: _Stand, error: Exception) -> None:
        pause_s = min(_FIRST_PAUSE_S * 2**stand.failures, _LONGEST_PAUSE_S)
        stand.rests_until_s = self._parts.now_s() + pause_s
        tell = _log.info if stand.failures else _log.warning
        stand.failures = min(stand.failures + 1, 16)
        tell("settling.not_cosigned", witness=peer.entity_id, why=_why(error), again_s=pause_s)

    async def _cosigned(self, peer: Peer, checkpoint: CheckpointRow, stand: _Stand) -> Cosignature:
        """Raises _NotCosigned, NoteRejected and what the ports raise."""
        old = stand.size if stand.generation == checkpoint.generation else 0
        for _ in range(_TRIES):
            answer = await self._answer(peer, checkpoint, min(old, checkpoint.size))
            if isinstance(answer, Cosigned):
                return self._verified(peer, checkpoint, answer)
            elsewhere = answer.size if isinstance(answer, StandsAt) else None
            if elsewhere is not None and elsewhere <= checkpoint.size and elsewhere != old:
                old = elsewhere
                continue
            if isinstance(answer, StandsAt) or answer.status in _HISTORY_DIFFERS:
                await self._differs(peer, answer)
            raise _NotCosigned(_said(answer))
        raise _NotCosigned("it stands elsewhere each time")

    async def _answer(self, peer: Peer, checkpoint: CheckpointRow, old: int) -> WitnessAnswer:
        proof = await self._parts.tree.consistency(checkpoint.generation, old, checkpoint.size)
        body = write_add_checkpoint(old, proof, checkpoint.note)
        return await self._parts.witnesses.add_checkpoint(
            peer.entity_id, body, timeout_s=self._parts.request_s
        )

    async def _differs(self, peer: Peer, answer: StandsAt | WitnessRefused) -> None:
        """The witness knows another history than this store has, or says so: have it show what it knows."""
        own = self._parts.directory.current.own_entity
        note = await self._parts.witnesses.known(peer.entity_id, own, timeout_s=self._parts.request_s)
        if note is None:
            await self._history.claimed(peer, _said(answer))
        else:
            await self._history.compare(peer, note)

    def _verified(self, peer: Peer, checkpoint: CheckpointRow, answer: Cosigned) -> Cosignature:
        """The one line that counts. Raises _NotCosigned, NoteRejected."""
        name = witness_name(peer.entity_id)
        text = read_note(checkpoint.note.encode()).text
        for line in read_signature_lines(answer.lines):
            at = verify_cosignatures(Note(text, (line,)), {name: peer.witness_keys}).get(name)
            if at is not None:
                self._require_time(at)
                return Cosignature(peer.entity_id, at, line.line().rstrip("\n"))
        raise _NotCosigned("its answer has no valid cosignature of a key in its chain")

    def _require_time(self, at: datetime) -> None:
        now, skew = self._parts.clock.now(), timedelta(seconds=self._parts.skew_s)
        if abs(at - now) > skew:
            raise _NotCosigned(
                f"it cosigned at {at.isoformat()}, own clock {now.isoformat()}, allowed skew {self._parts.skew_s} s"
            )

    async def _settle(self, checkpoint: CheckpointRow, cosigned: Sequence[Cosignature]) -> None:
        quorum = self._parts.directory.current.witness_quorum
        if quorum < 1:
            return
        counting = {peer.entity_id for peer in self._eligible()}
        times = {one.witness: one.cosigned_at for one in cosigned if one.witness in counting}
        at = quorum_time(times, quorum)
        if at is not None and at != checkpoint.settled_at:
            await self._parts.store.settle(checkpoint.generation, checkpoint.size, at)

    async def _cosignatures(self, checkpoint: CheckpointRow) -> Sequence[Cosignature]:
        return await self._parts.tree.cosignatures_of(checkpoint.generation, checkpoint.size)


def _stands_well(peer: Peer, now: datetime) -> bool:
    try:
        peer.require_standing(now)
    except FederationError:
        return False
    return True


def _said(answer: WitnessAnswer) -> str:
    if isinstance(answer, StandsAt):
        return (
            f"it says that it knows this log at size {answer.size if answer.size is not None else 'unknown'}"
        )
    return (
        f"it answers {answer.status} {answer.said}" if isinstance(answer, WitnessRefused) else "it cosigned"
    )


def _why(error: BaseException) -> str:
    if isinstance(error, FederationError | NoteRejected):
        return f"{code_of(error)} {error.detail}".strip()
    return str(error) if isinstance(error, _NotCosigned) else type(error).__name__
