"""What stands below an authority, looked at in the background and kept in the folder: for resolving (§8.3), so
that a city under a province resolves as the province does.

The authority says who is below it, at its list endpoint (§8.2), and what it says of each, at its fetch endpoint
(§8.1); each then says what it is itself (§9). An authority is believed in what is its own, and no further:

 1. its endpoints are below its own entity id, so a list never leads anywhere else
 2. its statement about a city is signed with a key that the anchor vouches for, and is of now
 3. the anchor's constraints on the authority are kept, so that it names no host that is not its own (§6.2)
 4. only then is that host asked: by https, and by http or on loopback only where the anchor allows that
 5. what a city shows is signed with a key that the authority's statement gives, and names the authority (§3.2)
 6. neither statement goes back behind one that was seen before

One look at an authority is bounded by `MOST_CITIES`, `MOST_LOOK_BYTES` and `MOST_LOOK_S`. A city that is no longer
on the list is forgotten; what an authority or a city does not give just now stays, until it ends. One level only:
an authority takes in no other (`node.anchor.plain`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from federation.ports import Clock
from federation.statements import StatementMissing, StatementSource, StatementUnavailable
from node.anchor.folder import AnchorFolder, Member
from trust.chain import verify_statement
from trust.constraints import check_constraints
from trust.documents import FETCH_PATH, LIST_PATH
from trust.entity import UnverifiedStatement, configuration_url, read_statement
from trust.errors import StatementRejected, StatementRolledBack, TrustError
from trust.identity import check_entity_id, is_loopback_host
from trust.keys import VerificationKey, keys_from_jwks
from trust.tokens import MAX_TOKEN_BYTES

__all__ = ["MOST_CITIES", "MOST_LOOK_BYTES", "MOST_LOOK_S", "BelowWatch"]

MOST_CITIES = 64
"""How many of an authority's list are looked at; a province has some twenty cities."""
MOST_LOOK_BYTES = 2 * 1024 * 1024
MOST_LOOK_S = 30.0

_MOST_LIST_BYTES = 64 * 1024
_AT_ONCE = 4
_TIMEOUT_S = 5.0
_MOST_TOLD = 300


@dataclass
class _Look:
    """One look at one authority: who it is, and how much it may still send."""

    member: Member
    keys: Mapping[str, VerificationKey]
    endpoints: Mapping[str, Any]
    own: UnverifiedStatement
    """What the anchor says of it."""
    left_bytes: int

    def endpoint(self, name: str, path: str) -> str:  # 1
        """An endpoint as its configuration names it, below its own entity id. Raises StatementRejected."""
        base = self.member.entity_id
        found = self.endpoints.get(name, base + path)
        if not isinstance(found, str) or not found.startswith(base + "/"):
            raise StatementRejected(f"{base} names a {name} that is not its own")
        return found


class BelowWatch:
    """Looks at those below each authority in good standing."""

    def __init__(self, folder: AnchorFolder, source: StatementSource, clock: Clock) -> None:
        self._folder = folder
        self._source = source
        self._clock = clock
        self._is_loopback_allowed = folder.facts().allow_http_on_loopback

    async def refresh(self, member: Member) -> str:
        """Look once at all below one authority, whose configuration was seen. What was wrong, or empty.

        Cancelled: what was found so far is kept. Safe to repeat.
        """
        try:
            async with asyncio.timeout(MOST_LOOK_S):
                return await self._refresh(member)
        except TimeoutError:
            return f"looking at those below took longer than {MOST_LOOK_S:g} s"
        except StatementUnavailable as error:
            return str(error)[:_MOST_TOLD]
        except TrustError as error:
            return error.detail[:_MOST_TOLD]

    async def _refresh(self, member: Member) -> str:
        look = self._begin(member)
        body = await self._get(look, look.endpoint("federation_list_endpoint", LIST_PATH))
        listed = _listed(body, allow_http_on_loopback=self._is_loopback_allowed)
        problems = [] if len(listed) <= MOST_CITIES else [f"more than {MOST_CITIES} are listed"]
        cities = listed[:MOST_CITIES]
        self._folder.keep_below(member.entity_id, cities)
        places = asyncio.Semaphore(_AT_ONCE)

        async def look_at(city: str) -> None:
            async with places:
                try:
                    await self._look_at(look, city)
                except StatementUnavailable as error:
                    problems.append(str(error))
                except TrustError as error:
                    problems.append(error.detail)

        await asyncio.gather(*map(look_at, cities))
        return f"{len(problems)} problems; the first: {problems[0][:_MOST_TOLD]}" if problems else ""

    def _begin(self, member: Member) -> _Look:
        """What is known of the authority already. Raises TrustError: it was not seen, or that is over."""
        seen, keys = self._folder.seen(member.entity_id), keys_from_jwks(member.federation_jwks)
        configuration = self._read(seen.get("configuration", ""))
        self._verify(configuration, member.entity_id, member.entity_id, keys)
        endpoints = configuration.claims.get("metadata", {}).get("federation_entity", {})
        return _Look(member, keys, endpoints, self._read(member.statement), MOST_LOOK_BYTES)

    async def _look_at(self, look: _Look, city: str) -> None:
        authority = look.member.entity_id
        known = self._folder.below(authority, city)
        url = look.endpoint("federation_fetch_endpoint", FETCH_PATH)
        try:
            statement = self._read(await self._get(look, f"{url}?{urlencode({'sub': city})}"))
        except StatementMissing:
            self._folder.forget_below(authority, city)
            raise
        self._verify(statement, authority, city, look.keys)  # 2
        check_constraints([statement, look.own])  # 3
        self._check_host(city)  # 4
        configuration = self._read(await self._get(look, configuration_url(city)))
        self._verify(configuration, city, city, statement.keys)  # 5
        if authority not in configuration.authority_hints:
            raise StatementRejected(f"{city} does not name {authority} among its authority hints (§3.2)")
        found = {"statement": statement.token.text, "configuration": configuration.token.text}
        for name, read in (("statement", statement), ("configuration", configuration)):  # 6
            if name in known and read.issued_at < self._read(known[name]).issued_at:
                raise StatementRolledBack(f"{city}: an older {name} than was seen before")
        if found != known:
            self._folder.write_below(authority, city, found)

    def _check_host(self, city: str) -> None:
        if is_loopback_host(urlsplit(city).hostname or "") and not self._is_loopback_allowed:
            raise StatementRejected(f"{city} is this machine, which is not asked")

    def _verify(
        self, statement: UnverifiedStatement, iss: str, sub: str, keys: Mapping[str, VerificationKey]
    ) -> None:
        verify_statement(statement, iss=iss, sub=sub, keys=keys, now=self._clock.now())

    def _read(self, token: str | bytes) -> UnverifiedStatement:
        return read_statement(token, allow_http_on_loopback=self._is_loopback_allowed)

    async def _get(self, look: _Look, url: str) -> bytes:
        """Raises StatementUnavailable."""
        if look.left_bytes <= 0:
            raise StatementUnavailable(f"those below gave more than {MOST_LOOK_BYTES} bytes")
        most = min(_MOST_LIST_BYTES, MAX_TOKEN_BYTES, look.left_bytes)
        fetched = await self._source.fetch(url, etag="", max_bytes=most, timeout_s=_TIMEOUT_S)
        body = fetched.body or b""
        look.left_bytes -= len(body)
        return body


def _listed(body: bytes, *, allow_http_on_loopback: bool) -> Sequence[str]:
    """The entity ids of a list, sorted, each once. Raises StatementRejected."""
    try:
        listed = orjson.loads(body)
    except orjson.JSONDecodeError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise StatementRejected("the list of those below is not a JSON array of entity ids (§8.2.2)")
    return sorted({check_entity_id(entry, allow_http_on_loopback=allow_http_on_loopback) for entry in listed})
