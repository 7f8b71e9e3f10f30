"""Where a search looks: the queries of `node.store.search`, each by an index or between two log indices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    text,
    true,
)

from federation.ports import RecordKind
from node.store.bodies import IN_CLEAR
from node.store.holder_index import newest_about
from node.store.tables import BODIES, LABELS, RECORDS
from node.store.times import to_micros

__all__ = [
    "CLOCK_SLACK",
    "UNANSWERED",
    "Wanted",
    "answers_at",
    "asked_as",
    "bounds",
    "by_index",
    "down_the_log",
    "first_index_at",
    "labels_of",
    "newest_of_labels",
    "rows_at",
]

CLOCK_SLACK: Final = timedelta(seconds=10)
"""By how much the log's clock may have been set back, or replicas' clocks differ, without anything being missed."""

UNANSWERED: Final = "unanswered"

_R = RECORDS.c
_L = LABELS.c
_ASKED, _GOT, _HEARD, _ = (int(kind) for kind in RecordKind)

_RECORDS_OF_ONE: Final = 8
"""Records of one exchange that was asked, at most: a request, and its answer as often as it was fetched."""

_HAS_CASE: Final = (text("records.case_number <> ''"), text("records.kind IN (1, 3)"))
"""Spelled as the partial index `records_case_number` has it, or no database would use it."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What to look for; all of it must fit, and what is empty is not asked.

    `since` is included, `until` is not. `peer` is the other node's entity id, `direction` ``asked`` or ``answered`` by
    this node, `client` the platform that asked here, `outcome` ``answered``, ``refused`` or ``unanswered``. `holders`
    are keyed hashes of one holder, one for each live key.
    """

    since: datetime | None = None
    until: datetime | None = None
    peer: str = ""
    direction: str = ""
    operation: str = ""
    outcome: str = ""
    client: str = ""
    case_number: str = ""
    request_id: str = ""
    holders: tuple[bytes, ...] = ()


def bounds(connection: Connection, wanted: Wanted, below: int) -> tuple[int, int]:
    """The log indices between which all that is wanted lies: the first, and one behind the last."""
    lowest = connection.execute(select(func.min(_R.log_index))).scalar()
    highest = connection.execute(select(func.max(_R.log_index))).scalar()
    if lowest is None or highest is None:
        return 0, 0
    below, end = min(below, highest + 1), highest + 1
    if wanted.until is not None:
        below = min(below, first_index_at(connection, wanted.until + CLOCK_SLACK, lowest, end))
    if wanted.since is not None:
        lowest = first_index_at(connection, wanted.since - CLOCK_SLACK, lowest, end)
    return lowest, max(lowest, below)


_HALVING: Final = text(
    """
    WITH RECURSIVE halving (low, high) AS (
        SELECT CAST(:low AS BIGINT), CAST(:high AS BIGINT)
        UNION ALL
        SELECT CASE WHEN (SELECT recorded_at FROM records WHERE log_index >= (low + high) / 2
                          ORDER BY log_index LIMIT 1) < :wanted THEN (low + high) / 2 + 1 ELSE low END,
               CASE WHEN (SELECT recorded_at FROM records WHERE log_index >= (low + high) / 2
                          ORDER BY log_index LIMIT 1) < :wanted THEN high ELSE (low + high) / 2 END
        FROM halving WHERE low < high
    )
    SELECT low FROM halving WHERE low >= high
    """
).bindparams(bindparam("wanted", type_=BigInteger))
"""In the database, since each of twenty steps would be a way there and back."""


def first_index_at(connection: Connection, moment: datetime, low: int, high: int) -> int:
    """The first index from `low` on whose record is of `moment` or later, `high` when there is none; by halving."""
    values = {"low": low, "high": max(low, high), "wanted": to_micros(moment)}
    return int(connection.execute(_HALVING, values).scalar_one())


def labels_of(wanted: Wanted) -> Select[Any]:
    """The labels of the rows that an exchange of what is wanted begins from."""
    return select(_L.label).where(*_label_fits(wanted, wanted.outcome))


def down_the_log(wanted: Wanted, floor: int, below: int) -> Select[Any]:
    """Index and label of every record between two log indices, newest first."""
    query = select(_R.log_index, _R.label).where(_R.log_index >= floor, _R.log_index < below)
    return query.where(*_time_fits(wanted)).order_by(_R.log_index.desc())


def newest_of_labels(
    connection: Connection, wanted: Wanted, labels: Collection[int], floor: int, below: int, bound: int
) -> Sequence[int]:
    """The newest log indices of these labels between two, `bound` at most, falling: those of each, merged."""
    query = (
        select(_R.log_index)
        .where(_R.label == bindparam("one_label"), _R.log_index >= floor, _R.log_index < below)
        .where(*_time_fits(wanted))
        .order_by(_R.log_index.desc())
        .limit(bound)
    )
    found: list[int] = []
    for label in labels:
        found += connection.execute(query, {"one_label": label}).scalars()
    return sorted(found, reverse=True)[:bound]


def by_index(connection: Connection, wanted: Wanted, floor: int, below: int, bound: int) -> Sequence[int]:
    """The newest log indices of a holder, a request id or a case between two, `bound` at most, falling."""
    if wanted.holders:
        found: set[int] = set()
        for holder in wanted.holders:
            found.update(newest_about(connection, holder, floor=floor, below=below, limit=bound))
        return sorted(found, reverse=True)[:bound]
    if wanted.request_id:
        query = select(_R.log_index).where(_R.request_id == wanted.request_id)
    else:
        query = select(_R.log_index).where(_R.case_number == wanted.case_number, *_HAS_CASE)
    within = query.where(_R.log_index >= floor, _R.log_index < below).order_by(_R.log_index.desc())
    return connection.execute(within.limit(bound)).scalars().all()


def rows_at(wanted: Wanted, indices: Sequence[int]) -> Select[Any]:
    """Those of the records at these log indices that an exchange of what is wanted, whatever its outcome, begins from;
    newest first.
    """
    rows = _rows().where(_R.log_index.in_(indices)).order_by(_R.log_index.desc())
    if wanted.holders or wanted.request_id or wanted.case_number:
        rows = rows.where(*_label_fits(wanted, ""), *_time_fits(wanted))
        for column, value in ((_R.case_number, wanted.case_number), (_R.request_id, wanted.request_id)):
            rows = rows.where(column == value) if value else rows
    return rows


def answers_at(indices: Sequence[int]) -> Select[Any]:
    """The records at these log indices, which are answers of this node."""
    return _rows().where(_R.log_index.in_(indices))


def asked_as(request_ids: Collection[str]) -> Select[Any]:
    """What this node asked under these ids, and what it got: few, since it made the ids."""
    asked = _rows().where(_R.request_id.in_(request_ids), _R.kind.in_([_ASKED, _GOT]))
    return asked.limit(_RECORDS_OF_ONE * len(request_ids))


def _rows() -> Select[Any]:
    # One whose key is still there was not forgotten, also when its body is gone: it is damaged. Bodies are far away on
    # the disk, and only looked for where there is no key.
    body = exists().where(BODIES.c.log_index == _R.log_index)
    has_key = or_(_R.key_id != IN_CLEAR, _R.wrapped != b"")
    has_body = case((has_key, true()), else_=body).label("has_body")
    own = (_R.log_index, _R.generation, _R.kind, _R.request_id, _R.case_number, _R.recorded_at, has_body)
    shared = (_L.asking, _L.answering, _L.operation, _L.outcome, _L.client)
    return select(*own, *shared).select_from(RECORDS.join(LABELS, _L.label == _R.label))


def _label_fits(wanted: Wanted, outcome: str) -> Iterable[ColumnElement[bool]]:
    # An exchange that was asked has its outcome at its answer; one that was answered, at both.
    asked, answered = (_ASKED if outcome in ("", UNANSWERED) else _GOT), _HEARD
    kinds = {"asked": [asked], "answered": [answered]}.get(wanted.direction, [asked, answered])
    yield _L.kind.in_([kind for kind in kinds if outcome != UNANSWERED or kind == _ASKED])
    if outcome not in ("", UNANSWERED):
        yield _L.outcome == outcome
    if wanted.peer:
        yield or_(_L.asking == wanted.peer, _L.answering == wanted.peer)
    for column, value in ((_L.operation, wanted.operation), (_L.client, wanted.client)):
        if value:
            yield column == value


def _time_fits(wanted: Wanted) -> Iterable[ColumnElement[bool]]:
    if wanted.since is not None:
        yield _R.recorded_at >= to_micros(wanted.since)
    if wanted.until is not None:
        yield _R.recorded_at < to_micros(wanted.until)
