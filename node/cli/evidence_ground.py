"""What the commands that keep evidence stand on: the store with its data keys open, node running or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from node.archive_forgetting import ArchiveForgetting
from node.archive_parts import ArchiveParts, archive_parts
from node.clock import SystemClock
from node.config import Config
from node.keeping import Keeping
from node.keystore import Keystore
from node.keystore.configured import opened_keystore
from node.keystore.data_keys import DataKeys
from node.keystore.holder_hashes import HolderHashes
from node.store.audit import AuditRows
from node.store.database import Database, open_database
from node.store.keeping import KeepingRows

__all__ = ["EvidenceGround", "opened_evidence"]


@dataclass(frozen=True, slots=True)
class EvidenceGround:
    """The parts that a command takes what it needs from."""

    config: Config
    database: Database
    keystore: Keystore
    data_keys: DataKeys
    holders: HolderHashes
    rows: KeepingRows
    keeping: Keeping
    audit: AuditRows
    archives: ArchiveParts | None


@asynccontextmanager
async def opened_evidence(config: Config) -> AsyncIterator[EvidenceGround]:
    """Raises KeystoreError, OwnStoreUnavailable."""
    clock = SystemClock()
    database = await asyncio.to_thread(open_database, config.store.url)
    try:
        async with opened_keystore(config.keys, database, clock) as keystore:
            publish_s = config.keys.publish_s
            data_keys = await DataKeys.open(
                database, keystore.wrapping, clock, cipher=config.evidence.cipher, publish_s=publish_s
            )
            rows, audit = KeepingRows(database), AuditRows(database, clock)
            rules = config.evidence.retention.rules
            archives = archive_parts(config, database, keystore, data_keys, clock)
            forgetting = ArchiveForgetting(archives) if archives else None
            keeping = Keeping(rows, data_keys, audit, clock, rules, forgetting, publish_s=publish_s)
            holders = HolderHashes(data_keys)
            yield EvidenceGround(
                config, database, keystore, data_keys, holders, rows, keeping, audit, archives
            )
    finally:
        await database.close()
