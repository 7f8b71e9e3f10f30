"""Audit paths of one tree: what one of them proved, the next does not prove again.

The paths of neighbours are the same in their upper part. A node that was proven to be under the root is remembered
with the rest of its path, byte for byte; a path that reaches it with the same hash and the same rest leads to the same
root. Whatever is not just so is computed in full.
"""

from __future__ import annotations

from typing import Final

from trust.merkle import HASH_BYTES, MAX_PATH, node_hash

__all__ = ["NODES_REMEMBERED", "KnownTree"]

NODES_REMEMBERED: Final = 4096
"""When there are more, all are forgotten."""
_Node = tuple[int, int]
"""Its number in its row, and the number of the last one there, which tells the rows of a tree apart."""
_Proven = tuple[bytes, bytes]
"""The hash of a node, and the rest of its path."""


class KnownTree:
    """The tree of `size` leaves under `root`. Not for several threads."""

    def __init__(self, size: int, root: bytes) -> None:
        self._size = size
        self._root = root
        self._known: dict[_Node, _Proven] = {}

    def holds(self, leaf: bytes, index: int, proof: bytes) -> bool:
        """Whether the hashes in `proof`, lowest first, prove that `leaf` is leaf `index`: what `verify_inclusion`
        says.
        """
        if not 0 <= index < self._size or len(proof) > MAX_PATH * HASH_BYTES:
            return False
        node, last, found, at = index, self._size - 1, leaf, 0
        walked: list[tuple[_Node, _Proven]] = []
        while self._known.get((node, last)) != (found, rest := proof[at:]):
            if last == 0:
                if rest or found != self._root:
                    return False
                break
            sibling = rest[:HASH_BYTES]
            if len(sibling) != HASH_BYTES:
                return False
            at += HASH_BYTES
            walked.append(((node, last), (found, rest)))
            if node & 1 or node < last:
                walked.append(((node ^ 1, last), (sibling, found + proof[at:])))
            if node & 1 or node == last:
                found = node_hash(sibling, found)
                while not node & 1 and node:
                    node, last = node >> 1, last >> 1
            else:
                found = node_hash(found, sibling)
            node, last = node >> 1, last >> 1
        self._remember(walked)
        return True

    def _remember(self, walked: list[tuple[_Node, _Proven]]) -> None:
        if len(self._known) + len(walked) > NODES_REMEMBERED:
            self._known.clear()
        self._known.update(walked)
