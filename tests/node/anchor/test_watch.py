"""What the anchor sees of its members by itself, and the new federation keys that it takes over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp import web

from node.anchor import AnchorRefused, anchor_app, member_in_full, pending_of, publish, revoke, update
from node.connectors.statements import HttpStatementSource
from tests.node.anchor.scene import Entity, Looking, PortFactory, Served
from tests.support.clock import NOON
from trust.entity import WELL_KNOWN, build_entity_configuration, read_statement
from trust.keys import SigningKey


@pytest.fixture
async def node(anchor: Served, unused_tcp_port_factory: PortFactory) -> Entity:
    return await anchor.node(unused_tcp_port_factory())


def named_keys(anchor: Served, node: Entity) -> set[str]:
    """The federation keys that the anchor's statement names."""
    return set(read_statement(anchor.member(node.entity_id).statement, allow_http_on_loopback=True).keys)


def pending(anchor: Served, node: Entity) -> tuple[str, ...]:
    return pending_of(anchor.folder, anchor.member(node.entity_id), anchor.clock.now())


async def look(anchor: Served) -> None:
    anchor.clock.advance(seconds=60)
    await anchor.watch().refresh_once()


async def test_new_keys_are_pending_until_the_anchor_signs(anchor: Served, node: Entity) -> None:
    old, new = node.signer, SigningKey.generate()
    await look(anchor)
    assert pending(anchor, node) == ()
    node.published = [new]
    await look(anchor)
    assert set(pending(anchor, node)) == {old.kid, new.kid}
    assert named_keys(anchor, node) == {old.kid}
    assert publish(anchor.directory, now=anchor.clock.now(), renew_within_s=0) == 1
    assert named_keys(anchor, node) == {old.kid, new.kid}
    assert pending(anchor, node) == ()
    node.signer, node.published = new, []
    await look(anchor)
    assert pending(anchor, node) == (new.kid,)
    update(anchor.directory, node.entity_id, now=anchor.clock.now())
    assert named_keys(anchor, node) == {new.kid}
    assert anchor.member(node.entity_id).updated_at == int(anchor.clock.now().timestamp())


async def test_a_server_with_its_root_key_takes_them_over_by_itself(anchor: Served, node: Entity) -> None:
    source = HttpStatementSource(anchor.http, allow_http_on_loopback=True)
    new = SigningKey.generate()
    node.published = [new]
    runner = web.AppRunner(anchor_app(anchor.directory, anchor.clock, source=source))
    await runner.setup()
    anchor.runners.append(runner)
    looking = Looking(anchor)
    for _ in range(200):  # the look is a task beside; each refresh lets it run
        await looking.refresh()
        if new.kid in named_keys(anchor, node):
            break
    assert named_keys(anchor, node) == {node.signer.kid, new.kid}
    assert await looking.refresh() == {}


async def test_a_configuration_under_another_key_changes_nothing(anchor: Served, node: Entity) -> None:
    await look(anchor)
    known, node.signer = node.signer, SigningKey.generate()
    await look(anchor)
    full = member_in_full(anchor.folder, anchor.member(node.entity_id), anchor.clock.now())
    assert "is not one of the issuer's" in full["seen_problem"]
    assert full["pending_keys"] == []
    publish(anchor.directory, now=anchor.clock.now())
    assert named_keys(anchor, node) == {known.kid}
    with pytest.raises(AnchorRefused, match="enrol it again"):
        update(
            anchor.directory,
            node.entity_id,
            now=anchor.clock.now(),
            configuration=node.configuration(),
        )


async def test_an_older_configuration_brings_no_key_back(anchor: Served, node: Entity) -> None:
    old, new = node.signer, SigningKey.generate()
    early = node.configuration()
    node.published = [new]
    await look(anchor)
    update(anchor.directory, node.entity_id, now=anchor.clock.now())
    node.answer = early
    await look(anchor)
    full = member_in_full(anchor.folder, anchor.member(node.entity_id), anchor.clock.now())
    assert "older configuration" in full["seen_problem"]
    assert named_keys(anchor, node) == {old.kid, new.kid}


async def test_too_many_keys_and_a_key_it_does_not_name_are_refused(anchor: Served, node: Entity) -> None:
    node.published = [SigningKey.generate() for _ in range(4)]
    await look(anchor)
    assert pending(anchor, node) == ()
    node.published = []
    other = SigningKey.generate()

    class Posing:
        """Signs with the node's key, and names another as its own."""

        kid, alg, sign = node.signer.kid, node.signer.alg, staticmethod(node.signer.sign)
        verification_key = other.verification_key

    node.answer = build_entity_configuration(
        entity_id=node.entity_id, signer=Posing(), metadata={}, now=anchor.clock.now()
    )
    await look(anchor)
    full = member_in_full(anchor.folder, anchor.member(node.entity_id), anchor.clock.now())
    assert "does not name" in full["seen_problem"]
    assert pending(anchor, node) == ()


async def test_a_member_that_is_away_is_noted_and_what_was_seen_kept(
    anchor: Served, node: Entity, unused_tcp_port_factory: PortFactory
) -> None:
    other = await anchor.node(unused_tcp_port_factory(), "340000")
    await look(anchor)
    seen = anchor.folder.seen(node.entity_id)["configuration"]
    await anchor.runners[1].cleanup()
    await look(anchor)
    kept = anchor.folder.seen(node.entity_id)
    assert kept["configuration"] == seen
    assert "cannot be fetched" in kept["problem"]
    assert anchor.folder.seen(other.entity_id)["problem"] == ""


async def test_noise_is_noted_and_nothing_else(anchor: Served, node: Entity) -> None:
    for noise in ("x", "x" * 70_000, "a.b.c"):
        node.answer = noise
        await look(anchor)
        assert anchor.folder.seen(node.entity_id)["problem"]
        assert pending(anchor, node) == ()


async def test_an_unchanged_member_is_asked_conditionally_and_a_revoked_one_not(
    anchor: Served, node: Entity
) -> None:
    node.answer = node.configuration()
    await look(anchor)
    first = anchor.folder.seen(node.entity_id)
    await look(anchor)
    assert anchor.folder.seen(node.entity_id) == first
    revoke(anchor.directory, node.entity_id, "gone", now=NOON)
    await anchor.runners[1].cleanup()
    await look(anchor)
    assert anchor.folder.seen(node.entity_id) == first
    for entity_id in (node.entity_id, "https://nobody.example"):
        with pytest.raises(AnchorRefused, match="good standing"):
            update(anchor.directory, entity_id, now=anchor.clock.now())


async def test_what_was_seen_long_ago_is_pending_no_more(anchor: Served, node: Entity) -> None:
    node.published = [SigningKey.generate()]
    await look(anchor)
    assert pending(anchor, node)
    anchor.clock.at = NOON + timedelta(days=2)
    assert pending(anchor, node) == ()


async def test_an_operator_shows_the_configuration_to_an_anchor_without_network(
    anchor: Served, node: Entity
) -> None:
    new = SigningKey.generate()
    node.published = [new]
    shown = node.configuration()
    update(anchor.directory, node.entity_id, now=anchor.clock.now(), configuration=shown)
    assert named_keys(anchor, node) == {node.signer.kid, new.kid}
    assert (await anchor.text(WELL_KNOWN)).count(".") == 2
