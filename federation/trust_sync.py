"""Keeps this node's picture of the federation fresh, in the background, so that no query waits for it.

One refresh, in this order (design §5):

 1. the anchor's entity configuration, under the pinned keys
 2. its trust status, under the keys that the configuration delegates: who belongs, with which statement, who
    is revoked
 3. of each subject the subordinate statement, when the status names another than the stored one; it must be
    the one that the status names
 4. of each subject its own entity configuration
 5. each chain verified; the good ones stored, whose marks never go down; the picture built and swapped whole

What cannot be had or is not believed leaves the stored statement in place, with a problem in the report: a
node goes on with what it knows until the chains expire. Revocations count from the moment they are seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from federation.errors import code_of, detail_of
from federation.peers import Directory
from federation.ports import Clock
from federation.statements import (
    Denial,
    Fetched,
    StatementKind,
    StatementSource,
    StatementUnavailable,
    StoredStatement,
    TrustStore,
)
from federation.trust_view import (
    Anchor,
    Key,
    TrustSettings,
    build_view,
    read_anchor,
    read_member,
    rows_by_key,
    stored_status,
)
from trust.chain import verify_statement
from trust.entity import configuration_url, read_statement, statement_digest
from trust.errors import StatementRejected, StatementRolledBack, TrustError
from trust.status import TrustStatus, verify_status

__all__ = [
    "Denial",
    "Fetched",
    "RefreshReport",
    "StatementKind",
    "StatementSource",
    "StatementUnavailable",
    "StoredStatement",
    "TrustSettings",
    "TrustStore",
    "TrustSync",
]

Found = TypeVar("Found")

_AT_ONCE = 8
_REQUESTS_APART_S = 5


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What came of one refresh. `problems` are by entity id, in words for the operator."""

    at: datetime
    sequence: int
    status_issued_at: datetime | None
    expires_at: datetime | None
    """When the first chain of a member, or this node's own, ends."""
    members: int
    revoked: int
    denied: int
    problems: Mapping[str, str]


class TrustSync:
    """Refreshes the directory of peers. One per process; replicas share the store."""

    def __init__(
        self,
        settings: TrustSettings,
        *,
        store: TrustStore,
        source: StatementSource,
        directory: Directory,
        clock: Clock,
        on_refresh: Callable[[RefreshReport], None] = lambda _report: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._source = source
        self._directory = directory
        self._clock = clock
        self._on_refresh = on_refresh
        self._rows: dict[Key, StoredStatement] = {}
        self._denials: Mapping[str, Denial] = {}
        self._outdated_since: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._requested_at: datetime | None = None

    async def load(self) -> RefreshReport:
        """Build the picture from the store alone: a node starts so, with the anchor away or not."""
        async with self._one_at_a_time:
            self._problems = {}
            await self._load_store()
            return self._swap()

    async def refresh_once(self) -> RefreshReport:
        """One refresh; what went wrong is in the report.

        Raises OwnStoreUnavailable when the store cannot be read. Cancelled: statements fetched so far are
        stored, the picture is as before; a repeat is safe.
        """
        async with self._one_at_a_time:
            self._problems = {}
            await self._load_store()
            anchor = (
                await self._noting(self._settings.anchor, self._refresh_anchor()) or self._stored_anchor()
            )
            if anchor is not None:
                status = await self._noting(self._settings.anchor, self._refresh_status(anchor))
                status = status or self._stored_status(anchor)
                if status is not None:
                    await self._refresh_members(anchor, status)
            return self._swap()

    async def run(self, interval_s: float) -> None:
        """Refresh every `interval_s` and when `request_refresh` asks for it. Only cancelling ends it."""
        while True:
            try:
                await self.refresh_once()
            except Exception as error:  # the loop must outlive whatever one refresh meets
                self._report_failure(error)
            try:
                await asyncio.wait_for(self._wanted.wait(), interval_s)
            except TimeoutError:
                continue
            self._wanted.clear()

    def request_refresh(self) -> bool:
        """Ask the loop for a refresh because an unknown key was seen. False: one was asked for just now."""
        now = self._clock.now()
        if (
            self._requested_at is not None
            and abs((now - self._requested_at).total_seconds()) < _REQUESTS_APART_S
        ):
            return False
        self._requested_at = now
        self._wanted.set()
        return True

    async def deny(self, entity_id: str, reason: str) -> RefreshReport:
        """Stop trusting an entity at once, whatever the anchor says. Raises OwnStoreUnavailable."""
        await self._store.deny(Denial(entity_id, reason, self._clock.now()))
        return await self.load()

    async def allow(self, entity_id: str) -> RefreshReport:
        """Take a denial back. Raises OwnStoreUnavailable."""
        await self._store.allow(entity_id)
        return await self.load()

    # --- the five steps -------------------------------------------------------------------------------------

    async def _refresh_anchor(self) -> Anchor:  # 1
        anchor_id = self._settings.anchor
        row = self._row(anchor_id, anchor_id, StatementKind.CONFIGURATION)
        fetched = await self._fetch(configuration_url(anchor_id), row)
        token = _text(fetched, row)
        anchor, mark = read_anchor(token, self._settings, self._clock.now())
        await self._save(anchor_id, anchor_id, StatementKind.CONFIGURATION, token, mark, fetched.etag)
        return anchor

    async def _refresh_status(self, anchor: Anchor) -> TrustStatus:  # 2
        anchor_id = self._settings.anchor
        row = self._row(anchor_id, anchor_id, StatementKind.STATUS)
        fetched = await self._fetch(anchor.status_endpoint, row)
        token = _text(fetched, row)
        status = verify_status(
            token,
            anchor=anchor_id,
            keys=anchor.status_keys,
            now=self._clock.now(),
            skew_s=self._settings.skew_s,
            max_bytes=self._settings.statement_max_bytes,
        )
        await self._save(anchor_id, anchor_id, StatementKind.STATUS, token, status.sequence, fetched.etag)
        return status

    async def _refresh_members(self, anchor: Anchor, status: TrustStatus) -> None:
        subjects = [subject for subject in sorted(status.digests) if subject not in status.revocations]
        if len(subjects) > self._settings.members_max:
            self._problems[self._settings.anchor] = (
                f"the status names more than {self._settings.members_max} members"
            )
            return
        places = asyncio.Semaphore(_AT_ONCE)

        async def refresh(subject: str) -> None:
            async with places:
                statement = await self._noting(subject, self._refresh_statement(anchor, status, subject))
                if statement is None:
                    row = self._row(anchor_id, subject, StatementKind.SUBORDINATE)
                    statement = row.token if row is not None else None
                if statement is not None:
                    await self._noting(subject, self._refresh_configuration(anchor, statement, subject))

        anchor_id = self._settings.anchor
        results = await asyncio.gather(*(refresh(subject) for subject in subjects), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _refresh_statement(self, anchor: Anchor, status: TrustStatus, subject: str) -> str:  # 3
        row = self._row(self._settings.anchor, subject, StatementKind.SUBORDINATE)
        if row is not None and statement_digest(row.token) == status.digests[subject]:
            self._outdated_since.pop(subject, None)
            return row.token
        self._outdated_since.setdefault(subject, self._clock.now())
        fetched = await self._fetch(f"{anchor.fetch_endpoint}?{urlencode({'sub': subject})}", None)
        token = _text(fetched, None)
        if statement_digest(token) != status.digests[subject]:
            raise StatementRejected(
                f"the statement served about {subject} is not the one that the status names"
            )
        statement = read_statement(token, allow_http_on_loopback=self._settings.allow_http_on_loopback)
        verify_statement(
            statement,
            iss=self._settings.anchor,
            sub=subject,
            keys=anchor.keys,
            now=self._clock.now(),
            skew_s=self._settings.skew_s,
        )
        mark = int(statement.issued_at.timestamp())
        await self._save(self._settings.anchor, subject, StatementKind.SUBORDINATE, token, mark, fetched.etag)
        self._outdated_since.pop(subject, None)
        return token

    async def _refresh_configuration(self, anchor: Anchor, statement: str, subject: str) -> bool:  # 4
        row = self._row(subject, subject, StatementKind.CONFIGURATION)
        fetched = await self._fetch(configuration_url(subject), row)
        if fetched.body is None and row is not None:
            return True
        token = _text(fetched, None)
        node = read_member(token, statement, anchor, self._settings, self._clock.now())
        mark = int(read_statement(token, allow_http_on_loopback=True).issued_at.timestamp())
        await self._save(node.entity_id, subject, StatementKind.CONFIGURATION, token, mark, fetched.etag)
        return True

    def _swap(self) -> RefreshReport:  # 5
        now = self._clock.now()
        view = build_view(
            self._settings, self._rows, self._denials, self._directory.current, self._outdated_since, now
        )
        self._directory.swap(view.snapshot)
        peers = view.snapshot.peers.values()
        ends = [peer.expires_at for peer in peers if peer.standing == "member"]
        report = RefreshReport(
            at=now,
            sequence=view.snapshot.sequence,
            status_issued_at=view.snapshot.refreshed_at,
            expires_at=min([*ends, *([view.own_expires_at] if view.own_expires_at else [])], default=None),
            members=len(ends),
            revoked=sum(peer.standing == "revoked" for peer in peers),
            denied=sum(peer.standing == "denied" for peer in peers),
            problems=_joined(self._problems, view.problems),
        )
        self._on_refresh(report)
        return report

    # --- what the steps share -------------------------------------------------------------------------------

    async def _load_store(self) -> None:
        self._rows = rows_by_key(await self._store.load_statements())
        self._denials = {denial.entity_id: denial for denial in await self._store.load_denials()}

    def _row(self, iss: str, sub: str, kind: StatementKind) -> StoredStatement | None:
        return self._rows.get((iss, sub, kind))

    async def _fetch(self, url: str, row: StoredStatement | None) -> Fetched:
        return await self._source.fetch(
            url,
            etag=row.etag if row is not None else "",
            max_bytes=self._settings.statement_max_bytes,
            timeout_s=self._settings.fetch_timeout_s,
        )

    async def _save(self, iss: str, sub: str, kind: StatementKind, token: str, mark: int, etag: str) -> None:
        """Keep a verified statement. Raises StatementRolledBack, from the own rows or from a replica's."""
        row = self._row(iss, sub, kind)
        if row is not None and mark < row.mark:
            raise StatementRolledBack(
                f"the {kind} by {iss} about {sub} is number {mark}, after {row.mark} was seen"
            )
        if row is not None and (row.token, row.etag) == (token, etag):
            return
        statement = StoredStatement(iss, sub, kind, token, mark, etag, self._clock.now())
        await self._store.save_statement(statement)
        self._rows[(iss, sub, kind)] = statement

    async def _noting(self, subject: str, step: Coroutine[Any, Any, Found]) -> Found | None:
        """Run one step; what it does not get or does not believe becomes a problem of `subject`."""
        try:
            return await step
        except StatementUnavailable as error:
            self._problems[subject] = str(error)
        except TrustError as error:
            self._problems[subject] = error.detail
        return None

    def _stored_anchor(self) -> Anchor | None:
        row = self._row(self._settings.anchor, self._settings.anchor, StatementKind.CONFIGURATION)
        if row is None:
            return None
        try:
            return read_anchor(row.token, self._settings, self._clock.now())[0]
        except TrustError as error:
            self._problems[self._settings.anchor] = error.detail
            return None

    def _stored_status(self, anchor: Anchor) -> TrustStatus | None:
        row = self._row(self._settings.anchor, self._settings.anchor, StatementKind.STATUS)
        if row is None:
            return None
        try:
            return stored_status(row.token, anchor, self._settings, self._clock.now())
        except TrustError as error:
            self._problems[self._settings.anchor] = error.detail
            return None

    def _report_failure(self, error: Exception) -> None:
        current = self._directory.current
        self._on_refresh(
            RefreshReport(
                at=self._clock.now(),
                sequence=current.sequence,
                status_issued_at=current.refreshed_at,
                expires_at=None,
                members=len(current.peers),
                revoked=0,
                denied=0,
                problems={self._settings.own_entity: f"{code_of(error)}: {detail_of(error)}"},
            )
        )


def _text(fetched: Fetched, row: StoredStatement | None) -> str:
    """The token that was served, or the stored one when nothing changed. Raises StatementUnavailable."""
    if fetched.body is None:
        if row is None:
            raise StatementUnavailable("the source says that nothing changed, but nothing is stored")
        return row.token
    try:
        return fetched.body.decode("ascii")
    except UnicodeDecodeError:
        raise StatementRejected("not a JWS in compact serialization") from None


def _joined(fetching: Mapping[str, str], believing: Mapping[str, str]) -> dict[str, str]:
    """Why something could not be had, and what follows from it, in one line for each entity."""
    subjects = sorted(fetching.keys() | believing.keys())
    lines = {subject: dict.fromkeys([fetching.get(subject), believing.get(subject)]) for subject in subjects}
    return {subject: "; ".join(line for line in parts if line) for subject, parts in lines.items()}
