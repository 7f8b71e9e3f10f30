"""What a search of the log finds, and that it never reads the log as a whole, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event, insert, text
from sqlalchemy.engine import Connection

from federation.errors import OwnBadValue
from federation.query import Operation
from node.store.archives import ArchiveRows
from node.store.bodies import ClearBodies
from node.store.database import Database
from node.store.journal import StoreJournal
from node.store.search import EvidenceSearch, Found, Page, Scan, Wanted
from node.store.tables import ARCHIVES, LABELS, RECORDS
from node.store.times import to_micros
from tests.support.clock import NOON
from tests.support.exchange_rows import JIANGSU, SHANGHAI, LogRows, rows_of
from tests.support.exchanges import ASKING, OPERATION, meta_of, next_request_id, request_of

HOLDER, OTHER_KEY = b"h" * 16, b"g" * 16
SMALL = Scan(recent=4, found=3)


@pytest.fixture
async def rows(database: Database) -> LogRows:
    """Forty exchanges, some of each sort."""
    rows = LogRows()
    for number in range(40):
        rows.exchange(
            peer=JIANGSU if number % 4 == 0 else SHANGHAI,
            asked=number % 3 == 0,
            operation=Operation.NODE_STATE if number % 13 == 12 else Operation.CERTIFICATES_QUERY,
            outcome="refused" if number % 10 == 9 else "answered",
            case_number=f"case {number % 20}",
            client="portal" if number % 3 == 0 else "",
            holders=(HOLDER,) if number % 5 == 1 else (OTHER_KEY,) if number % 5 == 2 else (),
        )
    rows.exchange(asked=True, outcome="unanswered")
    await rows.store(database)
    return rows


async def pages(search: EvidenceSearch, wanted: Wanted, limit: int = 9) -> list[Page]:
    found = [await search.page(wanted, limit=limit)]
    while found[-1].next:
        found.append(await search.page(wanted, after=found[-1].next, limit=limit))
        assert len(found) < 200
    return found


async def all_found(search: EvidenceSearch, wanted: Wanted, limit: int = 9) -> list[Found]:
    return [one for page in await pages(search, wanted, limit) for one in page.found]


def fits(one: Found, wanted: Wanted) -> bool:
    asked = ("peer", "direction", "operation", "outcome", "client", "case_number", "request_id")
    same = all(getattr(wanted, name) in ("", getattr(one, name)) for name in asked)
    since, until = wanted.since or NOON, wanted.until or NOON + timedelta(days=1)
    return same and since <= one.recorded_at < until


CONDITIONS: list[dict[str, Any]] = [
    {},
    {"peer": JIANGSU},
    {"direction": "asked"},
    {"direction": "answered"},
    {"operation": "node.state"},
    {"outcome": "answered"},
    {"outcome": "refused"},
    {"outcome": "unanswered"},
    {"client": "portal"},
    {"case_number": "case 6"},
    {"since": NOON + timedelta(seconds=11), "until": NOON + timedelta(seconds=23)},
]
EACH_TWO: list[dict[str, Any]] = [{}] + [
    {**one, **other} for one, other in combinations(CONDITIONS, 2) if not one.keys() & other.keys()
]


@pytest.mark.parametrize("scan", [Scan(), SMALL, Scan(labels=0, records=30, found=3)])
async def test_every_two_conditions_find_all_that_fits_newest_first(
    database: Database, rows: LogRows, scan: Scan
) -> None:
    search = EvidenceSearch(database, scan)
    everything = await all_found(EvidenceSearch(database), Wanted())
    assert len(everything) == 41
    for conditions in EACH_TWO:
        wanted = Wanted(**conditions)
        found = await all_found(search, wanted)
        assert found == [one for one in everything if fits(one, wanted)], conditions


@pytest.mark.parametrize("scan", [Scan(), SMALL])
async def test_a_holder_is_found_under_every_live_key(database: Database, rows: LogRows, scan: Scan) -> None:
    search = EvidenceSearch(database, scan)
    everything = await all_found(search, Wanted())
    by_index = {one.indices[0]: one for one in everything}
    theirs = {number for number in range(40) if number % 5 in (1, 2)}
    oldest_first = list(reversed(everything))
    found = await all_found(search, Wanted(holders=(HOLDER, OTHER_KEY)))
    assert found == [one for number, one in reversed(list(enumerate(oldest_first))) if number in theirs]
    assert all(by_index[one.indices[0]] == one for one in found)
    fewer = await all_found(search, Wanted(holders=(HOLDER,), direction="asked", outcome="answered"))
    assert [oldest_first.index(one) for one in fewer] == [36, 21, 6]


async def test_an_exchange_tells_what_it_was(database: Database, rows: LogRows) -> None:
    newest, before, *_ = await all_found(EvidenceSearch(database), Wanted())
    assert (newest.direction, newest.outcome, newest.answered_at, len(newest.indices)) == (
        "asked",
        "unanswered",
        None,
        1,
    )
    assert before.indices == (78, 79)
    assert (before.direction, before.peer, before.case_number) == ("asked", SHANGHAI, "case 19")
    assert (before.client, before.outcome, before.forgotten) == ("portal", "refused", False)
    assert before.answered_at is not None


async def test_the_same_request_id_twice_is_two_exchanges(database: Database) -> None:
    rows = LogRows()
    request_id = rows.exchange()
    rows.lines[list(rows.lines)[-1]].clear()
    rows.exchange(request_id=request_id, outcome="refused")
    await rows.store(database)
    found = await all_found(EvidenceSearch(database), Wanted(request_id=request_id))
    assert [(one.indices, one.outcome) for one in found] == [((2, 3), "refused"), ((0, 1), "answered")]


async def test_each_of_many_stored_in_one_go_has_its_own_answer(
    database: Database, journal: StoreJournal
) -> None:
    """Requests and answers lie apart in the log then; an id may be of two nodes, and one may use it twice."""
    twice = next_request_id()
    asked = [(ASKING, twice), (JIANGSU, twice), (ASKING, next_request_id()), (ASKING, twice)]

    async def store(number: int, asking: str, request_id: str) -> None:
        meta = replace(meta_of(request_id, outcome=f"answered {number}"), asking=asking)
        request = request_of(request_id, f"question {number}")
        await journal.store_exchange(meta, request, request.identity, OPERATION.answer_type, b"answer")

    await asyncio.gather(*(store(number, *one) for number, one in enumerate(asked)))
    labels = {row["label"]: row for row in await rows_of(database, LABELS)}
    records = await rows_of(database, RECORDS)
    outcomes = {row["log_index"]: labels[row["label"]]["outcome"] for row in records}
    found = await all_found(EvidenceSearch(database), Wanted())
    assert len(found) == len(asked)
    for one in found:
        assert [outcomes[index] for index in one.indices] == [one.outcome] * 2
    groups, _ = await ArchiveRows(database, ClearBodies()).groups(0, 100, {1: 100}, limit=50)
    assert {group.indices for group in groups} == {one.indices for one in found}


async def test_a_page_that_was_cut_says_how_far_it_looked(database: Database) -> None:
    rows = LogRows()
    rows.exchange(outcome="refused")
    for _ in range(20):
        rows.exchange()
    await rows.store(database)
    search = EvidenceSearch(database, Scan(recent=4, labels=0, records=10))
    first = await search.page(Wanted(outcome="refused"))
    assert (first.found, first.is_cut) == ((), True)
    assert first.reached_at == NOON + timedelta(seconds=16)
    assert len(await all_found(search, Wanted(outcome="refused"))) == 1


async def test_an_empty_log_has_an_empty_page(database: Database) -> None:
    assert await EvidenceSearch(database).page(Wanted()) == Page(())


async def test_what_lies_in_archives_is_told(database: Database, rows: LogRows) -> None:
    until = NOON - timedelta(days=1)
    archived = {
        "name": "2026-10.1.yrda",
        "first_index": 0,
        "last_index": 9,
        "from_at": to_micros(until - timedelta(days=30)),
        "until_at": to_micros(until),
        "sha256": bytes(32),
        "written_at": to_micros(NOON),
        "emptied_at": to_micros(NOON),
        "operations": "",
    }
    async with database.writing() as connection:
        await connection.execute(insert(ARCHIVES), [archived])
    search = EvidenceSearch(database)
    assert (await search.page(Wanted())).archived_until == until
    assert (await search.page(Wanted(since=until))).archived_until is None


@pytest.mark.parametrize("cursor", ["x", "!!!!", "", "A" * 22, "AAAAAAAAAAAAAAAAAAAAAA"])
async def test_a_cursor_of_nothing_is_refused(database: Database, rows: LogRows, cursor: str) -> None:
    search = EvidenceSearch(database)
    if not cursor:
        cursor = (await search.page(Wanted(), limit=3)).next
        assert (await search.page(Wanted(), after=cursor)).found
        wanted = Wanted(peer=SHANGHAI)
    else:
        wanted = Wanted()
    with pytest.raises(OwnBadValue, match="cursor"):
        await search.page(wanted, after=cursor)


# --- plans ------------------------------------------------------------------------------------------------------------


@contextmanager
def statements_of(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Every statement that is run meanwhile, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Connection, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def plans_of(database: Database, statements: list[tuple[str, Any]]) -> list[str]:
    """How the database would run each, one text for all its steps."""
    explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
    plans = []
    async with database.reading() as connection:
        if database.dialect == "postgresql":
            # So few rows are read as a whole whatever the indices: it shall do so only where nothing else is left.
            await connection.execute(text("SET enable_seqscan = off"))
        for statement, parameters in statements:
            found = await connection.exec_driver_sql(explain + statement, parameters)
            plans.append("\n".join(str(row[-1]) for row in found))
    return plans


READ_WHOLE = {
    "sqlite": ("SCAN records", "SCAN bodies", "SCAN holders", "USE TEMP B-TREE"),
    "postgresql": ("Seq Scan on records", "Seq Scan on bodies", "Seq Scan on holders"),
}


async def test_no_combination_reads_the_log_as_a_whole(database: Database, rows: LogRows) -> None:
    seen: set[str] = set()
    several = [
        *EACH_TWO,
        *({**one, "holders": (HOLDER, OTHER_KEY)} for one in CONDITIONS),
        *({**one, "request_id": "x"} for one in CONDITIONS),
        {key: value for one in CONDITIONS for key, value in one.items()},
    ]
    for scan in (SMALL, Scan(labels=0)):
        search = EvidenceSearch(database, scan)
        for conditions in several:
            with statements_of(database) as statements:
                page = await search.page(Wanted(**conditions), limit=3)
                if page.next:
                    await search.page(Wanted(**conditions), after=page.next, limit=3)
            new = [one for one in statements if one[0] not in seen and one[0].startswith("SELECT")]
            seen.update(statement for statement, _ in new)
            for (statement, _), plan in zip(new, await plans_of(database, new), strict=True):
                # What is under the ids of a page is put in order, to tell whose answer is whose.
                of_ids = "USE TEMP B-TREE" if "row_number" in statement else None
                whole = [one for one in READ_WHOLE[database.dialect] if one != of_ids]
                assert not any(one in plan for one in whole), f"{statement}\n{plan}"
    assert len(seen) > 20
