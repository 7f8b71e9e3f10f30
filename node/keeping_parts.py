"""Keeping and archiving, put together for a running node."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from federation.trust_sync import TrustSync
from node.archive_forgetting import ArchiveForgetting
from node.archive_parts import archive_parts
from node.archiving import Archivist, month_before
from node.background import Loop, repeat
from node.ground import Ground
from node.keeping import Keeping
from node.store.audit import AuditRows
from node.store.keeping import KeepingRows
from node.store.thinning import Thinning

__all__ = ["keeping_loop"]

_PAUSE_S = 0.05
"""Between two batches, so that what waits for the store goes first."""


def keeping_loop(ground: Ground, trust_sync: TrustSync) -> tuple[str, Loop]:
    """What runs beside: forgetting what is beyond its retention, sealing, new keys, archiving; in that order."""
    config, evidence = ground.config, ground.config.evidence
    archives = archive_parts(
        config,
        ground.database,
        ground.keystore,
        ground.data_keys,
        ground.clock,
        former_keys=trust_sync.former_keys,
        pause_s=_PAUSE_S,
    )
    keeping = Keeping(
        KeepingRows(ground.database),
        ground.data_keys,
        AuditRows(ground.database, ground.clock),
        ground.clock,
        evidence.retention.rules,
        ArchiveForgetting(archives) if archives else None,
        publish_s=config.keys.publish_s,
        pause_s=_PAUSE_S,
    )

    thinning = Thinning(ground.database)

    async def thin(after_days: int) -> None:
        before, goes_on = ground.clock.now() - timedelta(days=after_days), True
        while goes_on:
            _, goes_on = await thinning.batch(before)
            await asyncio.sleep(_PAUSE_S)

    async def keep() -> None:
        await keeping.turn()
        if evidence.thin_checkpoints_after_days is not None:
            await thin(evidence.thin_checkpoints_after_days)
        if archives:
            await Archivist(archives).archive(month_before(ground.clock.now(), evidence.archive_after_days))

    return "keeping", lambda: repeat(keep, every_s=evidence.keep_every_s, name="keeping")
