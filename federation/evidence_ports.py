"""What an export reads: records, the trust statements of a day, the log's tree, and which exchanges there are.

Ports of `federation.evidence_export`, which is their one user; adapters are in `node/store/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from federation.ports import StoredRecord
from federation.statements import StatementKind, StoredStatement

__all__ = [
    "ExchangeFinder",
    "ExchangeRef",
    "FormerKeyDocuments",
    "Records",
    "RefPage",
    "StatementArchive",
]


class Records(Protocol):
    """The log, to read: `federation.ports.Journal` is one."""

    async def find_records(self, request_id: str, *, asking: str = "") -> Sequence[StoredRecord]:
        """All records under a request id in log order; with `asking`, those of what that node asked."""
        ...


class StatementArchive(Protocol):
    """The trust statements as this node knew them at a time."""

    async def find_statement(
        self, iss: str, sub: str, kind: StatementKind, *, at: datetime
    ) -> StoredStatement | None:
        """The newest that was known by then; None when there never was one."""
        ...


class FormerKeyDocuments(Protocol):
    """What the nodes say of the keys that they used before (`trust.historical`)."""

    async def newest_of(self, entity_id: str, *, since: datetime) -> str | None:
        """The newest document of a node's former keys; None when there is none.

        When the one at hand is older than `since`, a newer one is asked for first, within a few seconds; when it
        cannot be had, the older one is returned. Raises OwnStoreUnavailable.
        """
        ...


class ExchangeRef(Struct, frozen=True):
    """One exchange of the log: its id, and whether this node asked (else it answered).

    Two nodes may use one id, and one of them again for other bytes: `asking` is who asked, `log_index` the request's
    place in the log. Without them the first exchange with that id is meant.
    """

    request_id: str
    asked_here: bool
    asking: str = ""
    log_index: int | None = None


class RefPage(Struct, frozen=True):
    """Some exchanges, each once over all pages. `next` is what to ask the next page with; empty at the end.

    A page may have fewer than were asked for, or none, and yet a next one.
    """

    refs: tuple[ExchangeRef, ...]
    next: str = ""


class ExchangeFinder(Protocol):
    """Which exchanges a case, a holder or a period has, in pages; the order is the log's or its reverse.

    Every method raises OwnStoreUnavailable. `after` is `RefPage.next` of the page before; `limit` the most that
    one page has.
    """

    async def find_by_case(self, case_number: str, *, after: str = "", limit: int) -> RefPage:
        """Those whose request names this case."""
        ...

    async def find_by_holder(self, id_type: str, holder_id: str, *, after: str = "", limit: int) -> RefPage:
        """Those about this holder, found by keyed hash; the number is in shared words and goes no further."""
        ...

    async def between(self, from_at: datetime, until_at: datetime, *, after: str = "", limit: int) -> RefPage:
        """Those whose request was recorded in this time, `until_at` itself not included."""
        ...
