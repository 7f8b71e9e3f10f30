"""The clients of this node, as a snapshot in memory that follows the store.

A hot path that read a row per request would cost more than the query. So the rows are read every few
seconds, and a client that was disabled or removed is refused from then on, whatever its token says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import structlog

from federation.errors import FederationError
from federation.quota import TokenBuckets
from node.api.ports import Clients, PlatformClient

__all__ = ["ClientDirectory"]

_log = structlog.get_logger(__name__)


class ClientDirectory:
    """Who may call. `refresh_once` reads the rows; `follow` does so every `poll_s`, until it is cancelled."""

    def __init__(
        self, clients: Clients, *, poll_s: float = 2.0, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._clients = clients
        self._look_ups = TokenBuckets(5.0, 20.0, now_s=now_s)
        self._poll_s = poll_s
        self._by_id: Mapping[str, PlatformClient] = MappingProxyType({})

    def find(self, client_id: str) -> PlatformClient | None:
        """The client with that id, unless it is disabled."""
        return self._by_id.get(client_id)

    async def find_new(self, client_id: str) -> PlatformClient | None:
        """As `find`; one that is not known yet is looked for in the store, a few times a second at most."""
        found = self.find(client_id)
        if found is None and not self._look_ups.take("unknown"):
            await self.refresh_once()
            found = self.find(client_id)
        return found

    async def refresh_once(self) -> None:
        """Take the rows as they are now. Raises OwnStoreUnavailable; the last snapshot stays then."""
        rows = await self._clients.all_clients()
        self._by_id = MappingProxyType({row.client_id: row for row in rows if row.disabled_at is None})

    async def follow(self) -> None:
        """Refresh for ever; a store that is down for a while is waited for."""
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.refresh_once()
            except FederationError as error:
                _log.warning("api.clients_not_refreshed", code=error.code)
