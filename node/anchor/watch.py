"""What members say about themselves, looked at in the background and kept in the folder: for resolving (§8.3),
which never asks anyone while a stranger waits, and for new federation keys. Those below an authority are looked at
after that (`node.anchor.below`).

A member changes its federation keys by publishing the new ones in its configuration, signed with one that the
anchor already vouches for. That is the same trust as before, so the anchor may pass it on: its next statement
names the new keys. A configuration that is signed with another key changes nothing: then the entity has to be
enrolled again.

`seen/<name>.json` has `configuration`, `etag`, `mark` (the newest `iat`, which never goes down), `seen_at`, and
`problem` when the last look found something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from federation.ports import Clock
from federation.statements import StatementSource, StatementUnavailable
from node.anchor.below import BelowWatch
from node.anchor.folder import AnchorFolder, Member
from trust.chain import verify_statement
from trust.entity import UnverifiedStatement, configuration_url, read_statement
from trust.errors import StatementRejected, StatementRolledBack, TrustError
from trust.keys import VerificationKey, jwks_of, keys_from_jwks
from trust.tokens import MAX_TOKEN_BYTES

__all__ = ["MemberWatch", "pending_keys", "seen_now", "with_pending"]

_log = structlog.get_logger("yrd.anchor")

_AT_ONCE = 8
_TIMEOUT_S = 5.0
_MOST_FEDERATION_KEYS = 4


def pending_keys(member: Member, seen: Mapping[str, Any], now: datetime) -> tuple[VerificationKey, ...]:
    """The federation keys that a member has published and the anchor's statement does not name so yet; empty
    when both agree, or when what was seen is not signed with a key that the anchor vouches for.
    """
    known = keys_from_jwks(member.federation_jwks)
    try:
        keys = tuple(_verified(seen.get("configuration", ""), member, now).keys.values())
    except TrustError:
        return ()
    return keys if {key.kid for key in keys} != known.keys() else ()


def with_pending(member: Member, seen: Mapping[str, Any], now: datetime) -> Member:
    """The member with the keys that it has published, or as it was."""
    keys = pending_keys(member, seen, now)
    if not keys or member.is_revoked:
        return member
    return replace(member, federation_jwks=jwks_of(keys), updated_at=int(now.timestamp()))


def seen_now(
    member: Member, seen: Mapping[str, Any], configuration: str | bytes, now: datetime, etag: str = ""
) -> dict[str, Any]:
    """What is kept of a member after it showed this configuration. Raises TrustError: not under a key that
    the anchor vouches for, older than what was seen before.
    """
    statement = _verified(configuration, member, now)
    mark = int(statement.issued_at.timestamp())
    if mark < int(seen.get("mark", 0)):
        raise StatementRolledBack(f"{member.entity_id} shows an older configuration than was seen before")
    return {
        "configuration": statement.token.text,
        "etag": etag,
        "mark": mark,
        "seen_at": int(now.timestamp()),
        "problem": "",
    }


def _verified(token: str | bytes, member: Member, now: datetime) -> UnverifiedStatement:
    """A member's configuration under the keys that the anchor vouches for. Raises TrustError."""
    statement = read_statement(token, allow_http_on_loopback=True)
    known = keys_from_jwks(member.federation_jwks)
    verify_statement(statement, iss=member.entity_id, sub=member.entity_id, keys=known, now=now)
    if statement.token.kid not in statement.keys:
        raise StatementRejected("the configuration is signed with a key that it does not name (§3.2)")
    if len(statement.keys) > _MOST_FEDERATION_KEYS:
        raise StatementRejected(f"an entity has at most {_MOST_FEDERATION_KEYS} federation keys")
    return statement


class MemberWatch:
    """Looks at each member in good standing in turn; `after` is called, beside the loop, when all were
    looked at.
    """

    def __init__(
        self,
        folder: AnchorFolder,
        source: StatementSource,
        clock: Clock,
        *,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._source = source
        self._clock = clock
        self._after = after
        self._below = BelowWatch(folder, source, clock)
        self._told: dict[str, str] = {}

    async def refresh_once(self) -> None:
        """Look at every member once; what one does not give is noted and disturbs no other. Safe to repeat."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def look(member: Member) -> None:
            async with places:
                await self._look(member)

        members = [member for member in self._folder.members().values() if not member.is_revoked]
        await asyncio.gather(*(look(member) for member in members))
        await asyncio.to_thread(self._after)
        await asyncio.gather(*(self._look_below(member) for member in members if member.is_authority))

    async def run(self, interval_s: float) -> None:
        """Look every `interval_s`. Only cancelling ends it."""
        while True:
            try:
                await self.refresh_once()
            except Exception as error:  # the loop must outlive whatever one look meets
                _log.error("anchor.watch_failed", error=type(error).__name__, exc_info=True)
            await asyncio.sleep(interval_s)

    async def _look_below(self, member: Member) -> None:
        problem = await self._below.refresh(member)
        if problem and problem != self._told.get(member.entity_id):
            _log.warning("anchor.below_not_seen", authority=member.entity_id, reason=problem)
        self._told[member.entity_id] = problem

    async def _look(self, member: Member) -> None:
        seen = self._folder.seen(member.entity_id)
        try:
            fetched = await self._source.fetch(
                configuration_url(member.entity_id),
                etag=str(seen.get("etag", "")),
                max_bytes=MAX_TOKEN_BYTES,
                timeout_s=_TIMEOUT_S,
            )
            seen = self._folder.seen(member.entity_id)  # a command may have seen more meanwhile
            found = {**seen, "problem": ""}
            if fetched.body is not None:
                found = seen_now(member, seen, fetched.body, self._clock.now(), fetched.etag)
        except StatementUnavailable as error:
            found = {**seen, "problem": str(error)}
        except TrustError as error:
            found = {**seen, "problem": error.detail}
        if found != seen:
            self._folder.write_seen(member.entity_id, found)
