"""Reconciliation: what one node logged as asked of another must be in the other's log, and the other way round.

Both compare what they hold of their own exchanges, and of nobody else's. The rules, all of them pure:

1. An exchange lies in the hour of its request id (UUIDv7, milliseconds), which both sides know and neither can move:
   an answering node takes no id that is far from `asked_at` (`federation.admission`).
2. The root of an hour is one SHA-256 over its messages, in the order of request ids. Only exchanges with an answer
   in that log count: a request that never arrived is in one log only, and that is no difference.
3. Messages are compared by identity, the SHA-256 of what was signed. The identities of a named number of messages are
   made anew from the stored bytes each time, so bytes that were changed behind a node's back show.
4. What is still going on is no finding: a difference counts when the request is older than `OPEN_S`, except that
   altered bytes count at once.
5. Where the roots differ, messages are compared one by one, page by page, both sides in one order: memory holds a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from typing import Final

from msgspec import Struct

from federation.query import HourRoot, LoggedMessage, Part
from federation.request_ids import first_request_id, time_of_request_id

__all__ = [
    "ADVICE",
    "HOUR",
    "LATE_S",
    "OPEN_S",
    "Finding",
    "FindingKind",
    "HourSum",
    "Place",
    "bounds_of_hour",
    "by_exchange",
    "compare_exchange",
    "hour_of",
    "start_of_hour",
]

HOUR: Final = timedelta(hours=1)
OPEN_S: Final = 120.0
"""Skew, the life of a request, its deadline and some: after this, nothing that was asked is still on its way."""
LATE_S: Final = OPEN_S
"""How long after its request id an answering node may store a request and its answer."""

MOST_UNANSWERED: Final = 200
"""Unanswered requests of an hour that are named."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ROOT_OF: Final = b"yrd.reconcile.v1\n"


class Place(StrEnum):
    """In whose log."""

    HERE = "here"
    THERE = "there"
    BETWEEN = "between"
    """In both, and they say different things."""


class FindingKind(StrEnum):
    """What can be wrong with an exchange when two logs are compared."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    ALTERED = "altered"
    ONE_SIDED = "one_sided"
    UNFETCHED = "unfetched"
    LATE = "late"

    @property
    def is_alarming(self) -> bool:
        """Whether a log does not say what it must; else it is explained and harmless."""
        return self in (FindingKind.MISSING_HERE, FindingKind.MISSING_THERE, FindingKind.ALTERED)


class Finding(Struct, frozen=True, order=True):
    """One exchange about which two logs differ, and in whose log that shows."""

    request_id: str
    kind: FindingKind
    place: Place
    asked_here: bool


def hour_of(moment: datetime) -> int:
    """The hour since 1970 in which a moment lies."""
    return (moment - _EPOCH) // HOUR


def start_of_hour(hour: int) -> datetime:
    """When an hour begins."""
    return _EPOCH + hour * HOUR


def bounds_of_hour(hour: int, until: datetime) -> tuple[str, str]:
    """The request ids of an hour: from the first on, below the second; of `until` and later there are none."""
    end = max(start_of_hour(hour), min(start_of_hour(hour + 1), until))
    return first_request_id(start_of_hour(hour)), first_request_id(end)


# --- the root of an hour ----------------------------------------------------------------------------


class HourSum:
    """Adds up one hour, exchange by exchange in the order of request ids."""

    def __init__(self, hour: int) -> None:
        self._hour = hour
        self._sum = sha256(_ROOT_OF)
        self.exchanges = 0
        self.altered: list[LoggedMessage] = []
        self.unanswered: list[str] = []

    def add(self, messages: Sequence[LoggedMessage]) -> None:
        """All messages of one request id."""
        self.altered += [message for message in messages if message.altered]
        if not _is_answered(messages):
            if len(self.unanswered) < MOST_UNANSWERED:
                self.unanswered.append(messages[0].request_id)
            return
        self.exchanges += 1
        for asking, part, identity, altered in sorted({(*_key(one), one.altered) for one in messages}):
            line = f"{messages[0].request_id} {asking} {part:d} {identity.hex()} {altered:d}\n"
            self._sum.update(line.encode())

    def root(self, checked: int = 0) -> HourRoot:
        """What it comes to."""
        return HourRoot(self._hour, self.exchanges, self._sum.digest(), checked)


def by_exchange(messages: Iterable[LoggedMessage]) -> Iterator[tuple[LoggedMessage, ...]]:
    """Messages in the order of request ids, those of one id together."""
    for _, group in groupby(messages, key=lambda message: message.request_id):
        yield tuple(group)


def _key(message: LoggedMessage) -> tuple[str, Part, bytes]:
    return message.asking, message.part, message.identity


def _is_answered(messages: Iterable[LoggedMessage]) -> bool:
    return any(message.part is Part.ANSWER for message in messages)


# --- one exchange, in both logs ---------------------------------------------------------------------


def compare_exchange(
    own: Sequence[LoggedMessage],
    theirs: Sequence[LoggedMessage],
    *,
    own_entity: str,
    now: datetime,
) -> list[Finding]:
    """What is wrong with one exchange; each side's messages are all of that request id, or none.

    Empty when both say the same, and when it may still be going on.
    """
    request_id, asked_here = (own or theirs)[0].request_id, (own or theirs)[0].asking == own_entity

    def finding(kind: FindingKind, place: Place) -> Finding:
        return Finding(request_id, kind, place, asked_here)

    found = [
        finding(FindingKind.ALTERED, place)
        for place, messages in ((Place.HERE, own), (Place.THERE, theirs))
        if any(message.altered for message in messages)
    ]
    if (now - time_of_request_id(request_id)).total_seconds() <= OPEN_S:
        return found
    found += [finding(kind, place) for kind, place in _differences(own, theirs, asked_here=asked_here)]
    answerers = theirs if asked_here else own
    if any(_is_late(message) for message in answerers):
        found.append(finding(FindingKind.LATE, Place.THERE if asked_here else Place.HERE))
    return found


def _differences(
    own: Sequence[LoggedMessage], theirs: Sequence[LoggedMessage], *, asked_here: bool
) -> Iterator[tuple[FindingKind, Place]]:
    here, there = set(map(_key, own)), set(map(_key, theirs))
    askers, answerers = (here, there) if asked_here else (there, here)
    asker, answerer = (Place.HERE, Place.THERE) if asked_here else (Place.THERE, Place.HERE)
    if not answerers and not _answers(askers):
        yield FindingKind.ONE_SIDED, asker
        return
    if (
        askers - _answers(askers)
    ) & answerers:  # other bytes under the same id that never arrived are no loss
        askers = _answers(askers) | askers & answerers
    lost, gone = answerers - askers, askers - answerers
    if {part for _, part, _ in lost} & {part for _, part, _ in gone}:
        yield FindingKind.ALTERED, Place.BETWEEN
        return
    if gone:
        yield _missing(answerer), answerer
    if lost and askers and lost == _answers(lost):
        yield FindingKind.UNFETCHED, asker
    elif lost:
        yield _missing(asker), asker


def _answers(keys: set[tuple[str, Part, bytes]]) -> set[tuple[str, Part, bytes]]:
    return {key for key in keys if key[1] is Part.ANSWER}


def _missing(place: Place) -> FindingKind:
    return FindingKind.MISSING_HERE if place is Place.HERE else FindingKind.MISSING_THERE


def _is_late(message: LoggedMessage) -> bool:
    away_s = (message.recorded_at - time_of_request_id(message.request_id)).total_seconds()
    return abs(away_s) > LATE_S


# --- what to do -------------------------------------------------------------------------------------

ADVICE: Final[Mapping[tuple[FindingKind, Place], tuple[str, str]]] = {
    (FindingKind.MISSING_HERE, Place.HERE): (
        "对端有此交换，本节点没有：本库被改动或恢复过旧备份。请对端导出存证，查谁改了库",
        "the peer has it, this log has not: the store was edited, or an old copy restored. Have the peer export it",
    ),
    (FindingKind.MISSING_THERE, Place.THERE): (
        "本节点有此交换，对端没有：请导出存证交对端运维核查",
        "this log has it and the peer's has not: export it (yrd evidence export) and put it to the peer's operators",
    ),
    (FindingKind.ALTERED, Place.HERE): (
        "本库中的内容与记入日志时不同：请对端导出存证，查谁改了库",
        "the bytes in this store are not those that were logged: have the peer export it, find out who changed them",
    ),
    (FindingKind.ALTERED, Place.THERE): (
        "对端库中的内容被改动：请导出存证，通知对端运维",
        "the bytes in the peer's store were changed: export it here (yrd evidence export) and tell its operators",
    ),
    (FindingKind.ALTERED, Place.BETWEEN): (
        "两边内容不同：两边都导出存证，用 yrd verify 核对哪一份成立",
        "the two logs hold different messages: export it on both sides and see with yrd verify which one holds",
    ),
    (FindingKind.ONE_SIDED, Place.HERE): (
        "本节点问过，对端没有应答：超时或未送达，无须处理",
        "asked here and never answered: it did not arrive, or was refused unsigned. Nothing to do",
    ),
    (FindingKind.ONE_SIDED, Place.THERE): (
        "对端问过，未送达本节点：无须处理",
        "asked there, and it never arrived here. Nothing to do",
    ),
    (FindingKind.UNFETCHED, Place.HERE): (
        "对端已应答，本节点未收到：后台会取回",
        "the peer answered and this node never got it: it is fetched in the background",
    ),
    (FindingKind.UNFETCHED, Place.THERE): (
        "本节点已应答，对端未收到：对端可取回",
        "answered here, and the peer never got it: the peer can fetch it",
    ),
    (FindingKind.LATE, Place.HERE): (
        "本节点记录的时间与请求的时间相差过大：查本机时钟，或进程是否停顿过",
        "recorded here at another time than it was asked: look at this machine's clock, or whether the process stood",
    ),
    (FindingKind.LATE, Place.THERE): (
        "对端记录的时间与请求的时间相差过大：请对端查时钟",
        "recorded there at another time than it was asked: have the peer look at its clock",
    ),
}
"""What to do about each kind, in Chinese and English."""
