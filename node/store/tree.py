"""The tree over the log, as it is read: checkpoints, cosignatures, tiles and the proofs that are made of them.

Nothing here writes; `node.store.tree_growth` does. A proof costs one query for the tiles on its way, a handful at any
size of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    CompoundSelect,
    Select,
    SmallInteger,
    and_,
    bindparam,
    false,
    func,
    literal,
    or_,
    select,
    union_all,
)

from federation.errors import OwnNotFound, OwnRecordDamaged
from federation.ports import CheckpointRow, Cosignature, LogGeneration
from node.store.database import Database
from node.store.generations import all_generations, read_checkpoint_row
from node.store.tables import CHECKPOINTS, COSIGNATURES, LOG_GENERATIONS, TILES
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

_C, _T, _S = CHECKPOINTS.c, TILES.c, COSIGNATURES.c
_SIGNED: Final = -9
"""In place of a tile's level: the row that says that the tree is signed. Tiles have levels from -1 on."""
_OPEN = select(func.max(LOG_GENERATIONS.c.generation)).scalar_subquery()


@lru_cache(maxsize=64)
def _some_tiles(count: int) -> CompoundSelect[Any]:
    """So many tiles of one generation, each by the whole of its key, since SQLite takes no index for a list of pairs;
    and a row of level `_SIGNED` when there is a signed checkpoint of that size or a larger one.
    """
    each = [
        and_(_T.level == bindparam(f"l{one}"), _T.position == bindparam(f"p{one}")) for one in range(count)
    ]
    signed = (
        select(literal(_SIGNED, SmallInteger).label("level"), _C.size, _C.root)
        .where(_C.generation == bindparam("g"), _C.size >= bindparam("size"), _C.note.is_not(None))
        .order_by(_C.size)
        .limit(1)
        .subquery()
    )
    tiles = select(_T.level, _T.position, _T.hashes)
    return union_all(select(signed), tiles.where(_T.generation == bindparam("g"), or_(false(), *each)))


class TreeStore:
    """Implements `federation.ports.Tree`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def generations(self) -> Sequence[LogGeneration]:
        """All of them, oldest first."""
        async with self._database.reading() as connection:
            return await connection.run_sync(all_generations)

    async def latest(self, generation: int | None = None) -> CheckpointRow | None:
        """The newest signed checkpoint of a generation, or of the open one."""
        return await self._row(_LATEST if generation is None else _latest_of(generation))

    async def latest_settled(self, generation: int | None = None) -> CheckpointRow | None:
        """The newest settled checkpoint of a generation, or of the open one."""
        return await self._row(_of(generation).where(_C.settled_at.is_not(None)).order_by(_C.size.desc()))

    async def checkpoint(self, generation: int, size: int) -> CheckpointRow | None:
        """The signed checkpoint of exactly that size."""
        return await self._row(_of(generation).where(_C.size == size, _C.note.is_not(None)))

    async def settled_for(self, generation: int, leaf: int) -> CheckpointRow | None:
        """The earliest settled checkpoint that holds the leaf."""
        query = _of(generation).where(_C.size > leaf, _C.settled_at.is_not(None)).order_by(_C.size)
        return await self._row(query)

    async def cosignatures_of(self, generation: int, size: int) -> Sequence[Cosignature]:
        """The cosignatures of a checkpoint, by witness in order."""
        query = select(COSIGNATURES).where(_S.generation == generation, _S.size == size).order_by(_S.witness)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings()
            return [
                Cosignature(row["witness"], from_micros(row["cosigned_at"]), row["line"].rstrip("\n"))
                for row in rows
            ]

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
        where = _T.generation == generation, _T.level == level, _T.position == position
        async with self._database.reading() as connection:
            found = (await connection.execute(select(_T.hashes).where(*where))).scalar()
        return None if found is None else bytes(found)

    async def _row(self, query: Select[Any]) -> CheckpointRow | None:
        async with self._database.reading() as connection:
            row = (await connection.execute(query.limit(1))).mappings().one_or_none()
        return None if row is None else read_checkpoint_row(row)

    async def _tiles(self, generation: int, size: int, tiles: Sequence[Tile]) -> TileReader:
        """Tiles of a tree that is signed, in one query. Raises OwnNotFound when that size is not."""
        places = {"size": size, **_places(generation, tiles)}
        async with self._database.reading() as connection:
            rows = (await connection.execute(_some_tiles(len(tiles)), places)).all()
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


def _of(generation: int | None) -> Select[Any]:
    return select(CHECKPOINTS).where(_C.generation == (_OPEN if generation is None else generation))


def _latest_of(generation: int | None) -> Select[Any]:
    return _of(generation).where(_C.note.is_not(None)).order_by(_C.size.desc())


_LATEST: Final = _latest_of(None)
"""Made once, since it is asked for each second."""
