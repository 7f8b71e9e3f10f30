"""Merkle trees against RFC 6962's own recursion and the vectors of its reference implementation."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.log_vectors import vectors
from trust import merkle

REFERENCE = vectors("merkle")
INPUTS = [bytes.fromhex(text) for text in REFERENCE["leaves"]]
ROOTS = [bytes.fromhex(text) for text in REFERENCE["roots"]]
LEAVES = [merkle.leaf_hash(data) for data in INPUTS]


def hashes(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, texts))


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert [merkle.root(LEAVES[:size]) for size in range(9)] == ROOTS
    levels = [hashes(level) for level in REFERENCE["nodes"]]
    assert tuple(LEAVES) == levels[0]
    for below, above in pairwise(levels):
        assert above == tuple(
            merkle.node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=True)
        )


@pytest.mark.parametrize("case", REFERENCE["inclusion"], ids=str)
def test_paths_are_those_of_the_reference_implementation(case: dict[str, Any]) -> None:
    index, size, path = case["index"], case["size"], hashes(case["path"])
    assert merkle.inclusion_path(LEAVES[:size], index) == path
    assert merkle.verify_inclusion(LEAVES[index], index, size, path, ROOTS[size])


@pytest.mark.parametrize("case", REFERENCE["consistency"], ids=str)
def test_consistency_proofs_are_those_of_the_reference_implementation(case: dict[str, Any]) -> None:
    old, new, proof = case["old"], case["new"], hashes(case["proof"])
    assert merkle.consistency_proof(LEAVES, old, new) == proof
    assert merkle.verify_consistency(old, ROOTS[old], new, ROOTS[new], proof)


def _mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return merkle.node_hash(_mth(leaves[:k]), _mth(leaves[k:]))


def _path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, word by word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*_path(m, leaves[:k]), _mth(leaves[k:])]
    return [*_path(m - k, leaves[k:]), _mth(leaves[:k])]


def _subproof(m: int, leaves: list[bytes], known: bool) -> list[bytes]:
    """RFC 6962 §2.1.2, word by word."""
    if m == len(leaves):
        return [] if known else [_mth(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*_subproof(m, leaves[:k], known), _mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), _mth(leaves[:k])]


leaf_lists = st.integers(1, 70).map(lambda size: [merkle.leaf_hash(bytes([i])) for i in range(size)])


@given(leaf_lists, st.data())
def test_root_and_path_are_the_recursion_of_the_rfc(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_path(leaves, index)
    assert merkle.root(leaves) == _mth(leaves)
    assert list(path) == _path(index, leaves)
    assert merkle.verify_inclusion(leaves[index], index, len(leaves), path, merkle.root(leaves))
    root, paths = merkle.inclusion_paths(leaves)
    assert (root, paths[index]) == (merkle.root(leaves), path)


@given(leaf_lists, st.data())
def test_nothing_but_the_right_place_verifies(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path, size = merkle.root(leaves), merkle.inclusion_path(leaves, index), len(leaves)
    other = data.draw(st.integers(0, size + 3).filter(lambda value: value != index))
    assert not merkle.verify_inclusion(leaves[index], other, size, path, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"another"), index, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, (*path, root), root)
    if path:
        cut = data.draw(st.integers(0, len(path) - 1))
        altered = list(path)
        altered[cut] = sha256(altered[cut]).digest()
        assert not merkle.verify_inclusion(leaves[index], index, size, altered, root)
        assert not merkle.verify_inclusion(leaves[index], index, size, path[:-1], root)


def test_a_node_is_not_a_leaf() -> None:
    inner = merkle.node_hash(LEAVES[0], LEAVES[1])
    assert merkle.leaf_hash(LEAVES[0] + LEAVES[1]) != inner
    assert not merkle.verify_inclusion(inner, 0, 2, (), inner)


@pytest.mark.parametrize(("index", "size"), [(-1, 2), (2, 2), (0, 0)])
def test_a_place_outside_the_tree_is_refused(index: int, size: int) -> None:
    assert merkle.root_from_path(LEAVES[0], index, size, ()) is None
    with pytest.raises(IndexError):
        merkle.inclusion_path(LEAVES[:2], index if index else 2)


def test_paths_are_bounded_and_made_of_hashes() -> None:
    assert merkle.root_from_path(LEAVES[0], 0, 2**70, [bytes(32)] * 64) is None
    assert merkle.root_from_path(LEAVES[0], 0, 2, [b"short"]) is None


@given(leaf_lists, st.data())
def test_a_consistency_proof_is_the_recursion_of_the_rfc(leaves: list[bytes], data: st.DataObject) -> None:
    new = data.draw(st.integers(1, len(leaves)))
    old = data.draw(st.integers(1, new))
    assert list(merkle.consistency_proof(leaves, old, new)) == _subproof(old, leaves[:new], True)


@pytest.mark.parametrize(("old", "new"), [(3, 2), (-1, 2), (1, 9)])
def test_there_is_no_proof_between_sizes_that_are_none(old: int, new: int) -> None:
    with pytest.raises(IndexError):
        merkle.consistency_proof(LEAVES, old, new)


def test_every_tree_extends_nothing_and_itself() -> None:
    for size in range(9):
        assert merkle.verify_consistency(0, ROOTS[0], size, ROOTS[size], ())
        assert merkle.verify_consistency(size, ROOTS[size], size, ROOTS[size], ())
        assert not merkle.verify_consistency(0, LEAVES[1], size, ROOTS[size], ())
        assert not merkle.verify_consistency(0, ROOTS[0], size, ROOTS[size], (LEAVES[0],))
        assert not merkle.verify_consistency(size, ROOTS[size], size, ROOTS[size], (LEAVES[0],))
        assert not merkle.verify_consistency(size, ROOTS[size], size, LEAVES[3], ())
    assert not merkle.verify_consistency(0, LEAVES[3], 0, LEAVES[3], ())


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [
        (3, 2, ()),
        (-1, 2, ()),
        (3, 8, ()),
        (2, 8, (b"short", b"short")),
        (1, 2**70, (bytes(32),) * 70),
        (2**62 + 1, 2**62 + 2, (bytes(32),) * 65),
    ],
)
def test_no_proof_of_another_form_is_taken(old: int, new: int, proof: tuple[bytes, ...]) -> None:
    assert not merkle.verify_consistency(old, ROOTS[3], new, ROOTS[8], proof)


# --- a root that grows ---


def test_a_frontier_has_the_root_of_every_prefix_and_keeps_as_many_hashes_as_bits() -> None:
    frontier = merkle.Frontier()
    leaves = [merkle.leaf_hash(index.to_bytes(2, "big")) for index in range(301)]
    for size, leaf in enumerate(leaves):
        assert (frontier.size, frontier.root()) == (size, merkle.root(leaves[:size]))
        assert len(frontier.hashes) == size.bit_count()
        assert merkle.Frontier.from_bytes(frontier.to_bytes()) == frontier
        frontier = frontier.append(leaf)


@given(leaf_lists, st.data())
def test_a_frontier_grows_by_any_steps_alike(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    grown = merkle.Frontier().extended(leaves[:cut]).extended(leaves[cut:])
    assert grown == merkle.Frontier().extended(leaves)
    assert grown.root() == merkle.root(leaves)


@given(st.binary(max_size=150))
def test_bytes_that_are_no_frontier_are_refused(data: bytes) -> None:
    try:
        frontier = merkle.Frontier.from_bytes(data)
    except ValueError:
        return
    assert frontier.to_bytes() == data


@pytest.mark.parametrize(
    ("size", "found"), [(1, ()), (2, (bytes(31),)), (-1, (bytes(32),)), (3, (bytes(32),))]
)
def test_a_frontier_of_other_hashes_is_refused(size: int, found: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="frontier"):
        merkle.Frontier(size, found)
