"""Who took part in a login that ends is told: at once, later, or given up in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from federation.login.logout import AT_ONCE_S, LIFE_S, LOOK_EVERY_S, MOST_REFUSALS
from federation.login.logout_tokens import EVENT, WITHDRAWN, LogoutSaid, LogoutTokenRejected
from federation.login.model import Session
from federation.login.sessions import sid_of
from tests.support.login_people import HOME, VISITED, identity
from tests.support.logout import LogoutNode, receiver_of, running_logout_node

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LogoutNode]:
    async with running_logout_node(tmp_path_factory.mktemp("logout")) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def node(running: LogoutNode) -> LogoutNode:
    await running.calm_down()
    return running


async def states(node: LogoutNode, session: Session) -> dict[str, str]:
    """How far telling each has come."""
    told = await node.logout.ended_with(session.session_id)
    return {
        one.client_id: "told" if one.is_told else "given up" if one.is_given_up else "pending" for one in told
    }


def said(node: LogoutNode, jti: str, *, sid: str = "", subject: str = "") -> LogoutSaid:
    expires_at = node.clock.now().replace(microsecond=1)
    return LogoutSaid(issuer=VISITED, jti=jti, expires_at=expires_at, sid=sid, subject=subject)


async def test_all_who_took_part_are_told_at_once_each_in_its_own_words(node: LogoutNode) -> None:
    token, session = await node.logged_in("at-once", "portal", "hall", "quiet", VISITED)
    assert await node.logout.end(session.session_id)
    assert await node.is_over(token)
    assert not await node.logout.end(session.session_id)
    heard = dict(node.heard.taken)
    assert set(heard) == {"portal.example", "hall.example", "node.ah.example"}
    claims = heard["portal.example"]
    assert (claims["iss"], claims["aud"]) == (HOME, "portal")
    assert claims["sid"] == sid_of(session.session_id, "portal")
    sector = node.parties.known["portal"].sector
    assert claims["sub"] == await node.rows.subjects.subject_for(session.identity.issuer, "at-once", sector)
    assert claims["sub"] != heard["node.ah.example"]["sub"]
    assert await states(node, session) == {
        "portal": "told",
        "hall": "told",
        VISITED: "told",
        "quiet": "given up",
    }


async def test_who_is_away_is_told_later_and_ever_more_slowly(node: LogoutNode) -> None:
    node.heard.away.add("portal.example")
    _, session = await node.logged_in("away", "portal", "hall")
    await node.logout.end(session.session_id)
    assert await states(node, session) == {"portal": "pending", "hall": "told"}
    assert await node.logout.tell_due() == 0, "not again at once"
    pauses = []
    for _ in range(9):
        before = node.clock.now()
        while await node.logout.tell_due() == 0:
            node.clock.advance(seconds=5)
        pauses.append((node.clock.now() - before).total_seconds())
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    node.heard.away.clear()
    node.clock.advance(seconds=300)
    assert await node.logout.tell_due() == 1
    assert await states(node, session) == {"portal": "told", "hall": "told"}
    assert len({claims["jti"] for _, claims in node.heard.taken}) == len(node.heard.taken)


async def test_who_stays_away_is_given_up_after_a_day(node: LogoutNode) -> None:
    node.heard.away.add("portal.example")
    _, session = await node.logged_in("gone", "portal")
    await node.logout.end(session.session_id)
    node.clock.advance(seconds=LIFE_S - 1)
    assert await node.logout.tell_due() == 1
    assert await states(node, session) == {"portal": "given up"}
    node.clock.advance(hours=1)
    assert await node.logout.tell_due() == 0


async def test_who_refuses_is_asked_a_few_times_since_it_may_not_know_a_new_key_yet(node: LogoutNode) -> None:
    node.heard.status["portal.example"] = 400
    _, session = await node.logged_in("refusing", "portal")
    await node.logout.end(session.session_id)
    for _ in range(MOST_REFUSALS - 1):
        assert await states(node, session) == {"portal": "pending"}
        node.clock.advance(minutes=5)
        assert await node.logout.tell_due() == 1
    assert await states(node, session) == {"portal": "given up"}
    assert node.heard.tries == ["portal.example"] * MOST_REFUSALS


@pytest.mark.parametrize("status", [302, 429, 500, 503])
async def test_no_such_answer_counts_as_told_or_as_a_refusal(node: LogoutNode, status: int) -> None:
    node.heard.status["portal.example"] = status
    _, session = await node.logged_in(f"status-{status}", "portal")
    await node.logout.end(session.session_id)
    for _ in range(MOST_REFUSALS):
        node.clock.advance(minutes=5)
        await node.logout.tell_due()
    assert await states(node, session) == {"portal": "pending"}
    node.heard.status.clear()
    node.clock.advance(minutes=5)
    await node.logout.tell_due()
    assert await states(node, session) == {"portal": "told"}


async def test_who_was_removed_meanwhile_is_told_when_it_is_back(node: LogoutNode) -> None:
    hall = node.parties.known.pop("hall")
    try:
        node.parties.known["hall"] = hall
        _, session = await node.logged_in("removed", "hall")
        del node.parties.known["hall"]
        await node.logout.end(session.session_id)
        assert await states(node, session) == {"hall": "pending"}
        assert (await node.logout.ended_with(session.session_id))[0].name == "hall"
    finally:
        node.parties.known["hall"] = hall
    node.clock.advance(seconds=5)
    assert await node.logout.tell_due() == 1
    assert await states(node, session) == {"hall": "told"}


async def test_one_that_is_away_holds_up_nobody_else(node: LogoutNode) -> None:
    node.heard.away.add("portal.example")
    sessions = [(await node.logged_in(f"many-{turn}", "portal"))[1] for turn in range(3)]
    for session in sessions:
        await node.logout.end(session.session_id)
    assert node.heard.tries == ["portal.example"], "after one try its others wait"
    node.heard.away.clear()
    node.clock.advance(seconds=5)
    assert await node.logout.tell_due() == 3
    assert [await states(node, session) for session in sessions] == [{"portal": "told"}] * 3


async def test_a_home_node_that_says_so_ends_what_hangs_on_its_session(node: LogoutNode) -> None:
    """And is not told itself; the platforms here are, in the background."""
    theirs = identity("visitor", issuer=VISITED, upstream_sid="sid-at-home")
    token, session = await node.logged_in("visitor", "portal", whose=theirs)
    _, other = await node.logged_in("", "portal", whose=identity("other", issuer=VISITED, upstream_sid="x"))
    assert await node.logout.end_by(said(node, "home-1", sid="sid-at-home")) == 1
    assert await node.is_over(token)
    assert not (await node.rows.sessions.by_id(other.session_id)).has_ended  # type: ignore[union-attr]
    assert node.heard.taken == []
    await node.logout.tell_due()
    assert [name for name, _ in node.heard.taken] == ["portal.example"]
    assert await states(node, session) == {"portal": "told", VISITED: "told"}
    assert await node.logout.end_by(said(node, "home-2", sid="sid-at-home")) == 0, "done already is no error"
    assert await node.logout.end_by(said(node, "home-3", subject="other")) == 1


async def test_a_visited_node_that_says_so_ends_the_session_that_it_took_part_in(node: LogoutNode) -> None:
    token, session = await node.logged_in("traveller", "portal", VISITED)
    assert await node.logout.end_by(said(node, "up-0", sid=sid_of(session.session_id, "portal"))) == 0
    assert await node.logout.end_by(said(node, "up-1", subject="traveller")) == 0, (
        "it may not end all of somebody's"
    )
    assert not await node.is_over(token)
    assert await node.logout.end_by(said(node, "up-2", sid=sid_of(session.session_id, VISITED))) == 1
    assert await node.is_over(token)
    await node.logout.tell_due()
    assert [name for name, _ in node.heard.taken] == ["portal.example"], "who told is not told"
    assert await states(node, session) == {"portal": "told", VISITED: "told"}


async def test_what_a_citizen_withdraws_at_home_ends_here_also_what_outlives_sessions(
    node: LogoutNode,
) -> None:
    theirs = identity("withdraws", issuer=VISITED, upstream_sid="sid-w")
    token, session = await node.logged_in("", "portal", whose=theirs)
    await node.rows.add_grant("theirs", session.session_id, offline=True, whose=theirs)
    await node.rows.add_grant("own", "s", offline=True, whose=identity("withdraws"))
    await node.rows.add_grant("another's", "s", offline=True, whose=identity("stays", issuer=VISITED))
    receiver, about = receiver_of(node), {"sid": None, "sub": "withdraws"}
    assert await receiver.receive(node.logout_token(**about)) == 1
    assert await node.is_over(token)
    assert await node.rows.live_grants() == ["another's", "own", "theirs"], "a log-out leaves offline_access"
    withdrawn = node.logout_token(**about, events={EVENT: {}, WITHDRAWN: {}})
    assert await receiver.receive(withdrawn) == 0
    assert await node.rows.live_grants() == ["another's", "own"]


async def test_a_token_ends_something_once(node: LogoutNode) -> None:
    await node.logout.end_by(said(node, "once", sid="nothing"))
    with pytest.raises(LogoutTokenRejected, match="used before"):
        await node.logout.end_by(said(node, "once", sid="nothing"))


async def test_the_loop_tells_as_soon_as_something_has_ended(node: LogoutNode) -> None:
    _, session = await node.logged_in("looped", "portal", VISITED)
    loop = asyncio.create_task(node.logout.run())
    try:
        await node.logout.end_by(said(node, "loop", sid=sid_of(session.session_id, VISITED)))
        async with asyncio.timeout(LOOK_EVERY_S + AT_ONCE_S + 10):
            while (await states(node, session))["portal"] != "told":  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.01)
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop
