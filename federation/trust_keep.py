"""What this process holds of the trust documents, and how one is taken in: verified first, then kept by its mark.

Nothing gets in here that does not hold from the pinned keys at the time it comes, wherever it comes from. A
document from the future is refused before it can set a mark; a mark that was set while this node's own clock
was ahead gives way (`anchor.is_ahead`), and so does that of a status whose key the root key has taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from federation.anchor import (
    Anchor,
    Key,
    TrustSettings,
    check_continued,
    check_mark,
    check_revocations,
    is_ahead,
    read_anchor,
    read_status,
    stored_roll_overs,
)
from federation.ports import Clock
from federation.statements import Denial, StatementKind, StoredStatement, TrustStore
from federation.trust_view import Chain, prove_member
from trust.chain import verify_statement
from trust.documents import ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN, check_issued, read_statement
from trust.errors import StatementRejected
from trust.historical import verify_historical_keys
from trust.rollover import read_roll_overs, roll_overs_document
from trust.status import TrustStatus
from trust.tokens import read_token

__all__ = ["ANCHOR_PATHS", "TrustKeep"]

ANCHOR_PATHS: Mapping[str, StatementKind] = {
    ROLL_OVERS_PATH: StatementKind.ROLL_OVERS,
    WELL_KNOWN: StatementKind.CONFIGURATION,
    STATUS_PATH: StatementKind.STATUS,
}
"""The three documents of the anchor that have one path each, in the order in which they are taken in."""


class TrustKeep:
    """The rows in memory, in step with the store. `denials` are by entity id."""

    def __init__(self, settings: TrustSettings, store: TrustStore, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self.rows: dict[Key, StoredStatement] = {}
        self._subjects: dict[str, str] = {}
        self.denials: Mapping[str, Denial] = {}

    async def load(self) -> None:
        """Take everything from the store, also what other replicas put there. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            rows = await self._store.load_statements()
            self.rows, self._subjects = {}, {}
            for row in rows:
                self._hold(row)
            self.denials = {denial.entity_id: denial for denial in await self._store.load_denials()}

    async def deny(self, denial: Denial) -> None:
        """Keep a denial. It is not lost to a `load` that began before. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            await self._store.deny(denial)
            self.denials = {**self.denials, denial.entity_id: denial}

    async def allow(self, entity_id: str) -> None:
        """Take a denial back. Raises OwnStoreUnavailable."""
        async with self._one_at_a_time:
            await self._store.allow(entity_id)
            self.denials = {sub: denial for sub, denial in self.denials.items() if sub != entity_id}

    # --- what is held -----------------------------------------------------------------------------------------

    def of_anchor(self, rest: str) -> StoredStatement | None:
        """The anchor's own document at this path."""
        return self.rows.get((self._settings.anchor, self._settings.anchor, ANCHOR_PATHS[rest]))

    def statement_about(self, subject: str) -> StoredStatement | None:
        """The anchor's statement about a member."""
        return self.rows.get((self._settings.anchor, subject, StatementKind.SUBORDINATE))

    def configuration_of(self, subject: str) -> StoredStatement | None:
        """What an entity says about itself."""
        return self.rows.get((subject, subject, StatementKind.CONFIGURATION))

    def former_keys_of(self, subject: str) -> StoredStatement | None:
        """What an entity says of its former keys."""
        return self.rows.get((subject, subject, StatementKind.HISTORICAL_KEYS))

    def anchor(self) -> Anchor:
        """What the anchor's configuration says, while it holds. Raises TrustError."""
        row = self.of_anchor(WELL_KNOWN)
        if row is None:
            raise StatementRejected("nothing is stored from the anchor yet")
        roll_overs = stored_roll_overs(self._settings, self.rows)
        return read_anchor(row.token, self._settings, roll_overs, self._clock.now())[0]

    def word(self) -> tuple[Anchor, TrustStatus]:
        """What the anchor said last, while its configuration holds. Raises TrustError."""
        anchor, row = self.anchor(), self.of_anchor(STATUS_PATH)
        if row is None:
            raise StatementRejected("no status of the anchor is stored yet")
        return anchor, read_status(row.token, anchor, self._settings, self._clock.now(), expired_too=True)

    def mirrored(self, rest: str) -> StoredStatement | None:
        """What this node holds of the anchor's documents, by the path below its mirror."""
        if rest in ANCHOR_PATHS:
            return self.of_anchor(rest)
        subject = self._subjects.get(rest)
        return None if subject is None else self.statement_about(subject)

    def _hold(self, row: StoredStatement) -> None:
        self.rows[(row.iss, row.sub, row.kind)] = row
        if row.kind is StatementKind.SUBORDINATE and row.iss == self._settings.anchor:
            self._subjects[statement_path(row.sub)] = row.sub

    # --- taking in --------------------------------------------------------------------------------------------

    async def take_of_anchor(self, rest: str, text: str, etag: str, *, of_mirror: bool = False) -> None:
        """Take one of the anchor's three documents in. Raises TrustError.

        A status lives for an hour, and a mirror may have nothing newer when the anchor is away for longer: of a
        mirror one that has expired is taken too. It cannot take this node back; that it is old is told.
        """
        if rest == ROLL_OVERS_PATH:
            await self._take_roll_overs(text, etag)
        elif rest == WELL_KNOWN:
            await self._take_configuration(text, etag)
        else:
            await self._take_status(text, etag, expired_too=of_mirror)

    async def _take_roll_overs(self, text: str, etag: str) -> None:
        offered = read_roll_overs(text, anchor=self._settings.anchor)
        known, row = stored_roll_overs(self._settings, self.rows), self.of_anchor(ROLL_OVERS_PATH)
        check_continued(known, offered, self._settings.anchor_keys)
        new = offered[len(known) :]
        for (
            one
        ) in new:  # like any statement of the future it must set no mark: the number would be gone for good
            check_issued(one.at, self._clock.now(), f"roll-over {one.number}", self._settings.skew_s)
        if row is not None and not known:  # of an anchor that was replaced: its numbers bind nobody
            await self._drop(row)
        if offered:
            document = roll_overs_document(one.token for one in (*known, *new))
            await self._save_of_anchor(StatementKind.ROLL_OVERS, document, len(offered), etag)

    async def _take_configuration(self, text: str, etag: str) -> None:
        roll_overs = stored_roll_overs(self._settings, self.rows)
        _, mark = read_anchor(text, self._settings, roll_overs, self._clock.now())
        await self._save_of_anchor(StatementKind.CONFIGURATION, text, mark, etag)

    async def _take_status(self, text: str, etag: str, *, expired_too: bool) -> None:
        anchor, row = self.anchor(), self.of_anchor(STATUS_PATH)
        status = read_status(text, anchor, self._settings, self._clock.now(), expired_too=expired_too)
        if row is not None and read_token(row.token).kid not in anchor.status_keys:
            # The root key has taken that key back: whoever stole it may have set the highest of all numbers.
            await self._drop(row)
        elif row is not None and not self._is_ahead(row):
            known = read_status(row.token, anchor, self._settings, self._clock.now(), expired_too=True)
            check_revocations(known, status)
        await self._save_of_anchor(StatementKind.STATUS, text, status.sequence, etag)

    async def take_statement(self, token: str, anchor: Anchor, subject: str, etag: str) -> None:
        """Take the anchor's statement about `subject` in. Raises TrustError."""
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
        await self._save(self._settings.anchor, subject, StatementKind.SUBORDINATE, token, mark, etag)

    async def take_member(self, token: str, statement: str, anchor: Anchor, subject: str, etag: str) -> None:
        """Take what a member says about itself in, when its whole chain holds with it. Raises TrustError."""
        chain = prove_member(token, statement, anchor, self._settings, self._clock.now())
        row = self.configuration_of(subject)
        said = read_statement(token, allow_http_on_loopback=True)
        mark = int(said.issued_at.timestamp())
        if row is not None and mark < row.mark and not self._is_ahead(row) and _same_words(token, row.token):
            return  # another replica of that node signed the same an hour ago
        await self._save(chain.node.entity_id, subject, StatementKind.CONFIGURATION, token, mark, etag)

    async def take_former_keys(self, token: str, chain: Chain, etag: str) -> None:
        """Take a member's list of its former keys in, under the federation keys of its chain. Raises TrustError."""
        subject = chain.node.entity_id
        said = verify_historical_keys(
            token,
            entity_id=subject,
            keys=chain.entity.keys,
            now=self._clock.now(),
            skew_s=self._settings.skew_s,
        )
        mark = int(said.issued_at.timestamp())
        await self._save(subject, subject, StatementKind.HISTORICAL_KEYS, token, mark, etag)

    async def _save_of_anchor(self, kind: StatementKind, text: str, mark: int, etag: str) -> None:
        await self._save(self._settings.anchor, self._settings.anchor, kind, text, mark, etag)

    async def _save(self, iss: str, sub: str, kind: StatementKind, token: str, mark: int, etag: str) -> None:
        """Keep a verified document. Raises StatementRolledBack, from the own rows or from a replica's."""
        if iss != sub and kind is not StatementKind.SUBORDINATE:
            raise StatementRejected(f"the {kind.value} served for {sub} is that of {iss}")
        row = self.rows.get((iss, sub, kind))
        if row is not None and self._is_ahead(row):
            await self._drop(row)
            row = None
        seen_at = row.seen_at if row is not None and row.token == token else self._clock.now()
        statement = StoredStatement(iss, sub, kind, token, mark, etag, seen_at)
        check_mark(row, statement)
        if row is not None and row.token == token and etag in ("", row.etag):
            return
        await self._store.save_statement(statement)
        self._hold(statement)

    async def _drop(self, row: StoredStatement) -> None:
        await self._store.drop_statement(row)
        del self.rows[(row.iss, row.sub, row.kind)]

    def _is_ahead(self, row: StoredStatement) -> bool:
        return is_ahead(row, self._clock.now(), self._settings.skew_s)


def _same_words(one: str, other: str) -> bool:
    """Whether two statements differ in their times only."""
    claims = (dict(read_statement(token, allow_http_on_loopback=True).claims) for token in (one, other))
    first, second = ({k: v for k, v in said.items() if k not in ("iat", "exp")} for said in claims)
    return first == second
