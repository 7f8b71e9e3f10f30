"""Whether a secret is a client's now, for whatever endpoint clients authenticate at.

A row is read at each call, so what was rotated, disabled or removed is refused at once; the slow hash is computed only
for what is not known to be right (`KnownSecrets`), beside the loop, and a few at once. Each endpoint has its own
`SecretChecks`: who floods the public one with wrong secrets does not keep the province's platforms waiting at theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from federation.errors import OwnBusy
from node.store.client_secrets import is_secret
from node.store.clients import ClientRow
from node.store.known_secrets import KnownSecrets

__all__ = ["SecretChecks"]

_HASHING_AT_ONCE = 2
_MOST_WAITING = 64


class SecretChecks:
    """`find` reads a client's row as it is now."""

    def __init__(self, find: Callable[[str], Awaitable[ClientRow | None]]) -> None:
        self._find = find
        self._known = KnownSecrets()
        self._hashing = asyncio.Semaphore(_HASHING_AT_ONCE)
        self._waiting = 0

    async def accepts_secret(self, client_id: str, secret: str) -> bool:
        """Whether it is that client's; a wrong one takes as long where there is no such client.

        Raises OwnBusy, OwnStoreUnavailable.
        """
        row = await self._find(client_id)
        stored = "" if row is None or row.disabled_at is not None else row.secret_hash
        if stored and self._known.knows(client_id, secret, stored):
            return True
        is_right = await self._hashed(secret, stored)
        if is_right:
            self._known.remember(client_id, secret, stored)
        return is_right

    async def _hashed(self, secret: str, stored: str) -> bool:
        if self._waiting >= _MOST_WAITING:
            raise OwnBusy("too many clients authenticate at once; try again shortly")
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(is_secret, secret, stored)
        finally:
            self._waiting -= 1
