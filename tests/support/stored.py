"""What lies in a node's store, read as the node's own machine could read it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from federation.ports import RecordKind
from node.store.bodies import ClearBodies, split_body

__all__ = ["newest_envelope"]

_NEWEST = (
    "SELECT key_id, wrapped, sealed FROM records JOIN bodies USING (log_index) WHERE kind = ?"
    " ORDER BY log_index DESC LIMIT 1"
)


def newest_envelope(config_path: Path, kind: RecordKind) -> bytes:
    """The newest envelope of a kind in a node's log."""
    with sqlite3.connect(f"file:{config_path.with_name('node.db')}?mode=ro", uri=True) as connection:
        key_id, wrapped, sealed = connection.execute(_NEWEST, (kind.value,)).fetchone()
    connection.close()
    return split_body(ClearBodies().open(key_id, wrapped, sealed)).envelope
