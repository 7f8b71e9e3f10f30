"""Tiles: the standard's names and widths, growing in any steps, and proofs from tiles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.trust.log_vectors import vectors
from trust import merkle
from trust.errors import TileRejected
from trust.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Extension,
    Tile,
    consistency_from_tiles,
    cut_bundle,
    cut_tile,
    edge_tiles,
    extend_tiles,
    inclusion_from_tiles,
    parse_tile_path,
    read_bundle,
    root_of,
    tile_path,
    tile_width,
    tiles_for_consistency,
    tiles_for_inclusion,
    tiles_for_root,
    write_bundle,
)

VECTORS: dict[str, Any] = vectors("tiles")


def entry(index: int) -> bytes:
    return b"\x01" + index.to_bytes(32, "big")


class Store:
    """Keeps tiles as a database would: one row for each level and position, the partial ones rewritten."""

    def __init__(self) -> None:
        self.size = 0
        self.rows: dict[tuple[int, int], bytes] = {}
        self.read: list[Tile] = []

    def edge(self) -> dict[tuple[int, int], bytes]:
        return {
            (tile.level, tile.position): self.rows[tile.level, tile.position]
            for tile in edge_tiles(self.size)
        }

    def grow(self, count: int) -> Extension:
        entries = [entry(self.size + step) for step in range(count)]
        extension = extend_tiles(self.size, self.edge(), entries)
        self.rows.update(extension.tiles)
        self.size = extension.size
        return extension

    def __call__(self, level: int, position: int, width: int) -> bytes:
        self.read.append(Tile(level, position, width))
        return self.rows[level, position]


@pytest.fixture(scope="module")
def large() -> Store:
    """The tree of the standard's example: three levels."""
    store = Store()
    store.grow(VECTORS["tree"]["size"])
    return store


# --- names and widths ---


def test_paths_are_those_of_the_standard() -> None:
    for position, path in VECTORS["path"].items():
        assert tile_path(0, int(position)) == path
        assert parse_tile_path(path) == Tile(0, int(position), TILE_WIDTH)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999, 1), "tile/0/999.p/1"),
        (Tile(7, 1000, 255), "tile/7/x001/000.p/255"),
        (Tile(ENTRIES, 0, 17), "tile/entries/000.p/17"),
        (Tile(ENTRIES, 1_000_000), "tile/entries/x001/x000/000"),
        (Tile(0, 2**63 - 1), "tile/0/x009/x223/x372/x036/x854/x775/807"),
    ],
)
def test_a_path_is_read_as_it_is_written(tile: Tile, path: str) -> None:
    assert tile_path(*tile) == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x1/000",
        "tile/0/x001",
        "tile/0/X001/000",
        "tile/00/000",
        "tile/01/000",
        "tile/8/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/-0/000",
        "tile/ENTRIES/000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.P/1",
        "tile/0/000.p/1/",
        "tile/0/000/",
        "/tile/0/000",
        "tile//0/000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/0/../000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
    ],
)
def test_nothing_but_the_one_spelling_of_a_path_is_read(path: str) -> None:
    with pytest.raises(TileRejected):
        parse_tile_path(path)


@given(st.text(alphabet="tile/0123456789x.pns", max_size=30) | st.text(max_size=20))
@example("tile/entries/x001/x234/067.p/5")
def test_a_path_is_a_tile_written_so_or_refused(path: str) -> None:
    try:
        tile = parse_tile_path(path)
    except TileRejected:
        return
    assert tile_path(*tile) == path


@pytest.mark.parametrize(
    ("level", "position", "width"), [(-2, 0, 1), (8, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)]
)
def test_no_path_for_what_is_no_tile(level: int, position: int, width: int) -> None:
    with pytest.raises(TileRejected):
        tile_path(level, position, width)


@pytest.mark.parametrize(
    ("size", "levels"), [(VECTORS["tree"]["size"], VECTORS["tree"]["tiles"]), (256, VECTORS["tree_of_256"])]
)
def test_widths_are_those_of_the_standard(size: int, levels: list[dict[str, int]]) -> None:
    for level in levels:
        full = level["full"]
        assert [tile_width(level["level"], position, size) for position in (full - 1, full, full + 1)] == [
            TILE_WIDTH if full else 0,
            level["partial"],
            0,
        ]
    assert tile_width(len(levels), 0, size) == 0
    assert tile_width(ENTRIES, size // TILE_WIDTH, size) == size % TILE_WIDTH
    partial = [Tile(level["level"], level["full"], level["partial"]) for level in levels if level["partial"]]
    assert [tile for tile in edge_tiles(size) if tile.level != ENTRIES] == partial


# --- bundles ---


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_a_bundle_is_read_as_it_is_written(entries: list[bytes]) -> None:
    bundle = write_bundle(entries)
    assert read_bundle(bundle) == entries
    for width in range(len(entries) + 1):
        assert cut_bundle(bundle, width) == write_bundle(entries[:width])


@given(st.binary(max_size=60))
def test_bytes_are_a_bundle_written_so_or_refused(data: bytes) -> None:
    try:
        entries = read_bundle(data)
    except TileRejected:
        return
    assert write_bundle(entries) == data


def test_a_bundle_is_whole_and_of_256_entries_at_most() -> None:
    whole = write_bundle([b"x"] * TILE_WIDTH)
    assert len(read_bundle(whole)) == TILE_WIDTH
    for broken in (whole + b"\x00\x00", whole[:-1], whole[:-2], b"\x00", b"\x00\x02x"):
        with pytest.raises(TileRejected):
            read_bundle(broken)
    with pytest.raises(TileRejected, match="longer"):
        write_bundle([bytes(2**16)])
    with pytest.raises(TileRejected, match="256 entries, not 257"):
        cut_bundle(whole, 257)
    with pytest.raises(TileRejected, match="32 bytes"):
        cut_tile(bytes(32), 2)


# --- growing ---


@given(st.lists(st.integers(0, 600), max_size=8))
@example([256, 0, 1, 255, 256, 512])
@example([0])
def test_a_tree_grows_by_any_steps_alike(steps: list[int]) -> None:
    store, frontier = Store(), merkle.Frontier()
    for step in steps:
        leaves = [merkle.leaf_hash(entry(store.size + number)) for number in range(step)]
        frontier = frontier.extended(leaves)
        extension = store.grow(step)
        assert (extension.size, extension.root) == (frontier.size, frontier.root())
        assert bool(extension.tiles) == bool(step)
    at_once = Store()
    at_once.grow(store.size)
    assert store.rows == at_once.rows
    bundles = [store.rows[ENTRIES, position] for position in range(-(-store.size // TILE_WIDTH))]
    assert [found for bundle in bundles for found in read_bundle(bundle)] == [*map(entry, range(store.size))]


def test_only_what_changed_is_given_back() -> None:
    store = Store()
    store.grow(512)
    assert store.grow(1).tiles.keys() == {(ENTRIES, 2), (0, 2)}
    assert store.grow(254).tiles.keys() == {(ENTRIES, 2), (0, 2)}
    assert store.grow(1).tiles.keys() == {(ENTRIES, 2), (0, 2), (1, 0)}
    assert store.grow(257).tiles.keys() == {(ENTRIES, 3), (ENTRIES, 4), (0, 3), (0, 4), (1, 0)}
    assert store.grow(0).tiles == {}


def test_the_edge_is_as_long_as_the_size_has_digits(large: Store) -> None:
    assert [(tile.level, tile.width) for tile in edge_tiles(large.size)] == [
        (-1, 112),
        (0, 112),
        (1, 17),
        (2, 1),
    ]
    assert edge_tiles(0) == []
    assert edge_tiles(65_536) == [Tile(2, 0, 1)]
    assert len(edge_tiles(2**62 - 1)) <= 9


@pytest.mark.parametrize("level", [ENTRIES, 0, 1, 2])
def test_a_stored_tile_of_another_width_is_refused(level: int, large: Store) -> None:
    edge = large.edge()
    ((key, tile),) = [(key, tile) for key, tile in edge.items() if key[0] == level]
    unit = 35 if level == ENTRIES else 32
    for other in (None, tile[:-unit], tile + tile[:unit], tile[:-1]):
        broken = {name: value for name, value in {**edge, key: other}.items() if value is not None}
        with pytest.raises(TileRejected):
            extend_tiles(large.size, broken, [entry(large.size)])


def test_what_else_is_stored_is_not_looked_at(large: Store) -> None:
    edge = large.edge()
    assert extend_tiles(large.size, {**edge, (0, 5): b"", (1, 0): b"x"}, [b"e"]) == extend_tiles(
        large.size, edge, [b"e"]
    )


# --- proofs ---

PLACES = [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999]


def test_the_root_is_that_of_the_leaves(large: Store) -> None:
    leaves = [merkle.leaf_hash(entry(index)) for index in range(large.size)]
    assert root_of(large, large.size) == merkle.root(leaves)
    assert root_of(large, 65_536) == merkle.root(leaves[:65_536])
    assert root_of(large, 0) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("index", PLACES)
def test_inclusion_and_consistency_of_a_large_tree(index: int, large: Store) -> None:
    root, size = root_of(large, large.size), large.size
    leaf = merkle.leaf_hash(entry(index))
    path = inclusion_from_tiles(large, index, size)
    assert merkle.verify_inclusion(leaf, index, size, path, root)
    proof = consistency_from_tiles(large, index + 1, size)
    assert merkle.verify_consistency(index + 1, root_of(large, index + 1), size, root, proof)


@pytest.mark.parametrize("index", PLACES)
def test_only_the_tiles_that_were_told_are_read(index: int, large: Store) -> None:
    for told, read in (
        (tiles_for_root(large.size), lambda: root_of(large, large.size)),
        (tiles_for_inclusion(index, large.size), lambda: inclusion_from_tiles(large, index, large.size)),
        (tiles_for_consistency(index, large.size), lambda: consistency_from_tiles(large, index, large.size)),
    ):
        large.read.clear()
        read()
        assert {*large.read} == {*told}
        assert len(told) == len({*told}) <= 6
        assert all(tile.width == tile_width(tile.level, tile.position, large.size) > 0 for tile in told)


def test_proofs_of_older_trees_come_from_the_tiles_of_newer_ones(large: Store) -> None:
    leaves = [merkle.leaf_hash(entry(index)) for index in range(300)]
    for size in (1, 2, 255, 256, 257, 300):
        assert root_of(large, size) == merkle.root(leaves[:size])
        assert inclusion_from_tiles(large, size // 2, size) == merkle.inclusion_path(leaves[:size], size // 2)
        assert consistency_from_tiles(large, size // 2, size) == merkle.consistency_proof(
            leaves, size // 2, size
        )


def test_a_tile_that_is_too_short_is_refused() -> None:
    store = Store()
    store.grow(300)

    def cut(level: int, position: int, width: int) -> bytes:
        return store(level, position, width)[:-32]

    for read in (
        lambda: root_of(cut, 300),
        lambda: inclusion_from_tiles(cut, 299, 300),
        lambda: consistency_from_tiles(cut, 260, 300),
    ):
        with pytest.raises(TileRejected):
            read()


@given(st.data())
def test_a_changed_tile_gives_another_root(data: st.DataObject) -> None:
    store = Store()
    store.grow(300)
    root = root_of(store, 300)
    tile = data.draw(st.sampled_from(tiles_for_root(300)))
    raw = bytearray(store.rows[tile.level, tile.position])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    store.rows[tile.level, tile.position] = bytes(raw)
    assert root_of(store, 300) != root


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        inclusion_from_tiles(Store(), index, size)
    with pytest.raises(IndexError):
        tiles_for_inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 5), (6, 5)])
def test_there_is_no_proof_between_sizes_that_are_none(old: int, new: int) -> None:
    with pytest.raises(IndexError):
        consistency_from_tiles(Store(), old, new)


def test_nothing_to_prove_needs_no_tile() -> None:
    empty = Store()
    assert consistency_from_tiles(empty, 0, 300) == consistency_from_tiles(empty, 300, 300) == ()
    assert (tiles_for_root(0), tiles_for_consistency(0, 300), tiles_for_inclusion(0, 1)) == ([], [], [])
