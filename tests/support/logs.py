"""A peer's log in memory, honest or not, and the directory in which it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

from federation.peers import Directory, Peer, TrustSnapshot
from tests.support.clock import NOON
from trust.checkpoint import Checkpoint, sign_checkpoint
from trust.keys import SigningKey
from trust.merkle import consistency_proof, leaf_hash, root
from trust.profile import log_origin
from trust.witnessing import write_add_checkpoint

__all__ = ["OWN", "PEERS", "MadeUpLog", "directory_of", "keys_of", "peer_of"]

OWN = "https://node.sh.example"
PEERS = {
    "https://node.js.example": "320000",
    "https://node.zj.example": "330000",
    "https://node.ah.example": "340000",
}


class MadeUpLog:
    """A log whose leaves are `history` and a number; two with another `history` are two histories."""

    def __init__(
        self,
        entity_id: str,
        *,
        history: str = "",
        key: SigningKey | None = None,
        generation: int = 1,
        shared: int = 0,
    ) -> None:
        """The first `shared` leaves are those of every history."""
        self.entity_id = entity_id
        self.key = key or SigningKey.generate("EdDSA")
        self.generation = generation
        self._history, self._shared = history, shared

    @property
    def origin(self) -> str:
        """The origin of its checkpoints."""
        return log_origin(self.entity_id, self.generation)

    def leaves(self, size: int) -> Sequence[bytes]:
        """The hashes of its first leaves."""
        names = (f"{'' if n < self._shared else self._history}{n}" for n in range(size))
        return [leaf_hash(sha256(name.encode()).digest()) for name in names]

    def checkpoint(self, size: int) -> Checkpoint:
        """What it is at a size."""
        return Checkpoint(self.origin, size, root(self.leaves(size)))

    def note(self, size: int) -> str:
        """Its signed checkpoint."""
        return sign_checkpoint(self.checkpoint(size), self.key)

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """From one size to another."""
        return tuple(consistency_proof(self.leaves(new), old, new)) if 0 < old < new else ()

    def request(self, old: int, new: int, **bent: Any) -> bytes:
        """The body of its add-checkpoint; `bent` replaces old size, proof or note."""
        parts = {"old_size": old, "proof": self.proof(old, new), "note": self.note(new), **bent}
        return write_add_checkpoint(**parts)


def keys_of(*keys: SigningKey) -> Mapping[str, Any]:
    """Public keys by key id."""
    return {key.kid: key.verification_key for key in keys}


def peer_of(entity_id: str, **changes: Any) -> Peer:
    """A member in good standing."""
    described: dict[str, Any] = {
        "entity_id": entity_id,
        "province": PEERS.get(entity_id, "360000"),
        "name": entity_id,
        "grpc_target": "127.0.0.1:1",
        "tls_name": "x.peer.yrd",
        "envelope_keys": {},
        "expires_at": NOON + timedelta(days=30),
        **changes,
    }
    return Peer(**described)


def directory_of(peers: Iterable[Peer], *, quorum: int = 2, own: str = OWN) -> Directory:
    """Who is known to `own`."""
    known = {peer.entity_id: peer for peer in peers}
    return Directory(TrustSnapshot(own, "310000", known, witness_quorum=quorum))
