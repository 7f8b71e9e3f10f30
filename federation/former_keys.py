"""What the nodes say of the keys that they used before, kept fresh: an evidence file encloses the newest.

A list proves that a key had not been retired at a time only when it was signed at that time or later. So beside the
refresh of the trust list, which fetches each member's list with its configuration, an export asks for a newer one when
the one at hand is too old; a node signs its list anew on demand. A list that cannot be had delays nothing: what is at
hand is enclosed, and whoever verifies the file is told what it does not prove.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from federation.anchor import Anchor, TrustSettings
from federation.anchor_documents import Refresh, text_of
from federation.errors import OwnKeyUnavailable
from federation.ports import Clock
from federation.statements import StatementMissing, StatementSource, StatementUnavailable
from federation.trust_keep import TrustKeep
from federation.trust_view import Chain, prove_member
from trust.errors import StatementRolledBack, TrustError
from trust.historical import MAX_HISTORICAL_BYTES
from trust.profile import NODE_TYPE

__all__ = ["FormerKeys"]

_TRIES = 3
_PAUSE_S = 0.7


class FormerKeys:
    """Implements `federation.evidence_ports.FormerKeyDocuments`.

    `own` signs this node's own list, when this process can; it may take its time.
    """

    def __init__(
        self,
        keep: TrustKeep,
        settings: TrustSettings,
        source: StatementSource,
        clock: Clock,
        *,
        own: Callable[[datetime], str] | None = None,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._keep = keep
        self._settings = settings
        self._source = source
        self._clock = clock
        self._own = own
        self._pause_s = pause_s

    async def newest_of(self, entity_id: str, *, since: datetime) -> str | None:
        """See FormerKeyDocuments. Safe to cancel and to repeat."""
        if entity_id == self._settings.own_entity and self._own is not None:
            try:
                return await asyncio.to_thread(self._own, self._clock.now())
            except OwnKeyUnavailable:
                return None
        for attempt in range(_TRIES):
            if self._is_fresh(entity_id, since):
                break
            if attempt:
                await asyncio.sleep(self._pause_s)
            try:
                await self.refresh(Refresh(self._source, self._settings), entity_id, self._keep.anchor())
            except (StatementUnavailable, TrustError):
                break
        row = self._keep.former_keys_of(entity_id)
        return row.token if row is not None else None

    def _is_fresh(self, entity_id: str, since: datetime) -> bool:
        row = self._keep.former_keys_of(entity_id)
        return row is not None and datetime.fromtimestamp(row.mark, UTC) >= since

    async def refresh(self, refresh: Refresh, entity_id: str, anchor: Anchor) -> None:
        """Fetch the list of a member where its configuration says that it is; nothing when it says nothing.

        Raises StatementUnavailable; TrustError when it is not believed.
        """
        chain = self._chain_of(entity_id, anchor)
        uri = "" if chain is None else chain.entity.metadata[NODE_TYPE].get("historical_keys_uri", "")
        if chain is None or not isinstance(uri, str) or not uri.startswith(f"{entity_id}/"):
            return
        row = self._keep.former_keys_of(entity_id)
        rest, etag = uri.removeprefix(entity_id), row.etag if row is not None else ""
        try:
            fetched = await refresh.get(entity_id, rest, etag=etag, max_bytes=MAX_HISTORICAL_BYTES)
        except StatementMissing:
            return
        if fetched.body is None and row is not None:
            return
        try:
            await self._keep.take_former_keys(text_of(fetched, None), chain, fetched.etag)
        except StatementRolledBack:
            return  # another replica of that node signed a newer one

    def _chain_of(self, entity_id: str, anchor: Anchor) -> Chain | None:
        configuration = self._keep.configuration_of(entity_id)
        statement = self._keep.statement_about(entity_id)
        if configuration is None or statement is None:
            return None
        return prove_member(configuration.token, statement.token, anchor, self._settings, self._clock.now())
