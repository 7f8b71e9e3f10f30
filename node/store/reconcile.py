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
from typing import Any, Final

from msgspec import json as msgjson
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from federation.errors import OwnRecordDamaged
from federation.pair_log import Checked, PairPage, Reconciled, Span
from federation.ports import RecordKind
from federation.query import BETWEEN_NODES, LoggedMessage, Part
from federation.reconcile import Finding
from federation.request_ids import first_request_id, time_of_request_id
from node.store.bodies import Bodies
from node.store.database import Database
from node.store.records import RECORD_ROWS, RecordReader
from node.store.tables import ARCHIVES, LABELS, RECONCILIATIONS, RECORDS
from node.store.times import from_micros, to_micros
from node.store.upsert import insert_into
from trust.envelope import parse
from trust.errors import TrustError
from trust.evidence import leaf_data

__all__ = ["PairRows", "ReconciliationRows"]

_R = RECORDS.c
_L = LABELS.c
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


class PairRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database, bodies: Bodies, own_entity: str) -> None:
        self._database = database
        self._reader = RecordReader(bodies)
        self._own = own_entity

    async def check(self, span: Span, *, most: int, newest: bool) -> Checked:
        """Look at the stored bytes of the newest messages, or of as many from somewhere in the span on."""
        async with self._database.reading() as connection:
            asked_by = await self._labels(connection, span.peer)
            indices = await _indices(connection, span, asked_by, most, newest=newest)
        altered = [_message(row, asked_by, altered=True) for row in await self._altered_rows(indices)]
        return Checked(len(indices), tuple(sorted(altered)))

    async def page(self, span: Span, *, after: str, limit: int, suspects: frozenset[str]) -> PairPage:
        """Whole exchanges in the order of request ids."""
        most = _ROWS_OF_AN_EXCHANGE * limit + 1
        columns = (_R.log_index, _R.kind, _R.label, _R.request_id, _R.recorded_at, _R.identity)
        query = select(*columns).where(_R.request_id > after) if after else select(*columns)
        async with self._database.reading() as connection:
            asked_by = await self._labels(connection, span.peer)
            query = query.where(*_within(span, asked_by)).order_by(_R.request_id, _R.log_index)
            rows = (await connection.execute(query.limit(most))).mappings().all()
        whole, following = _whole(rows, is_full=len(rows) == most)
        looked_at = [row["log_index"] for row in whole if row["request_id"] in suspects]
        altered = {row["log_index"] for row in await self._altered_rows(looked_at)}
        messages = [_message(row, asked_by, altered=row["log_index"] in altered) for row in whole]
        return PairPage(tuple(messages), following)

    async def newest_index(self, peer: str) -> int:
        """The log index of the newest record of what platforms asked; -1 for none."""
        between = tuple(operation.value for operation in BETWEEN_NODES)
        newest = -1
        async with self._database.reading() as connection:
            labels = await connection.execute(
                select(_L.label).where(_of_pair(self._own, peer), _L.operation.not_in(between))
            )
            for label in labels.scalars().all():
                last = select(_R.log_index).where(_R.label == label).order_by(_R.log_index.desc()).limit(1)
                found = (await connection.execute(last)).scalar()
                newest = newest if found is None else max(newest, found)
        return newest

    async def begins_at(self) -> datetime | None:
        """When the first record that is still here was stored."""
        query = select(_R.recorded_at).order_by(_R.log_index).limit(1)
        async with self._database.reading() as connection:
            first = (await connection.execute(query)).scalar()
        return None if first is None else from_micros(first)

    async def archived_until(self) -> datetime | None:
        """Until when records are in archives only."""
        query = select(func.max(ARCHIVES.c.until_at)).where(ARCHIVES.c.emptied_at.is_not(None))
        async with self._database.reading() as connection:
            until = (await connection.execute(query)).scalar()
        return None if until is None else from_micros(until)

    async def _labels(self, connection: AsyncConnection, peer: str) -> Mapping[int, str]:
        """Who asked, by the labels of this pair."""
        query = select(_L.label, _L.asking).where(_of_pair(self._own, peer))
        return {row.label: row.asking for row in await connection.execute(query)}

    async def _altered_rows(self, indices: Sequence[int]) -> Sequence[_Row]:
        altered: list[_Row] = []
        for begin in range(0, len(indices), _BODIES_AT_A_TIME):
            wanted = RECORD_ROWS.where(_R.log_index.in_(indices[begin : begin + _BODIES_AT_A_TIME]))
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


def _of_pair(own: str, peer: str) -> ColumnElement[bool]:
    return or_(and_(_L.asking == own, _L.answering == peer), and_(_L.asking == peer, _L.answering == own))


def _within(span: Span, labels: Iterable[int]) -> tuple[ColumnElement[bool], ...]:
    # Plus nothing, so that no database takes the index on labels for it.
    of_pair = (_R.label + 0).in_(list(labels))
    return _R.request_id >= span.lower, _R.request_id < span.upper, of_pair


async def _indices(
    connection: AsyncConnection, span: Span, labels: Iterable[int], most: int, *, newest: bool
) -> Sequence[int]:
    """Which records to look at: the newest ones, or a run from a random place in the span, around its end."""
    query = select(_R.log_index).where(*_within(span, labels))
    if newest:
        found = await connection.execute(query.order_by(_R.request_id.desc()).limit(most))
        return found.scalars().all()
    place = _somewhere(span)
    first = query.where(_R.request_id >= place).order_by(_R.request_id).limit(most)
    indices = list((await connection.execute(first)).scalars())
    if len(indices) < most:
        rest = query.where(_R.request_id < place).order_by(_R.request_id).limit(most - len(indices))
        indices += (await connection.execute(rest)).scalars()
    return indices


def _somewhere(span: Span) -> str:
    lower, upper = time_of_request_id(span.lower), time_of_request_id(span.upper)
    into = random.random() * (upper - lower).total_seconds()  # noqa: S311 - to spread work, not to hide it
    return first_request_id(lower + timedelta(seconds=into))


def _whole(rows: Sequence[_Row], *, is_full: bool) -> tuple[Sequence[_Row], str]:
    """The rows of exchanges that are all there, and where to go on.

    An id with more rows than a page, which no honest node makes, is cut to a page.
    """
    if not is_full:
        return rows, ""
    exchanges = [list(group) for _, group in groupby(rows, key=lambda row: row["request_id"])]
    whole = exchanges[:-1] or exchanges
    return [row for exchange in whole for row in exchange], whole[-1][0]["request_id"]


def _message(row: _Row, asked_by: Mapping[int, str], *, altered: bool) -> LoggedMessage:
    return LoggedMessage(
        request_id=row["request_id"],
        asking=asked_by[row["label"]],
        part=_PARTS[RecordKind(row["kind"])],
        identity=bytes(row["identity"]),
        recorded_at=from_micros(row["recorded_at"]),
        altered=altered,
    )


_C = RECONCILIATIONS.c
_FINDINGS: Final = msgjson.Decoder(tuple[tuple[Finding, ...], int])


class ReconciliationRows:
    """Every method raises OwnStoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, one: Reconciled) -> None:
        """Insert or replace the row of an hour."""
        values = {
            "checked_at": to_micros(one.checked_at),
            "exchanges": one.exchanges,
            "state": one.state,
            "findings": msgjson.encode((one.findings, one.more)).decode(),
        }
        row = insert_into(self._database, RECONCILIATIONS).values(peer=one.peer, hour=one.hour, **values)
        async with self._database.writing() as connection:
            await connection.execute(
                row.on_conflict_do_update(index_elements=[_C.peer, _C.hour], set_=values)
            )

    async def find(self, peer: str, first_hour: int, last_hour: int) -> Sequence[Reconciled]:
        """What is kept of these hours, newest first."""
        return await self._all(_C.peer == peer, _C.hour >= first_hour, _C.hour <= last_hour)

    async def alarming(self, peer: str, *, limit: int) -> Sequence[Reconciled]:
        """The hours with something alarming, newest first."""
        return await self._all(_C.peer == peer, _C.state == "alarm", limit=limit)

    async def _all(self, *conditions: ColumnElement[bool], limit: int | None = None) -> Sequence[Reconciled]:
        query = select(RECONCILIATIONS).where(*conditions).order_by(_C.hour.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_reconciled(row) for row in (await connection.execute(query)).mappings()]


def _reconciled(row: _Row) -> Reconciled:
    findings, more = _FINDINGS.decode(row["findings"])
    return Reconciled(
        peer=row["peer"],
        hour=row["hour"],
        checked_at=from_micros(row["checked_at"]),
        exchanges=row["exchanges"],
        state=row["state"],
        findings=findings,
        more=more,
    )
