"""The log as it is read for comparing with a peer, and what came of comparing. Implements `federation.pair_log`.

An hour is a range of the index on request ids. The label is kept from steering the database: whoever reads the
records of a label reads years. Identities and leaves are made anew from the stored bytes beside the event loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple

from msgspec import json as msgjson

from federation.errors import OwnRecordDamaged
from federation.pair_log import Checked, PairPage, Reconciled, Span
from federation.ports import RecordKind
from federation.query import BETWEEN_NODES, LoggedMessage, Part
from federation.reconcile import Finding
from federation.request_ids import first_request_id, time_of_request_id
from node.store.bodies import Bodies
from node.store.database import Database
from node.store.records import RECORD_ROWS, RecordReader
from node.store.short import Run
from node.store.tables import RECORDS
from node.store.times import from_micros, to_micros
from trust.envelope import parse
from trust.errors import TrustError
from trust.evidence import leaf_data

__all__ = ["PairRows", "ReconciliationRows"]

_OF_PAIR: Final = "(asking = :own AND answering = :peer OR asking = :peer AND answering = :own)"
_LABELS: Final = f"SELECT label, asking FROM labels WHERE {_OF_PAIR}"  # noqa: S608 - words of ours
_BETWEEN_NODES: Final = ", ".join(repr(operation.value) for operation in BETWEEN_NODES)
_GROWN_TO: Final = "SELECT max(log_index) FROM records"
_NEWEST: Final = (
    "SELECT max((SELECT max(log_index) FROM records WHERE records.label = labels.label))"  # noqa: S608 - words of ours
    f" FROM labels WHERE {_OF_PAIR} AND operation NOT IN ({_BETWEEN_NODES})"
)
_BEGINS_AT: Final = "SELECT recorded_at FROM records ORDER BY log_index LIMIT 1"
_ARCHIVED_UNTIL: Final = "SELECT max(until_at) FROM archives WHERE emptied_at IS NOT NULL"
_IDENTITIES: Final = "SELECT log_index, kind, label, request_id, recorded_at, identity FROM records"
_INDICES: Final = "SELECT log_index FROM records"
_ROWS_OF_AN_EXCHANGE: Final = 2
_BODIES_AT_A_TIME: Final = 200
_STORED_ENVELOPE_BYTES: Final = 1 << 30
_PARTS: Final = {
    RecordKind.ASKED_REQUEST: Part.REQUEST,
    RecordKind.ASKED_ANSWER: Part.ANSWER,
    RecordKind.ANSWERED_REQUEST: Part.REQUEST,
    RecordKind.ANSWERED_ANSWER: Part.ANSWER,
}
_Row = Mapping[Any, Any]


class _Told(NamedTuple):
    """What is read of a message."""

    log_index: int
    kind: int
    label: int
    request_id: str
    recorded_at: int
    identity: bytes


class PairRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, bodies: Bodies, own_entity: str) -> None:
        self._database = database
        self._reader = RecordReader(bodies)
        self._own = own_entity
        self._newest: dict[str, tuple[int, int]] = {}

    async def check(self, span: Span, *, most: int, newest: bool) -> Checked:
        """Look at the stored bytes of the newest messages, or of as many from somewhere in the span on."""

        def steps(run: Run) -> tuple[Mapping[int, str], Sequence[int]]:
            asked_by = self._labels(run, span.peer)
            return asked_by, _indices(run, span, asked_by, most, newest=newest) if asked_by else ()

        asked_by, indices = await self._database.read_long(steps)
        altered = [_message(_told(row), asked_by, altered=True) for row in await self._altered_rows(indices)]
        return Checked(len(indices), tuple(sorted(altered)))

    async def page(self, span: Span, *, after: str, limit: int, suspects: frozenset[str]) -> PairPage:
        """Whole exchanges in the order of request ids."""
        most = _ROWS_OF_AN_EXCHANGE * limit + 1

        def steps(run: Run) -> tuple[Mapping[int, str], list[_Told]]:
            asked_by = self._labels(run, span.peer)
            if not asked_by:
                return asked_by, []
            goes_on = after if after >= span.lower else ""
            query = f"{_IDENTITIES} {_within(asked_by, after=goes_on)} ORDER BY request_id, log_index"
            rows = run(f"{query} LIMIT :most", **_bounds(span), after=goes_on, most=most).rows
            return asked_by, [_Told(*row) for row in rows]

        asked_by, rows = await self._database.read_long(steps)
        whole, following = _whole(rows, is_full=len(rows) == most)
        looked_at = [row.log_index for row in whole if row.request_id in suspects]
        altered = {row["log_index"] for row in await self._altered_rows(looked_at)}
        messages = [_message(row, asked_by, altered=row.log_index in altered) for row in whole]
        return PairPage(tuple(messages), following)

    async def newest_index(self, peer: str) -> int:
        """The log index of the newest record of what platforms asked; -1 for none."""
        before = self._newest.get(peer)

        def steps(run: Run) -> tuple[int, int]:
            grown_to = run(_GROWN_TO).rows[0][0]
            if before is not None and before[0] == grown_to:
                return before
            found = run(_NEWEST, own=self._own, peer=peer).rows[0][0]
            return grown_to, -1 if found is None else found

        self._newest[peer] = await self._database.read(steps)
        return self._newest[peer][1]

    async def begins_at(self) -> datetime | None:
        """When the first record that is still here was stored."""
        first = await self._database.look(_BEGINS_AT)
        return from_micros(first[0][0]) if first else None

    async def archived_until(self) -> datetime | None:
        """Until when records are in archives only."""
        until = (await self._database.look(_ARCHIVED_UNTIL))[0][0]
        return None if until is None else from_micros(until)

    def _labels(self, run: Run, peer: str) -> Mapping[int, str]:
        """Who asked, by the labels of this pair."""
        return dict(run(_LABELS, own=self._own, peer=peer).rows)

    async def _altered_rows(self, indices: Sequence[int]) -> Sequence[_Row]:
        altered: list[_Row] = []
        for begin in range(0, len(indices), _BODIES_AT_A_TIME):
            wanted = RECORD_ROWS.where(RECORDS.c.log_index.in_(indices[begin : begin + _BODIES_AT_A_TIME]))
            async with self._database.reading() as connection:
                rows = (await connection.execute(wanted)).mappings().all()
            altered += await asyncio.to_thread(self._those_altered, rows)
        return altered

    def _those_altered(self, rows: Sequence[_Row]) -> list[_Row]:
        return [row for row in rows if not self._holds(row)]

    def _holds(self, row: _Row) -> bool:
        """Whether the stored bytes are those that were logged; of a forgotten record, and of one whose key is lost,
        there is nothing to compare.
        """
        try:
            body = self._reader.body(row)
            if not body.salt:
                return True
            identity = parse(body.envelope, max_bytes=_STORED_ENVELOPE_BYTES).identity
        except (OwnRecordDamaged, TrustError):
            return False
        leaf = leaf_data(row["kind"], row["recorded_at"], body.envelope, body.salt)
        return identity == bytes(row["identity"]) and leaf == bytes(row["leaf"])


def _within(labels: Iterable[int], *, after: str = "") -> str:
    # Plus nothing, so that no database takes the index on labels for it; nor the lower one of two bounds, from which it
    # would read the hour again for each page.
    of_pair = ", ".join(str(int(label)) for label in labels)
    lower = "request_id > :after AND request_id || '' >= :lower" if after else "request_id >= :lower"
    return f"WHERE {lower} AND request_id < :upper AND label + 0 IN ({of_pair})"


def _bounds(span: Span) -> Mapping[str, str]:
    return {"lower": span.lower, "upper": span.upper}


def _indices(run: Run, span: Span, labels: Iterable[int], most: int, *, newest: bool) -> Sequence[int]:
    """Which records to look at: the newest ones, or a run from a random place in the span, around its end."""
    query = f"{_INDICES} {_within(labels)} ORDER BY request_id"
    if newest:
        return [index for (index,) in run(f"{query} DESC LIMIT :most", **_bounds(span), most=most).rows]
    place = _somewhere(span)
    indices: list[int] = []
    for lower, upper in ((place, span.upper), (span.lower, place)):
        if len(indices) < most:
            found = run(f"{query} LIMIT :most", lower=lower, upper=upper, most=most - len(indices)).rows
            indices += [index for (index,) in found]
    return indices


def _somewhere(span: Span) -> str:
    lower, upper = time_of_request_id(span.lower), time_of_request_id(span.upper)
    into = random.random() * (upper - lower).total_seconds()  # noqa: S311 - to spread work, not to hide it
    return first_request_id(lower + timedelta(seconds=into))


def _whole(rows: Sequence[_Told], *, is_full: bool) -> tuple[Sequence[_Told], str]:
    """The rows of exchanges that are all there, and where to go on.

    An id with more rows than a page, which no honest node makes, is cut to a page.
    """
    if not is_full:
        return rows, ""
    exchanges = [list(group) for _, group in groupby(rows, key=lambda row: row.request_id)]
    whole = exchanges[:-1] or exchanges
    return [row for exchange in whole for row in exchange], whole[-1][0].request_id


def _told(row: _Row) -> _Told:
    return _Told(*(row[name] for name in _Told._fields))


def _message(row: _Told, asked_by: Mapping[int, str], *, altered: bool) -> LoggedMessage:
    return LoggedMessage(
        request_id=row.request_id,
        asking=asked_by[row.label],
        part=_PARTS[RecordKind(row.kind)],
        identity=bytes(row.identity),
        recorded_at=from_micros(row.recorded_at),
        altered=altered,
    )


_FINDINGS: Final = msgjson.Decoder(tuple[tuple[Finding, ...], int])
_HOURS: Final = (
    "SELECT peer, hour, checked_at, exchanges, state, findings FROM reconciliations WHERE peer = :peer"
)
_FIND: Final = f"{_HOURS} AND hour >= :first AND hour <= :last ORDER BY hour DESC"
_ALARMING: Final = f"{_HOURS} AND state = 'alarm' ORDER BY hour DESC LIMIT :most"
_KEEP: Final = (
    "INSERT INTO reconciliations (peer, hour, checked_at, exchanges, state, findings)"
    " VALUES (:peer, :hour, :checked_at, :exchanges, :state, :findings)"
    " ON CONFLICT (peer, hour) DO UPDATE SET checked_at = excluded.checked_at, exchanges = excluded.exchanges,"
    " state = excluded.state, findings = excluded.findings"
)


class ReconciliationRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, one: Reconciled) -> None:
        """Insert or replace the row of an hour."""
        row = {
            "peer": one.peer,
            "hour": one.hour,
            "checked_at": to_micros(one.checked_at),
            "exchanges": one.exchanges,
            "state": one.state,
            "findings": msgjson.encode((one.findings, one.more)).decode(),
        }
        await self._database.change(lambda run: run(_KEEP, **row))

    async def find(self, peer: str, first_hour: int, last_hour: int) -> Sequence[Reconciled]:
        """What is kept of these hours, newest first."""
        rows = await self._database.look(_FIND, peer=peer, first=first_hour, last=last_hour)
        return [_reconciled(row) for row in rows]

    async def alarming(self, peer: str, *, limit: int) -> Sequence[Reconciled]:
        """The hours with something alarming, newest first."""
        return [_reconciled(row) for row in await self._database.look(_ALARMING, peer=peer, most=limit)]


def _reconciled(row: Sequence[Any]) -> Reconciled:
    peer, hour, checked_at, exchanges, state, told = row
    findings, more = _FINDINGS.decode(told)
    return Reconciled(
        peer=peer,
        hour=hour,
        checked_at=from_micros(checked_at),
        exchanges=exchanges,
        state=state,
        findings=findings,
        more=more,
    )
