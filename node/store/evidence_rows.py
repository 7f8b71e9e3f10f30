"""Which exchanges an export takes, from the store. Implements `federation.evidence_ports.ExchangeFinder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from federation.evidence_ports import ExchangeRef, RefPage
from node.store.database import Database
from node.store.search import EvidenceSearch, Found, Wanted

__all__ = ["EvidenceRows"]


class EvidenceRows:
    """Finds newest first, as `node.store.search` does. `holder_hashes` gives a holder's hashes under each live key."""

    def __init__(self, database: Database, holder_hashes: Callable[[str, str], Sequence[bytes]]) -> None:
        self._search = EvidenceSearch(database)
        self._hashes = holder_hashes

    async def find_by_case(self, case_number: str, *, after: str = "", limit: int) -> RefPage:
        """See ExchangeFinder."""
        return await self._page(Wanted(case_number=case_number), after, limit)

    async def find_by_holder(self, id_type: str, holder_id: str, *, after: str = "", limit: int) -> RefPage:
        """See ExchangeFinder."""
        hashes = tuple(self._hashes(id_type, holder_id))
        return await self._page(replace(Wanted(), holders=hashes), after, limit)

    async def between(self, from_at: datetime, until_at: datetime, *, after: str = "", limit: int) -> RefPage:
        """See ExchangeFinder."""
        return await self._page(Wanted(since=from_at, until=until_at), after, limit)

    async def _page(self, wanted: Wanted, after: str, limit: int) -> RefPage:
        page = await self._search.page(wanted, after=after, limit=limit)
        return RefPage(tuple(_ref(one) for one in page.found), page.next)


def _ref(found: Found) -> ExchangeRef:
    asked_here = found.direction == "asked"
    return ExchangeRef(found.request_id, asked_here, "" if asked_here else found.peer, found.indices[0])
