"""Sessions, subjects and agreements as rows that replicas share, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from federation.errors import OwnRecordDamaged
from federation.login.logout import TOLD_US
from federation.login.model import Agreement, OnBehalf
from federation.login.sessions import Party, sid_of
from node.store.database import Database
from node.store.login_agreements import TOLD_FOR_S
from node.store.login_tables import LOGIN_SESSIONS, SESSION_PARTIES
from node.store.short import Found, Run
from tests.support.clock import FixedClock
from tests.support.login_people import (
    HOME,
    IDENTITY_PROVIDER,
    PORTAL,
    SESSION_S,
    VISITED,
    LoginRows,
    identity,
    open_login_rows,
    party,
    peer_party,
)

SECTOR = "https://portal.example"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def rows(database: Database, clock: FixedClock) -> LoginRows:
    return await open_login_rows(database, clock)


# --- subjects ---------------------------------------------------------------------------------------------------------


async def test_a_subject_is_random_stable_and_another_for_each_audience(rows: LoginRows) -> None:
    asked = [rows.subjects.subject_for("https://a", "s", audience) for audience in ("x", "y", "x")]
    first, other, again = [await one for one in asked]
    assert first == again != other
    assert len(first) >= 32
    assert await rows.subjects.subject_for("https://b", "s", "x") not in (first, other)
    assert await rows.subjects.person_of(first, "x") == ("https://a", "s")
    assert await rows.subjects.person_of(first, "y") is None


async def test_replicas_that_ask_at_once_get_the_same_subject(rows: LoginRows) -> None:
    asked = [rows.subjects.subject_for("https://a", "s", f"x{turn // 4}") for turn in range(12)]
    got = await asyncio.gather(*asked)
    assert [len(set(got[turn : turn + 4])) for turn in (0, 4, 8)] == [1, 1, 1]


# --- a browser's session ----------------------------------------------------------------------------------------------


async def test_a_session_is_found_by_its_cookie_until_it_expires(rows: LoginRows, clock: FixedClock) -> None:
    token, session = await rows.sessions.begin(identity(), id_token="id-token")
    assert session.identity == identity()
    assert session.expires_at - session.created_at == SESSION_S
    assert await rows.sessions.find(token) == session
    assert token not in session.session_id
    for wrong in ("", token[:-1], session.session_id):
        assert await rows.sessions.find(wrong) is None
    clock.advance(seconds=SESSION_S)
    assert await rows.sessions.find(token) is None
    assert not await rows.sessions.end(session.session_id)


async def test_no_row_says_who_somebody_is_or_holds_a_cookie(rows: LoginRows) -> None:
    token, _session = await rows.sessions.begin(identity(), id_token="id-token")
    async with rows.database.reading() as connection:
        (row,) = (await connection.execute(select(LOGIN_SESSIONS))).all()
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    for secret in (token, "王小明", "32010119900307123X", "id-token"):
        assert secret.encode() not in stored


async def test_a_row_that_was_put_in_the_place_of_another_opens_for_nobody(rows: LoginRows) -> None:
    (mine, own), (_theirs, other) = [
        await rows.sessions.begin(identity(subject)) for subject in ("citizen-1", "citizen-2")
    ]
    async with rows.database.writing() as connection:
        taken = select(LOGIN_SESSIONS.c.sealed).where(LOGIN_SESSIONS.c.session_id == other.session_id)
        sealed = (await connection.execute(taken)).scalar_one()
        change = update(LOGIN_SESSIONS).where(LOGIN_SESSIONS.c.session_id == own.session_id)
        await connection.execute(change.values(sealed=sealed))
    with pytest.raises(OwnRecordDamaged):
        await rows.sessions.find(mine)


async def test_every_login_gives_a_new_cookie_and_the_old_one_is_worth_nothing(rows: LoginRows) -> None:
    """Session fixation: a token that somebody planted before the login is not what is logged in after it."""
    planted, before = await rows.sessions.begin(identity())
    await rows.sessions.add_party(before.session_id, party(), "sid-1")
    stepped_up = identity(acr="yrd.l3", upstream_sid="sid-of-later")
    token, after = await rows.sessions.begin(stepped_up, replaces=planted)
    assert token != planted
    assert await rows.sessions.find(planted) is None
    assert after.session_id == before.session_id, "who takes part stays in the same person's session"
    assert await rows.sessions.find(token) == after
    assert after.identity.acr == "yrd.l3"
    assert await rows.sessions.by_issuer(IDENTITY_PROVIDER, sid="sid-of-later") == [after.session_id]
    unknown, fresh = await rows.sessions.begin(identity(), replaces="planted-by-somebody")
    assert unknown != "planted-by-somebody"
    assert fresh.session_id != after.session_id


async def test_somebody_elses_session_in_the_same_browser_ends_and_who_took_part_is_told(
    rows: LoginRows,
) -> None:
    token, first = await rows.sessions.begin(identity(issuer=VISITED))
    await rows.sessions.add_party(first.session_id, party(), "sid-1")
    await rows.add_grant("g1", first.session_id)
    _, second = await rows.sessions.begin(identity("citizen-2"), replaces=token)
    assert second.session_id != first.session_id
    assert await rows.sessions.find(token) is None
    told = await rows.logouts.take_due(lease_s=30, limit=10)
    assert [one.party.client_id for one in told] == ["portal"], "the home node's session is not theirs to end"
    assert await rows.live_grants() == []


# --- who takes part ---------------------------------------------------------------------------------------------------


async def test_who_takes_part_is_found_by_what_it_was_told(rows: LoginRows, clock: FixedClock) -> None:
    _, session = await rows.sessions.begin(identity())
    subject = await rows.subjects.subject_for(IDENTITY_PROVIDER, "citizen-1", SECTOR)
    sid = await rows.sessions.sid_for(session.session_id, "portal")
    assert sid == sid_of(session.session_id, "portal") != sid_of(session.session_id, "other")
    for _ in range(2):
        assert await rows.sessions.add_party(session.session_id, party(), sid)
    clock.advance(seconds=1)
    assert await rows.sessions.add_party(session.session_id, peer_party(), "sid-2")
    parties = await rows.sessions.parties(session.session_id)
    assert list(parties) == [
        Party(client_id="portal", sid=sid, subject=subject),
        Party(client_id=VISITED, sid="sid-2", subject=""),
    ]
    found = await rows.sessions.by_party("portal", sid)
    assert found is not None
    assert (found.session, found.has_ended) == (session, False)
    assert await rows.sessions.by_party("other", sid) is None, "a session id says nothing to anybody else"
    assert await rows.sessions.by_party("portal", "sid-2") is None


async def test_nobody_takes_part_in_what_has_ended(rows: LoginRows, clock: FixedClock) -> None:
    _, session = await rows.sessions.begin(identity())
    assert await rows.sessions.end(session.session_id)
    assert not await rows.sessions.add_party(session.session_id, party(), "sid-1")
    _, later = await rows.sessions.begin(identity())
    clock.advance(seconds=SESSION_S)
    assert not await rows.sessions.add_party(later.session_id, party(), "sid-1")
    assert not await rows.sessions.add_party("unknown", party(), "sid-1")
    async with rows.database.reading() as connection:
        assert (await connection.execute(select(SESSION_PARTIES))).all() == []


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_an_end_takes_the_grants_with_it_and_leaves_who_is_to_be_told(rows: LoginRows) -> None:
    token, session = await rows.sessions.begin(identity())
    await rows.sessions.add_party(session.session_id, party(), "sid-1")
    await rows.sessions.add_party(session.session_id, peer_party(), "sid-2")
    for name, offline in (("g1", False), ("g2", True)):
        await rows.add_grant(name, session.session_id, offline=offline)
    await rows.add_grant("g3", "another-session")
    assert await rows.sessions.end(session.session_id, told_by=VISITED)
    assert not await rows.sessions.end(session.session_id)
    assert await rows.live_grants() == ["g2", "g3"], "offline access outlives the session"
    assert await rows.sessions.find(token) is None
    ended = await rows.sessions.by_token(token)
    assert ended is not None
    assert ended.has_ended
    due = await rows.logouts.take_due(lease_s=30, limit=10)
    assert [(one.party.client_id, one.party.sid, one.attempts) for one in due] == [("portal", "sid-1", 1)]
    shown = await rows.logouts.of_session(session.session_id)
    assert {one.client_id: (one.is_done, one.outcome) for one in shown} == {
        "portal": (False, ""),
        VISITED: (True, TOLD_US),
    }


async def test_of_replicas_that_end_it_at_once_one_does(rows: LoginRows) -> None:
    _, session = await rows.sessions.begin(identity())
    await rows.sessions.add_party(session.session_id, party(), "sid-1")
    ended = await asyncio.gather(*(rows.sessions.end(session.session_id) for _ in range(4)))
    assert sorted(ended) == [False, False, False, True]
    assert len(await rows.logouts.of_session(session.session_id)) == 1


async def test_a_visited_nodes_session_is_told_to_the_home_node_as_well(rows: LoginRows) -> None:
    _, session = await rows.sessions.begin(identity(issuer=VISITED, upstream_sid="sid-there"))
    await rows.sessions.end(session.session_id)
    (due,) = await rows.logouts.take_due(lease_s=30, limit=10)
    assert due.party == Party(client_id=VISITED, sid="sid-there", subject="citizen-1")


async def test_sessions_are_found_by_what_they_hang_on(rows: LoginRows) -> None:
    _, one = await rows.sessions.begin(identity(upstream_sid="a"))
    _, two = await rows.sessions.begin(identity(upstream_sid="b"))
    _, other = await rows.sessions.begin(identity("citizen-2", upstream_sid="c"))
    by = rows.sessions.by_issuer
    assert list(await by(IDENTITY_PROVIDER, sid="a")) == [one.session_id]
    assert set(await by(IDENTITY_PROVIDER, subject="citizen-1")) == {one.session_id, two.session_id}
    assert list(await by(IDENTITY_PROVIDER, sid="c", subject="citizen-1")) == []
    assert list(await by(HOME, sid="a")) == list(await by(IDENTITY_PROVIDER)) == []
    await rows.sessions.end(two.session_id)
    assert list(await by(IDENTITY_PROVIDER, subject="citizen-1")) == [one.session_id]
    assert list(await by(IDENTITY_PROVIDER, subject="citizen-2")) == [other.session_id]


async def test_a_person_sees_the_own_sessions_and_who_takes_part(rows: LoginRows, clock: FixedClock) -> None:
    _, one = await rows.sessions.begin(identity())
    await rows.sessions.add_party(one.session_id, party(), "sid-1")
    clock.advance(seconds=1)
    _, two = await rows.sessions.begin(identity(upstream_sid="other-device"))
    await rows.sessions.begin(identity("citizen-2"))
    shown = await rows.sessions.of_person(IDENTITY_PROVIDER, "citizen-1")
    assert [(each.session, each.parties) for each in shown] == [(two, ()), (one, ("portal",))]
    await rows.sessions.end(two.session_id)
    assert len(await rows.sessions.of_person(IDENTITY_PROVIDER, "citizen-1")) == 1


async def test_what_expired_is_forgotten_a_day_later(rows: LoginRows, clock: FixedClock) -> None:
    token, session = await rows.sessions.begin(identity())
    await rows.sessions.add_party(session.session_id, party(), "sid-1")
    await rows.sessions.end(session.session_id)
    clock.advance(seconds=SESSION_S)
    assert await rows.sessions.forget_expired() == 0
    assert await rows.sessions.by_id(session.session_id) is not None
    clock.advance(days=1)
    assert await rows.sessions.forget_expired() == 1
    assert await rows.sessions.by_id(session.session_id) is None
    assert await rows.sessions.by_token(token) is None
    assert await rows.sessions.parties(session.session_id) == []
    clock.advance(days=1)
    assert await rows.logouts.forget_expired() == 1


# --- who is to be told ------------------------------------------------------------------------------------------------


async def test_of_replicas_that_look_at_once_one_takes_a_row_up(rows: LoginRows, clock: FixedClock) -> None:
    for turn in range(3):
        _, session = await rows.sessions.begin(identity(f"citizen-{turn}"))
        await rows.sessions.add_party(session.session_id, party(), f"sid-{turn}")
        await rows.sessions.end(session.session_id)
    taken = await asyncio.gather(*(rows.logouts.take_due(lease_s=30, limit=10) for _ in range(4)))
    ids = [one.logout_id for found in taken for one in found]
    assert len(ids) == len(set(ids)) == 3
    clock.advance(seconds=29)
    assert await rows.logouts.take_due(lease_s=30, limit=10) == ()
    clock.advance(seconds=1)
    again = await rows.logouts.take_due(lease_s=30, limit=2)
    assert [one.attempts for one in again] == [2, 2], "a replica that died leaves it to another"


async def test_what_is_settled_is_due_no_more_and_what_is_postponed_later(
    rows: LoginRows, clock: FixedClock
) -> None:
    _, session = await rows.sessions.begin(identity())
    for client_id, sid in (("portal", "sid-1"), ("other", "sid-2")):
        await rows.sessions.add_party(session.session_id, party(client_id), sid)
    await rows.sessions.end(session.session_id)
    taken = await rows.logouts.take_of(session.session_id, lease_s=30)
    by_client = {one.party.client_id: one.logout_id for one in taken}
    assert await rows.logouts.take_of(session.session_id, lease_s=30) == ()
    await rows.logouts.settle(by_client["portal"], "told")
    until = clock.now().replace(minute=10)
    await rows.logouts.postpone(by_client["other"], until=until, outcome="503")
    await rows.logouts.postpone(by_client["portal"], until=until, outcome="503")
    clock.at = until
    due = await rows.logouts.take_due(lease_s=30, limit=10)
    assert [one.party.client_id for one in due] == ["other"]
    shown = await rows.logouts.of_session(session.session_id)
    assert [(one.client_id, one.is_done, one.outcome) for one in shown] == [
        ("other", False, "503"),
        ("portal", True, "told"),
    ]


# --- what was agreed to -----------------------------------------------------------------------------------------------


async def test_what_was_agreed_to_adds_up_until_it_is_withdrawn(rows: LoginRows) -> None:
    agreements, citizen = rows.agreements, identity()
    assert await agreements.find(citizen, VISITED, PORTAL.client_id) is None
    first = await agreements.remember(citizen, VISITED, PORTAL, frozenset({"name"}))
    both = await agreements.remember(citizen, VISITED, PORTAL, frozenset({"birthdate"}))
    assert both.agreement_id == first.agreement_id
    assert both.claims == {"name", "birthdate"}
    assert await agreements.find(citizen, VISITED, PORTAL.client_id) == both
    for other in (
        (identity("citizen-2"), VISITED, "portal"),
        (citizen, HOME, "portal"),
        (citizen, VISITED, "x"),
    ):
        assert await agreements.find(*other) is None
    await rows.add_grant("g1", "s", client_id=VISITED)
    await rows.add_grant("g2", "s", client_id="portal")
    assert not await agreements.withdraw(identity("citizen-2"), both.agreement_id)
    assert await agreements.withdraw(citizen, both.agreement_id)
    assert not await agreements.withdraw(citizen, both.agreement_id)
    assert await agreements.find(citizen, VISITED, PORTAL.client_id) is None
    assert await rows.live_grants() == ["g2"], "what was granted on it ends with it"


async def test_a_node_that_something_is_taken_back_from_is_told(rows: LoginRows) -> None:
    """About the person and no session, for as long as a refresh token may live; nobody else is."""
    for recipient, subject in ((HOME, "citizen-1"), (VISITED, "citizen-1"), (VISITED, "never-there")):
        given = await rows.agreements.remember(identity(subject), recipient, PORTAL, frozenset({"name"}))
        if subject == "citizen-1":
            await rows.subjects.subject_for(IDENTITY_PROVIDER, subject, recipient)
        assert await rows.agreements.withdraw(identity(subject), given.agreement_id)
    (due,) = await rows.logouts.take_due(lease_s=30, limit=10)
    known_as = await rows.subjects.subject_for(IDENTITY_PROVIDER, "citizen-1", VISITED)
    assert due.party == Party(client_id=VISITED, sid="", subject=known_as)
    assert due.expires_at == int(rows.clock.now().timestamp()) + TOLD_FOR_S


async def test_an_agreement_with_an_own_platform_ends_its_grants(rows: LoginRows, clock: FixedClock) -> None:
    citizen = identity()
    given = await rows.agreements.remember(citizen, HOME, PORTAL, frozenset({"name"}))
    await rows.add_grant("g1", "s", client_id="portal")
    assert await rows.agreements.withdraw(citizen, given.agreement_id)
    assert await rows.live_grants() == []
    clock.advance(seconds=1)
    again = await rows.agreements.remember(citizen, HOME, OnBehalf("portal", "新名称"), frozenset())
    assert again.agreement_id != given.agreement_id
    assert again.claims == frozenset()
    shown = await rows.agreements.of(citizen)
    assert [(one.platform_name, one.withdrawn_at is None) for one in shown] == [
        ("新名称", True),
        ("安徽政务服务网", False),
    ]


async def test_what_two_replicas_kept_at_once_counts_together(rows: LoginRows) -> None:
    citizen, names = identity(), ("name", "gender", "birthdate")
    await asyncio.gather(
        *(rows.agreements.remember(citizen, VISITED, PORTAL, frozenset({name})) for name in names)
    )
    holding = await rows.agreements.find(citizen, VISITED, PORTAL.client_id)
    assert holding is not None
    assert await rows.agreements.withdraw(citizen, holding.agreement_id)
    assert await rows.agreements.find(citizen, VISITED, PORTAL.client_id) is None


async def test_what_is_withdrawn_while_more_is_agreed_to_stays_withdrawn(rows: LoginRows) -> None:
    citizen = identity()
    given = await rows.agreements.remember(citizen, VISITED, PORTAL, frozenset({"name"}))

    def agree(run: Run) -> Agreement:
        statements: list[str] = []

        def and_elsewhere(sql: str, /, **parameters: Any) -> Found:
            """Another replica's withdrawal is there between the first statement and the second."""
            found = run(sql, **parameters)
            if not statements:
                run("UPDATE agreements SET withdrawn_at = 1 WHERE withdrawn_at IS NULL")
            statements.append(sql)
            return found

        return rows.agreements.remember_in(and_elsewhere, citizen, VISITED, PORTAL, frozenset({"birthdate"}))

    agreed = await rows.database.change(agree)
    assert agreed.claims == {"birthdate"}
    assert agreed.agreement_id != given.agreement_id
    assert await rows.agreements.find(citizen, VISITED, PORTAL.client_id) == agreed
