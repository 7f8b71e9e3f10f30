"""`trust.known_tree`: it says what `verify_inclusion` says, whatever it was asked before."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import known_tree
from trust.known_tree import KnownTree
from trust.merkle import HASH_BYTES, inclusion_path, leaf_hash, root, verify_inclusion

LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(70)]


def split(proof: bytes) -> list[bytes]:
    return [proof[at : at + HASH_BYTES] for at in range(0, len(proof), HASH_BYTES)]


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_in_the_tree_in_any_order(size: int, data: st.DataObject) -> None:
    leaves = LEAVES[:size]
    tree = KnownTree(size, root(leaves))
    for index in data.draw(st.permutations(range(size))):
        assert tree.holds(leaves[index], index, b"".join(inclusion_path(leaves, index)))


@given(st.integers(1, 70), st.data())
def test_it_says_what_the_whole_computation_says(size: int, data: st.DataObject) -> None:
    leaves = LEAVES[:size]
    tree = KnownTree(size, root(leaves))
    for _ in range(12):
        true = data.draw(st.integers(0, size - 1))
        proof = bytearray(b"".join(inclusion_path(leaves, true)))
        index = data.draw(st.sampled_from((true, true ^ 1, true + 1, true >> 1, -1, size)))
        leaf = leaves[data.draw(st.sampled_from((true, (true ^ 1) % size)))]
        change = data.draw(st.sampled_from(("none", "flip", "cut", "more", "ragged")))
        if change == "flip" and proof:
            proof[data.draw(st.integers(0, len(proof) - 1))] ^= 1
        elif change == "cut":
            del proof[-HASH_BYTES:]
        elif change == "more":
            proof += bytes(HASH_BYTES)
        elif change == "ragged":
            proof += b"\0"
        expected = verify_inclusion(leaf, index, size, split(bytes(proof)), root(leaves))
        assert tree.holds(leaf, index, bytes(proof)) == expected


def test_a_path_that_no_tree_has_is_none() -> None:
    tree = KnownTree(1, LEAVES[0])
    assert tree.holds(LEAVES[0], 0, b"")
    assert not tree.holds(LEAVES[0], 0, bytes(64 * HASH_BYTES))
    assert not KnownTree(0, sha256(b"").digest()).holds(LEAVES[0], 0, b"")


def test_it_remembers_so_many_nodes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_tree, "NODES_REMEMBERED", 20)
    tree = KnownTree(70, root(LEAVES))
    for index, leaf in enumerate(LEAVES):
        assert tree.holds(leaf, index, b"".join(inclusion_path(LEAVES, index)))
        assert len(tree._known) <= 20
