"""A node whose log is switched off: it signs as ever and stores nothing. Only the bench can compose one.

``python -m tests.bench.null_log serve --config node.toml``: everything else is the node's own, its outbox included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import node.compose
from federation.ports import ClaimState, ClaimVerdict
from node.cli import main
from node.store.batch import BatchStore
from node.store.jobs import Job, StoreExchange, StoreRequest, TakeClaim
from node.store.journal import StoreJournal

__all__ = ["NullJournal"]

_NEW = ClaimVerdict(ClaimState.NEW)


class _NullStore(BatchStore):
    """Signs what goes out, in the same thread and the same batches, and that is all."""

    def open(self) -> None:
        """There is nothing to connect to."""

    def _store(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if isinstance(job, StoreRequest | StoreExchange):
                job.result = job.sealed
            elif isinstance(job, TakeClaim):
                job.result = _NEW


class NullJournal(StoreJournal):
    """The journal of such a node."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._outbox._store.__class__ = _NullStore


if __name__ == "__main__":
    # The one thing that is different; no configuration can say so.
    vars(node.compose)["StoreJournal"] = NullJournal
    main()
