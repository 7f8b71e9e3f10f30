"""What asking and answering have in common: the parts they are made of, their limits, and the time checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from federation.access import AccessHolder
from federation.consents import ConsentCheck
from federation.current import Current
from federation.errors import PeerExpired, PeerFromFuture, PeerStale
from federation.observe import ExchangeObserver, SilentObserver
from federation.peers import Directory
from federation.ports import Clock, Codec, HolderHash, Journal
from federation.query import AnswerHeader, RequestHeader
from federation.translation_counts import TranslationCounts
from federation.translator import Translator
from mapping.translate import Dialect

__all__ = ["DialectHolder", "ExchangeLimits", "ExchangeParts", "check_answer_time", "check_request_time"]


class DialectHolder(Current[Dialect]):
    """The dialect in force; `yrd map reload` swaps it whole. `since` when it is, `loaded_at` when the first was."""

    __slots__ = ("loaded_at", "since")

    def __init__(self, dialect: Dialect, now: datetime | None = None) -> None:
        super().__init__(dialect)
        self.since = self.loaded_at = now

    def put_in_force(self, dialect: Dialect, now: datetime) -> None:
        """Swap it; the same rule set again stays in force since it first was."""
        if dialect.digest != self.current.digest:
            self.since = now
            self.swap(dialect)


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """The limits of design §11; sizes are of a whole envelope."""

    message_in_bytes: int = 1_048_576
    message_out_bytes: int = 4_194_304
    deadline_s: float = 5.0
    skew_s: float = 60.0
    request_life_s: float = 30.0
    lease_s: float = 15.0
    peer_quota_per_s: float = 500.0
    peer_quota_burst: float = 1000.0
    platform_quota_per_s: float = 500.0
    platform_quota_burst: float = 1000.0
    signed_refusals_per_minute: float = 600.0
    in_flight: int = 512
    page_size: int = 100


@dataclass(frozen=True, slots=True)
class ExchangeParts:
    """What both sides of the exchange are made of."""

    directory: Directory
    access: AccessHolder
    dialect: DialectHolder
    codec: Codec
    journal: Journal
    clock: Clock
    limits: ExchangeLimits = ExchangeLimits()
    observer: ExchangeObserver = field(default_factory=SilentObserver)
    translations: TranslationCounts = field(default_factory=TranslationCounts)
    holder_hash: HolderHash | None = None
    consents: ConsentCheck | None = None

    def translator(self) -> Translator:
        """A translator of the dialect in force, to be kept to the end of an exchange."""
        return Translator(self.dialect.current)


def check_request_time(header: RequestHeader, now: datetime, limits: ExchangeLimits) -> None:
    """Check 6. Clocks may differ by the allowed skew, in either direction.

    Raises PeerFromFuture when it was asked later than now, PeerStale when longer ago than any request lives,
    PeerExpired when its own end is past. Each states both clocks and the bound.
    """
    skew = timedelta(seconds=limits.skew_s)
    if header.asked_at > now + skew:
        raise PeerFromFuture(_clocks("asked_at", header.asked_at, now, f"{limits.skew_s:g} s ahead"))
    oldest_s = limits.skew_s + limits.request_life_s
    if header.asked_at < now - timedelta(seconds=oldest_s):
        raise PeerStale(_clocks("asked_at", header.asked_at, now, f"{oldest_s:g} s old"))
    if header.expires_at < now - skew:
        raise PeerExpired(_clocks("expires_at", header.expires_at, now, f"{limits.skew_s:g} s past"))


def check_answer_time(
    header: AnswerHeader, asked_at: datetime, now: datetime, limits: ExchangeLimits
) -> None:
    """An answer is made after its question and before now, within the allowed skew.

    A first answer that is given again, or fetched, may be as old as its question.
    Raises PeerFromFuture, PeerStale.
    """
    skew = timedelta(seconds=limits.skew_s)
    if header.answered_at > now + skew:
        raise PeerFromFuture(_clocks("answered_at", header.answered_at, now, f"{limits.skew_s:g} s ahead"))
    if header.answered_at < asked_at - skew:
        bound = f"{limits.skew_s:g} s before asked_at {asked_at.isoformat()}"
        raise PeerStale(_clocks("answered_at", header.answered_at, now, bound))


def _clocks(name: str, theirs: datetime, ours: datetime, bound: str) -> str:
    return (
        f"{name} is {theirs.isoformat()}, the clock here says {ours.isoformat()}; at most {bound} is allowed"
    )
