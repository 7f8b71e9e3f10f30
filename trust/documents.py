"""Where the anchor's signed documents are, relative to its entity id.

All of them are signed, so any copy is as good: the anchor's own server, a folder that it published, a node's
mirror. A mirror serves the same relative paths below its own base. Fetch, list, resolve and historical keys
are the standard's endpoints (OpenID Federation 1.1 §8) and take parameters; the others are plain files, so
that anything that serves files can serve them.
"""

from __future__ import annotations

from trust.identity import tls_name

__all__ = [
    "FETCH_PATH",
    "HISTORICAL_KEYS_PATH",
    "LIST_PATH",
    "MIRROR_PATH",
    "RESOLVE_PATH",
    "ROLL_OVERS_PATH",
    "STATEMENTS_PATH",
    "STATUS_PATH",
    "TLS_PATH",
    "statement_path",
]

FETCH_PATH = "/federation/fetch"
LIST_PATH = "/federation/list"
RESOLVE_PATH = "/federation/resolve"
HISTORICAL_KEYS_PATH = "/federation/historical-keys"
STATUS_PATH = "/federation/status"
ROLL_OVERS_PATH = "/federation/roll-overs"
STATEMENTS_PATH = "/federation/statements"
TLS_PATH = "/federation/tls"
"""Where a node asks, with its federation key, for its next TLS certificate."""

MIRROR_PATH = "/trust/mirror"
"""Below a node's entity id: what it holds of the anchor's documents, for peers to start from."""


def statement_path(subject: str) -> str:
    """The file of the subordinate statement about `subject`: a name that any file system takes."""
    return f"{STATEMENTS_PATH}/{tls_name(subject).partition('.')[0]}"
