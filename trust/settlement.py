"""When a checkpoint was settled: what proves that a record existed, and was in the log, by a time.

 a. each witness's chain holds when it says that it cosigned, and gives it the witness key that did
 b. a witness is another node than the log's; each counts once, and so does each key
 c. a node's former keys (`trust.historical`) and its revocation by the anchor end its word: what it cosigns after that
    does not count, nor does what no list of its former keys vouches for that was signed then or later, since whoever
    makes the file could leave out the one that names the key
 d. the quorum is what the anchor's configuration in the log's chain sets, and nothing else
 e. the quorum's time is the evidence time; the log's chain holds then, and one of its log keys, not retired before,
    signed the checkpoint

What does not count is told in words and takes nothing away: it is as if it were not there. Without a quorum the
checkpoint is the log's word alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trust.chain_book import ChainBook, EnclosedChain, ProvenNode, Remembered
from trust.checkpoint import Checkpoint, check_checkpoint
from trust.cosignature import quorum_time, read_cosignatures
from trust.entity import LATEST_TIME
from trust.errors import AlgorithmUnavailable, EvidenceBroken, TrustError
from trust.historical import HistoricalKeys
from trust.keys import VerificationKey
from trust.note import Note, NoteSignature, read_note
from trust.profile import log_origin, witness_name
from trust.status import Revocation

__all__ = ["Cosigned", "EnclosedCheckpoint", "Ended", "Settlement", "Settler", "ended_at"]

CHECKPOINTS_REMEMBERED: Final = 1024
MOST_LINES: Final = 4
"""Lines of one witness under a checkpoint: one, and a few while its key changes."""
_TIME_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class EnclosedCheckpoint:
    """A checkpoint of a file: the note, the chain of the log's node, and the chains of those who cosigned."""

    part: str
    note: bytes
    digest: str
    generation: int
    chain: EnclosedChain
    witnesses: tuple[EnclosedChain, ...]


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A witness, by entity id, that cosigned with one of its keys, and when it says that it did."""

    entity_id: str
    kid: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """A checkpoint that its log signed. `evidence_at` is the quorum's time; None when too few witnesses count.

    `quorum` is 0 when the anchor sets none. `witnesses` are the entity ids that count, in the order of their times;
    `rejected` says what does not count.
    """

    checkpoint: Checkpoint
    log: str
    generation: int
    quorum: int
    evidence_at: datetime | None
    witnesses: tuple[str, ...]
    rejected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """What ends the word of nodes: revocations by the anchor, and their own lists of former keys; by entity id."""

    revocations: Mapping[str, Revocation]
    former_keys: Mapping[str, HistoricalKeys]
    digests: tuple[str, ...] = ()
    """Of the documents that say so: what two files with the same have in common."""

    def of(self, entity_id: str, kid: str, at: datetime) -> str:
        """Why a key of a node did not count any more at a time; empty when nothing here says so."""
        revoked = self.revocations.get(entity_id)
        if revoked is not None and revoked.at <= at:
            return f"{entity_id} had been revoked at {revoked.at.isoformat()}: {revoked.reason}"
        return self.of_key(entity_id, kid, at)

    def of_key(self, entity_id: str, kid: str, at: datetime) -> str:
        """The same by the node's own list alone."""
        document = self.former_keys.get(entity_id)
        former = document.keys.get(kid) if document is not None else None
        if former is None:
            return ""
        ended = ended_at(former.expires_at, former.revoked_at)
        if ended > at:
            return ""
        why = f" ({former.reason})" if former.reason else ""
        return f"its key {kid} was retired at {ended.isoformat()}{why}"

    def undecided(self, entity_id: str, at: datetime) -> str:
        """Why nothing here says that a node's key still counted at a time; empty when its own list does."""
        document = self.former_keys.get(entity_id)
        if document is not None and document.issued_at >= at:
            return ""
        said = "there is none" if document is None else f"the newest is of {document.issued_at.isoformat()}"
        return f"{entity_id} cosigned at {at.isoformat()}, and no list of its former keys is as new: {said}"


def ended_at(expires_at: datetime, revoked_at: datetime | None) -> datetime:
    """From when on a former key counts no more."""
    return expires_at if revoked_at is None else min(expires_at, revoked_at)


class Settler:
    """Verifies checkpoints; their cosignatures once each, as long as they are remembered. Not for several threads."""

    def __init__(self, book: ChainBook) -> None:
        self._book = book
        self._cosigned: Remembered[tuple[object, ...], tuple[tuple[Cosigned, ...], tuple[str, ...]]]
        self._cosigned = Remembered(CHECKPOINTS_REMEMBERED)
        self._settled: Remembered[tuple[object, ...], Settlement] = Remembered(CHECKPOINTS_REMEMBERED)
        self._signed: Remembered[tuple[object, ...], Checkpoint] = Remembered(CHECKPOINTS_REMEMBERED)

    def settle(
        self, enclosed: EnclosedCheckpoint, *, ended: Ended, unsettled_at: datetime, roll_overs: bytes
    ) -> Settlement:
        """What the checkpoint proves. `unsettled_at`: when the log's chain must hold if there is no quorum.

        Raises EvidenceBroken: no checkpoint, of another log or generation, a chain that does not hold, no signature of
        the log. AlgorithmUnavailable as `ChainBook.prove`.
        """
        witnesses = tuple(chain.digests for chain in enclosed.witnesses)
        chains = (enclosed.chain.digests, witnesses)
        key = (enclosed.digest, enclosed.generation, chains, ended.digests, roll_overs)
        known = self._settled.get(key)
        if known is not None:
            return known
        found = self._settle(enclosed, ended, unsettled_at, roll_overs)
        if found.evidence_at is not None:  # else the chain of the log was looked at as of this file's time
            self._settled.put(key, found)
        return found

    def _settle(
        self, enclosed: EnclosedCheckpoint, ended: Ended, unsettled_at: datetime, roll_overs: bytes
    ) -> Settlement:
        said = self._book.claimed(enclosed.chain)
        try:
            note = read_note(enclosed.note)
        except TrustError as error:
            raise EvidenceBroken(enclosed.part, error.detail) from error
        found, rejected = self._cosignatures(enclosed, note, said.subject, roll_overs)
        times, told = _counting(found, ended)
        at = quorum_time(times, said.witness_quorum) if said.witness_quorum else None  # d, proven just below
        signed_at = at or unsettled_at
        proven = self._book.prove(enclosed.chain, signed_at, roll_overs=roll_overs)
        checkpoint, why = self._checkpoint(enclosed, note, proven, ended, signed_at)  # e
        return Settlement(
            checkpoint=checkpoint,
            log=said.subject,
            generation=enclosed.generation,
            quorum=said.witness_quorum,
            evidence_at=None if why else at,
            witnesses=tuple(sorted(times, key=times.__getitem__)),
            rejected=(*rejected, *told, *why),
        )

    def _checkpoint(
        self, enclosed: EnclosedCheckpoint, note: Note, log: ProvenNode, ended: Ended, at: datetime
    ) -> tuple[Checkpoint, tuple[str, ...]]:
        """Rule e: the checkpoint, and why what the log says does not count any more at that time."""
        entity_id = log.node.entity_id
        origin = log_origin(entity_id, enclosed.generation)
        why = tuple(filter(None, (ended.of_key(entity_id, kid, at) for kid in log.node.log_keys)))
        living = {kid: key for kid, key in log.node.log_keys.items() if not ended.of_key(entity_id, kid, at)}
        for keys, told in ((living, ()), (log.node.log_keys, why)):
            try:
                return self._opened(enclosed, note, origin, keys), told
            except TrustError as error:
                broken = error
        raise EvidenceBroken(enclosed.part, broken.detail) from broken

    def _opened(
        self, enclosed: EnclosedCheckpoint, note: Note, origin: str, keys: Mapping[str, VerificationKey]
    ) -> Checkpoint:
        return self._signed.made(
            (enclosed.digest, origin, frozenset(keys)),
            lambda: check_checkpoint(note, origin=origin, keys=keys),
        )

    def _cosignatures(
        self, enclosed: EnclosedCheckpoint, note: Note, log: str, roll_overs: bytes
    ) -> tuple[tuple[Cosigned, ...], tuple[str, ...]]:
        """Rules a and b: who cosigned, and what does not count."""
        key = (enclosed.digest, log, roll_overs, tuple(chain.digests for chain in enclosed.witnesses))
        return self._cosigned.made(key, lambda: self._verify(enclosed, note, log, roll_overs))

    def _verify(
        self, enclosed: EnclosedCheckpoint, note: Note, log: str, roll_overs: bytes
    ) -> tuple[tuple[Cosigned, ...], tuple[str, ...]]:
        found: list[Cosigned] = []
        rejected: list[str] = []
        chains: dict[str, EnclosedChain] = {}
        for chain in enclosed.witnesses:
            entity_id = self._book.claimed(chain).subject
            if entity_id == log:
                rejected.append(f"{entity_id} is the log's own node, which is no witness of itself")
            elif entity_id in chains:
                raise EvidenceBroken(enclosed.part, f"it has two chains of its witness {entity_id}")
            else:
                chains[entity_id] = chain
        for entity_id, chain in chains.items():
            lines = [line for line in note.signatures if line.name == witness_name(entity_id)]
            if len(lines) > MOST_LINES:  # each may need a chain to be verified at another time
                raise EvidenceBroken(enclosed.part, f"{entity_id} signs it more than {MOST_LINES} times")
            for line in lines:
                try:
                    found.extend(self._cosigned_by(chain, note, line, roll_overs))
                except AlgorithmUnavailable:
                    raise
                except TrustError as error:
                    rejected.append(f"{entity_id}: {error.detail}")
        return tuple(found), tuple(rejected)

    def _cosigned_by(
        self, chain: EnclosedChain, note: Note, line: NoteSignature, roll_overs: bytes
    ) -> Iterable[Cosigned]:
        at = _said_at(line)
        node = self._book.prove(chain, at, roll_overs=roll_overs).node
        alone = Note(note.text, (line,))
        for kid, key in node.witness_keys.items():
            said = read_cosignatures(alone, {line.name: {kid: key}})
            if said.rejected:
                raise EvidenceBroken(chain.part, said.rejected[0])
            for moment in said.times.values():
                yield Cosigned(node.entity_id, kid, moment)


def _counting(found: Sequence[Cosigned], ended: Ended) -> tuple[dict[str, datetime], list[str]]:
    """Rules b and c: each witness and each key once, the earliest first."""
    times: dict[str, datetime] = {}
    owners: dict[str, str] = {}
    told: list[str] = []
    for one in sorted(found, key=lambda one: (one.at, one.entity_id)):
        why = ended.of(one.entity_id, one.kid, one.at) or ended.undecided(one.entity_id, one.at)
        if not why and owners.setdefault(one.kid, one.entity_id) != one.entity_id:
            why = f"{one.entity_id} cosigned with the key of {owners[one.kid]}"
        if why:
            told.append(why)
        else:
            times.setdefault(one.entity_id, one.at)
    return times, told


def _said_at(line: NoteSignature) -> datetime:
    """The time in a cosignature that nobody has looked at yet, to find the chain of that time."""
    seconds = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    if not 0 < seconds <= LATEST_TIME:
        raise EvidenceBroken(line.name, "the cosignature's time is none")
    return datetime.fromtimestamp(seconds, UTC)
