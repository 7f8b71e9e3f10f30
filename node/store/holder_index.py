"""The log indices of a holder's exchanges, segment by segment of the log (`tables.HOLDERS`).

A look into one segment is a look into the primary key, two microseconds on SQLite, and a log of ten million records has
some 2,400 of them. The segments are walked from one end, few at first and ever more at once: whoever has many exchanges
is found with the first ones, and to learn that somebody has none takes a handful of statements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    UnaryExpression,
    bindparam,
    delete,
    literal,
    select,
    text,
)

from node.store.tables import HOLDERS, HOLDERS_SEGMENT

__all__ = ["Key", "any_under", "drop_keys", "keys_at", "newest_about", "oldest_about"]

_GROWTH: Final = 4
_MOST_AT_ONCE: Final = 1024
"""Segments in one statement."""


_H = HOLDERS.c


class Key(NamedTuple):
    """An entry, which is all key."""

    segment: int
    holder: bytes
    log_index: int


def _big(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger())


def _of_each_segment(wanted: ColumnElement[Any], *fits: ColumnElement[bool]) -> Select[Any]:
    """From the segments ``:first`` to ``:last``, each looked into by itself: a test holds the plans to that."""
    first = select(_big("first").label("segment")).cte("walk", recursive=True)
    walk = first.union_all(select(first.c.segment + 1).where(first.c.segment < _big("last")))
    return select(wanted).select_from(walk).where(_H.segment == walk.c.segment, *fits)


def _about(order: UnaryExpression[Any]) -> Select[Any]:
    binary = bindparam("holder", type_=LargeBinary())
    fits = (_H.holder == binary, _H.log_index >= _big("floor"), _H.log_index < _big("below"))
    return _of_each_segment(_H.log_index, *fits).order_by(order).limit(_big("most"))


_NEWEST: Final = _about(_H.log_index.desc())
_OLDEST: Final = _about(_H.log_index.asc())
_ANY: Final = _of_each_segment(
    literal(1),
    _H.holder >= bindparam("low", type_=LargeBinary()),
    _H.holder < bindparam("high", type_=LargeBinary()),
).limit(1)
_DROP: Final = delete(HOLDERS).where(
    *(column == bindparam(column.name, type_=column.type) for column in HOLDERS.c)
)
_EXTENT: Final = text("SELECT (SELECT min(segment) FROM holders), (SELECT max(segment) FROM holders)")
_BEYOND_ALL: Final = 2**62


def newest_about(
    connection: Connection, holder: bytes, *, limit: int, floor: int = 0, below: int = _BEYOND_ALL
) -> Sequence[int]:
    """The newest log indices about a holder from `floor` on and before `below`, falling; `limit` at most."""
    found: list[int] = []
    for first, last in _blocks(connection, floor, below, newest_first=True):
        values = {"first": first, "last": last, "floor": floor, "below": below, "most": limit - len(found)}
        found += connection.execute(_NEWEST, {"holder": holder, **values}).scalars()
        if len(found) >= limit:
            break
    return found


def oldest_about(connection: Connection, holder: bytes, *, after: int, limit: int) -> Sequence[int]:
    """The oldest log indices about a holder after that one, rising; `limit` at most."""
    found: list[int] = []
    for first, last in _blocks(connection, after + 1, _BEYOND_ALL, newest_first=False):
        values = {"first": first, "last": last, "floor": after + 1, "most": limit - len(found)}
        found += connection.execute(_OLDEST, {"holder": holder, "below": _BEYOND_ALL, **values}).scalars()
        if len(found) >= limit:
            break
    return found


def any_under(connection: Connection, low: bytes, high: bytes) -> bool:
    """Whether there is a hash from `low` on and before `high`."""
    return any(
        connection.execute(_ANY, {"first": first, "last": last, "low": low, "high": high}).first() is not None
        for first, last in _blocks(connection, 0, _BEYOND_ALL, newest_first=False)
    )


def keys_at(connection: Connection, indices: Collection[int]) -> Sequence[Key]:
    """The entries of these log indices. Each segment that one of them is in is read through: not for a transaction that
    others wait for.
    """
    by_segment = defaultdict(list)
    for index in indices:
        by_segment[index // HOLDERS_SEGMENT].append(index)
    found: list[Key] = []
    for segment, mine in by_segment.items():
        there = select(HOLDERS).where(_H.segment == segment, _H.log_index.in_(mine))
        found += (Key(*row) for row in connection.execute(there))
    return found


def drop_keys(connection: Connection, keys: Collection[Key]) -> None:
    """Forget whose papers these exchanges were about."""
    if keys:
        connection.execute(_DROP, [key._asdict() for key in keys])


def _blocks(
    connection: Connection, floor: int, below: int, *, newest_first: bool
) -> Iterator[tuple[int, int]]:
    """The first and last segment of each block that may hold log indices between these two."""
    lowest, highest = connection.execute(_EXTENT).one()
    if lowest is None:
        return
    lowest = max(lowest, floor // HOLDERS_SEGMENT)
    highest = min(highest, (below - 1) // HOLDERS_SEGMENT)
    size = 1
    while lowest <= highest:
        size = min(size, highest - lowest + 1)
        if newest_first:
            yield highest - size + 1, highest
            highest -= size
        else:
            yield lowest, lowest + size - 1
            lowest += size
        size = min(size * _GROWTH, _MOST_AT_ONCE)
