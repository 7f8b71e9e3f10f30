"""What a step of a login writes, on both stores: all of it or nothing, and of two at once one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from federation.login.model import Interaction, OnBehalf, RelyingParty
from federation.login.writes import Writes
from node.store.database import Database, open_database
from node.store.login_agreements import AgreementRows
from node.store.login_grants import GrantRows
from node.store.login_interactions import InteractionRows
from node.store.login_sessions import SessionRows
from node.store.login_subjects import SubjectRows
from node.store.login_writes import LoginWrites
from tests.contracts.test_login_grants import REQUEST, grant_of
from tests.support.clock import FixedClock
from tests.support.login_provider import IDENTITY, PlainSeal

PORTAL = RelyingParty(client_id="portal", name="门户", redirect_uris=(), sector="portal")
PLATFORM = OnBehalf("portal", "门户")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def rows_of(database: Database, clock: FixedClock) -> LoginWrites:
    seal = PlainSeal()
    return LoginWrites(
        database=database,
        sessions=SessionRows(database, seal, clock, identity_provider=IDENTITY.issuer, life_s=3600),
        agreements=AgreementRows(database, clock, own_entity="https://node.ah.example"),
        subjects=SubjectRows(database, clock),
        grants=GrantRows(database, seal, clock),
        interactions=InteractionRows(database, seal, clock),
    )


@pytest.fixture
async def replicas(
    database: Database, store_url: str, clock: FixedClock
) -> AsyncIterator[tuple[LoginWrites, LoginWrites]]:
    second = open_database(store_url)
    yield rows_of(database, clock), rows_of(second, clock)
    await second.close()


async def at_work(rows: LoginWrites, clock: FixedClock) -> Interaction:
    now_s = int(clock.now().timestamp())
    begun = Interaction(
        interaction_id="i-1", request=REQUEST, csrf="c", created_at=now_s, expires_at=now_s + 600
    )
    await rows.interactions.create(begun, "browser")
    return begun


class WentOn(Exception):
    """The login went on elsewhere."""


class End:
    """The end of a login: all that is written at one."""

    def __init__(self, clock: FixedClock, begun: Interaction, name: str) -> None:
        self.over = replace(begun, version=begun.version + 1, step="done")
        self.grant = grant_of(clock, name)

    def __call__(self, writes: Writes) -> tuple[str, str]:
        token, session = writes.begin_session(IDENTITY)
        writes.remember(IDENTITY, "https://node.ah.example", PLATFORM, frozenset({"name"}))
        assert writes.goes_on(session.session_id)
        writes.subject_for(IDENTITY.issuer, IDENTITY.subject, "portal")
        code = writes.open_grant(replace(self.grant, session_id=session.session_id), code_life_s=60)
        assert writes.take_part(session.session_id, PORTAL, f"sid-{self.grant.grant_id}")
        if not writes.replace(self.over):
            raise WentOn
        return token, code


async def test_of_many_ends_of_one_login_one_is_written_and_nothing_of_the_others(
    replicas: tuple[LoginWrites, LoginWrites], clock: FixedClock
) -> None:
    begun = await at_work(replicas[0], clock)
    ends = [End(clock, begun, f"g-{n}") for n in range(6)]
    found = await asyncio.gather(
        *(replicas[n % 2].write(end) for n, end in enumerate(ends)), return_exceptions=True
    )
    ((token, code),) = [one for one in found if not isinstance(one, BaseException)]
    assert [type(one) for one in found if isinstance(one, BaseException)] == [WentOn] * 5

    rows = replicas[0]
    grants = [await rows.grants.find(end.grant.grant_id) for end in ends]
    (kept,) = [one for one in grants if one is not None]
    assert await rows.grants.redeem(code, "portal") == kept
    (shown,) = await rows.sessions.of_person(IDENTITY.issuer, IDENTITY.subject)
    assert shown.parties == ("portal",)
    assert await rows.sessions.find(token) == shown.session
    (agreement,) = await rows.agreements.of(IDENTITY)
    assert agreement.claims == {"name"}


async def test_a_session_that_ends_at_the_same_time_takes_the_grant_with_it_or_lets_none_be(
    replicas: tuple[LoginWrites, LoginWrites], clock: FixedClock
) -> None:
    here, there = replicas
    for turn in range(6):
        name = f"g-{turn}"
        _, session = await here.sessions.begin(IDENTITY)
        grant = replace(grant_of(clock, name), session_id=session.session_id)

        def end(writes: Writes, grant: object = grant, session_id: str = session.session_id) -> bool:
            if not writes.goes_on(session_id):
                return False
            writes.open_grant(grant, code_life_s=60)  # type: ignore[arg-type]
            return writes.take_part(session_id, PORTAL, f"sid-{session_id}")

        granted, ended = await asyncio.gather(here.write(end), there.sessions.end(session.session_id))
        assert ended
        assert await here.grants.find(name) is None
        assert len(await here.sessions.parties(session.session_id)) == granted


async def test_replicas_that_name_one_citizen_at_once_name_the_same(
    replicas: tuple[LoginWrites, LoginWrites],
) -> None:
    def name(writes: Writes) -> str:
        return writes.subject_for("https://id.example", "citizen-1", "portal")

    made = await asyncio.gather(*(replicas[n % 2].write(name) for n in range(6)))
    assert len(set(made)) == 1
    assert await replicas[1].subjects.person_of(made[0], "portal") == ("https://id.example", "citizen-1")
