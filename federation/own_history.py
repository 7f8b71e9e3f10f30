"""Whether a witness knows a history of this node's log that this node's store does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from federation.log_conflicts import ConflictKind, ConflictStore, conflict_of
from federation.peers import Directory, Peer
from federation.ports import CheckpointRow, Clock, LogGate, Tree
from trust.checkpoint import Checkpoint, check_checkpoint, read_checkpoint
from trust.errors import NoteRejected
from trust.keys import VerificationKey
from trust.merkle import verify_consistency
from trust.note import Note, read_note
from trust.profile import log_origin

__all__ = ["OwnHistory"]

_log = structlog.get_logger("yrd.settling")

_FEWEST_CLAIMS: Final = 2
"""Whatever the anchor's quorum is: no member alone stops another by what it only says."""
_LARGEST_AHEAD: Final = (1 << 31) - 2
"""The store counts generations in 32 bits, and the next one is above this."""


class OwnHistory:
    """Compares what witnesses show with the own tree, and closes the gate where they differ."""

    def __init__(
        self,
        tree: Tree,
        conflicts: ConflictStore,
        directory: Directory,
        gate: LogGate,
        clock: Clock,
        own_keys: Callable[[], Mapping[str, VerificationKey]],
    ) -> None:
        self._tree = tree
        self._conflicts = conflicts
        self._directory = directory
        self._gate = gate
        self._clock = clock
        self._own_keys = own_keys
        self._claims: dict[str, str] = {}
        """By witness, what it said last without showing it."""
        self.generation_ahead = 0
        """The highest generation of which a witness showed more than the store has, with this node's signature."""

    async def compare(self, peer: Peer, shown: bytes) -> None:
        """Take what a witness shows as the newest checkpoint of this log. Nothing of it is trusted.

        Raises NoteRejected when it is no checkpoint of this log, OwnStoreUnavailable.
        """
        note = read_note(shown)
        checkpoint = read_checkpoint(note.text)
        generation = self._generation_of(checkpoint)
        kind, detail = await self._difference(checkpoint, generation)
        if kind is None:
            self._claims.pop(peer.entity_id, None)
            return
        if not self._is_own(note, checkpoint):
            await self.claimed(peer, detail)
            return
        if kind is ConflictKind.OWN_AHEAD:
            self.generation_ahead = max(self.generation_ahead, min(generation, _LARGEST_AHEAD))
        await self._keep(kind, peer, checkpoint.origin, shown.decode(), detail)
        self._gate.close(f"{peer.entity_id} holds a checkpoint that this node signed: {detail}")

    async def claimed(self, peer: Peer, detail: str) -> None:
        """Take it that a witness says it knows another history, and shows nothing that this node signed.

        Raises OwnStoreUnavailable.
        """
        self._claims[peer.entity_id] = detail
        await self._keep(ConflictKind.OWN_CLAIMED, peer, "", "", f"{peer.entity_id}: {detail}")
        snapshot = self._directory.current
        members = {entity_id for entity_id in self._claims if entity_id in snapshot.peers}
        if snapshot.witness_quorum > 0 and len(members) >= max(_FEWEST_CLAIMS, snapshot.witness_quorum):
            self._gate.close(
                f"{len(members)} witnesses know another history of this log; the last one: {detail}"
            )

    def cosigned(self, peer: Peer) -> None:
        """Take it that a witness cosigned, so that it knows no other history."""
        self._claims.pop(peer.entity_id, None)

    def _generation_of(self, checkpoint: Checkpoint) -> int:
        number = checkpoint.origin.rpartition("/")[2]
        generation = int(number) if number.isascii() and number.isdigit() and len(number) < 11 else 0
        if checkpoint.origin != log_origin(self._directory.current.own_entity, generation):
            raise NoteRejected("the checkpoint that the witness shows is of another log")
        return generation

    async def _difference(self, shown: Checkpoint, generation: int) -> tuple[ConflictKind | None, str]:
        """How a checkpoint differs from the own tree, in words; None: not at all."""
        generations = await self._tree.generations()
        still_open = generations[-1].generation
        if generation > still_open:
            return ConflictKind.OWN_AHEAD, f"generation {generation}, here {still_open} is the newest"
        latest = await self._tree.latest(generation)
        if generation < still_open or shown.size == 0:
            return None, ""
        size = latest.size if latest else 0
        if latest is None or size < shown.size:
            return ConflictKind.OWN_AHEAD, f"size {shown.size}, here {size} is the newest that was signed"
        if await self._extends(shown, generation, latest):
            return None, ""
        return ConflictKind.OWN_FORK, f"another root for size {shown.size} than the tree here has"

    async def _extends(self, shown: Checkpoint, generation: int, latest: CheckpointRow) -> bool:
        own = await self._tree.checkpoint(generation, shown.size)
        if own is not None:
            return own.root == shown.root
        proof = await self._tree.consistency(generation, shown.size, latest.size)
        return verify_consistency(shown.size, shown.root, latest.size, latest.root, proof)

    def _is_own(self, note: Note, checkpoint: Checkpoint) -> bool:
        try:
            check_checkpoint(note, origin=checkpoint.origin, keys=self._own_keys())
        except NoteRejected:
            return False
        return True

    async def _keep(self, kind: ConflictKind, peer: Peer, origin: str, known: str, detail: str) -> None:
        own_entity = self._directory.current.own_entity
        latest = await self._tree.latest()
        conflict = conflict_of(
            kind,
            own_entity,
            origin or log_origin(own_entity, latest.generation if latest else 1),
            self._clock.now(),
            known=known or peer.entity_id,
            offered=latest.note if latest and known else "",
            detail=detail,
        )
        if await self._conflicts.keep(conflict):
            _log.error("log.own_conflict", kind=kind.value, witness=peer.entity_id, detail=detail)
