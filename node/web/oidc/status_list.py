"""The status list of the consents that this node signed, for peers (IETF Token Status List §8).

GET ``/oidc/status-list`` below the entity id, as ``application/statuslist+jwt``. It is signed from the rows as they
are, at most once in `RENEW_AFTER_S`, however many ask: what is withdrawn is in it a second later, at every replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from federation.ports import Clock
from federation.status_lists import STATUS_LIST_PATH, status_list_uri
from node.web.federation import statement_response
from trust.keys import Signer
from trust.status_list import Statuses, build_status_list

__all__ = ["RENEW_AFTER_S", "STATUS_LIST_MEDIA", "StatusListDocument", "add_status_list"]

STATUS_LIST_MEDIA: Final = "application/statuslist+jwt"
RENEW_AFTER_S: Final = 1.0


class StatusListDocument:
    """This node's list. `withdrawn` gives the places that are set, of `size` in all."""

    def __init__(
        self,
        entity_id: str,
        withdrawn: Callable[[], Awaitable[Sequence[int]]],
        signer: Callable[[], Signer],
        clock: Clock,
        *,
        size: int,
        ttl_s: int,
    ) -> None:
        self._entity_id = entity_id
        self._withdrawn = withdrawn
        self._signer = signer
        self._clock = clock
        self._size = size
        self._ttl_s = ttl_s
        self._token = ""
        self._signed_at: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def current(self) -> str:
        """The list as of now, or of a second ago. Raises OwnStoreUnavailable, OwnKeyUnavailable."""
        async with self._one_at_a_time:
            now = self._clock.now()
            since = None if self._signed_at is None else now - self._signed_at
            if since is None or not timedelta() <= since < timedelta(seconds=RENEW_AFTER_S):
                places = await self._withdrawn()
                # Beside the loop: a list of a million places is packed, and the key may be in a token.
                self._token = await asyncio.to_thread(self._sign, places, now)
                self._signed_at = now
            return self._token

    def _sign(self, places: Sequence[int], now: datetime) -> str:
        return build_status_list(
            issuer=self._entity_id,
            uri=status_list_uri(self._entity_id),
            statuses=Statuses.with_set(places, size=self._size),
            signer=self._signer(),
            now=now,
            ttl_s=self._ttl_s,
        )


def add_status_list(app: web.Application, document: StatusListDocument, *, path: str = "") -> None:
    """Serve the list. `path` is that of the entity id when it has one."""

    async def serve(request: web.Request) -> web.Response:
        return statement_response(request, await document.current(), media=STATUS_LIST_MEDIA)

    app.router.add_get(path + STATUS_LIST_PATH, serve)
