"""A keystore as the contract suites open it."""

from __future__ import annotations

from sqlalchemy import text

from node.keystore import KeyEncryptionKey, KeyPlan, Keystore
from node.store.database import Database
from tests.support.clock import FixedClock

__all__ = ["OVERLAP_S", "WRAPPING", "opened", "states"]

WRAPPING = KeyEncryptionKey(bytes(range(32)))
OVERLAP_S = 3600


async def opened(database: Database, clock: FixedClock, wrapping: KeyEncryptionKey = WRAPPING) -> Keystore:
    """A replica's keystore on the store, with a plan of known times."""
    return await Keystore.open(database, wrapping, clock, plan=KeyPlan(publish_s=180, overlap_s=OVERLAP_S))


async def states(database: Database) -> list[tuple[str, str]]:
    """What is written: key id and state, in the order of generations."""
    async with database.reading() as connection:
        found = await connection.execute(text("SELECT kid, state FROM keys ORDER BY generation"))
        return [(row.kid, row.state) for row in found]
