"""Records of a log as rows, without a journal: leaves that are told apart by their number."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from sqlalchemy import UpdateBase, insert, select

from node.sequencer import Sequencer
from node.store.database import Database
from node.store.log_gate import StoreLogGate
from node.store.log_mark import FileMark
from node.store.tables import ARCHIVES, CHECKPOINTS, RECORDS
from node.store.tree_growth import LEAVES_PER_TURN, TreeGrowth
from tests.support.clock import FixedClock
from trust.keys import SigningKey
from trust.merkle import leaf_hash, root

__all__ = [
    "ENTITY",
    "LOG_KEY",
    "Log",
    "add_archive",
    "add_records",
    "change",
    "leaf_of",
    "root_over",
    "sizes",
]

ENTITY = "http://127.0.0.1:7011"
LOG_KEY = SigningKey.generate("EdDSA")


def leaf_of(index: int) -> bytes:
    """The leaf data of a record."""
    return b"\x01" + sha256(f"record {index}".encode()).digest()


def root_over(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree over that leaf data."""
    return root([leaf_hash(leaf) for leaf in leaves])


async def sizes(database: Database, generation: int = 1) -> Sequence[int]:
    """Of the checkpoints of a generation, in their order."""
    query = select(CHECKPOINTS.c.size).where(CHECKPOINTS.c.generation == generation)
    async with database.reading() as connection:
        return list((await connection.execute(query.order_by(CHECKPOINTS.c.size))).scalars())


async def change(database: Database, statement: UpdateBase) -> None:
    """Write to the store behind the node's back."""
    async with database.writing() as connection:
        await connection.execute(statement)


async def add_records(database: Database, first: int, count: int, *, generation: int = 1) -> Sequence[bytes]:
    """Write that many records; their leaf data."""
    leaves = [leaf_of(index) for index in range(first, first + count)]
    rows = [
        {
            "log_index": index,
            "generation": generation,
            "kind": 1,
            "label": 1,
            "request_id": f"request-{index}",
            "case_number": "",
            "recorded_at": index,
            "identity": b"",
            "leaf": leaf,
            "key_id": 0,
            "wrapped": b"",
        }
        for index, leaf in enumerate(leaves, first)
    ]
    async with database.writing() as connection:
        await connection.execute(insert(RECORDS), rows)
    return leaves


async def add_archive(database: Database, last: int) -> None:
    """Note that the records up to that one are in an archive, and left the database."""
    plain = {int: 0, str: "", bytes: b""}
    row = {column.name: plain[column.type.python_type] for column in ARCHIVES.c if not column.nullable}
    row |= {"name": "2026-10", "last_index": last, "emptied_at": 1}
    async with database.writing() as connection:
        await connection.execute(insert(ARCHIVES).values(**row))


class Log:
    """One process' part in a log: its growth, gate, mark and sequencer."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        key: SigningKey = LOG_KEY,
        leaves_per_turn: int = LEAVES_PER_TURN,
    ) -> None:
        self.clock = FixedClock()
        self.key = key
        self.growth = TreeGrowth(database, leaves_per_turn=leaves_per_turn)
        self.gate = StoreLogGate()
        self.mark = FileMark(folder / "log.mark")
        self.sequencer = Sequencer(
            self.growth, self.mark, self.gate, lambda: key, self.clock, entity_id=ENTITY
        )

    def close(self) -> None:
        """Let go of its connection."""
        self.growth.close()
