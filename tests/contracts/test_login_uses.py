"""What is good once, used up with what it leads to, on both stores: one of many gets through, and a refusal is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from federation.login.uses import Use, UsedBefore
from node.store.database import Database, open_database
from node.store.login_grants import GrantRows
from node.store.login_requests import PushedRequestRows
from node.store.replay import ReplayRows
from tests.contracts.test_login_grants import REQUEST, grant_of
from tests.support.clock import FixedClock
from tests.support.login_provider import PlainSeal


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def _use(clock: FixedClock, jti: str, kind: str = "login") -> Use:
    return Use(f"{kind}:portal", jti, clock.now() + timedelta(minutes=1), UsedBefore("invalid_client", kind))


async def test_of_many_that_show_one_assertion_one_redeems(
    database: Database, store_url: str, clock: FixedClock
) -> None:
    second = open_database(store_url)
    try:
        replicas = [GrantRows(one, PlainSeal(), clock) for one in (database, second)]
        codes = [await replicas[0].open(grant_of(clock, f"g-{n}"), code_life_s=60) for n in range(6)]
        use = _use(clock, "jti-1")
        found = await asyncio.gather(
            *(replicas[n % 2].redeem(code, "portal", [use]) for n, code in enumerate(codes)),
            return_exceptions=True,
        )
        assert sorted(isinstance(one, UsedBefore) for one in found) == [False] + [True] * 5
        # whose assertion was late has its code still
        late = [code for code, one in zip(codes, found, strict=True) if isinstance(one, UsedBefore)]
        assert all([await replicas[1].redeem(code, "portal") for code in late])
    finally:
        await second.close()


async def test_of_many_that_bring_one_code_one_redeems_and_all_used_their_ids(
    database: Database, store_url: str, clock: FixedClock
) -> None:
    second = open_database(store_url)
    try:
        replicas = [GrantRows(one, PlainSeal(), clock) for one in (database, second)]
        code = await replicas[0].open(grant_of(clock), code_life_s=60)
        found = await asyncio.gather(
            *(replicas[n % 2].redeem(code, "portal", [_use(clock, f"jti-{n}")]) for n in range(6))
        )
        assert len([one for one in found if one is not None]) == 1
        assert await replicas[0].find("g-1") is None, "it came a second time"
    finally:
        await second.close()
    for n in range(6):
        used = _use(clock, f"jti-{n}")
        assert not await ReplayRows(database, clock).use_once(used.issuer, used.jti, used.expires_at)


async def test_what_stands_before_the_one_that_is_late_is_used_and_what_stands_behind_is_not(
    database: Database, clock: FixedClock
) -> None:
    grants, replays = GrantRows(database, PlainSeal(), clock), ReplayRows(database, clock)
    uses = [_use(clock, name, name) for name in ("first", "late", "behind")]
    await replays.use_once(uses[1].issuer, uses[1].jti, uses[1].expires_at)
    code = await grants.open(grant_of(clock), code_life_s=60)
    with pytest.raises(UsedBefore, match="late"):
        await grants.redeem(code, "portal", uses)
    again = [await replays.use_once(one.issuer, one.jti, one.expires_at) for one in uses]
    assert again == [False, False, True]


async def test_of_many_that_show_one_assertion_one_pushes(
    database: Database, store_url: str, clock: FixedClock
) -> None:
    second = open_database(store_url)
    try:
        replicas = [PushedRequestRows(one, PlainSeal(), clock) for one in (database, second)]
        use = _use(clock, "jti-1")
        found = await asyncio.gather(
            *(replicas[n % 2].keep(REQUEST, life_s=60, uses=lambda: [use]) for n in range(6)),
            return_exceptions=True,
        )
        (kept,) = [one for one in found if isinstance(one, str)]
        assert len([one for one in found if isinstance(one, UsedBefore)]) == 5
        assert await replicas[1].take(kept, "portal") == REQUEST
    finally:
        await second.close()
