"""Merkle trees against RFC 6962's own recursion and the vectors of its reference implementation."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import merkle

# Inputs and roots of certificate-transparency's merkle tree tests (C++ reference implementation, Apache-2.0).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(data) for data in INPUTS]


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert merkle.root([]) == sha256(b"").digest()
    assert [merkle.root(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS


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
