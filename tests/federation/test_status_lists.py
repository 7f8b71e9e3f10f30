"""The peers' status lists: fetched in the background, never going back, the same for a replica that starts anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from federation.status_lists import StatusLists
from tests.support.clock import NOON
from tests.support.consents import Consents, make_consents
from trust.keys import SigningKey
from trust.status_list import Statuses


@pytest.fixture
async def consents() -> Consents:
    return await make_consents()


def _set(place: int) -> Statuses:
    return Statuses.with_set([place], size=256)


async def test_every_node_knows_the_lists_of_all_others(consents: Consents) -> None:
    for one in consents.nodes:
        known = [other for other in consents.nodes if one.lists.find(other.entity_id) is not None]
        assert known == [other for other in consents.nodes if other is not one]


async def test_a_refresh_brings_what_was_withdrawn_meanwhile(consents: Consents) -> None:
    home, lists = consents.home, consents.answering.lists
    consents.clock.advance(seconds=50)
    consents.served[home.entity_id] = home.status_list(statuses=_set(7))
    before = lists.find(home.entity_id)
    assert await lists.refresh_once() == {}
    after = lists.find(home.entity_id)
    assert before is not None
    assert after is not None
    assert (before.is_valid(7), after.is_valid(7)) == (True, False)
    assert after.issued_at - before.issued_at == timedelta(seconds=50)


BAD: dict[str, Callable[[Consents], str]] = {
    "of another": lambda c: c.asking.status_list(),
    "of another place": lambda c: c.home.status_list(uri=f"{c.home.entity_id}/mine"),
    "under a key that is not its own": lambda c: c.home.status_list(signer=SigningKey.generate()),
    "older than one seen before": lambda c: c.home.status_list(now=NOON - timedelta(minutes=5)),
    "from the future": lambda c: c.home.status_list(now=NOON + timedelta(hours=1)),
    "altered": lambda c: c.home.status_list(statuses=_set(8))[:-6] + "AAAAAA",
    "no list": lambda _: "nothing",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_list_that_is_not_believed_leaves_the_one_before(
    consents: Consents, bad: Callable[[Consents], str]
) -> None:
    home, lists = consents.home.entity_id, consents.answering.lists
    before = lists.find(home)
    consents.served[home] = bad(consents)
    assert set(await lists.refresh_once()) == {home}
    after = lists.find(home)
    assert before is not None
    assert after is not None
    assert after.digest == before.digest


async def test_a_list_that_is_away_is_told_and_grows_old(consents: Consents) -> None:
    home, lists = consents.home.entity_id, consents.answering.lists
    consents.away.add(home)
    problems = await lists.refresh_once()
    assert "is away" in problems[home]
    assert lists.find(home) is not None


async def test_a_replica_that_starts_has_the_lists_of_the_store_verified_again(consents: Consents) -> None:
    one, home = consents.answering, consents.home
    replica = StatusLists(one.lists_kept, consents, one.node.directory, consents.clock, skew_s=60)
    assert replica.find(home.entity_id) is None
    await replica.load()
    assert replica.find(home.entity_id) is not None
    home.openid = SigningKey.generate()  # the key that signed it is not told any more
    consents.know()
    await replica.load()
    assert replica.find(home.entity_id) is None


async def test_what_another_replica_fetched_counts_here(consents: Consents) -> None:
    one, home = consents.answering, consents.home
    replica = StatusLists(one.lists_kept, consents, one.node.directory, consents.clock, skew_s=60)
    consents.clock.advance(seconds=50)
    consents.served[home.entity_id] = home.status_list(statuses=_set(7))
    await replica.refresh_once()
    consents.away.add(home.entity_id)
    await one.lists.refresh_once()
    known = one.lists.find(home.entity_id)
    assert known is not None
    assert not known.is_valid(7)


async def test_who_offers_no_logins_or_fell_is_not_asked(consents: Consents) -> None:
    consents.know(standing="denied")
    consents.away.add(consents.home.entity_id)
    assert await consents.answering.lists.refresh_once() == {}
    assert consents.answering.lists.find(consents.home.entity_id) is None
