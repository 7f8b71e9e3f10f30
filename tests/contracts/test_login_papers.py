"""Consents, their uses and the peers' status lists as rows that replicas share, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import select

from federation.errors import OwnBusy
from federation.login.ports import PaperView
from federation.status_lists import StoredList
from node.keystore import KeyEncryptionKey
from node.keystore.data_keys import DataKeys
from node.keystore.login_seal import LoginSeal
from node.store.database import Database
from node.store.login_papers import PaperRows, PaperUseRows, StatusListRows
from node.store.login_tables import PAPER_USES, PAPERS
from tests.support.clock import NOON, FixedClock
from trust.consent import Consent

IDP, ME, OTHER = "https://id.js.example", "citizen-1", "citizen-2"
HOME = "https://node.js.example"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def seal(database: Database, clock: FixedClock) -> LoginSeal:
    return LoginSeal(await DataKeys.open(database, KeyEncryptionKey(bytes(32)), clock))


def view(jti: str, clock: FixedClock) -> PaperView:
    now = int(clock.now().timestamp())
    return PaperView(
        paper_id=jti,
        asking="安徽省节点",
        platform="portal",
        platform_name="皖事通",
        answering=("浙江省节点",),
        certificate_types=("居民身份证",),
        fields=(),
        service_item="出生一件事",
        case_number="C-SECRET-1",
        purpose="核验",
        uses=1,
        expires_at=now + 3600,
        issued_at=now,
    )


def consent(uses: int = 1, jti: str = "j-1") -> Consent:
    return Consent(
        iss=HOME,
        jti=jti,
        issued_at=NOON,
        expires_at=NOON + timedelta(hours=1),
        answering=("https://node.zj.example",),
        asking="https://node.ah.example",
        platform="portal",
        basis="holders_consent",
        service_item_name="出生一件事",
        service_item_code="",
        case_number="C-1",
        purpose="核验",
        certificate_types=("x",),
        fields=None,
        uses=uses,
        holders={},
        status_uri=f"{HOME}/oidc/status-list",
        status_index=0,
    )


# --- consents -----------------------------------------------------------------------------------------


async def test_a_citizen_sees_the_own_consents_newest_first_and_no_one_elses(
    database: Database, seal: LoginSeal, clock: FixedClock
) -> None:
    rows = PaperRows(database, seal, clock)
    first = view("a", clock)
    await rows.keep(IDP, ME, first)
    clock.advance(minutes=1)
    second = view("b", clock)
    await rows.keep(IDP, ME, second)
    await rows.keep(IDP, OTHER, view("c", clock))
    assert list(await rows.of(IDP, ME)) == [second, first]
    assert await rows.of("https://id.ah.example", ME) == []


async def test_what_a_consent_says_is_not_readable_in_the_store(
    database: Database, seal: LoginSeal, clock: FixedClock
) -> None:
    await PaperRows(database, seal, clock).keep(IDP, ME, view("a", clock))
    async with database.reading() as connection:
        row = (await connection.execute(select(PAPERS))).one()
    assert b"C-SECRET-1" not in bytes(row.sealed)


async def test_only_the_holder_withdraws_a_consent_and_only_once(
    database: Database, seal: LoginSeal, clock: FixedClock
) -> None:
    rows = PaperRows(database, seal, clock)
    place = await rows.keep(IDP, ME, view("a", clock))
    kept = await rows.keep(IDP, ME, view("b", clock))
    assert not await rows.withdraw(IDP, OTHER, "a")
    assert not await rows.withdraw(IDP, ME, "unknown")
    assert await rows.is_valid(place)
    clock.advance(minutes=5)
    assert await rows.withdraw(IDP, ME, "a")
    assert not await rows.withdraw(IDP, ME, "a")
    replica = PaperRows(database, seal, clock)
    assert list(await replica.withdrawn()) == [place]
    never = next(one for one in range(3) if one not in (place, kept))
    assert [await replica.is_valid(one) for one in (place, kept, never)] == [False, True, False]
    shown = {one.paper_id: one.withdrawn_at for one in await replica.of(IDP, ME)}
    assert shown == {"a": int(clock.now().timestamp()), "b": None}


async def test_a_place_is_given_once_and_is_free_again_a_day_after_the_end(
    database: Database, seal: LoginSeal, clock: FixedClock
) -> None:
    turns = count()
    rows = PaperRows(database, seal, clock, size=3, place=lambda size: next(turns) % size)
    places = [await rows.keep(IDP, ME, view(jti, clock)) for jti in "abc"]
    assert sorted(places) == [0, 1, 2]
    with pytest.raises(OwnBusy):
        await rows.keep(IDP, ME, view("d", clock))
    await rows.withdraw(IDP, ME, "a")
    clock.advance(hours=2)
    await rows.forget_expired()
    assert len(await rows.withdrawn()) == 1
    clock.advance(days=1)
    assert await rows.forget_expired() == 0
    assert await rows.withdrawn() == []
    assert await rows.keep(IDP, ME, view("e", clock)) in (0, 1, 2)
    assert len(await rows.of(IDP, ME)) == 4  # the holder still sees what has ended
    await rows.withdraw(IDP, ME, "e")
    clock.advance(days=2)
    await rows.forget_expired()  # the second time it looks back a week only
    assert await rows.withdrawn() == []
    assert len({await rows.keep(IDP, ME, view(jti, clock)) for jti in "fgh"}) == 3
    clock.advance(days=181)
    assert await rows.forget_expired() == 7


async def test_replicas_that_keep_at_once_give_each_its_own_place(
    database: Database, seal: LoginSeal, clock: FixedClock
) -> None:
    replicas = [PaperRows(database, seal, clock, size=64) for _ in range(4)]
    places = await asyncio.gather(
        *(replicas[turn % 4].keep(IDP, ME, view(f"j{turn}", clock)) for turn in range(16))
    )
    assert len(set(places)) == 16


# --- uses ---------------------------------------------------------------------------------------------


async def test_uses_are_counted_by_request_up_to_what_was_agreed(
    database: Database, clock: FixedClock
) -> None:
    rows, paper = PaperUseRows(database, clock), consent(uses=2)
    assert await rows.use(paper, b"1")
    assert await rows.use(paper, b"1")
    assert await rows.use(paper, b"2")
    assert not await rows.use(paper, b"3")
    assert await rows.use(paper, b"1")
    assert await rows.use(consent(jti="j-2"), b"3")
    await rows.give_back(HOME, "j-1", b"1")
    await rows.give_back(HOME, "j-1", b"unknown")
    assert await rows.use(paper, b"3")
    assert not await rows.use(paper, b"1")


async def test_replicas_that_count_at_once_count_to_the_end_and_not_beyond(
    database: Database, clock: FixedClock
) -> None:
    replicas, paper = [PaperUseRows(database, clock) for _ in range(3)], consent(uses=3)
    asked = [b"%d" % (turn // 2) for turn in range(12)]  # six requests, each of them twice
    got = await asyncio.gather(*(replicas[turn % 3].use(paper, one) for turn, one in enumerate(asked)))
    assert len({one for one, taken in zip(asked, got, strict=True) if taken}) == 3
    async with database.reading() as connection:
        numbers = (await connection.execute(select(PAPER_USES.c.number))).scalars().all()
    assert sorted(numbers) == [1, 2, 3]


async def test_uses_of_what_has_ended_are_forgotten(database: Database, clock: FixedClock) -> None:
    rows = PaperUseRows(database, clock)
    await rows.use(consent(), b"1")
    clock.advance(hours=2)
    assert await rows.forget_expired() == 0
    clock.advance(days=1)
    assert await rows.forget_expired() == 1


# --- status lists -------------------------------------------------------------------------------------


async def test_the_newest_list_of_each_issuer_is_kept(database: Database) -> None:
    rows = StatusListRows(database)
    later = NOON + timedelta(minutes=1)
    new = StoredList(HOME, "new", "tag", later, later)
    assert await rows.save(StoredList(HOME, "old", "", NOON, NOON))
    assert await rows.save(new)
    assert not await rows.save(StoredList(HOME, "old", "", NOON, later))
    other = StoredList("https://node.ah.example", "x", "", NOON, NOON)
    assert await StatusListRows(database).save(other)
    assert sorted(await rows.load(), key=lambda one: one.token) == [new, other]
