"""An unknown key starts one look at its owner, and at most so often."""

from __future__ import annotations

import asyncio

import pytest

from federation.key_looks import LOOKS_APART_S, KeyLooks
from tests.federation.trust_doubles import ANCHOR, ANHUI, ZHEJIANG, Country, Own
from tests.support.clock import FixedClock
from trust.entity import configuration_url
from trust.keys import SigningKey


@pytest.fixture
async def own(country: Country) -> Own:
    own = Own(country)
    await own.sync.refresh_once()
    country.asked.clear()
    return own


def keys_of(own: Own, entity_id: str) -> set[str]:
    return set(own.directory.current.peer(entity_id).envelope_keys)


async def test_a_new_key_is_known_after_one_fetch_from_its_owner(
    own: Own, country: Country, clock: FixedClock
) -> None:
    clock.advance(seconds=20)
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    await own.sync.follow_key(ZHEJIANG)
    assert keys_of(own, ZHEJIANG) == {country.envelope_keys[ZHEJIANG].kid}
    assert country.asked == [configuration_url(ZHEJIANG)]


async def test_also_while_a_refresh_waits_for_an_anchor_that_hangs(
    own: Own, country: Country, clock: FixedClock
) -> None:
    hanging = country.hang(ANCHOR)
    refresh = hanging.during(own.sync.refresh_once())
    await hanging.reached.wait()
    clock.advance(seconds=20)
    country.envelope_keys[ZHEJIANG] = SigningKey.generate()
    await own.sync.follow_key(ZHEJIANG)
    assert keys_of(own, ZHEJIANG) == {country.envelope_keys[ZHEJIANG].kid}
    hanging.go_on.set()
    await refresh


async def test_a_flood_of_unknown_keys_starts_one_look_in_an_interval(
    own: Own, country: Country, clock: FixedClock
) -> None:
    clock.advance(seconds=20)
    began = [own.sync.request_refresh(ZHEJIANG) for _ in range(500)]
    await asyncio.gather(*(own.sync.follow_key(ZHEJIANG) for _ in range(500)))
    assert began.count(True) == 1
    assert country.asked == [configuration_url(ZHEJIANG)]
    clock.advance(seconds=LOOKS_APART_S)
    assert own.sync.request_refresh(ZHEJIANG)
    assert own.sync.request_refresh(ANHUI), "each member has an interval of its own"
    await own.sync.close()


async def test_a_look_that_brings_nothing_asks_for_one_whole_refresh(
    own: Own, country: Country, clock: FixedClock
) -> None:
    """The member was enrolled again, with another federation key: only the anchor's word helps."""
    loop = asyncio.create_task(own.sync.run(3600))
    for _ in range(2):
        await own.seen.get()
    country.asked.clear()
    clock.advance(seconds=60)
    country.enroll(ZHEJIANG)
    await own.sync.follow_key(ZHEJIANG)
    await own.seen.get()
    assert keys_of(own, ZHEJIANG) == {country.envelope_keys[ZHEJIANG].kid}
    loop.cancel()
    await asyncio.wait([loop])


async def test_an_owner_that_is_away_leaves_what_is_known(own: Own, country: Country) -> None:
    country.away.add(ZHEJIANG)
    await own.sync.follow_key(ZHEJIANG)
    assert keys_of(own, ZHEJIANG) == {country.envelope_keys[ZHEJIANG].kid}


async def test_a_look_at_someone_unknown_is_nothing(own: Own, country: Country) -> None:
    await own.sync.follow_key("https://nobody.example")
    assert country.asked == []


async def test_a_cancelled_caller_leaves_the_look_going_and_close_ends_it(clock: FixedClock) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def look(_entity_id: str) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    looks = KeyLooks(look, clock)
    caller = asyncio.create_task(looks.follow(ZHEJIANG))
    await began.wait()
    caller.cancel()
    await asyncio.wait([caller])
    assert not ended.is_set()
    await looks.close()
    assert ended.is_set()
    await looks.close()
