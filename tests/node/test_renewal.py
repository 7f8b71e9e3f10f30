"""Renewing the TLS certificate: when, by whom, and what is refused of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from federation.errors import OwnStoreUnavailable
from node.connectors.renewal import RenewalRefused
from node.keystore import Purpose
from node.renewal import RenewalFailed, renew_at, tls_probe, untrusted_warner
from node.store.database import open_database
from node.store.keys import KeyRow, KeyRows, KeyState
from node.store.tls import TlsRow
from tests.node.tls_doubles import ENTITY, OTHER, Authority, Replica, World, make_world
from tests.support.clock import NOON
from trust.keys import SigningKey

DUE_DAYS = 65


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield await make_world(database, tmp_path)
    await database.close()


@pytest.fixture
async def replica(world: World) -> Replica:
    return await world.replica()


def tls_states(replica: Replica) -> list[KeyState]:
    return [row.state for row in replica.keystore.describe() if row.purpose == Purpose.TLS]


async def test_nothing_is_asked_before_two_thirds_of_its_life(world: World, replica: Replica) -> None:
    world.clock.advance(days=59)
    assert not await replica.renewal.renew_once()
    assert world.desk.asked == 0


async def test_at_two_thirds_there_is_a_new_key_and_the_old_one_makes_way(
    world: World, replica: Replica
) -> None:
    before = replica.ring.material()
    world.clock.advance(days=DUE_DAYS)
    assert await replica.renewal.renew_once()
    after = replica.ring.material()
    assert after.key_pem != before.key_pem
    assert replica.ring.not_after() == world.clock.now() + timedelta(days=90)
    assert tls_states(replica) == [KeyState.PASSIVE, KeyState.ACTIVE]
    assert replica.outcomes == ["renewed"]
    assert not await replica.renewal.renew_once()
    world.clock.advance(hours=2)
    assert tls_states(replica) == [KeyState.RETIRED, KeyState.ACTIVE]
    assert replica.ring.material() == after


def test_each_entity_has_a_share_of_its_own() -> None:
    row = TlsRow("kid", "", "", NOON, NOON + timedelta(days=90), NOON)
    due = [renew_at(row, f"https://node{number}.example") for number in range(50)]
    earliest = row.not_before + timedelta(days=60)
    assert len(set(due)) == 50
    assert all(earliest <= at <= earliest + timedelta(days=90) / 24 for at in due)


async def test_an_anchor_that_is_away_is_asked_again_ever_more_slowly(world: World, replica: Replica) -> None:
    before = replica.ring.material()
    world.clock.advance(days=DUE_DAYS)
    world.desk.fault = RenewalRefused("away")
    for _ in range(40):
        await replica.renewal.renew_once()
        world.clock.advance(seconds=30)
    assert 3 <= world.desk.asked <= 5
    assert replica.ring.material() == before
    assert tls_states(replica) == [KeyState.ACTIVE, KeyState.PUBLISHED]
    world.desk.fault = None
    world.clock.advance(hours=1)
    assert await replica.renewal.renew_once()
    assert tls_states(replica) == [KeyState.PASSIVE, KeyState.ACTIVE]
    assert replica.outcomes.count("renewed") == 1


@pytest.mark.parametrize(("said_s", "pause_s"), [(10.0, 10), (0.0, 1), (1e9, 3600)])
async def test_an_anchor_that_says_when_is_asked_then(
    world: World, replica: Replica, said_s: float, pause_s: int
) -> None:
    world.clock.advance(days=DUE_DAYS)
    world.desk.fault = RenewalRefused("asked too soon", retry_after_s=said_s)
    assert not await replica.renewal.renew_once()
    world.desk.fault = None
    world.clock.advance(seconds=pause_s - 0.5)
    assert not await replica.renewal.renew_once()
    assert world.desk.asked == 1
    world.clock.advance(seconds=0.5)
    assert await replica.renewal.renew_once()


async def test_an_anchor_that_says_so_again_and_again_is_asked_more_slowly(
    world: World, replica: Replica
) -> None:
    world.clock.advance(days=DUE_DAYS)
    world.desk.fault = RenewalRefused("asked too soon", retry_after_s=1.0)
    for _ in range(600):
        await replica.renewal.renew_once()
        world.clock.advance(seconds=1)
    assert 4 <= world.desk.asked <= 6


async def test_after_an_operator_was_told_to_wait_the_node_renews_by_itself(
    world: World, replica: Replica
) -> None:
    await replica.keystore.generate(Purpose.TLS, activate=False)
    world.desk.fault = RenewalRefused("asked too soon", retry_after_s=10.0)
    with pytest.raises(RenewalFailed, match="too soon"):
        await replica.renewal.renew_now()
    world.desk.fault = None
    world.clock.advance(seconds=9)
    assert not await replica.renewal.renew_once()
    world.clock.advance(seconds=1)
    assert await replica.renewal.renew_once()
    assert world.desk.asked == 2
    assert tls_states(replica) == [KeyState.PASSIVE, KeyState.ACTIVE]


async def test_an_operator_is_told_that_the_anchor_is_away(world: World, replica: Replica) -> None:
    world.desk.fault = RenewalRefused("https://anchor.example cannot be reached")
    with pytest.raises(RenewalFailed, match="cannot be reached; the one before is good until") as failed:
        await replica.renewal.renew_now()
    assert "未能更新" in failed.value.zh
    world.desk.fault = None
    assert await replica.renewal.renew_now() > world.clock.now()
    assert tls_states(replica) == [KeyState.PASSIVE, KeyState.ACTIVE]


async def test_of_two_replicas_one_renews_and_the_other_follows(world: World, replica: Replica) -> None:
    other = await world.replica()
    world.clock.advance(days=DUE_DAYS)
    done = await asyncio.gather(replica.renewal.renew_once(), other.renewal.renew_once())
    assert sorted(done) == [False, True]
    assert world.desk.asked == 1
    for one in (replica, other):
        await one.look()
    assert replica.ring.material() == other.ring.material()
    assert not any([await replica.renewal.renew_once(), await other.renewal.renew_once()])
    assert tls_states(other) == [KeyState.PASSIVE, KeyState.ACTIVE]


async def test_one_that_has_not_looked_since_does_not_renew_again(world: World, replica: Replica) -> None:
    other = await world.replica()
    world.clock.advance(days=DUE_DAYS)
    assert await replica.renewal.renew_once()
    world.clock.advance(minutes=3)
    assert other.renewal.is_due
    assert not await other.renewal.renew_once()
    assert world.desk.asked == 1
    assert other.ring.material() == replica.ring.material()


async def test_two_at_once_by_hand_lose_nothing(world: World, replica: Replica) -> None:
    other = await world.replica()
    await asyncio.gather(replica.renewal.renew_now(), other.renewal.renew_now())
    for one in (replica, other):
        await one.look()
    assert replica.ring.material() == other.ring.material()


async def test_a_published_key_that_cannot_be_opened_holds_nothing_up(world: World, replica: Replica) -> None:
    foreign = SigningKey.generate().verification_key

    def insert(rows: Sequence[KeyRow]) -> Sequence[KeyRow]:
        (row,) = [row for row in rows if row.purpose == Purpose.TLS]
        odd = replace(row, kid=foreign.kid, public_jwk=foreign.jwk, state=KeyState.PUBLISHED, generation=9)
        return [*rows, replace(odd, activated_at=None)]

    await KeyRows(world.database).change(insert)
    await replica.look()
    assert foreign.kid in replica.keystore.faults
    assert not replica.renewal.is_due
    world.clock.advance(days=DUE_DAYS)
    assert await replica.renewal.renew_once()
    assert replica.ring.shown.row.kid != foreign.kid
    assert replica.outcomes == ["renewed"]


async def test_a_key_that_an_operator_rotated_is_renewed_without_waiting(
    world: World, replica: Replica
) -> None:
    new = await replica.keystore.generate(Purpose.TLS, activate=False)
    assert replica.renewal.is_due
    assert await replica.renewal.renew_once()
    assert replica.ring.shown.row.kid == new.kid


async def test_a_chain_whose_ca_is_not_named_any_more_is_renewed_at_once(
    world: World, replica: Replica
) -> None:
    following = Authority("next")
    replica.trust(following)
    await replica.ring.refresh()
    warner = untrusted_warner(replica.ring)
    assert [told.code for told in warner()] == ["tls_untrusted"]
    world.desk.authority = following
    assert await replica.renewal.renew_once()
    assert warner() == []


@pytest.mark.parametrize("lie", ["ca", "entity", "key", "expired", "future", "self-made", "text", "empty"])
async def test_an_answer_that_is_not_what_was_asked_for_changes_nothing(
    world: World, replica: Replica, lie: str
) -> None:
    before, now = replica.ring.material(), world.clock.now()
    waiting = (await replica.keystore.generate(Purpose.TLS, activate=False)).kid
    key = replica.keystore.tls_key(waiting)
    stranger = Authority("stranger")
    world.desk.answer = {
        "ca": stranger.chain(key, now),
        "entity": world.authority.chain(key, now, entity_id=OTHER),
        "key": world.authority.chain(SigningKey.generate(), now),
        "expired": world.authority.chain(key, now - timedelta(days=100)),
        "future": world.authority.chain(key, now + timedelta(days=1)),
        "self-made": stranger.chain(key, now) + world.authority.pem.decode(),
        "text": "not PEM",
        "empty": "\n",
    }[lie]
    with pytest.raises(RenewalFailed):
        await replica.renewal.renew_now()
    await replica.look()
    assert replica.ring.material() == before
    assert tls_states(replica) == [KeyState.ACTIVE, KeyState.PUBLISHED]


async def test_the_request_is_signed_with_a_key_that_the_anchor_knows(world: World, replica: Replica) -> None:
    world.desk.keys = {ENTITY: {}}
    with pytest.raises(RenewalFailed, match="not one of the issuer's"):
        await replica.renewal.renew_now()
    world.desk.keys = {}
    with pytest.raises(RenewalFailed, match="not by a member in good standing"):
        await replica.renewal.renew_now()


async def test_a_store_that_is_away_is_told_as_that(world: World, replica: Replica) -> None:
    (world.folder / "node.db").rename(world.folder / "gone.db")
    (world.folder / "node.db").mkdir()
    await world.database.engine.dispose()
    with pytest.raises(OwnStoreUnavailable):
        await replica.renewal.renew_now()
    assert replica.outcomes == ["failed"]


async def test_it_is_unready_when_its_certificate_has_expired(world: World, replica: Replica) -> None:
    probe = tls_probe(replica.ring, world.clock)
    world.clock.advance(days=89)
    assert probe() is None
    world.clock.advance(days=2)
    assert (told := probe()) is not None
    assert told.code == "tls_expired"
    await replica.renewal.renew_now()
    assert probe() is None


# --- where the CA is offline ---


async def test_a_request_is_carried_out_and_its_chain_in(world: World, replica: Replica) -> None:
    request = await replica.renewal.request()
    assert await replica.renewal.request() != ""
    assert [row.purpose for row in replica.keystore.describe()].count("tls") == 2
    world.clock.advance(minutes=4)
    chain = await world.desk.renew(request)
    assert await replica.renewal.take(chain) == world.clock.now() + timedelta(days=90)
    assert tls_states(replica) == [KeyState.PASSIVE, KeyState.ACTIVE]
    assert await replica.renewal.take(chain) == replica.ring.not_after()


@pytest.mark.parametrize("days", [0, DUE_DAYS])
async def test_while_a_request_is_carried_the_anchor_is_not_asked_for_its_key(
    world: World, replica: Replica, days: int
) -> None:
    world.clock.advance(days=days)
    request = await replica.renewal.request()
    assert not replica.renewal.is_due
    assert not await replica.renewal.renew_once()
    chain = await world.desk.renew(request)
    world.clock.advance(days=6)
    assert not await replica.renewal.renew_once()
    await replica.renewal.take(chain)
    assert not replica.renewal.is_due
    assert world.desk.asked == 1
    assert tls_states(replica) == [KeyState.PASSIVE, KeyState.ACTIVE]


@pytest.mark.parametrize(
    ("made_days", "later_days"), [(0, 7), (84, 0)], ids=["nobody took it", "there is no time for that"]
)
async def test_a_request_that_is_carried_does_not_keep_a_node_from_renewing(
    world: World, replica: Replica, made_days: int, later_days: int
) -> None:
    world.clock.advance(days=made_days)
    await replica.renewal.request()
    world.clock.advance(days=later_days)
    assert await replica.renewal.renew_once()


async def test_a_request_that_is_carried_does_not_keep_an_operator_or_a_lost_ca_from_renewing(
    world: World, replica: Replica
) -> None:
    await replica.renewal.request()
    waiting = replica.keystore.describe()[-1].kid
    await replica.renewal.renew_now()
    assert replica.ring.shown.row.kid == waiting
    await replica.renewal.request()
    world.desk.authority = Authority("next")
    replica.trust(world.desk.authority)
    await replica.ring.refresh()
    assert await replica.renewal.renew_once()


async def test_a_replica_that_does_not_know_of_the_request_does_no_harm(
    world: World, replica: Replica
) -> None:
    request = await replica.renewal.request()
    other = await world.replica()
    assert await other.renewal.renew_once()
    online = other.ring.material()
    world.clock.advance(minutes=1)
    carried = await world.desk.renew(request)
    await replica.look()
    assert await replica.renewal.take(carried) == world.clock.now() + timedelta(days=90)
    await other.look()
    assert other.ring.material() == replica.ring.material()
    assert other.ring.material().key_pem == online.key_pem
    assert tls_states(other) == [KeyState.PASSIVE, KeyState.ACTIVE]


@pytest.mark.parametrize("lie", ["ca", "entity", "key", "retired", "expired", "text", "chinese"])
async def test_a_chain_that_is_brought_by_hand_is_checked_alike(
    world: World, replica: Replica, lie: str
) -> None:
    old = replica.keystore.tls_key()
    await replica.renewal.renew_now()
    world.clock.advance(hours=2)
    await replica.look()
    key, now, before = replica.keystore.tls_key(), world.clock.now(), replica.ring.material()
    chain = {
        "ca": Authority().chain(key, now),
        "entity": world.authority.chain(key, now, entity_id=OTHER),
        "key": world.authority.chain(SigningKey.generate(), now),
        "retired": world.authority.chain(old, now),
        "expired": world.authority.chain(key, now - timedelta(days=100)),
        "text": "not PEM",
        "chinese": "\ud800",
    }[lie]
    with pytest.raises(RenewalFailed, match="is not taken"):
        await replica.renewal.take(chain)
    assert replica.ring.material() == before
