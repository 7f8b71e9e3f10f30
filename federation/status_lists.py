"""Which consents were withdrawn: the peers' status lists, fetched in the background so that no query waits for one.

One refresh: the list of every member that offers logins is fetched from its one place below its entity id, verified
under the keys of its chain, and stored if it is newer than the stored one (a list never goes back, also for a
replica that restarts); then all stored lists are verified again and the snapshot is swapped whole. Replicas share
the rows. A list that cannot be had stays as it is and grows old: how old it may be is for `federation.consents`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol

import structlog
from msgspec import Struct

from federation.peers import Directory, Peer
from federation.ports import Clock
from federation.statements import StatementSource, StatementUnavailable
from trust.errors import TrustError
from trust.status_list import MAX_STATUS_LIST_BYTES, StatusList, verify_status_list

__all__ = ["STATUS_LIST_PATH", "StatusListStore", "StatusLists", "StoredList", "status_list_uri"]

_log = structlog.get_logger("yrd.status_lists")

STATUS_LIST_PATH: Final = "/oidc/status-list"
"""Below the entity id."""
_TIMEOUT_S: Final = 5.0


def status_list_uri(entity_id: str) -> str:
    """Where a node's status list is; no other place is looked at."""
    return entity_id + STATUS_LIST_PATH


class StoredList(Struct, frozen=True):
    """A list as it was signed; whoever reads it verifies it again."""

    issuer: str
    token: str
    etag: str
    issued_at: datetime
    fetched_at: datetime


class StatusListStore(Protocol):
    """The newest list of each issuer. Both raise OwnStoreUnavailable."""

    async def load(self) -> Sequence[StoredList]:
        """All of them."""
        ...

    async def save(self, fetched: StoredList) -> bool:
        """Keep a list unless a newer one of its issuer is kept already; whether it was."""
        ...


class StatusLists:
    """The lists of all peers at one moment, in memory."""

    def __init__(
        self,
        store: StatusListStore,
        source: StatementSource,
        directory: Directory,
        clock: Clock,
        *,
        skew_s: float,
    ) -> None:
        self._store = store
        self._source = source
        self._directory = directory
        self._clock = clock
        self._skew_s = int(skew_s)
        self._lists: Mapping[str, StatusList] = MappingProxyType({})
        self._problems: Mapping[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    def find(self, issuer: str) -> StatusList | None:
        """The newest list of a peer that is known here."""
        return self._lists.get(issuer)

    async def load(self) -> None:
        """Take the lists of the store alone. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            self._swap(await self._store.load(), {})

    async def refresh_once(self) -> Mapping[str, str]:
        """One refresh; by entity id, what could not be had or is not believed.

        Raises OwnStoreUnavailable. Cancelled: what was stored stays, the snapshot is as before; a repeat is safe.
        """
        async with self._one_at_a_time:
            stored = {one.issuer: one for one in await self._store.load()}
            peers = self._issuers()
            told = await asyncio.gather(*(self._fetch(peer, stored.get(peer.entity_id)) for peer in peers))
            problems = {peer.entity_id: problem for peer, problem in zip(peers, told, strict=True) if problem}
            self._swap(await self._store.load(), problems)
            return self._problems

    def _issuers(self) -> list[Peer]:
        peers = self._directory.current.peers.values()
        return [peer for peer in peers if peer.openid is not None and peer.standing == "member"]

    async def _fetch(self, peer: Peer, stored: StoredList | None) -> str:
        """Fetch one list and store it when it is newer; what went wrong, in words, else nothing."""
        etag = stored.etag if stored else ""
        try:
            fetched = await self._source.fetch(
                status_list_uri(peer.entity_id),
                etag=etag,
                max_bytes=MAX_STATUS_LIST_BYTES,
                timeout_s=_TIMEOUT_S,
            )
            if fetched.body is None:
                return ""
            token = fetched.body.decode("ascii")
            read = self._verify(peer, token)
        except (StatementUnavailable, TrustError, UnicodeDecodeError) as error:
            return str(error) if not isinstance(error, UnicodeDecodeError) else "not a status list"
        if stored is not None and read.issued_at < stored.issued_at:
            return f"the list of {read.issued_at.isoformat()} is older than one seen before"
        now = self._clock.now()
        await self._store.save(StoredList(peer.entity_id, token, fetched.etag, read.issued_at, now))
        return ""

    def _verify(self, peer: Peer, token: str) -> StatusList:
        keys = peer.openid.provider_keys if peer.openid else {}
        return verify_status_list(
            token,
            issuer=peer.entity_id,
            uri=status_list_uri(peer.entity_id),
            keys=keys,
            now=self._clock.now(),
            skew_s=self._skew_s,
        )

    def _swap(self, stored: Sequence[StoredList], problems: Mapping[str, str]) -> None:
        tokens = {one.issuer: one.token for one in stored}
        found: dict[str, StatusList] = {}
        told = dict(problems)
        for peer in self._issuers():
            if peer.entity_id not in tokens:
                told.setdefault(peer.entity_id, "its status list has not been fetched yet")
                continue
            try:
                found[peer.entity_id] = self._verify(peer, tokens[peer.entity_id])
            except TrustError as error:
                told.setdefault(peer.entity_id, error.detail)
        self._lists = MappingProxyType(found)
        if told != self._problems:
            _log.warning("status_lists.problems", problems=told) if told else _log.info(
                "status_lists.all_there"
            )
        self._problems = MappingProxyType(told)
