"""Any replica tells who is still to be told that a login has ended, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

from federation.login.logout import LEASE_S
from node.store.database import Database
from tests.support.clock import FixedClock
from tests.support.login_people import VISITED, LoginRows, open_login_rows
from tests.support.logout import Heard, LogoutNode, OwnProvider, make_logout_node


async def replicas(database: Database, count: int) -> list[LogoutNode]:
    """Replicas of one node: one store, one clock, their own memory; whom they reach is the same."""
    clock, heard, own = FixedClock(), Heard(), OwnProvider()
    opened: list[LoginRows] = [await open_login_rows(database, clock) for _ in range(count)]
    return [make_logout_node(rows, clock, heard, own) for rows in opened]


async def told(node: LogoutNode, session_id: str) -> list[bool]:
    return [one.is_told for one in await node.logout.ended_with(session_id)]


async def test_what_one_replica_left_another_takes_up_and_each_is_told_once(database: Database) -> None:
    first, second, third = await replicas(database, 3)
    first.heard.away |= {"portal.example", "node.ah.example"}
    ended = []
    for turn in range(3):
        _, session = await first.logged_in(f"citizen-{turn}", "portal", VISITED)
        await first.logout.end(session.session_id)
        ended.append(session.session_id)
    first.heard.away.clear()
    first.heard.tries.clear()

    first.clock.advance(seconds=5)
    await asyncio.gather(*(node.logout.tell_due() for node in (second, third)))
    assert sorted(first.heard.tries) == ["node.ah.example"] * 3 + ["portal.example"] * 3
    assert [await told(first, one) for one in ended] == [[True, True]] * 3


async def test_a_replica_that_dies_while_it_tells_loses_nothing(database: Database) -> None:
    dying, other = await replicas(database, 2)
    _, session = await dying.logged_in("citizen", "portal")
    assert await dying.rows.sessions.end(session.session_id)
    assert len(await dying.rows.logouts.take_due(lease_s=LEASE_S, limit=10)) == 1

    assert await other.logout.tell_due() == 0
    other.clock.advance(seconds=LEASE_S)
    assert await other.logout.tell_due() == 1
    assert await told(dying, session.session_id) == [True]


async def test_a_login_ends_for_every_replica_at_once_and_its_cookie_never_comes_back(
    database: Database,
) -> None:
    first, second = await replicas(database, 2)
    token, session = await first.logged_in("citizen", "portal")
    assert not await second.is_over(token)
    ended = await asyncio.gather(*(node.logout.end(session.session_id) for node in (first, second)))
    assert sorted(ended) == [False, True]
    assert await first.is_over(token)
    assert await second.is_over(token)
    assert first.heard.tries == ["portal.example"]
