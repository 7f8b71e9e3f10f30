"""A node whose log is switched off: it signs as ever and stores nothing. Only the bench can compose one.

``python -m tests.bench.null_log serve --config node.toml``: everything else is the node's own, its outbox included.
With ``--claims`` first it keeps the claims of check 7, without which a request could be replayed: what is left out then
is evidence alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import node.compose
from federation.ports import ClaimState, ClaimVerdict
from node.cli import main
from node.store.batch import BatchStore
from node.store.jobs import Job, StoreExchange, StoreRequest, TakeClaim
from node.store.journal import StoreJournal
from node.store.log_connection import LogConnection
from node.store.plan import Plan, settle, take_claims
from node.store.tables import CLAIM_FINISHED
from node.store.times import to_micros

__all__ = ["ClaimsJournal", "NullJournal"]

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


class _ClaimStore(BatchStore):
    """Keeps claims, and no record; nothing of it waits for the disk."""

    def _transact(self, connection: LogConnection, plan: Plan, *, carefully: bool) -> bool:
        del carefully
        now = to_micros(self._clock.now())
        finishes = [
            (CLAIM_FINISHED, 0, job.meta.asking, job.meta.request_id, job.request_identity, "", None)
            for job in plan.exchanges
        ]
        if finishes or plan.claims:
            connection.begin(durable=False)
            connection.finish_claims(finishes)
            take_claims(connection, plan.claims, now, self._bodies)
            connection.commit()
        settle(plan)
        return True


class NullJournal(StoreJournal):
    """The journal of such a node."""

    _store_class: ClassVar[type[BatchStore]] = _NullStore

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._outbox._store.__class__ = self._store_class


class ClaimsJournal(NullJournal):
    """The journal of one that keeps claims."""

    _store_class = _ClaimStore


if __name__ == "__main__":
    keeps_claims = "--claims" in sys.argv[1:2]
    if keeps_claims:
        del sys.argv[1]
    # The one thing that is different; no configuration can say so.
    vars(node.compose)["StoreJournal"] = ClaimsJournal if keeps_claims else NullJournal
    main()
