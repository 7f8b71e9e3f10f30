"""Chain building: from statements that are held to the shortest chain that holds, and never for long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import NOON
from tests.trust.deep import HANGZHOU, LINE, YUHANG, about, line, own
from tests.trust.federation import ANCHOR, PINNED, ZHEJIANG, bend
from trust.chain import MAX_DEPTH, VerifiedEntity
from trust.entity import UnverifiedStatement, read_statement
from trust.errors import ChainBroken, ForeignKey
from trust.keys import SigningKey
from trust.paths import MAX_CANDIDATES, build_chains, resolve_held

CONFIGURATIONS = [own(entity) for entity in LINE]
STATEMENTS = [about(entity) for entity in (YUHANG, HANGZHOU, ZHEJIANG)]


def _read(*tokens: str) -> list[UnverifiedStatement]:
    return [read_statement(token) for token in tokens]


BAG = _read(*CONFIGURATIONS, *STATEMENTS)


def _resolve(leaf: str, bag: list[UnverifiedStatement]) -> VerifiedEntity:
    return resolve_held(leaf, bag, anchor=ANCHOR, anchor_keys=PINNED, now=NOON)


@pytest.mark.parametrize("leaf", [YUHANG, HANGZHOU, ZHEJIANG])
def test_each_entity_of_a_line_resolves(leaf: str) -> None:
    (chain,) = build_chains(leaf, BAG, ANCHOR)
    expected = _read(*line(leaf))
    assert [(one.iss, one.sub) for one in chain] == [(one.iss, one.sub) for one in expected]
    assert _resolve(leaf, BAG).entity_id == leaf


@given(st.permutations(BAG))
def test_the_order_of_what_is_held_does_not_matter(bag: list[UnverifiedStatement]) -> None:
    assert _resolve(YUHANG, bag).superiors == (HANGZHOU, ZHEJIANG, ANCHOR)


def test_the_configuration_of_an_intermediate_is_not_needed() -> None:
    bag = _read(own(YUHANG), own(ANCHOR), *STATEMENTS)
    assert _resolve(YUHANG, bag).entity_id == YUHANG


@pytest.mark.parametrize("missing", range(len(STATEMENTS)))
def test_a_gap_leads_nowhere(missing: int) -> None:
    bag = _read(*CONFIGURATIONS, *(token for n, token in enumerate(STATEMENTS) if n != missing))
    with pytest.raises(ChainBroken, match="no statements lead"):
        _resolve(YUHANG, bag)


@pytest.mark.parametrize("missing", [ANCHOR, YUHANG])
def test_without_either_end_there_is_no_chain(missing: str) -> None:
    assert (
        build_chains(YUHANG, [one for one in BAG if one.iss != missing or one.sub != missing], ANCHOR) == ()
    )


def test_the_shortest_that_holds_is_taken() -> None:
    direct = read_statement(about(HANGZHOU, ANCHOR))
    hints = read_statement(own(HANGZHOU, ZHEJIANG, ANCHOR))
    bag = [*(one for one in BAG if one.sub != HANGZHOU or not one.is_configuration), hints, direct]
    assert [len(chain) for chain in build_chains(HANGZHOU, bag, ANCHOR)] == [3, 4]
    assert _resolve(HANGZHOU, bag).superiors == (ANCHOR,)
    stale = [one if one is not direct else read_statement(_signed_by_a_stranger()) for one in bag]
    assert _resolve(HANGZHOU, stale).superiors == (ZHEJIANG, ANCHOR)


def _signed_by_a_stranger() -> str:
    return bend(about(HANGZHOU, ANCHOR), SigningKey.generate())


def test_what_is_wrong_with_the_first_is_told() -> None:
    bag = _read(own(HANGZHOU, ANCHOR), own(ANCHOR), _signed_by_a_stranger())
    with pytest.raises(ForeignKey):
        _resolve(HANGZHOU, bag)


def test_only_a_superior_that_is_named_is_followed() -> None:
    bag = [*BAG, read_statement(about(ZHEJIANG, HANGZHOU)), read_statement(about(HANGZHOU, ANCHOR))]
    assert [len(chain) for chain in build_chains(HANGZHOU, bag, ANCHOR)] == [4]


def test_the_newest_statement_goes_first() -> None:
    newer = read_statement(about(ZHEJIANG, now=NOON + timedelta(seconds=30)))
    first, second = build_chains(ZHEJIANG, [*BAG, newer], ANCHOR)
    assert (first[1], second[1].issued_at) == (newer, NOON)


def test_a_loop_ends() -> None:
    """Two entities that vouch for each other never reach the anchor, and the search is over at once."""
    bag = _read(
        own(HANGZHOU, YUHANG), own(YUHANG, HANGZHOU), own(ANCHOR), about(HANGZHOU, YUHANG), about(YUHANG)
    )
    assert build_chains(HANGZHOU, bag, ANCHOR) == ()


def test_a_thicket_of_superiors_hides_nothing_and_stays_bounded() -> None:
    names = [f"https://n{number}.example" for number in range(12)]
    bag = _read(
        own(HANGZHOU, *names[:4]),
        own(ANCHOR),
        *(about(HANGZHOU, name) for name in names),
        *(about(name, other) for name in names for other in names if name != other),
        *(about(name, ANCHOR) for name in names),
    )
    found = build_chains(HANGZHOU, bag, ANCHOR)
    assert len(found) == MAX_CANDIDATES
    assert [len(chain) for chain in found[:4]] == [4] * 4
    assert all(len(chain) <= MAX_DEPTH + 2 for chain in found)
