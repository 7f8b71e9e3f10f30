"""Merkle trees as RFC 6962 §2.1 hashes them: leaves and nodes apart by one byte in front.

`root`, `inclusion_path` and `consistency_proof` are for those who hold all leaves; `verify_inclusion` for those who
hold one, `verify_consistency` for those who hold an older root; a `Frontier` grows a root and keeps no leaves.
Hashes are 32 bytes. Nothing here knows what a leaf means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "MAX_PATH",
    "Frontier",
    "consistency_proof",
    "consistency_ranges",
    "hash_pairs",
    "inclusion_path",
    "inclusion_paths",
    "inclusion_ranges",
    "leaf_hash",
    "node_hash",
    "root",
]
__all__ += ["root_from_path", "verify_consistency", "verify_inclusion"]

HASH_BYTES = 32
MAX_PATH = 63
"""The longest path that is looked at: a tree of 2^63 leaves."""
EMPTY_ROOT = sha256(b"").digest()
_SIZE_BYTES: Final = 8


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def hash_pairs(hashes: bytes) -> bytes:
    """The nodes above an even number of hashes, all in one: a third faster than node by node."""
    pairs = range(0, len(hashes), 2 * HASH_BYTES)
    return b"".join([sha256(b"\x01" + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])


def root(leaves: Sequence[bytes]) -> bytes:
    """The tree hash over leaf hashes; of none, SHA-256 of nothing."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def _level_above(level: list[bytes]) -> list[bytes]:
    """Pair neighbours; a last one without a neighbour moves up as it is (RFC 6962's tree, bottom up)."""
    above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of leaf `index` (RFC 6962 §2.1.1), lowest first. Raises IndexError for no leaf of it."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    return _path(_levels(leaves), index)


def inclusion_paths(leaves: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """The root and every leaf's path, hashing each node once. `leaves` is not empty."""
    levels = _levels(leaves)
    return levels[-1][0], [_path(levels, index) for index in range(len(leaves))]


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        levels.append(_level_above(levels[-1]))
    return levels


def _path(levels: list[list[bytes]], index: int) -> tuple[bytes, ...]:
    path = []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index >>= 1
    return tuple(path)


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that this path leads to (RFC 9162 §2.1.3.2), or None when no tree of `size` has it."""
    if not 0 <= index < size or len(path) > MAX_PATH:
        return None
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0 or len(sibling) != HASH_BYTES:
            return None
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether `path` proves that `leaf` is leaf `index` of the tree of `size` leaves under `root_hash`."""
    return root_from_path(leaf, index, size, path) == root_hash


# --- which parts of a tree a proof is made of ---


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The leaves [from, to) under each hash of the path of leaf `index`, lowest first (RFC 6962 §2.1.1).

    Raises IndexError for no leaf of a tree of that size.
    """
    if not 0 <= index < size:
        raise IndexError(f"no leaf {index} in a tree of {size}")
    ranges = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _left_of(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The leaves [from, to) under each hash of the proof that size `new` extends size `old` (RFC 6962 §2.1.2).

    Raises IndexError when `old` is not between 0 and `new`. From nothing, and to the same size, the proof is empty.
    """
    if not 0 <= old <= new:
        raise IndexError(f"a tree of {new} does not extend one of {old}")
    ranges = []
    low, high = 0, new
    while 0 < old < high:
        middle = low + _left_of(high - low)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    if low:  # otherwise the old tree is a subtree of the new one: whoever verifies knows its root already
        ranges.append((low, high))
    return ranges[::-1]


def _left_of(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def consistency_proof(leaves: Sequence[bytes], old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the first `new` leaves extend the first `old` ones. Raises IndexError for no such sizes."""
    if new > len(leaves):
        raise IndexError(f"there are {len(leaves)} leaves, not {new}")
    ranges = consistency_ranges(old, new)
    levels = _levels(leaves[:new]) if ranges else []
    return tuple(levels[(high - low - 1).bit_length()][_at(low, high)] for low, high in ranges)


def _at(low: int, high: int) -> int:
    """Where in its level the hash over the leaves [low, high) of a path or proof is."""
    return low >> (high - low - 1).bit_length()


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the new tree has the old one's leaves first (RFC 9162 §2.1.4.2).

    Every tree extends the one without leaves, whose root must be the empty one; that proof is empty, and so is the one
    between trees of one size, whose roots must be the same.
    """
    if not 0 <= old_size <= new_size or len(proof) > MAX_PATH + 1:
        return False
    if old_size == new_size or old_size == 0:
        known = old_root == (EMPTY_ROOT if old_size == 0 else new_root)
        return known and not proof and (new_size > 0 or new_root == EMPTY_ROOT)
    if any(len(step) != HASH_BYTES for step in proof):
        return False
    return _roots_from_proof(old_size, old_root, new_size, proof) == (old_root, new_root)


def _roots_from_proof(
    old_size: int, old_root: bytes, new_size: int, proof: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    """The two roots that a proof between different sizes leads to, or None when it has not the right length."""
    steps = iter(proof)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    # An old tree of 2^n leaves is one node of the new one: its root is known and not in the proof.
    first = old_root if node == 0 else next(steps, None)
    if first is None:
        return None
    old_found = new_found = first
    for step in steps:
        if last == 0:
            return None
        if node & 1 or node == last:
            old_found, new_found = node_hash(step, old_found), node_hash(step, new_found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_found = node_hash(new_found, step)
        node, last = node >> 1, last >> 1
    return (old_found, new_found) if last == 0 else None


# --- a root that grows ---


@dataclass(frozen=True, slots=True)
class Frontier:
    """The full subtrees at the right edge of a tree, largest first: all that is needed to append to it.

    Immutable; as many hashes as `size` has bits that are set. Raises ValueError for another number of them.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError(f"a frontier of {self.size} leaves has another number of hashes")
        if any(len(value) != HASH_BYTES for value in self.hashes):
            raise ValueError(f"a frontier is made of hashes of {HASH_BYTES} bytes")

    def append(self, leaf: bytes) -> Frontier:
        """The frontier with one more leaf hash."""
        return self.extended((leaf,))

    def extended(self, leaves: Iterable[bytes]) -> Frontier:
        """The frontier with these leaf hashes after its own."""
        size, hashes = self.size, list(self.hashes)
        for leaf in leaves:
            bits, found = size, leaf
            while bits & 1:
                found = node_hash(hashes.pop(), found)
                bits >>= 1
            hashes.append(found)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """The tree hash."""
        if not self.hashes:
            return EMPTY_ROOT
        found = self.hashes[-1]
        for left in self.hashes[-2::-1]:
            found = node_hash(left, found)
        return found

    def to_bytes(self) -> bytes:
        """Size (8 bytes, big endian), then the hashes, largest subtree first."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The frontier of these bytes. Raises ValueError."""
        size, rest = data[:_SIZE_BYTES], data[_SIZE_BYTES:]
        if len(size) != _SIZE_BYTES or len(rest) % HASH_BYTES:
            raise ValueError("not a frontier: size and whole hashes")
        hashes = tuple(rest[at : at + HASH_BYTES] for at in range(0, len(rest), HASH_BYTES))
        return cls(int.from_bytes(size, "big"), hashes)
