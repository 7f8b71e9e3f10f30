"""What the work on archives stands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from federation.evidence_ports import FormerKeyDocuments, StatementArchive
from federation.ports import Clock, Codec, Tree
from node.archive_folder import Step
from node.keystore.data_keys import DataKeys
from node.store.archives import ArchiveRows
from node.store.keeping import KeepingRows
from trust.keys import Signer

__all__ = ["ArchiveParts"]


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
