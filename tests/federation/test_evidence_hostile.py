"""Evidence files made by somebody who means harm: each is refused by name, and none ends a run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from federation.statements import StatementKind
from tests.support.clock import NOON
from tests.support.evidence import ANCHOR, Exchange, World, only
from trust.container import ROLL_OVERS
from trust.errors import EvidenceBroken
from trust.keys import SigningKey
from trust.rollover import build_roll_over, roll_overs_document

DAY = timedelta(days=1)


def roll_over(number: int, old: SigningKey, new: SigningKey, *, days_ago: int) -> str:
    at = NOON - days_ago * DAY
    return build_roll_over(
        anchor=ANCHOR, number=number, old=old, new=new, now=at, old_until=at + DAY, reason="每年更换"
    )


@pytest.fixture
def world() -> World:
    return World()


# --- roll-overs ---


async def test_a_longer_line_of_roll_overs_from_a_stolen_key_does_not_outvote_the_given_one(
    world: World,
) -> None:
    """The pinned key was replaced; a thief of it makes two roll-overs of their own, and encloses them."""
    pinned, stolen = world.anchor_jwks, world.anchor_key
    first, second = SigningKey.generate(), SigningKey.generate()
    given = roll_overs_document([roll_over(1, stolen, SigningKey.generate(), days_ago=100)])
    forged = [roll_over(1, stolen, first, days_ago=100), roll_over(2, first, second, days_ago=98)]
    world.anchor_key = second
    world.publish(NOON)
    world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = roll_overs_document(forged)
    data = await world.export(Exchange(world))
    with pytest.raises(EvidenceBroken, match="contradicts the roll-overs you gave") as refused:
        only(data, pinned, roll_overs=given)
    assert refused.value.part == ROLL_OVERS


async def test_either_list_of_roll_overs_may_go_on_from_the_other(world: World) -> None:
    pinned, keys = world.anchor_jwks, [world.anchor_key, SigningKey.generate(), SigningKey.generate()]
    tokens = [
        roll_over(1, keys[0], keys[1], days_ago=100),
        roll_over(2, keys[1], keys[2], days_ago=50),
    ]
    world.anchor_key = keys[2]
    world.publish(NOON)
    for enclosed, given in ((tokens, tokens[:1]), (tokens[:1], tokens)):
        world.statements[ANCHOR, ANCHOR, StatementKind.ROLL_OVERS] = roll_overs_document(enclosed)
        data = await world.export(Exchange(world))
        assert only(data, pinned, roll_overs=roll_overs_document(given)).outcome == "answered"
