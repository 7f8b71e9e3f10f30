"""What the anchor says in evidence files: who was revoked, and by which key when it rolled over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from federation.evidence_text import render_report
from federation.statements import StatementKind
from tests.support.clock import NOON
from tests.support.evidence import (
    ANCHOR,
    ANSWERING,
    ASKING,
    SETTLED_AT,
    Exchange,
    World,
    broken,
    only,
    resealed,
)
from trust.container import (
    ROLL_OVERS,
    STATUS,
    answer_part,
    read_container,
    request_part,
)
from trust.errors import EvidenceBroken
from trust.keys import SigningKey, jwks_of
from trust.status import Revocation

REQUEST, ANSWER = request_part(1), answer_part(1)
OF_A_CHAIN = "statements/"
DAY = timedelta(days=1)


@pytest.mark.parametrize(("entity", "part"), [(ASKING, REQUEST), (ANSWERING, ANSWER)])
async def test_a_node_that_was_revoked_before_is_refused(world: World, entity: str, part: str) -> None:
    world.publish(NOON, [Revocation(entity, NOON - timedelta(days=1), "密钥泄露")])
    error = broken(world, await world.export(Exchange(world)))
    assert (error.part, "密钥泄露" in error.detail) == (part, True)


async def test_a_node_that_was_revoked_later_was_a_member_then(world: World) -> None:
    world.publish(NOON, [Revocation(ANSWERING, NOON + timedelta(days=1), "later")])
    report = only(await world.export(Exchange(world)), world.anchor_jwks)
    assert report.outcome == "answered"


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_revocation_counts_from_its_second_on(world: World, seconds: int) -> None:
    world.publish(NOON, [Revocation(ASKING, SETTLED_AT + timedelta(seconds=seconds), "退出")])
    assert broken(world, await world.export(Exchange(world))).part == REQUEST
    world.publish(NOON, [Revocation(ASKING, SETTLED_AT + timedelta(seconds=1), "退出")])
    assert only(await world.export(Exchange(world)), world.anchor_jwks).answer


async def test_what_was_exported_before_a_revocation_and_after_it_verifies_alike(world: World) -> None:
    exchange = Exchange(world)
    world.clock.at = NOON + timedelta(hours=3)
    before, archived = await world.export(exchange), dict(world.statements)
    world.publish(NOON + timedelta(hours=1), [Revocation(ANSWERING, NOON + timedelta(hours=1), "密钥泄露")])
    status = (ANCHOR, ANCHOR, StatementKind.STATUS)
    world.statements = {**archived, status: world.statements[status]}
    after = await world.export(exchange)
    for data in (before, after):
        assert only(data, world.anchor_jwks).outcome == "answered"


# --- its key rolled over ---


def keys_of_the_anchor(world: World) -> list[dict[str, Any]]:
    """Each key that the anchor had, the first one first, as a JWK set of its own."""
    return [jwks_of([key.verification_key]) for key in (*world.former_anchor_keys, world.anchor_key)]


async def test_it_verifies_from_any_key_the_anchor_ever_had(world: World) -> None:
    """The exchange was in the time of the second of four keys: backward to the first, forward to the last."""
    world.roll_over(NOON - 30 * DAY, old_until=NOON - 23 * DAY)
    world.publish(NOON)
    exchange = Exchange(world)
    archived = dict(world.statements)
    for days in (30, 60):
        world.roll_over(NOON + days * DAY, old_until=NOON + (days + 7) * DAY)
    roll_overs = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
    world.statements = {**archived, roll_overs: world.statements[roll_overs]}
    data = await world.export(exchange)
    for pinned in keys_of_the_anchor(world):
        assert only(data, pinned).outcome == "answered"
    stranger = jwks_of([SigningKey.generate().verification_key])
    assert broken(world, data, stranger).part.startswith(OF_A_CHAIN)


async def test_in_the_overlap_either_key_signs(world: World) -> None:
    old_statements = dict(world.statements)
    world.roll_over(NOON - DAY, old_until=NOON + DAY)
    roll_overs = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
    document = world.statements[roll_overs]
    world.publish(NOON)
    for statements in (old_statements, dict(world.statements)):
        world.statements = {**statements, roll_overs: document}
        data = await world.export(Exchange(world))
        for pinned in keys_of_the_anchor(world):
            assert only(data, pinned).outcome == "answered"


async def test_an_old_key_of_the_anchor_proves_nothing_after_its_end(world: World) -> None:
    """Whoever stole it later can still sign statements, and they are not believed, not even from that key."""
    thief = dict(world.statements)
    world.roll_over(NOON - 9 * DAY, old_until=NOON - DAY)
    roll_overs = (ANCHOR, ANCHOR, StatementKind.ROLL_OVERS)
    world.statements = {**thief, roll_overs: world.statements[roll_overs]}
    data = await world.export(Exchange(world))
    for pinned in keys_of_the_anchor(world):
        assert "not one of the issuer's" in broken(world, data, pinned).detail


async def test_a_new_key_of_the_anchor_proves_nothing_before_its_time(world: World) -> None:
    world.roll_over(NOON + DAY, old_until=NOON + 2 * DAY)
    world.publish(NOON)
    data = await world.export(Exchange(world))
    for pinned in keys_of_the_anchor(world):
        assert broken(world, data, pinned).part.startswith(OF_A_CHAIN)


async def test_without_the_roll_overs_only_the_key_of_that_day_will_do(world: World) -> None:
    world.roll_over(NOON - DAY, old_until=NOON)
    world.publish(NOON)
    del world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    data = await world.export(Exchange(world))
    first, second = keys_of_the_anchor(world)
    assert only(data, second).outcome == "answered"
    assert broken(world, data, first).part.startswith(OF_A_CHAIN)


async def test_a_file_of_before_a_roll_over_verifies_from_the_key_of_after_it(world: World) -> None:
    data = await world.export(Exchange(world))
    world.roll_over(NOON + DAY, old_until=NOON + 2 * DAY)
    since = world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    for pinned in keys_of_the_anchor(world):
        assert only(data, pinned, roll_overs=since).outcome == "answered"
    assert broken(world, data).part.startswith(OF_A_CHAIN), "the file alone does not lead there"


async def test_who_leaves_the_roll_overs_out_revives_no_old_key(world: World) -> None:
    thief = dict(world.statements)
    world.roll_over(NOON - 9 * DAY, old_until=NOON - DAY)
    since = world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    world.statements = thief
    data = await world.export(Exchange(world))
    for pinned in keys_of_the_anchor(world):
        with pytest.raises(EvidenceBroken, match="not one of the issuer's"):
            only(data, pinned, roll_overs=since)


@pytest.mark.parametrize("document", [b"{}", b'["a.b.c"]', b"noise"])
async def test_roll_overs_that_do_not_hold_are_named(world: World, document: bytes) -> None:
    data = resealed(
        world, await world.export(Exchange(world)), lambda parts: parts.update({ROLL_OVERS: document})
    )
    assert broken(world, data).part == ROLL_OVERS


async def test_roll_overs_of_another_anchor_are_refused(world: World) -> None:
    other = World()
    other.roll_over(NOON - DAY, old_until=NOON)
    document = other.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS]
    foreign = document.encode()
    data = resealed(
        world, await world.export(Exchange(world)), lambda parts: parts.update({ROLL_OVERS: foreign})
    )
    assert only(data, world.anchor_jwks).outcome == "answered"  # another line: no use
    assert broken(world, data, keys_of_the_anchor(other)[0]).part.startswith(OF_A_CHAIN)


async def test_an_empty_list_of_roll_overs_changes_nothing(world: World) -> None:
    world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = "[]"
    data = await world.export(Exchange(world))
    assert read_container(data)[ROLL_OVERS] == b"[]"
    assert only(data, world.anchor_jwks).outcome == "answered"


# --- its status ---


async def test_a_status_from_before_the_exchange_says_nothing_of_what_came_after_it(world: World) -> None:
    world.publish(NOON - timedelta(hours=1))
    text = render_report(only(await world.export(Exchange(world)), world.anchor_jwks))
    assert "before the exchange: later revocation not checked" in text
    assert "neither was revoked" not in text


async def test_a_status_by_anyone_else_is_refused(world: World) -> None:
    kept, status = dict(world.statements), (ANCHOR, ANCHOR, StatementKind.STATUS)
    world.status_key = SigningKey.generate()
    world.publish(NOON)
    world.statements = {**kept, status: world.statements[status]}
    assert broken(world, await world.export(Exchange(world))).part == STATUS


async def test_a_file_without_a_status_says_that_revocation_was_not_checked(world: World) -> None:
    del world.statements[ANCHOR, ANCHOR, StatementKind.STATUS]
    report = only(await world.export(Exchange(world)), world.anchor_jwks)
    assert report.status_sequence is None
    assert "revocation not checked" in render_report(report)
