"""What the work on archives stands on, from a configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from federation.errors import OwnKeyUnavailable
from federation.evidence_ports import FormerKeyDocuments, StatementArchive
from federation.ports import Clock, Codec, Tree
from federation.rpc.convert import ProtobufCodec
from federation.statements import StatementKind
from node.archive_folder import Step
from node.config import Config
from node.keystore import Keystore
from node.keystore.data_keys import DataKeys
from node.keystore.encrypted_bodies import EncryptedBodies
from node.keystore.releasing import releasing_signer
from node.own_documents import historical_keys
from node.store.archives import ArchiveRows
from node.store.database import Database
from node.store.keeping import KeepingRows
from node.store.tree import TreeStore
from node.store.trust import TrustRows
from trust.keys import Signer

__all__ = ["ArchiveParts", "StoredFormerKeys", "archive_parts"]


def _nothing(_step: str) -> None:
    """Nobody is told."""


class ArchiveParts(Struct, frozen=True):
    """`anchor_jwks` is what files are verified from; `after` is told of each step."""

    folder: Path
    rows: ArchiveRows
    keeping: KeepingRows
    keys: DataKeys
    statements: StatementArchive
    tree: Tree
    codec: Codec
    signer: Callable[[], Signer]
    clock: Clock
    entity_id: str
    anchor: str
    anchor_jwks: Mapping[str, Any]
    former_keys: FormerKeyDocuments | None = None
    split_bytes: int = 16 * 1024 * 1024
    pause_s: float = 0.0
    after: Step = _nothing


class StoredFormerKeys:
    """The lists of former keys that the node fetched, for work beside it; its own it signs anew. Implements
    `federation.evidence_ports.FormerKeyDocuments`, and asks nobody.
    """

    def __init__(self, config: Config, statements: TrustRows, keystore: Keystore, clock: Clock) -> None:
        self._own_entity = config.node.entity_id
        self._own = historical_keys(config, keystore)
        self._statements = statements
        self._clock = clock

    async def newest_of(self, entity_id: str, *, since: datetime) -> str | None:
        """The newest that is stored, however old."""
        now = self._clock.now()
        if entity_id == self._own_entity:
            try:
                return await asyncio.to_thread(self._own, now)
            except OwnKeyUnavailable:
                return None
        kind = StatementKind.HISTORICAL_KEYS
        found = await self._statements.find_statement(entity_id, entity_id, kind, at=now)
        return None if found is None else found.token


def archive_parts(
    config: Config,
    database: Database,
    keystore: Keystore,
    data_keys: DataKeys,
    clock: Clock,
    *,
    former_keys: FormerKeyDocuments | None = None,
    pause_s: float = 0.0,
) -> ArchiveParts | None:
    """What `[evidence] archive` asks for; None without a folder."""
    if config.evidence.archive is None:
        return None
    statements = TrustRows(database)
    return ArchiveParts(
        folder=config.evidence.archive,
        rows=ArchiveRows(database, EncryptedBodies(data_keys)),
        keeping=KeepingRows(database),
        keys=data_keys,
        statements=statements,
        tree=TreeStore(database),
        codec=ProtobufCodec(),
        signer=releasing_signer(keystore, "envelope"),
        clock=clock,
        entity_id=config.node.entity_id,
        anchor=config.trust.anchor,
        anchor_jwks=orjson.loads(config.trust.anchor_keys.read_bytes()),
        former_keys=former_keys or StoredFormerKeys(config, statements, keystore, clock),
        split_bytes=config.evidence.archive_bytes,
        pause_s=pause_s,
    )
