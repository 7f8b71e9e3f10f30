"""Tiles (C2SP tlog-tiles): a tree cut into pieces of 256 hashes, from which any proof can be made.

Level 0 holds leaf hashes; each hash of level n + 1 is the root of a full tile of level n. What a tile holds never
changes; the last one of a level may be partial and grows. Level -1 stands for the entry bundles: the leaf data
themselves, each behind its length in two bytes.

 - Whoever reads: `tiles_for_root`, `tiles_for_inclusion`, `tiles_for_consistency` say which tiles are needed, so that
   they can be fetched at once; `root_of`, `inclusion_from_tiles`, `consistency_from_tiles` make of them what is asked.
 - Whoever writes: `edge_tiles` says which partial tiles a tree of some size ends in, and `extend_tiles` makes of them
   and new leaf data the tiles that changed, and the new root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from trust.errors import TileRejected
from trust.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_ranges,
    hash_pairs,
    inclusion_ranges,
    leaf_hash,
    node_hash,
)

__all__ = [
    "ENTRIES",
    "TILE_WIDTH",
    "Extension",
    "Tile",
    "TileReader",
    "consistency_from_tiles",
    "cut_bundle",
    "cut_tile",
    "edge_tiles",
    "extend_tiles",
    "inclusion_from_tiles",
    "parse_tile_path",
    "read_bundle",
    "root_of",
    "tile_path",
    "tile_width",
    "tiles_for_consistency",
    "tiles_for_inclusion",
    "tiles_for_root",
    "write_bundle",
]

ENTRIES: Final = -1
"""The level of the entry bundles."""
TILE_WIDTH: Final = 256
_HEIGHT: Final = 8
_MOST_LEVELS: Final = 8
_MAX_SIZE: Final = 2**63 - 1
_LENGTH_BYTES: Final = 2
_TOPS_KEPT: Final = 256
"""Of a tree that grows most of the right edge is as it was the last time: two megabytes at most."""
_PATH: Final = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


class Tile(NamedTuple):
    """Which tile: level, position in its level, and of how many hashes (or entries)."""

    level: int
    position: int
    width: int = TILE_WIDTH


class TileReader(Protocol):
    """Where tiles come from."""

    def __call__(self, level: int, position: int, width: int) -> bytes:
        """The tile's hashes, at least `width` of them. May raise TileRejected when there is none."""
        ...


# --- names ---


def tile_path(level: int, position: int, width: int = TILE_WIDTH) -> str:
    """``tile/<L>/<N>[.p/<W>]``, below the log's prefix. Raises TileRejected when there can be no such tile."""
    if not ENTRIES <= level < _MOST_LEVELS or not 1 <= width <= TILE_WIDTH or not 0 <= position <= _MAX_SIZE:
        raise TileRejected(f"there is no tile of level {level}, position {position}, width {width}")
    digits = f"{position:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level == ENTRIES else level}/{name}{partial}"


def parse_tile_path(path: str) -> Tile:
    """The tile of a path; `tile_path` writes it the same again. Raises TileRejected."""
    found = _PATH.fullmatch(path)
    if not found:
        raise TileRejected("a tile's path is tile/<level>/<position>[.p/<width>]")
    level, position, width = found.groups()
    tile = Tile(
        ENTRIES if level == "entries" else int(level),
        int(position.replace("/", "").replace("x", "")),
        int(width or TILE_WIDTH),
    )
    if tile_path(*tile) != path:
        raise TileRejected("the tile's path is not in its one spelling")
    return tile


def tile_width(level: int, position: int, size: int) -> int:
    """How wide this tile is in a tree of `size` leaves: 0 when the tree has none of it, 256 when it is full."""
    hashes = size >> _HEIGHT * max(level, 0)
    return max(0, min(TILE_WIDTH, hashes - position * TILE_WIDTH)) if position >= 0 else 0


# --- entry bundles ---


def write_bundle(entries: Iterable[bytes]) -> bytes:
    """The entries, each behind its length. Raises TileRejected for one that is too long."""
    try:
        return b"".join([len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries])
    except OverflowError:
        raise TileRejected("an entry is longer than a bundle can hold") from None


def read_bundle(bundle: bytes) -> list[bytes]:
    """The entries of a bundle, at most 256. Raises TileRejected."""
    length = bundle[:_LENGTH_BYTES]
    step = _LENGTH_BYTES + int.from_bytes(length, "big")
    count, rest = divmod(len(bundle), step)
    # Entries of one length, as in a log of this profile: they lie side by side.
    if not rest and count <= TILE_WIDTH and _all_alike(bundle, length, step, count):
        return [bundle[at + _LENGTH_BYTES : at + step] for at in range(0, len(bundle), step)]
    return _read_one_by_one(bundle)


def _all_alike(bundle: bytes, length: bytes, step: int, count: int) -> bool:
    return all(bundle[at::step] == length[at : at + 1] * count for at in range(_LENGTH_BYTES))


def _read_one_by_one(bundle: bytes) -> list[bytes]:
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle) or len(entries) == TILE_WIDTH:
            raise TileRejected("the entry bundle is cut off or has too many entries")
        entries.append(bundle[start:at])
    return entries


def cut_bundle(bundle: bytes, width: int) -> bytes:
    """The first `width` entries of a bundle. Raises TileRejected when it has fewer."""
    entries = read_bundle(bundle)
    if len(entries) < width:
        raise TileRejected(f"the entry bundle has {len(entries)} entries, not {width}")
    return write_bundle(entries[:width])


def cut_tile(hashes: bytes, width: int) -> bytes:
    """The first `width` hashes of a tile. Raises TileRejected when it has fewer."""
    if len(hashes) < width * HASH_BYTES:
        raise TileRejected(
            f"the tile has {len(hashes)} bytes, not the {width * HASH_BYTES} of {width} hashes"
        )
    return hashes[: width * HASH_BYTES]


# --- reading ---


def _subtrees(low: int, high: int) -> list[tuple[int, int]]:
    """The full subtrees (height, number) over the leaves [low, high), left to right; low is where one may begin."""
    found = []
    while low < high:
        height = (high - low).bit_length() - 1
        found.append((height, low >> height))
        low += 1 << height
    return found


def _place(height: int, number: int, size: int) -> tuple[Tile, int, int]:
    """The tile below the root of a subtree, and which of its hashes [from, to) the subtree is made of."""
    level, above = divmod(height, _HEIGHT)
    position, start = divmod(number << above, TILE_WIDTH)
    return Tile(level, position, tile_width(level, position, size)), start, start + (1 << above)


def _tiles_of(ranges: Iterable[tuple[int, int]], size: int) -> list[Tile]:
    parts = [part for low, high in ranges for part in _subtrees(low, high)]
    return sorted({_place(height, number, size)[0] for height, number in parts})


def _hash_of(reader: TileReader, low: int, high: int, size: int) -> bytes:
    parts = []
    for height, number in _subtrees(low, high):
        tile, start, end = _place(height, number, size)
        hashes = cut_tile(reader(*tile), tile.width)
        parts.append(_top(hashes[start * HASH_BYTES : end * HASH_BYTES]))
    found = parts.pop()
    while parts:
        found = node_hash(parts.pop(), found)
    return found


@lru_cache(maxsize=_TOPS_KEPT)
def _top(hashes: bytes) -> bytes:
    """The root over a power of two of hashes."""
    while len(hashes) > HASH_BYTES:
        hashes = hash_pairs(hashes)
    return hashes


def tiles_for_root(size: int) -> list[Tile]:
    """The tiles that the root of a tree of `size` leaves is made of."""
    return _tiles_of([(0, size)], size)


def tiles_for_inclusion(index: int, size: int) -> list[Tile]:
    """The tiles that the path of a leaf is made of. Raises IndexError for no such leaf."""
    return _tiles_of(inclusion_ranges(index, size), size)


def tiles_for_consistency(old: int, new: int) -> list[Tile]:
    """The tiles that a consistency proof is made of. Raises IndexError for no such sizes."""
    return _tiles_of(consistency_ranges(old, new), new)


def root_of(reader: TileReader, size: int) -> bytes:
    """The root of the tree of `size` leaves, from its tiles. Raises TileRejected when one is too short."""
    return _hash_of(reader, 0, size, size) if size else EMPTY_ROOT


def inclusion_from_tiles(reader: TileReader, index: int, size: int) -> tuple[bytes, ...]:
    """The path of leaf `index` in the tree of `size` leaves. Raises IndexError, TileRejected.

    The tiles are taken as they are: whoever does not trust them verifies the path.
    """
    return tuple(_hash_of(reader, low, high, size) for low, high in inclusion_ranges(index, size))


def consistency_from_tiles(reader: TileReader, old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the tree of `new` leaves extends the one of `old`. Raises IndexError, TileRejected."""
    return tuple(_hash_of(reader, low, high, new) for low, high in consistency_ranges(old, new))


# --- writing ---


@dataclass(frozen=True, slots=True)
class Extension:
    """A tree after it grew: its size and root, and each tile that changed, whole, by level and position."""

    size: int
    root: bytes
    tiles: Mapping[tuple[int, int], bytes]


def edge_tiles(size: int) -> list[Tile]:
    """The partial tiles and the partial bundle in which a tree of `size` leaves ends, lowest level first."""
    found = [Tile(ENTRIES, size // TILE_WIDTH, size % TILE_WIDTH)]
    for level in range(_MOST_LEVELS):
        position, width = divmod(size >> _HEIGHT * level, TILE_WIDTH)
        found.append(Tile(level, position, width))
    return [tile for tile in found if tile.width]


def extend_tiles(size: int, edge: Mapping[tuple[int, int], bytes], entries: Sequence[bytes]) -> Extension:
    """The tree of `size` leaves with these leaf data after it.

    `edge` holds what is stored of `edge_tiles(size)`, by level and position. Raises TileRejected when one of them is
    missing or not of the width that this size has. Memory: the edge, and what is new.
    """
    stored = _stored_edge(size, edge)
    tiles: dict[tuple[int, int], bytes] = {}
    if entries:
        tiles.update(_longer_bundles(size, stored.get(ENTRIES, b""), entries))
    new, right = b"".join(map(leaf_hash, entries)), []
    for level in range(_MOST_LEVELS):
        hashes = stored.get(level, b"") + new
        position = (size >> _HEIGHT * level) // TILE_WIDTH
        full = [hashes[at : at + _TILE_BYTES] for at in range(0, len(hashes), _TILE_BYTES)]
        if new:
            tiles.update({(level, position + number): tile for number, tile in enumerate(full)})
        partial = full.pop() if len(hashes) % _TILE_BYTES else b""
        new = b"".join(map(_top, full))
        right.append(partial)
    return Extension(size + len(entries), _root_of_edge(right), tiles)


_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES


def _stored_edge(size: int, edge: Mapping[tuple[int, int], bytes]) -> dict[int, bytes]:
    """The partial tiles of a size, by level. Raises TileRejected."""
    stored = {}
    for level, position, width in edge_tiles(size):
        tile = edge.get((level, position), b"")
        found = len(read_bundle(tile)) if level == ENTRIES else len(tile) / HASH_BYTES
        if found != width:
            raise TileRejected(
                f"the tile of level {level}, position {position} has a width of {found:g}; in a tree of {size} leaves "
                f"it has {width}"
            )
        stored[level] = tile
    return stored


def _longer_bundles(
    size: int, partial: bytes, entries: Sequence[bytes]
) -> Iterable[tuple[tuple[int, int], bytes]]:
    position, width = divmod(size, TILE_WIDTH)
    at = TILE_WIDTH - width
    yield (ENTRIES, position), partial + write_bundle(entries[:at])
    for start in range(at, len(entries), TILE_WIDTH):
        position += 1
        yield (ENTRIES, position), write_bundle(entries[start : start + TILE_WIDTH])


def _root_of_edge(right: Sequence[bytes]) -> bytes:
    """The root, from the partial tile of each level, lowest first: each is whole subtrees, and what is below them
    stands to their right.
    """
    found = b""
    for hashes in right:
        for low, high in reversed(_bits(len(hashes) // HASH_BYTES)):
            subtree = _top(hashes[low * HASH_BYTES : high * HASH_BYTES])
            found = node_hash(subtree, found) if found else subtree
    return found or EMPTY_ROOT


def _bits(width: int) -> list[tuple[int, int]]:
    """The full subtrees [from, to) over `width` neighbours, left to right."""
    return [(number << height, number + 1 << height) for height, number in _subtrees(0, width)]
