"""What lies in a node's store, read as the node's own machine could read it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from federation.ports import RecordKind
from node.clock import SystemClock
from node.config import read_config
from node.keystore.configured import opened_keystore
from node.keystore.data_keys import DataKeys
from node.keystore.encrypted_bodies import EncryptedBodies
from node.store.database import open_database
from node.store.records import RECORD_ROWS, RecordReader
from node.store.tables import RECORDS

__all__ = ["newest_envelope"]


def newest_envelope(config_path: Path, kind: RecordKind) -> bytes:
    """The newest envelope of a kind in a node's log. The node may be running or not."""
    with ThreadPoolExecutor(1) as beside:  # whoever asks may be on an event loop
        return beside.submit(asyncio.run, _newest_envelope(config_path, kind)).result()


async def _newest_envelope(config_path: Path, kind: RecordKind) -> bytes:
    config, clock = read_config(config_path), SystemClock()
    database = open_database(config.store.url)
    query = RECORD_ROWS.where(RECORDS.c.kind == int(kind)).order_by(RECORDS.c.log_index.desc()).limit(1)
    try:
        async with opened_keystore(config.keys, database, clock, whole=False) as keystore:
            keys = await DataKeys.open(database, keystore.wrapping, clock)
        async with database.reading() as connection:
            row = (await connection.execute(query)).mappings().one()
        return RecordReader(EncryptedBodies(keys)).body(row).envelope
    finally:
        await database.close()
