"""`federation.former_keys`: the newest list of a member's former keys that can be had, under its keys of then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from federation.anchor_documents import Refresh
from federation.errors import OwnKeyUnavailable
from federation.former_keys import FormerKeys
from federation.statements import StatementKind
from federation.trust_keep import TrustKeep
from node.anchor import revoke
from tests.federation.trust_doubles import SHANGHAI, ZHEJIANG, Country, Own
from tests.support.clock import NOON, FixedClock
from trust.errors import ForeignKey
from trust.historical import HistoricalKey, build_historical_keys, verify_historical_keys
from trust.keys import SigningKey

PATH = "/federation/historical-keys"
OLD = SigningKey.generate()


class Lists:
    """Zhejiang's list, signed anew on demand, and what Shanghai keeps of it."""

    def __init__(self, own: Own, country: Country, clock: FixedClock) -> None:
        self.own, self.country, self.clock = own, country, clock
        self.former: list[HistoricalKey] = []
        country.lists[ZHEJIANG] = ZHEJIANG + PATH

    def serve(self, key: SigningKey | None = None, entity_id: str = ZHEJIANG) -> str:
        token = build_historical_keys(
            entity_id=entity_id,
            keys=self.former,
            signer=key or self.country.keys[ZHEJIANG],
            now=self.clock.now(),
        )
        self.country.served[ZHEJIANG + PATH] = token.encode()
        return token

    async def keep(self) -> TrustKeep:
        await self.own.sync.refresh_once()
        keep = TrustKeep(self.own.settings, self.own.store, self.clock)
        await keep.load()
        return keep

    async def former_keys(self, **more: Any) -> FormerKeys:
        keep = await self.keep()
        return FormerKeys(keep, self.own.settings, self.country, self.clock, pause_s=0, **more)

    def asked(self) -> int:
        return self.country.asked.count(ZHEJIANG + PATH)


@pytest.fixture
def lists(own: Own, country: Country, clock: FixedClock) -> Lists:
    return Lists(own, country, clock)


async def test_a_list_that_is_new_enough_is_not_asked_for_again(lists: Lists) -> None:
    first = lists.serve()
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=NOON) == first
    before = lists.asked()
    assert await former.newest_of(ZHEJIANG, since=NOON - timedelta(days=1)) == first
    assert lists.asked() == before


async def test_one_that_is_too_old_is_fetched_anew_and_kept(lists: Lists) -> None:
    first = lists.serve()
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=NOON) == first
    lists.clock.advance(minutes=5)
    lists.former = [HistoricalKey(OLD.verification_key, NOON + timedelta(minutes=4))]
    second = lists.serve()
    found = await former.newest_of(ZHEJIANG, since=NOON + timedelta(minutes=5))
    assert found == second != first
    assert lists.own.store.rows[ZHEJIANG, ZHEJIANG, StatementKind.HISTORICAL_KEYS].token == second


async def test_what_cannot_be_had_leaves_the_one_at_hand(lists: Lists) -> None:
    first = lists.serve()
    former = await lists.former_keys()
    await former.newest_of(ZHEJIANG, since=NOON)
    lists.clock.advance(minutes=5)
    lists.country.served[ZHEJIANG + PATH] = None
    assert await former.newest_of(ZHEJIANG, since=NOON + timedelta(minutes=5)) == first


async def test_an_owner_that_gives_the_same_again_is_asked_no_more_than_three_times(lists: Lists) -> None:
    first = lists.serve()
    former = await lists.former_keys()
    before = lists.asked()
    assert await former.newest_of(ZHEJIANG, since=NOON + timedelta(minutes=5)) == first
    assert lists.asked() - before <= 3


async def test_after_the_owner_changed_its_federation_key_both_lists_hold_as_of_then(lists: Lists) -> None:
    """The old list was believed under the old key; a new one must be signed with the new."""
    old_key = lists.country.keys[ZHEJIANG]
    first = lists.serve()
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=NOON) == first
    lists.clock.advance(minutes=5)
    lists.country.enroll(ZHEJIANG)
    since = lists.clock.now()
    lists.serve(old_key)
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=since) == first  # the old key signs no list any more
    second = lists.serve()
    assert await former.newest_of(ZHEJIANG, since=since) == second
    verify_historical_keys(first, entity_id=ZHEJIANG, keys=keys_of(old_key), now=NOON)
    with pytest.raises(ForeignKey):
        verify_historical_keys(second, entity_id=ZHEJIANG, keys=keys_of(old_key), now=since)


async def test_the_list_of_a_member_that_was_revoked_is_fetched_all_the_same(lists: Lists) -> None:
    """What it did before still has to be shown, and its list can only end its keys, never prolong them."""
    first = lists.serve()
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=NOON) == first
    lists.clock.advance(minutes=5)
    revoke(lists.country.directory, ZHEJIANG, "left", now=lists.clock.now())
    former = await lists.former_keys()
    lists.serve()
    assert await former.newest_of(ZHEJIANG, since=lists.clock.now()) is not None


@pytest.mark.parametrize("whose", [SHANGHAI, "a stranger's key"])
async def test_a_list_that_is_not_the_members_own_is_not_kept(lists: Lists, whose: str) -> None:
    if whose == SHANGHAI:
        lists.serve(entity_id=SHANGHAI)
    else:
        lists.serve(SigningKey.generate())
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=NOON) is None
    assert (ZHEJIANG, ZHEJIANG, StatementKind.HISTORICAL_KEYS) not in lists.own.store.rows


@pytest.mark.parametrize("uri", ["https://elsewhere.example" + PATH, ZHEJIANG + ".evil.example" + PATH])
async def test_a_list_elsewhere_is_not_fetched(lists: Lists, uri: str) -> None:
    lists.country.lists[ZHEJIANG] = uri
    lists.country.served[uri] = lists.serve().encode()
    former = await lists.former_keys()
    assert await former.newest_of(ZHEJIANG, since=NOON) is None
    assert uri not in lists.country.asked


async def test_a_stranger_has_no_list(lists: Lists) -> None:
    former = await lists.former_keys()
    assert await former.newest_of("https://nobody.example", since=NOON) is None


async def test_the_own_list_is_signed_now_or_is_none(lists: Lists) -> None:
    def sign(now: datetime) -> str:
        return f"signed at {now.isoformat()}"

    def cannot(_: datetime) -> str:
        raise OwnKeyUnavailable("the key lies in another process")

    former = await lists.former_keys(own=sign)
    assert await former.newest_of(SHANGHAI, since=NOON) == f"signed at {NOON.isoformat()}"
    former = await lists.former_keys(own=cannot)
    assert await former.newest_of(SHANGHAI, since=NOON) is None


async def test_an_older_list_of_another_replica_changes_nothing(lists: Lists) -> None:
    older = lists.serve()
    lists.clock.advance(minutes=5)
    newer = lists.serve()
    keep = await lists.keep()
    former = FormerKeys(keep, lists.own.settings, lists.country, lists.clock, pause_s=0)
    assert await former.newest_of(ZHEJIANG, since=lists.clock.now()) == newer
    lists.country.served[ZHEJIANG + PATH] = older.encode()
    await former.refresh(Refresh(lists.country, lists.own.settings), ZHEJIANG, keep.anchor())
    row = keep.former_keys_of(ZHEJIANG)
    assert row is not None
    assert row.token == newer


def keys_of(key: SigningKey) -> dict[str, Any]:
    return {key.kid: key.verification_key}
