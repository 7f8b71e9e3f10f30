"""Finding exchanges in the log, newest first: `yrd evidence search`.

Pages go on from a log index, never from an offset, and every way of finding has an index or a bound:

- by holder, request id or case: an index each, of which one page looks at `Scan.found` exchanges at most
- everything else is a matter of labels: the ones that fit are found first. Then a page looks at the last `Scan.recent`
  records, where what is common is found, and at the newest ones of each label, where what is rare is
- with more labels than `Scan.labels`, or for what was never answered, a page goes down the log `Scan.records` records
  or `Scan.found` exchanges at most. It may then come back with less than was asked for; its cursor says where to go on
- a time becomes log indices by halving, since records are in the order of the log's clock, but for some seconds
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, json
from sqlalchemy import Connection, func, select

from federation.errors import OwnBadValue
from federation.ports import RecordKind
from node.store.database import Database
from node.store.pairing import answers_given
from node.store.search_queries import (
    UNANSWERED,
    Wanted,
    answers_at,
    asked_as,
    bounds,
    by_index,
    down_the_log,
    labels_of,
    newest_of_labels,
    rows_at,
)
from node.store.tables import ARCHIVES, RECORDS
from node.store.times import from_micros, to_micros

__all__ = ["EvidenceSearch", "Found", "Page", "Scan", "Wanted"]

_R = RECORDS.c
_ASKED, _GOT, _HEARD, _GAVE = (int(kind) for kind in RecordKind)
_TOP: Final = 2**62
"""Above every log index."""
_DIGEST_BYTES: Final = 8
_Row = Mapping[Any, Any]


class Scan(Struct, frozen=True):
    """The bounds of one page; smaller in tests."""

    recent: int = 2_000
    """Records at the end of the log that are looked at one by one."""
    labels: int = 256
    """Labels whose newest records are merged."""
    records: int = 20_000
    """Records that are looked at one by one when there are more labels."""
    found: int = 500
    """Exchanges of one holder or one case, or without an answer, that are looked at."""


_DEFAULT: Final = Scan()


class Found(Struct, frozen=True):
    """One exchange: the log indices of its request and, when there is one, of its answer, and what they are found by.
    `recorded_at` is the request's time; `forgotten`, that its content was deleted.
    """

    indices: tuple[int, ...]
    generation: int
    recorded_at: datetime
    answered_at: datetime | None
    request_id: str
    direction: str
    peer: str
    operation: str
    case_number: str
    client: str
    outcome: str
    forgotten: bool


class Page(Struct, frozen=True):
    """One page. `next` is the cursor of the next one, empty at the end.

    `is_cut` is true when this page stopped at a bound before it had all it was asked for; `reached_at` is how far back
    it has looked then. `archived_until` is until when records went into archive files, when some of the time that
    was asked for lies before.
    """

    found: tuple[Found, ...]
    next: str = ""
    is_cut: bool = False
    reached_at: datetime | None = None
    archived_until: datetime | None = None


class EvidenceSearch:
    """Searches a store."""

    def __init__(self, database: Database, scan: Scan = _DEFAULT) -> None:
        self._database = database
        self._scan = scan

    async def page(self, wanted: Wanted, *, after: str = "", limit: int = 50) -> Page:
        """The next exchanges, newest first. `after` is the cursor of the page before.

        Raises OwnBadValue for a cursor that is none, or of another search; OwnStoreUnavailable.
        """
        below = _read_cursor(after, wanted) if after else _TOP
        async with self._database.reading() as connection:
            return await connection.run_sync(self._page, wanted, below, limit)

    def _page(self, connection: Connection, wanted: Wanted, below: int, limit: int) -> Page:
        lowest, below = bounds(connection, wanted, below)
        indices, floor = self._indices(connection, wanted, lowest, below, limit + 1)
        rows = connection.execute(rows_at(wanted, indices)).mappings().all() if indices else ()
        found = [
            (index, one) for index, one in _exchanges(connection, rows) if wanted.outcome in ("", one.outcome)
        ]
        is_full = len(found) > limit
        if is_full:
            floor = found[limit - 1][0]
        goes_on = floor > lowest
        is_cut = goes_on and not is_full
        return Page(
            tuple(one for _, one in found[:limit]),
            _cursor(floor, wanted) if goes_on else "",
            is_cut,
            _time_at(connection, floor) if is_cut else None,
            _archived_until(connection, wanted),
        )

    def _indices(
        self, connection: Connection, wanted: Wanted, lowest: int, below: int, enough: int
    ) -> tuple[Sequence[int], int]:
        """Log indices to begin from, falling, and the one down to which all were looked at."""
        if wanted.holders or wanted.request_id or wanted.case_number:
            bound = max(enough, self._scan.found)
            found = by_index(connection, wanted, lowest, below, bound)
            return found, found[-1] if len(found) == bound else lowest
        labels = frozenset(connection.execute(labels_of(wanted)).scalars())
        if not labels:
            return (), lowest
        if wanted.outcome == UNANSWERED:
            enough = max(enough, self._scan.found)
        merges = len(labels) <= self._scan.labels
        floor = max(lowest, below - (self._scan.recent if merges else self._scan.records))
        recent = connection.execute(down_the_log(wanted, floor, below))
        found = [index for index, label in recent if label in labels][:enough]
        if merges and len(found) < enough:
            found += newest_of_labels(connection, wanted, labels, lowest, floor, enough - len(found))
            floor = lowest
        return found, found[-1] if len(found) == enough else floor


# --- what was found ---------------------------------------------------------------------------------------------------


def _exchanges(connection: Connection, rows: Sequence[_Row]) -> Iterable[tuple[int, Found]]:
    """The exchange of each row, with the row's log index."""
    gave, asked = _given(connection, rows), _asked(connection, rows)
    for row in rows:
        if row["kind"] == _HEARD:
            pair = [row, *gave.get(row["log_index"], ())]
        else:
            related = asked[row["request_id"]]
            pair = [*related.get(_ASKED, ())[:1], *related.get(_GOT, ())[:1]]
        yield row["log_index"], _found(row, pair)


def _given(connection: Connection, rows: Sequence[_Row]) -> Mapping[int, Sequence[_Row]]:
    """The answers that this node gave, by the log index of the request."""
    heard = [row["log_index"] for row in rows if row["kind"] == _HEARD]
    of = {row.gave: row.heard for row in connection.execute(answers_given(heard))} if heard else {}
    found = connection.execute(answers_at(list(of))).mappings() if of else ()
    return {of[one["log_index"]]: [one] for one in found}


def _asked(connection: Connection, rows: Sequence[_Row]) -> Mapping[str, Mapping[int, Sequence[_Row]]]:
    """What this node asked and got, by request id and kind, oldest first."""
    ids = {row["request_id"] for row in rows if row["kind"] != _HEARD}
    found = connection.execute(asked_as(ids)).mappings().all() if ids else ()
    related: dict[str, dict[int, list[_Row]]] = {one: {} for one in ids}
    for row in sorted(found, key=lambda one: one["log_index"]):
        related[row["request_id"]].setdefault(row["kind"], []).append(row)
    return related


def _found(row: _Row, pair: Sequence[_Row]) -> Found:
    answer = pair[-1] if pair[-1]["kind"] in (_GOT, _GAVE) else None
    asked = row["kind"] != _HEARD
    return Found(
        indices=tuple(one["log_index"] for one in pair),
        generation=pair[0]["generation"],
        recorded_at=from_micros(pair[0]["recorded_at"]),
        answered_at=None if answer is None else from_micros(answer["recorded_at"]),
        request_id=row["request_id"],
        direction="asked" if asked else "answered",
        peer=row["answering"] if asked else row["asking"],
        operation=row["operation"],
        case_number=pair[0]["case_number"],
        client=pair[0]["client"],
        outcome=answer["outcome"] if answer is not None else UNANSWERED,
        forgotten=not any(one["has_body"] for one in pair),
    )


def _time_at(connection: Connection, index: int) -> datetime | None:
    query = select(_R.recorded_at).where(_R.log_index >= index).order_by(_R.log_index).limit(1)
    found = connection.execute(query).scalar()
    return None if found is None else from_micros(found)


def _archived_until(connection: Connection, wanted: Wanted) -> datetime | None:
    query = select(func.max(ARCHIVES.c.until_at)).where(ARCHIVES.c.emptied_at.is_not(None))
    found = connection.execute(query).scalar()
    if found is None or (wanted.since is not None and to_micros(wanted.since) >= found):
        return None
    return from_micros(found)


# --- cursors ----------------------------------------------------------------------------------------------------------


def _cursor(below: int, wanted: Wanted) -> str:
    raw = below.to_bytes(8, "big") + _digest(wanted)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _read_cursor(text: str, wanted: Wanted) -> int:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 8 + _DIGEST_BYTES:
        raise OwnBadValue("that is no cursor of a search; leave it out to begin with the newest")
    if raw[8:] != _digest(wanted):
        raise OwnBadValue("that cursor is of another search: a page goes on only under the same conditions")
    return int.from_bytes(raw[:8], "big")


def _digest(wanted: Wanted) -> bytes:
    return hashlib.sha256(json.encode(wanted)).digest()[:_DIGEST_BYTES]
