"""Keeps this node's picture of the federation fresh, in the background, so that no query waits for it.

One refresh, in this order (design §5); every document is a plain file (`trust.documents`):

 1. the anchor's roll-overs, from the pinned keys on: which keys sign for it now
 2. its entity configuration, under those keys
 3. its trust status, under the keys that the configuration delegates: who belongs, with which statement, who
    is revoked, which counts from here on. When the anchor is away or its status is old, mirrors are asked for
    1 to 3: the highest sequence that holds wins
 4. of each subject the subordinate statement, when the status names another than the stored one; it must be
    the one that the status names, so it may come from anywhere
 5. of each subject its own entity configuration, from itself, and its list of former keys
 6. each chain verified; the good ones stored, whose marks never go down; the picture built and swapped whole

What cannot be had or is not believed leaves the stored document in place, with a problem in the report: a
node goes on with what it knows until the chains expire. Revocations count from the moment they are seen.

An unknown key of a member makes its own configuration be looked at at once (`follow_key`), beside all this
and at most so often; when that brings nothing new, a whole refresh is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from federation.anchor import Anchor, Key, TrustSettings
from federation.anchor_documents import Refresh, mirrors_of, text_of
from federation.errors import FederationError, code_of, detail_of
from federation.former_keys import FormerKeys
from federation.key_looks import KeyLooks
from federation.peers import Directory
from federation.ports import Clock
from federation.refresh_report import RefreshReport, added, joined, report_of
from federation.statements import (
    Denial,
    StatementMissing,
    StatementSource,
    StatementUnavailable,
    StoredStatement,
    TrustStore,
)
from federation.trust_keep import ANCHOR_PATHS, TrustKeep
from federation.trust_picture import TrustPicture, draw_picture
from federation.trust_view import build_view, with_revocations
from trust.documents import ROLL_OVERS_PATH, STATUS_PATH
from trust.entity import WELL_KNOWN, statement_digest
from trust.errors import StatementRolledBack, TrustError
from trust.rollover import MAX_DOCUMENT_BYTES
from trust.status import TrustStatus

__all__ = ["RefreshReport", "TrustSettings", "TrustSync", "pause_s"]

Found = TypeVar("Found")

_AT_ONCE = 8
_STATUS_EVERY_S = 60
"""How often an anchor signs its status."""
_OLD_AFTER = 2
"""After so many refreshes or signings without a newer status mirrors are asked."""


def pause_s(interval_s: float, took_s: float) -> float:
    """How long to wait after a refresh that took so long: what slow members take must not come on top, nor leave
    no pause at all.
    """
    return max(interval_s - took_s, interval_s / 2)


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
        own_former_keys: Callable[[datetime], str] | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._directory = directory
        self._clock = clock
        self._on_refresh = on_refresh
        self._keep = TrustKeep(settings, store, clock)
        self.former_keys = FormerKeys(self._keep, settings, source, clock, own=own_former_keys)
        self._outdated_since: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}
        self._shown: tuple[Mapping[Key, StoredStatement], Mapping[str, Denial]] = ({}, {})
        self._mirror = ""
        self._mirror_turn = 0
        self._one_at_a_time = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._looks = KeyLooks(self._look, clock)

    async def load(self) -> RefreshReport:
        """Build the picture from the store alone: a node starts so, with the anchor away or not."""
        async with self._one_at_a_time:
            self._problems = {}
            await self._keep.load()
            return self._swap()

    async def refresh_once(self) -> RefreshReport:
        """One refresh; what went wrong is in the report.

        Raises OwnStoreUnavailable when the store cannot be read. Cancelled: documents taken in so far are
        stored, the picture is as before; a repeat is safe.
        """
        async with self._one_at_a_time:
            self._problems = {}
            await self._keep.load()
            if (self._keep.rows, self._keep.denials) != self._shown:
                self._show()  # what other replicas learned, and denials, wait for no source
            refresh = Refresh(self._source, self._settings)
            await self._refresh_from_anchor(refresh)
            if self._needs_mirrors(refresh):
                await self._refresh_from_mirrors(refresh)
            try:
                anchor, status = self._keep.word()
            except TrustError as error:
                self._note(self._settings.anchor, error.detail)
            else:
                # At once: a member that takes its time below must not put a revocation off.
                self._directory.swap(with_revocations(self._directory.current, status))
                await self._refresh_members(refresh, anchor, status)
            return self._swap()

    async def run(self, interval_s: float) -> None:
        """Refresh every `interval_s`, however long one takes, and when one is asked for. Only cancelling ends it."""
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await self.refresh_once()
            except Exception as error:  # the loop must outlive whatever one refresh meets
                self._report_failure(error)
            try:
                await asyncio.wait_for(self._wanted.wait(), pause_s(interval_s, loop.time() - began_s))
            except TimeoutError:
                continue
            self._wanted.clear()

    async def deny(self, entity_id: str, reason: str) -> RefreshReport:
        """Stop trusting an entity at once, whatever the anchor says. Raises OwnStoreUnavailable."""
        await self._keep.deny(Denial(entity_id, reason, self._clock.now()))
        return self._swap()

    async def allow(self, entity_id: str) -> RefreshReport:
        """Take a denial back. Raises OwnStoreUnavailable."""
        await self._keep.allow(entity_id)
        return self._swap()

    def mirrored(self, rest: str) -> StoredStatement | None:
        """What this node holds of the anchor's documents, by the path below its mirror."""
        return self._keep.mirrored(rest)

    def picture(self) -> TrustPicture:
        """Everything that the stored documents say now, for an operator to look at."""
        now = self._clock.now()
        return draw_picture(self._settings, self._keep.rows, self._keep.denials, self._problems, now)

    # --- an unknown key ---------------------------------------------------------------------------------------

    def request_refresh(self, entity_id: str) -> bool:
        """Have the configuration of a member looked at because a key of its is unknown here.

        In the background. False: it was looked at just now, or is being.
        """
        return self._looks.begin(entity_id)

    async def follow_key(self, entity_id: str) -> None:
        """As `request_refresh`, and wait for what is under way. Returns at once when it was done just now."""
        await self._looks.follow(entity_id)

    async def close(self) -> None:
        """End what is under way."""
        await self._looks.close()

    async def _look(self, entity_id: str) -> None:
        before = self._keep.configuration_of(entity_id)
        try:
            anchor, statement = self._keep.anchor(), self._keep.statement_about(entity_id)
            if statement is not None:
                refresh = Refresh(self._source, self._settings)
                await self._refresh_configuration(refresh, anchor, statement.token, entity_id)
        except (StatementUnavailable, TrustError, FederationError) as error:
            self._note(entity_id, str(error))
        if self._keep.configuration_of(entity_id) != before:
            self._show()
        elif self._looks.is_due(""):
            self._wanted.set()  # its federation key may be new as well: only the anchor's word helps

    # --- the steps --------------------------------------------------------------------------------------------

    async def _refresh_from_anchor(self, refresh: Refresh) -> None:  # 1, 2, 3
        for rest in ANCHOR_PATHS:
            if not refresh.is_silent(self._settings.anchor):
                await self._noting(self._settings.anchor, self._refresh_of_anchor(refresh, rest))

    async def _refresh_of_anchor(self, refresh: Refresh, rest: str) -> None:
        row = self._keep.of_anchor(rest)
        most = MAX_DOCUMENT_BYTES if rest == ROLL_OVERS_PATH else None
        etag = row.etag if row is not None else ""
        try:
            fetched = await refresh.get(self._settings.anchor, rest, etag=etag, max_bytes=most)
        except StatementMissing:
            if rest == ROLL_OVERS_PATH and row is None:
                return  # an anchor that never changed its key may have no such file
            raise
        await self._keep.take_of_anchor(rest, text_of(fetched, row), fetched.etag)
        if rest == STATUS_PATH:
            self._mirror = ""

    def _needs_mirrors(self, refresh: Refresh) -> bool:
        if refresh.is_silent(self._settings.anchor):
            return True
        try:
            _, status = self._keep.word()
        except TrustError:
            return True
        most_s = _OLD_AFTER * max(self._settings.refresh_s, _STATUS_EVERY_S)
        return (self._clock.now() - status.issued_at).total_seconds() > most_s

    async def _refresh_from_mirrors(self, refresh: Refresh) -> None:  # 1, 2, 3
        self._mirror_turn += 1
        offers = await refresh.offers(self._mirrors(), self._keep.of_anchor)
        for rest in ANCHOR_PATHS:
            for offer in offers:
                text = offer.texts.get(rest)
                if text is not None:
                    await self._noting(offer.base, self._take_offer(offer.base, rest, text))

    async def _take_offer(self, base: str, rest: str, text: str) -> None:
        before = self._keep.of_anchor(rest)
        try:
            await self._keep.take_of_anchor(rest, text, "", of_mirror=True)
        except StatementRolledBack:
            return  # a mirror may be behind
        if rest == STATUS_PATH and self._keep.of_anchor(rest) != before:
            self._mirror = base

    def _mirrors(self) -> list[str]:
        peers = self._directory.current.peers.values()
        members = [peer.entity_id for peer in peers if peer.standing == "member"]
        return mirrors_of(self._settings, members, self._mirror_turn)

    async def _refresh_members(self, refresh: Refresh, anchor: Anchor, status: TrustStatus) -> None:
        subjects = [subject for subject in sorted(status.digests) if subject not in status.revocations]
        if len(subjects) > self._settings.members_max:
            self._note(
                self._settings.anchor, f"the status names more than {self._settings.members_max} members"
            )
            return
        places = asyncio.Semaphore(_AT_ONCE)

        async def refresh_one(subject: str) -> None:
            async with places:
                await self._noting(subject, self._refresh_statement(refresh, anchor, status, subject))
                statement = self._keep.statement_about(subject)
                if statement is not None:
                    work = self._refresh_configuration(refresh, anchor, statement.token, subject)
                    await self._noting(subject, work)
                    if subject != self._settings.own_entity:
                        await self._noting(subject, self.former_keys.refresh(refresh, subject, anchor))

        results = await asyncio.gather(*map(refresh_one, subjects), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _refresh_statement(
        self, refresh: Refresh, anchor: Anchor, status: TrustStatus, subject: str
    ) -> None:  # 4
        row, digest = self._keep.statement_about(subject), status.digests[subject]
        if row is not None and statement_digest(row.token) == digest:
            self._outdated_since.pop(subject, None)
            return
        self._outdated_since.setdefault(subject, self._clock.now())
        token, etag = await refresh.statement(subject, digest, anchor.fetch_endpoint, self._mirrors())
        await self._keep.take_statement(token, anchor, subject, etag)
        self._outdated_since.pop(subject, None)

    async def _refresh_configuration(
        self, refresh: Refresh, anchor: Anchor, statement: str, subject: str
    ) -> None:  # 5
        row = self._keep.configuration_of(subject)
        fetched = await refresh.get(subject, WELL_KNOWN, etag=row.etag if row is not None else "")
        if fetched.body is None and row is not None:
            return
        await self._keep.take_member(text_of(fetched, None), statement, anchor, subject, fetched.etag)

    def _show(self) -> Mapping[str, str]:  # 6
        """Build the picture and swap it in; what was not believed, by entity id."""
        now, current = self._clock.now(), self._directory.current
        view = build_view(
            self._settings, self._keep.rows, self._keep.denials, current, self._outdated_since, now
        )
        self._directory.swap(replace(view.snapshot, mirror=self._mirror))
        self._shown = (dict(self._keep.rows), self._keep.denials)
        return view.problems

    def _swap(self) -> RefreshReport:
        problems = joined(self._problems, self._show())
        report = report_of(self._directory.current, self._clock.now(), problems)
        self._on_refresh(report)
        return report

    async def _noting(self, subject: str, step: Coroutine[Any, Any, Found]) -> Found | None:
        """Run one step; what it does not get or does not believe becomes a problem of `subject`."""
        try:
            return await step
        except StatementUnavailable as error:
            self._note(subject, str(error))
        except TrustError as error:
            self._note(subject, error.detail)
        return None

    def _note(self, subject: str, problem: str) -> None:
        self._problems[subject] = added(self._problems.get(subject, ""), problem)

    def _report_failure(self, error: Exception) -> None:
        problems = {self._settings.own_entity: f"{code_of(error)}: {detail_of(error)}"}
        self._on_refresh(report_of(self._directory.current, self._clock.now(), problems))
