"""Gets the documents of trust from where they are: the anchor first, mirrors when it is away, members themselves.

Everything is signed, so a mirror can only be out of date, silent or a nuisance. What one refresh may cost is
bounded, whoever serves: so many documents, bytes and seconds in all; a source that did not answer once is not
asked again in the same refresh; and everything that is asked of mirrors together has a time of its own, so
that slow ones do not keep this node from its peers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from federation.anchor import TrustSettings
from federation.statements import (
    Fetched,
    StatementMissing,
    StatementSource,
    StatementUnavailable,
    StoredStatement,
)
from trust.documents import MIRROR_PATH, ROLL_OVERS_PATH, STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN, statement_digest
from trust.errors import StatementRejected
from trust.rollover import MAX_DOCUMENT_BYTES

__all__ = ["Offer", "Refresh", "mirrors_of", "text_of"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a mirror gave of the anchor's three documents, by path, without those that are known here."""

    base: str
    texts: Mapping[str, str]


def mirrors_of(settings: TrustSettings, peers: Iterable[str], turn: int) -> list[str]:
    """The mirrors to ask: the operator's, then the peers' own, each once; `mirrors_max` of them, by turns."""
    bases = list(dict.fromkeys([*settings.mirrors, *(peer + MIRROR_PATH for peer in peers)]))
    bases = [base for base in bases if base != settings.own_entity + MIRROR_PATH]
    if len(bases) <= settings.mirrors_max:
        return bases
    first = turn * settings.mirrors_max % len(bases)
    return (bases[first:] + bases[:first])[: settings.mirrors_max]


class Refresh:
    """The fetches of one refresh, within its caps. `rest` below is a document's path under a base URL."""

    def __init__(
        self, source: StatementSource, settings: TrustSettings, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._settings = settings
        self._now_s = now_s
        self._ends_s = now_s() + settings.refresh_max_s
        self._mirrors_end_s: float | None = None
        self._documents = settings.documents_max
        self._bytes = settings.refresh_max_bytes
        self._silent: set[str] = set()

    def is_silent(self, base: str) -> bool:
        """Whether this source did not answer in this refresh."""
        return base in self._silent

    async def get(
        self, base: str, rest: str, *, etag: str = "", max_bytes: int | None = None, of_mirror: bool = False
    ) -> Fetched:
        """One document. Raises StatementMissing, StatementUnavailable, also when a cap is reached."""
        if base in self._silent:
            raise StatementUnavailable(f"{base} did not answer just now")
        timeout_s = min(self._settings.fetch_timeout_s, self._left_s(of_mirror))
        if timeout_s <= 0 or self._documents <= 0 or self._bytes <= 0:
            raise StatementUnavailable(f"{base}{rest} is left for the next refresh: this one had its share")
        self._documents -= 1
        most = min(max_bytes or self._settings.statement_max_bytes, self._bytes)
        try:
            fetched = await self._source.fetch(base + rest, etag=etag, max_bytes=most, timeout_s=timeout_s)
        except StatementMissing:
            raise
        except StatementUnavailable:
            self._silent.add(base)
            self._bytes -= most  # it may have sent as much before it was given up
            raise
        self._bytes -= len(fetched.body or b"")
        return fetched

    async def offers(
        self, mirrors: Iterable[str], known: Callable[[str], StoredStatement | None]
    ) -> list[Offer]:
        """What the mirrors have of the anchor's three documents, all asked at once.

        `known` gives the stored row of a path. A mirror that is away, slow or too generous offers nothing.
        """
        offers = await asyncio.gather(*(self._offer(base, known) for base in mirrors))
        return [offer for offer in offers if offer is not None]

    async def _offer(self, base: str, known: Callable[[str], StoredStatement | None]) -> Offer | None:
        texts: dict[str, str] = {}
        for rest in (ROLL_OVERS_PATH, WELL_KNOWN, STATUS_PATH):
            row = known(rest)
            etag = f'"{statement_digest(row.token)}"' if row is not None else ""
            most = MAX_DOCUMENT_BYTES if rest == ROLL_OVERS_PATH else None
            try:
                fetched = await self.get(base, rest, etag=etag, max_bytes=most, of_mirror=True)
                if fetched.body is not None:
                    texts[rest] = text_of(fetched, row)
            except StatementMissing:
                continue
            except (StatementUnavailable, StatementRejected):
                return None
        return Offer(base, texts)

    async def statement(
        self, subject: str, digest: str, fetch_endpoint: str, mirrors: Iterable[str]
    ) -> tuple[str, str]:
        """The anchor's statement with this digest, and its entity tag: from the anchor or else from a mirror.

        Raises StatementUnavailable or StatementRejected: why it could not be had from the first who was asked.
        """
        reasons: list[StatementUnavailable | StatementRejected] = []
        for base in (self._settings.anchor, *mirrors):
            try:
                fetched = await self._statement_at(base, subject, fetch_endpoint)
                token = text_of(fetched, None)
            except (StatementUnavailable, StatementRejected) as error:
                reasons.append(error)
                continue
            if statement_digest(token) == digest:
                return token, fetched.etag
            reasons.append(
                StatementRejected(
                    f"the statement served about {subject} is not the one that the status names"
                )
            )
        raise reasons[0]

    async def _statement_at(self, base: str, subject: str, fetch_endpoint: str) -> Fetched:
        if base != self._settings.anchor:
            return await self.get(base, statement_path(subject), of_mirror=True)
        try:
            return await self.get(base, statement_path(subject))
        except StatementMissing:
            if not fetch_endpoint:
                raise
            # An anchor of the first release has no such files: OpenID Federation 1.1 §8.1.
            return await self.get(fetch_endpoint, "?" + urlencode({"sub": subject}))

    def _left_s(self, of_mirror: bool) -> float:
        now_s = self._now_s()
        if not of_mirror:
            return self._ends_s - now_s
        if self._mirrors_end_s is None:
            self._mirrors_end_s = now_s + self._settings.mirrors_max_s
        return min(self._ends_s, self._mirrors_end_s) - now_s


def text_of(fetched: Fetched, row: StoredStatement | None) -> str:
    """The document that was served, or the stored one when nothing changed.

    Raises StatementUnavailable, StatementRejected.
    """
    if fetched.body is None:
        if row is None:
            raise StatementUnavailable("the source says that nothing changed, but nothing is stored")
        return row.token
    try:
        return fetched.body.decode("ascii")
    except UnicodeDecodeError:
        raise StatementRejected("not a JWS in compact serialization") from None
