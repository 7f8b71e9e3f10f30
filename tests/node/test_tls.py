"""Which TLS key, chain and CAs a node shows, and how it follows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from federation.rpc.credentials import TlsMaterial
from node.enrolled import EnrolmentUnusable
from node.keystore import Purpose
from node.store.database import open_database
from node.store.keys import KeyState
from node.store.tls import TlsRows
from node.tls import tls_row
from tests.node.tls_doubles import OTHER, Authority, World, make_world
from trust.keys import SigningKey


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_database(f"sqlite:///{tmp_path / 'node.db'}")
    yield await make_world(database, tmp_path)
    await database.close()


async def test_the_first_chain_comes_from_the_enrolment(world: World) -> None:
    replica = await world.replica()
    material = replica.ring.material()
    assert material.ca_pem == world.authority.pem
    assert material.key_pem == replica.keystore.tls_key().to_pem()
    assert list(await TlsRows(world.database).load()) == [replica.keystore.tls_key().kid]
    assert "PRIVATE" not in repr(replica.ring.shown)


async def test_an_enrolment_for_another_key_is_refused_at_start(world: World) -> None:
    world.write_enrolled(world.authority.chain(SigningKey.generate(), world.clock.now()))
    with pytest.raises(EnrolmentUnusable, match="not for this node's key"):
        await world.replica()


async def test_an_enrolment_that_its_ca_did_not_issue_is_refused(world: World) -> None:
    key = (await world.replica()).keystore.tls_key()
    world.write_enrolled(Authority().chain(key, world.clock.now()))
    with pytest.raises(EnrolmentUnusable, match="not issued by"):
        await world.replica()


async def test_one_that_was_fetched_by_hand_is_taken_up_at_the_next_look(world: World) -> None:
    replica = await world.replica()
    told: list[TlsMaterial] = []
    replica.ring.on_change(told.append)
    await replica.look()
    assert told == []
    world.clock.advance(days=30)
    world.write_enrolled(world.authority.chain(replica.keystore.tls_key(), world.clock.now()))
    await replica.look()
    assert told == [replica.ring.material()]
    assert (replica.ring.not_after() - world.clock.now()).days == 90


async def test_an_older_one_changes_nothing(world: World) -> None:
    replica = await world.replica()
    until = replica.ring.not_after()
    world.clock.advance(days=-1)
    world.write_enrolled(world.authority.chain(replica.keystore.tls_key(), world.clock.now(), days=300))
    await replica.look()
    assert replica.ring.not_after() == until
    assert await replica.ring.reload() == until


async def test_a_broken_file_is_told_and_what_was_shown_stays(world: World) -> None:
    replica = await world.replica()
    before = replica.ring.material()
    for text in ("{", "{}"):
        world.enrolled.write_text(text)
        await replica.look()
        with pytest.raises(EnrolmentUnusable):
            await replica.ring.reload()
    world.write_enrolled(
        world.authority.chain(replica.keystore.tls_key(), world.clock.now(), entity_id=OTHER)
    )
    with pytest.raises(EnrolmentUnusable, match="names"):
        await replica.ring.reload()
    world.enrolled.unlink()
    await replica.look()
    assert replica.ring.material() == before


async def test_a_published_key_with_a_chain_becomes_the_active_one(world: World) -> None:
    replica = await world.replica()
    old = replica.keystore.tls_key().kid
    new = (await replica.keystore.generate(Purpose.TLS, activate=False)).kid
    await replica.look()
    assert replica.ring.shown.row.kid == old
    chain = world.authority.chain(replica.keystore.tls_key(new), world.clock.now())
    await TlsRows(world.database).add(tls_row(chain, world.authority.pem.decode(), world.clock.now()))
    other = await world.replica()
    assert other.ring.shown.row.kid == new
    await replica.look()
    assert replica.ring.shown.row.kid == new
    states = {row.kid: row.state for row in replica.keystore.describe()}
    assert (states[old], states[new]) == (KeyState.PASSIVE, KeyState.ACTIVE)


async def test_an_active_key_without_a_chain_leaves_the_one_before_shown(world: World) -> None:
    replica = await world.replica()
    old = replica.keystore.tls_key().kid
    await replica.keystore.generate(Purpose.TLS)
    await replica.look()
    assert replica.ring.shown.row.kid == old
    assert (await world.replica()).ring.shown.row.kid == old


async def test_the_cas_are_those_that_the_anchor_names_and_no_others(world: World) -> None:
    replica = await world.replica()
    told: list[TlsMaterial] = []
    replica.ring.on_change(told.append)
    following = Authority("next")
    replica.trust(world.authority, following)
    await replica.ring.refresh()
    assert replica.ring.material().ca_pem == world.authority.pem + following.pem
    trusted = [replica.ring.shown.is_trusted]
    replica.trust(following)
    await replica.ring.refresh()
    assert replica.ring.material().ca_pem == following.pem
    assert [*trusted, replica.ring.shown.is_trusted] == [True, False]
    assert len(told) == 2
