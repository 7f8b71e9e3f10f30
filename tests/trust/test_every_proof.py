"""For every size up to 300: each inclusion and consistency proof verifies, from leaves and from tiles, and none that
was altered does.

A root does not say how many leaves it is over: two sizes in which a proof takes the same turns accept the same
proof. That is the standard's; what binds a root to its size is the signed checkpoint. So another index or size is
refused here exactly when its turns differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest

from trust import merkle
from trust.merkle import (
    consistency_proof,
    consistency_ranges,
    inclusion_paths,
    inclusion_ranges,
    verify_consistency,
    verify_inclusion,
)
from trust.tiles import consistency_from_tiles, extend_tiles, inclusion_from_tiles, root_of

MOST = 300
PARTS = 6
DATA = [index.to_bytes(2, "big") for index in range(MOST)]
LEAVES = [merkle.leaf_hash(data) for data in DATA]
OTHER = merkle.leaf_hash(b"of no tree")

Proof = tuple[bytes, ...]


@pytest.fixture(scope="module")
def remembered() -> Iterator[None]:
    """The same few nodes are hashed again and again: remembering them takes most of the time away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "node_hash", lru_cache(200_000)(merkle.node_hash))
        yield


@pytest.fixture(scope="module")
def roots(remembered: None) -> list[bytes]:
    frontier, found = merkle.Frontier(), []
    for leaf in LEAVES:
        found.append(frontier.root())
        frontier = frontier.append(leaf)
    return [*found, frontier.root()]


def sizes(part: int) -> range:
    return range(1 + part, MOST + 1, PARTS)


def altered(proof: Proof, turn: int, *, all_places: bool) -> Iterator[Proof]:
    """Each hash another; one dropped, one added, two swapped: at every place, or at one that moves with `turn`."""
    for place in range(len(proof)):
        yield (*proof[:place], OTHER, *proof[place + 1 :])
    turns = range(len(proof) + 1) if all_places else [turn % (len(proof) + 1)]
    for place in turns:
        yield (*proof[:place], OTHER, *proof[place:])
        if place < len(proof):
            yield proof[:place] + proof[place + 1 :]
            yield (*proof[: place + 1], *proof[place:])
        if place + 1 < len(proof):
            yield (*proof[:place], proof[place + 1], proof[place], *proof[place + 2 :])


def inclusion_turns(index: int, size: int) -> list[bool] | None:
    """Which hashes of a path are to the left, lowest first; None when there is no such leaf."""
    if not 0 <= index < size:
        return None
    return [low < index for low, _ in inclusion_ranges(index, size)]


def consistency_turns(old: int, new: int) -> tuple[bool, list[bool]] | None:
    """Whether the old root is a node of the new tree, and which hashes of the proof are in the old tree."""
    if not 0 < old < new:
        return None
    return old & (old - 1) == 0, [high <= old for _, high in consistency_ranges(old, new)]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_inclusion_proof_verifies_and_no_altered_one(part: int, roots: list[bytes]) -> None:
    for size in sizes(part):
        root, paths = inclusion_paths(LEAVES[:size])
        assert root == roots[size]
        for index, path in enumerate(paths):
            leaf = LEAVES[index]
            assert verify_inclusion(leaf, index, size, path, root)
            assert not verify_inclusion(OTHER, index, size, path, root)
            assert not verify_inclusion(leaf, index, size, path, OTHER)
            for other in altered(path, index, all_places=size < 40):
                assert not verify_inclusion(leaf, index, size, other, root)
            assert_holds_for_its_place_only(index, size, path, root)


def assert_holds_for_its_place_only(index: int, size: int, path: Proof, root: bytes) -> None:
    leaf, turns = LEAVES[index], inclusion_turns(index, size)
    indices = range(-1, size + 2) if size < 40 else (index - 1, index + 1, size - 1 - index)
    for other in {*indices} - {index}:
        assert not verify_inclusion(leaf, other, size, path, root)
    for other in {size - 1, size + 1, size * 2, size // 2, index + 1} - {size}:
        same = inclusion_turns(index, other) == turns
        assert verify_inclusion(leaf, index, other, path, root) == same


@pytest.mark.parametrize("part", range(PARTS))
def test_every_consistency_proof_verifies_and_no_altered_one(part: int, roots: list[bytes]) -> None:
    for new in sizes(part):
        new_root = roots[new]
        for old in range(1, new):
            old_root, proof = roots[old], consistency_proof(LEAVES, old, new)
            assert verify_consistency(old, old_root, new, new_root, proof)
            assert not verify_consistency(old, OTHER, new, new_root, proof)
            assert not verify_consistency(old, old_root, new, OTHER, proof)
            assert not verify_consistency(old, new_root, new, old_root, proof)
            for other in altered(proof, old, all_places=new < 40):
                assert not verify_consistency(old, old_root, new, new_root, other)
            turns = consistency_turns(old, new)
            for sizes_of in ((old - 1, new), (old + 1, new), (old, new + 1), (old * 2, new * 2), (new, old)):
                same = consistency_turns(*sizes_of) == turns
                assert verify_consistency(sizes_of[0], old_root, sizes_of[1], new_root, proof) == same


@pytest.mark.parametrize("part", range(PARTS))
def test_tiles_give_every_root_and_the_same_proofs_as_leaves(part: int, roots: list[bytes]) -> None:
    tiles = extend_tiles(0, {}, DATA).tiles

    def reader(level: int, position: int, width: int) -> bytes:
        return tiles[level, position]

    for size in sizes(part):
        paths = inclusion_paths(LEAVES[:size])[1]
        assert root_of(reader, size) == roots[size]
        for index in {*range(part, size, 7), 0, size // 2, size - 1}:
            assert inclusion_from_tiles(reader, index, size) == paths[index]
            assert consistency_from_tiles(reader, index, size) == consistency_proof(LEAVES, index, size)
