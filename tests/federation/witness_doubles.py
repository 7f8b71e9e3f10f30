"""Witnesses without a network, and a log's tree without a store: both can be turned against each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import structs

from federation.errors import PeerUnreachable
from federation.log_conflicts import Conflict
from federation.peers import Directory, Peer
from federation.ports import CheckpointRow, Clock, Cosignature, LogGeneration
from federation.settling import Settler, SettlingParts
from federation.witness import Witness, Witnessed, WitnessParts
from federation.witnesses import Cosigned, StandsAt, WitnessAnswer, WitnessRefused
from node.store.log_gate import StoreLogGate
from tests.support.clock import NOON, FixedClock
from tests.support.logs import OWN, PEERS, MadeUpLog, directory_of, keys_of, peer_of
from trust.keys import SigningKey
from trust.witnessing import CheckpointRefused, WrongOldSize

__all__ = ["Country", "MadeUpTree", "MemoryConflicts", "MemoryWitnessStore"]


class MemoryWitnessStore:
    """`WitnessStore` in a dict: `decide` never waits, so nothing comes between."""

    def __init__(self) -> None:
        self.known: dict[str, Witnessed] = {}

    async def advance(self, entity_id: str, decide: Callable[[Witnessed | None], Witnessed]) -> Witnessed:
        self.known[entity_id] = decide(self.known.get(entity_id))
        return self.known[entity_id]

    async def newest(self, entity_id: str) -> Witnessed | None:
        return self.known.get(entity_id)


class MemoryConflicts:
    """`ConflictStore` in a list."""

    def __init__(self) -> None:
        self.kept: list[Conflict] = []

    async def keep(self, conflict: Conflict) -> bool:
        is_new = all(one.digest != conflict.digest for one in self.kept)
        if is_new:
            self.kept.append(conflict)
        return is_new

    async def unacknowledged(self, *, limit: int) -> Sequence[Conflict]:
        return self.kept[::-1][:limit]


class MadeUpTree:
    """`Tree` and `SettlingStore` over a made-up log; `sizes` are those of its checkpoints."""

    def __init__(self, log: MadeUpLog) -> None:
        self.log = log
        self.rows: dict[int, CheckpointRow] = {}
        self.cosignatures: dict[int, list[Cosignature]] = {}
        self.closed: list[LogGeneration] = []

    def grow(self, size: int) -> None:
        """A new checkpoint."""
        root, note = self.log.checkpoint(size).root, self.log.note(size)
        self.rows[size] = CheckpointRow(self.log.generation, size, root, NOON, note)

    def restart(self) -> None:
        """Begin a new generation."""
        self.closed.append(LogGeneration(self.log.generation, 0, NOON))
        self.log = MadeUpLog(self.log.entity_id, key=self.log.key, generation=self.log.generation + 1)
        self.rows.clear()
        self.cosignatures.clear()

    async def generations(self) -> Sequence[LogGeneration]:
        return [*self.closed, LogGeneration(self.log.generation, 0, NOON)]

    async def latest(self, generation: int | None = None) -> CheckpointRow | None:
        if generation not in (None, self.log.generation):
            return None
        return self.rows[max(self.rows)] if self.rows else None

    async def latest_settled(self, generation: int | None = None) -> CheckpointRow | None:
        settled = [size for size, row in self.rows.items() if row.settled_at is not None]
        return self.rows[max(settled)] if settled else None

    async def checkpoint(self, generation: int, size: int) -> CheckpointRow | None:
        return self.rows.get(size)

    async def settled_for(self, generation: int, leaf: int) -> CheckpointRow | None:
        raise NotImplementedError

    async def cosignatures_of(self, generation: int, size: int) -> Sequence[Cosignature]:
        return self.cosignatures.get(size, [])

    async def inclusion(self, generation: int, leaf: int, size: int) -> tuple[bytes, ...]:
        raise NotImplementedError

    async def consistency(self, generation: int, old: int, new: int) -> tuple[bytes, ...]:
        return self.log.proof(old, new)

    async def tile(self, generation: int, level: int, position: int) -> bytes | None:
        raise NotImplementedError

    async def add_cosignature(self, generation: int, size: int, cosignature: Cosignature) -> None:
        self.cosignatures.setdefault(size, []).append(cosignature)

    async def settle(self, generation: int, size: int, at: datetime) -> None:
        self.rows[size] = structs.replace(self.rows[size], settled_at=at)


class Country:
    """Shanghai's log and the three others as its witnesses; it is also the `Witnesses` that reaches them.

    `away` are those that cannot be reached; `answers` replaces what one answers to add-checkpoint, `shown` what one
    shows as the newest checkpoint that it knows.
    """

    def __init__(self, *, quorum: int = 2) -> None:
        self.clock, self.seconds = FixedClock(), 0.0
        self.log_key = SigningKey.generate("EdDSA")
        self.tree = MadeUpTree(MadeUpLog(OWN, key=self.log_key))
        self.keys = {entity_id: SigningKey.generate("EdDSA") for entity_id in PEERS}
        self.peers = {one: peer_of(one, witness_keys=keys_of(key)) for one, key in self.keys.items()}
        self.directory = directory_of(self.peers.values(), quorum=quorum)
        self.stores = {entity_id: MemoryWitnessStore() for entity_id in PEERS}
        self.clocks = {entity_id: FixedClock() for entity_id in PEERS}
        self.seen_generation = 1
        self.away: set[str] = set()
        self.answers: dict[str, WitnessAnswer] = {}
        self.shown: dict[str, bytes | None] = {}
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.conflicts = MemoryConflicts()
        self.restarted()

    def restarted(self) -> None:
        """The node starts again: what it only remembered is gone."""
        self.gate = StoreLogGate()
        self.settler = Settler(
            SettlingParts(
                tree=self.tree,
                store=self.tree,
                conflicts=self.conflicts,
                witnesses=self,
                directory=self.directory,
                gate=self.gate,
                clock=self.clock,
                now_s=lambda: self.seconds,
                own_keys=lambda: keys_of(self.log_key),
                round_s=5.0,
            )
        )

    def change(self, entity_id: str, **changes: Any) -> None:
        """Change what is known of a peer."""
        self.peers[entity_id] = replace(self.peers[entity_id], **changes)
        quorum = self.directory.current.witness_quorum
        self.directory.swap(directory_of(self.peers.values(), quorum=quorum).current)

    async def settle(self, size: int = 0) -> None:
        """A round, after a new checkpoint of that size."""
        if size:
            self.tree.grow(size)
        await self.settler.settle_once()

    def settled(self) -> Mapping[int, datetime]:
        """The settled checkpoints."""
        return {size: row.settled_at for size, row in self.tree.rows.items() if row.settled_at}

    def witness(self, entity_id: str) -> Witness:
        """A peer as a witness that knows Shanghai's log."""
        own: Peer = peer_of(OWN, log_keys=keys_of(self.log_key), log_generation=self.seen_generation)
        known: Directory = directory_of([own], own=entity_id)
        clock: Clock = self.clocks[entity_id]
        key, store = self.keys[entity_id], self.stores[entity_id]
        return Witness(
            WitnessParts(known, store, MemoryConflicts(), lambda: key, clock, lambda: self.seconds)
        )

    async def add_checkpoint(self, entity_id: str, body: bytes, *, timeout_s: float) -> WitnessAnswer:
        self.asked.append(entity_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if entity_id in self.away:
            raise PeerUnreachable("connection refused")
        if entity_id in self.answers:
            return self.answers[entity_id]
        try:
            return Cosigned((await self.witness(entity_id).add_checkpoint(body)).encode())
        except WrongOldSize as refusal:
            return StandsAt(refusal.known_size)
        except CheckpointRefused as refusal:
            return WitnessRefused(refusal.status, refusal.detail)

    async def known(self, entity_id: str, log: str, *, timeout_s: float) -> bytes | None:
        if entity_id in self.away:
            raise PeerUnreachable("connection refused")
        if entity_id in self.shown:
            return self.shown[entity_id]
        note = await self.witness(entity_id).known_of(log)
        return None if note is None else note.encode()
