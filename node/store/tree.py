"""The tree over the log, as it is read: checkpoints, cosignatures, tiles and the proofs that are made of them.

Nothing here writes; `node.store.tree_growth` does. A proof costs one query for the tiles on its way, a handful at any
size of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from federation.errors import OwnNotFound, OwnRecordDamaged
from federation.ports import CheckpointRow, Cosignature, LogGeneration
from node.store.database import Database
from node.store.generations import CHECKPOINT, all_generations, read_checkpoint_row
from node.store.times import from_micros
from trust.errors import TileRejected
from trust.tiles import (
    Tile,
    TileReader,
    consistency_from_tiles,
    inclusion_from_tiles,
    tiles_for_consistency,
    tiles_for_inclusion,
)

__all__ = ["TreeStore"]

_SIGNED: Final = -9
"""In place of a tile's level: the row that says that the tree is signed. Tiles have levels from -1 on."""

_CHECKPOINTS = f"SELECT {CHECKPOINT} FROM checkpoints"  # noqa: S608 - names of ours
_OF_ONE = f"{_CHECKPOINTS} WHERE generation = :g"
_OF_OPEN = f"{_CHECKPOINTS} WHERE generation = (SELECT max(generation) FROM log_generations)"  # noqa: S608
_SIGNED_LAST = "AND note IS NOT NULL ORDER BY size DESC LIMIT 1"
_SETTLED_LAST = "AND settled_at IS NOT NULL ORDER BY size DESC LIMIT 1"
_EXACTLY = f"{_OF_ONE} AND size = :size AND note IS NOT NULL"
_SETTLED_FOR = f"{_OF_ONE} AND size > :leaf AND settled_at IS NOT NULL ORDER BY size LIMIT 1"
_COSIGNATURES = (
    "SELECT witness, cosigned_at, line FROM cosignatures"
    " WHERE generation = :g AND size = :size ORDER BY witness"
)
_TILE = "SELECT hashes FROM tiles WHERE generation = :g AND level = :level AND position = :position"


_IS_SIGNED = (
    f"SELECT * FROM (SELECT {_SIGNED} AS level, size, root FROM checkpoints"  # noqa: S608 - a number of ours
    " WHERE generation = :g AND size >= :size AND note IS NOT NULL ORDER BY size LIMIT 1) AS signed"
)
_OF_TREE = "SELECT level, position, hashes FROM tiles WHERE generation = :g"


@lru_cache(maxsize=64)
def _some_tiles(count: int) -> str:
    """So many tiles of one generation, each by the whole of its key, since SQLite takes no index for a list of pairs;
    and a row of level `_SIGNED` when there is a signed checkpoint of that size or a larger one.
    """
    each = [f"(level = :l{one} AND position = :p{one})" for one in range(count)]
    return f"{_IS_SIGNED} UNION ALL {_OF_TREE} AND ({' OR '.join(each) or '1 = 0'})"


class TreeStore:
    """Implements `federation.ports.Tree`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def generations(self) -> Sequence[LogGeneration]:
        """All of them, oldest first."""
        return await self._database.read(all_generations)

    async def latest(self, generation: int | None = None) -> CheckpointRow | None:
        """The newest signed checkpoint of a generation, or of the open one."""
        return await self._last(_SIGNED_LAST, generation)

    async def latest_settled(self, generation: int | None = None) -> CheckpointRow | None:
        """The newest settled checkpoint of a generation, or of the open one."""
        return await self._last(_SETTLED_LAST, generation)

    async def checkpoint(self, generation: int, size: int) -> CheckpointRow | None:
        """The signed checkpoint of exactly that size."""
        return await self._row(_EXACTLY, g=generation, size=size)

    async def settled_for(self, generation: int, leaf: int) -> CheckpointRow | None:
        """The earliest settled checkpoint that holds the leaf."""
        return await self._row(_SETTLED_FOR, g=generation, leaf=leaf)

    async def cosignatures_of(self, generation: int, size: int) -> Sequence[Cosignature]:
        """The cosignatures of a checkpoint, by witness in order."""
        rows = await self._database.look(_COSIGNATURES, g=generation, size=size)
        return [Cosignature(witness, from_micros(at), line.rstrip("\n")) for witness, at, line in rows]

    async def inclusion(self, generation: int, leaf: int, size: int) -> tuple[bytes, ...]:
        """The audit path of a leaf. Raises OwnNotFound; OwnRecordDamaged when a tile is gone."""
        with _no_such_tree():
            tiles = tiles_for_inclusion(leaf, size)
        reader = await self._tiles(generation, size, tiles)
        with _damaged_tree():
            return inclusion_from_tiles(reader, leaf, size)

    async def consistency(self, generation: int, old: int, new: int) -> tuple[bytes, ...]:
        """The proof from `old` to `new`. Raises OwnNotFound; OwnRecordDamaged when a tile is gone."""
        with _no_such_tree():
            tiles = tiles_for_consistency(old, new)
        reader = await self._tiles(generation, new, tiles)
        with _damaged_tree():
            return consistency_from_tiles(reader, old, new)

    async def tile(self, generation: int, level: int, position: int) -> bytes | None:
        """A stored tile."""
        rows = await self._database.look(_TILE, g=generation, level=level, position=position)
        return bytes(rows[0][0]) if rows else None

    async def _last(self, which: str, generation: int | None) -> CheckpointRow | None:
        if generation is None:
            return await self._row(f"{_OF_OPEN} {which}")
        return await self._row(f"{_OF_ONE} {which}", g=generation)

    async def _row(self, sql: str, **parameters: int) -> CheckpointRow | None:
        rows = await self._database.look(sql, **parameters)
        return read_checkpoint_row(rows[0]) if rows else None

    async def _tiles(self, generation: int, size: int, tiles: Sequence[Tile]) -> TileReader:
        """Tiles of a tree that is signed, in one query. Raises OwnNotFound when that size is not."""
        places = {"size": size, **_places(generation, tiles)}
        rows = await self._database.look(_some_tiles(len(tiles)), **places)
        if not any(level == _SIGNED for level, _, _ in rows):
            raise OwnNotFound(f"generation {generation} of the log has no checkpoint of {size} records yet")
        found = {(level, position): bytes(hashes) for level, position, hashes in rows}

        def reader(level: int, position: int, width: int) -> bytes:
            return found.get((level, position), b"")

        return reader


def _places(generation: int, tiles: Sequence[Tile]) -> Mapping[str, int]:
    levels = {f"l{number}": tile.level for number, tile in enumerate(tiles)}
    return {"g": generation, **levels, **{f"p{number}": tile.position for number, tile in enumerate(tiles)}}


@contextmanager
def _no_such_tree() -> Iterator[None]:
    try:
        yield
    except IndexError as error:
        raise OwnNotFound(str(error)) from None


@contextmanager
def _damaged_tree() -> Iterator[None]:
    try:
        yield
    except TileRejected as error:
        raise OwnRecordDamaged(f"the log's tree is damaged: {error.detail}; see yrd log verify") from error
