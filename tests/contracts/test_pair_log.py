"""The log by pair and hour, what came of comparing, and a holder's exchanges, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, update

from federation.pair_log import HourState, OwnHours, Reconciled, Span
from federation.ports import ExchangeMeta, RecordKind
from federation.query import Operation, Part
from federation.reconcile import Finding, FindingKind, Place, bounds_of_hour, hour_of
from federation.request_ids import RequestIds
from node.store.bodies import ClearBodies
from node.store.database import Database
from node.store.holder_record import HolderRows
from node.store.journal import StoreJournal
from node.store.reconcile import PairRows, ReconciliationRows
from node.store.short import Found, Run
from node.store.tables import ARCHIVES, BODIES, RECORDS
from node.store.times import to_micros
from tests.support.clock import NOON, FixedClock
from trust.envelope import seal
from trust.keys import SigningKey

OWN, PEER, THIRD = "https://node.sh.example", "https://node.zj.example", "https://node.js.example"
KEY, PEERS_KEY = SigningKey.generate(), SigningKey.generate()
HOUR = hour_of(NOON)
HOLDER = b"h" * 18


@dataclass
class Log:
    """A journal with exchanges in it, and what reads it."""

    database: Database
    journal: StoreJournal
    clock: FixedClock
    pair: PairRows
    ids: RequestIds
    made: list[str] = field(default_factory=list)

    async def exchange(
        self,
        *,
        asked: bool = True,
        peer: str = PEER,
        operation: Operation = Operation.CERTIFICATES_QUERY,
        answered: bool = True,
        holders: tuple[bytes, ...] = (),
        request_id: str = "",
    ) -> str:
        """One more, a second later; its request id."""
        self.clock.advance(seconds=1)
        request_id = request_id or self.ids.new()
        asking, answering = (OWN, peer) if asked else (peer, OWN)
        meta = ExchangeMeta(request_id, asking, answering, operation, holders=holders)
        done = replace(meta, outcome="answered")
        about = b" of " + b"".join(holders) + b" by " + asking.encode() + b" as " + request_id.encode()
        question, answer = b"asked" + about, b"told" + about
        if asked:
            await self.journal.store_request(meta, operation.request_type, question)
            if answered:
                sealed = seal(operation.answer_type, answer, PEERS_KEY)
                await self.journal.store_answer(done, sealed.identity, sealed.envelope)
        else:
            sealed = seal(operation.request_type, question, PEERS_KEY)
            await self.journal.store_exchange(done, sealed, sealed.identity, operation.answer_type, answer)
        self.made.append(request_id)
        return request_id

    def span(self, peer: str = PEER) -> Span:
        """The hour of the test."""
        return Span(peer, *bounds_of_hour(HOUR, NOON + timedelta(hours=2)))

    async def edit(self, statement: object) -> None:
        """Change the store behind the node's back."""
        async with self.database.writing() as connection:
            await connection.execute(statement)  # type: ignore[call-overload]


@asynccontextmanager
async def open_log(database: Database) -> AsyncIterator[Log]:
    clock = FixedClock()
    journal = StoreJournal(database, lambda: KEY, clock)
    pair = PairRows(database, ClearBodies(), OWN)
    try:
        yield Log(database, journal, clock, pair, RequestIds(clock))
    finally:
        await journal.close()


@pytest.fixture
async def log(database: Database) -> AsyncIterator[Log]:
    async with open_log(database) as opened:
        yield opened


def indices_of(request_id: str) -> object:
    """The log indices of an exchange, as a query."""
    return select(RECORDS.c.log_index).where(RECORDS.c.request_id == request_id)


async def test_pages_hold_whole_exchanges_of_the_pair_in_order_and_no_others(log: Log) -> None:
    mine = []
    for number in range(7):
        mine.append(await log.exchange(asked=number % 2 == 0))
        await log.exchange(asked=number % 2 == 1, peer=THIRD)
    mine.append(await log.exchange(answered=False))
    seen: list[str] = []
    after = ""
    while True:
        page = await log.pair.page(log.span(), after=after, limit=3, suspects=frozenset())
        requests = [message.request_id for message in page.messages if message.part is Part.REQUEST]
        answered = {message.request_id for message in page.messages if message.part is Part.ANSWER}
        assert set(requests) - answered <= {mine[-1]}
        seen += requests
        after = page.next
        if not after:
            break
    assert seen == mine


async def test_nothing_outside_of_the_bounds_is_read(log: Log) -> None:
    before = await log.exchange()
    log.clock.advance(hours=1)
    within = await log.exchange()
    log.clock.advance(hours=1)
    await log.exchange()
    lower, upper = bounds_of_hour(HOUR + 1, NOON + timedelta(days=1))
    page = await log.pair.page(Span(PEER, lower, upper), after="", limit=10, suspects=frozenset())
    assert {message.request_id for message in page.messages} == {within}
    assert before < lower
    await log.exchange(request_id=lower)
    for after, told in (("", {lower, within}), (before, {lower, within}), (lower, {within}), (within, set())):
        page = await log.pair.page(Span(PEER, lower, upper), after=after, limit=10, suspects=frozenset())
        assert {message.request_id for message in page.messages} == told


@pytest.mark.parametrize("newest", [True, False])
async def test_bytes_that_were_changed_are_found(log: Log, newest: bool) -> None:
    for _ in range(3):
        await log.exchange()
    changed = await log.exchange(asked=False)
    span = log.span()
    assert await log.pair.check(span, most=100, newest=newest) == (
        await log.pair.check(span, most=100, newest=not newest)
    )
    index = select(BODIES.c.log_index).where(BODIES.c.log_index.in_(indices_of(changed)))  # type: ignore[arg-type]
    async with log.database.reading() as connection:
        last = max((await connection.execute(index)).scalars())
        sealed = (
            await connection.execute(select(BODIES.c.sealed).where(BODIES.c.log_index == last))
        ).scalar_one()
    await log.edit(
        update(BODIES).where(BODIES.c.log_index == last).values(sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))
    )
    checked = await log.pair.check(span, most=100, newest=newest)
    assert checked.messages == 8
    assert [(one.request_id, one.part, one.altered) for one in checked.altered] == [
        (changed, Part.ANSWER, True)
    ]
    page = await log.pair.page(span, after="", limit=10, suspects=frozenset({changed}))
    assert [one.altered for one in page.messages].count(True) == 1


@pytest.mark.parametrize("column", ["identity", "leaf", "recorded_at"])
async def test_a_row_that_does_not_fit_its_bytes_is_altered(log: Log, column: str) -> None:
    changed = await log.exchange()
    value: object = 1 if column == "recorded_at" else b"x" * 32
    await log.edit(update(RECORDS).where(RECORDS.c.request_id == changed).values({column: value}))
    checked = await log.pair.check(log.span(), most=10, newest=True)
    assert {one.request_id for one in checked.altered} == {changed}


async def test_what_was_forgotten_has_no_bytes_and_is_not_altered(log: Log) -> None:
    forgotten = await log.exchange()
    await log.edit(delete(BODIES).where(BODIES.c.log_index.in_(indices_of(forgotten))))  # type: ignore[arg-type]
    assert (await log.pair.check(log.span(), most=10, newest=True)).altered == ()


async def test_no_more_is_looked_at_than_was_asked(log: Log) -> None:
    for _ in range(10):
        await log.exchange()
    for newest in (True, False):
        assert (await log.pair.check(log.span(), most=7, newest=newest)).messages == 7


async def test_the_newest_index_counts_what_platforms_asked_only(log: Log) -> None:
    assert await log.pair.newest_index(PEER) == -1
    await log.exchange()
    await log.exchange(peer=THIRD)
    await log.exchange(operation=Operation.EVIDENCE_ROOTS)
    assert await log.pair.newest_index(PEER) == 1


async def test_when_the_log_begins_and_until_when_it_is_in_archives(log: Log) -> None:
    assert (await log.pair.begins_at(), await log.pair.archived_until()) == (None, None)
    await log.exchange()
    assert await log.pair.begins_at() == NOON + timedelta(seconds=1)
    kept = {"first_index": 0, "last_index": 1, "from_at": 0, "sha256": b"", "written_at": 0, "operations": ""}
    until = {"until_at": to_micros(NOON)}
    await log.edit(insert(ARCHIVES).values(name="a", **kept, **until, emptied_at=None))
    assert await log.pair.archived_until() is None
    await log.edit(insert(ARCHIVES).values(name="b", **kept, **until, emptied_at=1))
    assert await log.pair.archived_until() == NOON


async def test_a_node_that_finds_itself_altered_keeps_it_until_it_is_as_it_was(log: Log) -> None:
    rows = ReconciliationRows(log.database)
    changed = await log.exchange()
    await log.edit(update(RECORDS).where(RECORDS.c.request_id == changed).values(leaf=b"x"))
    hours = OwnHours(log.pair, rows, log.clock)
    until = NOON + timedelta(hours=1)
    total, _ = await hours.sum_up(PEER, HOUR, until, most=10, newest=True, suspects=frozenset())
    assert {one.request_id for one in total.altered} == {changed}
    assert await hours.suspects(PEER) == {changed}
    (row,) = await rows.alarming(PEER, limit=5)
    assert (row.hour, [one.kind for one in row.findings]) == (HOUR, [FindingKind.ALTERED])


async def test_what_came_of_comparing_is_kept_by_hour(database: Database) -> None:
    rows = ReconciliationRows(database)
    finding = Finding("id", FindingKind.LATE, Place.THERE, True)
    first = Reconciled(PEER, HOUR, NOON, 3, HourState.ALARM, (finding,), 7)
    await rows.keep(first)
    await rows.keep(replace(first, peer=THIRD))
    await rows.keep(replace(first, hour=HOUR + 1, state=HourState.AGREE, findings=(), more=0))
    assert [row.hour for row in await rows.find(PEER, HOUR, HOUR + 1)] == [HOUR + 1, HOUR]
    assert list(await rows.alarming(PEER, limit=5)) == [first]
    await rows.keep(replace(first, state=HourState.AGREE, findings=()))
    assert await rows.alarming(PEER, limit=5) == []


async def test_a_holders_exchanges_come_newest_first_with_all_their_records(log: Log) -> None:
    rows = HolderRows(log.database, ClearBodies())
    about = [await log.exchange(asked=number % 2 == 0, holders=(HOLDER,)) for number in range(5)]
    await log.exchange(holders=(b"other" * 3,))
    page = await rows.exchanges([HOLDER, b"key of before"], before="", limit=3, home=OWN)
    assert [records[0].meta.request_id for records in page] == list(reversed(about))[:3]
    assert all(len(records) == 2 and records[0].envelope for records in page)
    rest = await rows.exchanges([HOLDER], before=about[2], limit=3, home=OWN)
    assert [records[0].meta.request_id for records in rest] == [about[1], about[0]]


async def test_a_holders_own_looks_are_left_out_and_anothers_are_not(log: Log) -> None:
    rows = HolderRows(log.database, ClearBodies())
    own = await log.exchange(operation=Operation.HOLDER_RECORD, holders=(HOLDER,))
    others = await log.exchange(asked=False, operation=Operation.HOLDER_RECORD, holders=(HOLDER,))
    for home, told in ((OWN, others), (PEER, own)):
        page = await rows.exchanges([HOLDER], before="", limit=3, home=home)
        assert [records[0].meta.request_id for records in page] == [told]


async def test_an_exchange_about_another_under_the_same_id_is_not_told(log: Log) -> None:
    """Of another peer, and of the same one again with other bytes."""
    rows, other = HolderRows(log.database, ClearBodies()), b"o" * 18
    older = await log.exchange(asked=False, holders=(HOLDER,))
    twice = await log.exchange(asked=False, holders=(HOLDER,))
    await log.exchange(asked=False, peer=THIRD, holders=(other,), request_id=twice)
    await log.exchange(asked=False, holders=(other,), request_id=twice)
    for holder, asked in ((HOLDER, [PEER]), (other, [THIRD, PEER])):
        page = await rows.exchanges([holder], before="", limit=1, home=OWN)
        ((*records,),) = page
        requests = [one for one in records if one.kind is RecordKind.ANSWERED_REQUEST]
        assert [one.meta.asking for one in requests] == asked
        assert all(holder in one.envelope for one in requests)
        assert {one.meta.asking for one in records} == set(asked)
    ((request, answer),) = await rows.exchanges([HOLDER], before=twice, limit=1, home=OWN)
    assert (request.meta.request_id, answer.meta.request_id) == (older, older)


async def test_whoever_repeats_an_id_hides_no_other(log: Log) -> None:
    rows = HolderRows(log.database, ClearBodies())
    older = await log.exchange(asked=False, holders=(HOLDER,))
    again = await log.exchange(asked=False, holders=(HOLDER,))
    for number in range(20):
        await log.exchange(asked=False, holders=(HOLDER, b"%018d" % number), request_id=again)
    page = await rows.exchanges([HOLDER], before="", limit=2, home=OWN)
    assert [records[0].meta.request_id for records in page] == [again, older]


async def test_a_damaged_record_is_told_without_its_content(log: Log) -> None:
    damaged = await log.exchange(holders=(HOLDER,))
    await log.edit(update(RECORDS).where(RECORDS.c.request_id == damaged).values(key_id=9))
    rows = HolderRows(log.database, ClearBodies())
    ((request, answer),) = await rows.exchanges([HOLDER], before="", limit=3, home=OWN)
    assert (request.envelope, answer.envelope) == (b"", b"")


@pytest.fixture
def said(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, object]]]:
    """The statements that were read with, and their parameters."""
    if database.dialect != "sqlite":
        pytest.skip("SQLite's plans are stable without statistics")
    statements: list[tuple[str, Mapping[str, object]]] = []

    def noting(read: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def noted(self: Database, steps: Callable[[Run], object]) -> object:
            def with_note(run: Run) -> object:
                def note(sql: str, /, **parameters: object) -> Found:
                    statements.append((sql, parameters))
                    return run(sql, **parameters)

                return steps(note)

            return await read(self, with_note)

        return noted

    monkeypatch.setattr(Database, "read", noting(Database.read))
    monkeypatch.setattr(Database, "read_long", noting(Database.read_long))
    return statements


async def test_an_hour_is_read_by_the_index_on_request_ids(
    log: Log, said: list[tuple[str, Mapping[str, object]]]
) -> None:
    await log.exchange()
    await log.pair.page(log.span(), after=log.made[0], limit=3, suspects=frozenset())
    await log.pair.check(log.span(), most=5, newest=True)
    await log.pair.check(log.span(), most=5, newest=False)
    hours = [one for one in said if "request_id >" in one[0]]
    assert len(hours) == 4
    for sql, parameters in hours:
        plan = await log.database.look(f"EXPLAIN QUERY PLAN {sql}", **parameters)
        assert "records_request_id (request_id>? AND request_id<?)" in " ".join(row[3] for row in plan), sql


async def test_of_whom_nothing_is_known_no_hour_is_read(
    log: Log, said: list[tuple[str, Mapping[str, object]]]
) -> None:
    await log.exchange()
    page = await log.pair.page(log.span(THIRD), after="", limit=3, suspects=frozenset())
    checks = [await log.pair.check(log.span(THIRD), most=5, newest=newest) for newest in (True, False)]
    assert (page.messages, page.next, [one.messages for one in checks]) == ((), "", [0, 0])
    assert all("FROM labels" in sql for sql, _ in said)


async def test_logins_do_not_wait_until_an_hour_is_read(log: Log) -> None:
    if log.database.dialect != "sqlite":
        pytest.skip("PostgreSQL has a connection for each")
    await log.exchange()
    may_go = Event()
    held = asyncio.create_task(log.database.read(lambda _run: may_go.wait(60)))
    try:
        async with asyncio.timeout(20):
            page = await log.pair.page(log.span(), after="", limit=3, suspects=frozenset())
            checked = await log.pair.check(log.span(), most=5, newest=True)
        assert (len(page.messages), checked.messages) == (2, 2)
    finally:
        may_go.set()
        await held


def effort(path: str, statements: list[tuple[str, Mapping[str, object]]]) -> int:
    """How many steps SQLite's machine takes for these, in tens."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(count, 10)
        for sql, parameters in statements:
            connection.execute(sql, parameters).fetchall()
    return taken


async def test_the_end_of_an_hour_is_read_as_fast_as_its_beginning(
    log: Log, said: list[tuple[str, Mapping[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.exchange()
    async with log.database.reading() as connection:
        like = (await connection.execute(select(RECORDS).where(RECORDS.c.log_index == 0))).mappings().one()
    ids = []
    for _ in range(2000):
        log.clock.advance(seconds=0.5)
        ids.append(log.ids.new())
    rows = [{**like, "log_index": 2 + at, "request_id": one} for at, one in enumerate(ids)]
    async with log.database.writing() as writer:
        await writer.execute(insert(RECORDS), rows)
    efforts: list[int] = []
    for after, place in (("", 0.0), (ids[-20], 0.27)):
        said.clear()
        await log.pair.page(log.span(), after=after, limit=5, suspects=frozenset())
        efforts.append(effort(log.database.location, said))
        said.clear()
        monkeypatch.setattr(random, "random", lambda place=place: place)
        await log.pair.check(log.span(), most=10, newest=False)
        efforts.append(effort(log.database.location, said))
    assert max(efforts) < 2 * min(efforts) < 200


async def test_the_newest_index_is_looked_for_when_the_log_has_grown(
    log: Log, said: list[tuple[str, Mapping[str, object]]]
) -> None:
    await log.exchange()
    assert [await log.pair.newest_index(PEER) for _ in range(3)] == [1, 1, 1]
    assert len(said) == 4
    plan = await log.database.look(f"EXPLAIN QUERY PLAN {said[1][0]}", **said[1][1])
    assert "SEARCH records USING COVERING INDEX records_label (label=?)" in {row[3] for row in plan}
    await log.exchange()
    assert await log.pair.newest_index(PEER) == 3
    assert await log.pair.newest_index(THIRD) == -1
