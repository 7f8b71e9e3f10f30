"""When a checkpoint is settled, who is asked how often, and when the own log is closed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from federation.log_conflicts import ConflictKind
from federation.witnesses import Cosigned, StandsAt, WitnessAnswer, WitnessRefused
from tests.federation.witness_doubles import Country
from tests.support.clock import NOON
from tests.support.logs import OWN, PEERS, MadeUpLog
from trust.checkpoint import sign_checkpoint
from trust.cosignature import cosign
from trust.keys import SigningKey
from trust.profile import witness_name

JIANGSU, ZHEJIANG, ANHUI = PEERS


@pytest.fixture
def country() -> Country:
    return Country()


def later(country: Country, entity_id: str, seconds: float) -> None:
    country.clocks[entity_id].advance(seconds=seconds)


async def test_a_checkpoint_is_settled_at_the_time_of_the_quorum(country: Country) -> None:
    for entity_id, seconds in ((JIANGSU, 1), (ZHEJIANG, 3), (ANHUI, 2)):
        later(country, entity_id, seconds)
    await country.settle(5)
    assert country.settled() == {5: NOON + timedelta(seconds=2)}
    assert {one.witness for one in country.tree.cosignatures[5]} == set(PEERS)
    assert country.most_at_once == 3, "all are asked at the same time"


async def test_nothing_is_asked_without_a_checkpoint_and_nobody_twice(country: Country) -> None:
    await country.settle()
    assert country.asked == []
    for _ in range(3):
        await country.settle(5)
    assert Counter(country.asked) == dict.fromkeys(PEERS, 1)


async def test_a_log_that_grows_fast_is_settled_in_fewer_rounds(country: Country) -> None:
    for seconds, size in ((0, 5), (1, 55), (2, 56), (3, 200), (4, 300), (6.9, 900), (7, 1000), (8, 1010)):
        country.seconds = seconds
        country.tree.grow(size)
        await country.settler.settle_when_due()
    assert set(country.settled()) == {5, 55, 56, 1000, 1010}, (
        "a round with few records, or after five seconds"
    )


async def test_what_a_burst_left_is_settled_when_the_log_rests(country: Country) -> None:
    for seconds, size in ((0, 5), (1, 500), (4, 0), (5, 0)):
        country.seconds = seconds
        if size:
            country.tree.grow(size)
        await country.settler.settle_when_due()
        assert (500 in country.settled()) is (seconds == 5)


async def test_the_next_checkpoint_is_proven_from_where_each_witness_stands(country: Country) -> None:
    for size in (5, 6, 40):
        await country.settle(size)
    assert len(country.asked) == 9, "one request each"
    assert set(country.settled()) == {5, 6, 40}


async def test_after_a_restart_each_witness_says_where_it_stands(country: Country) -> None:
    await country.settle(5)
    country.restarted()
    country.asked.clear()
    await country.settle(9)
    assert Counter(country.asked) == dict.fromkeys(PEERS, 2)
    assert set(country.settled()) == {5, 9}
    assert country.conflicts.kept == []


async def test_two_of_three_are_enough_and_the_third_catches_up(country: Country) -> None:
    country.away.add(ANHUI)
    await country.settle(5)
    assert country.settled() == {5: NOON}
    country.away.clear()
    country.seconds += 60
    await country.settle(9)
    assert {one.witness for one in country.tree.cosignatures[9]} == set(PEERS)


async def test_one_of_three_is_not_enough_until_another_comes_back(country: Country) -> None:
    country.away |= {ZHEJIANG, ANHUI}
    await country.settle(5)
    assert country.settled() == {}
    country.away.remove(ZHEJIANG)
    country.seconds += 60
    later(country, ZHEJIANG, 20)
    country.clock.advance(seconds=20)
    await country.settle()
    assert country.settled() == {5: NOON + timedelta(seconds=20)}


async def test_who_is_away_is_asked_ever_more_seldom(country: Country) -> None:
    country.away.add(ANHUI)
    for size in range(1, 121):
        await country.settle(size)
        country.seconds += 1
    asked = country.asked.count(ANHUI)
    assert 6 <= asked <= 10
    country.away.clear()
    country.seconds += 30
    await country.settle(200)
    await country.settle(201)
    assert country.asked.count(ANHUI) == asked + 2
    assert {one.witness for one in country.tree.cosignatures[201]} == set(PEERS)


@pytest.mark.parametrize(("quorum", "is_settled"), [(0, False), (1, True), (3, True), (4, False)])
async def test_the_quorum_is_the_anchors(quorum: int, is_settled: bool) -> None:
    country = Country(quorum=quorum)
    await country.settle(5)
    assert bool(country.settled()) is is_settled
    assert len(country.tree.cosignatures[5]) == 3


async def test_who_is_no_member_in_good_standing_does_not_count(country: Country) -> None:
    country.change(ANHUI, standing="revoked")
    country.change(ZHEJIANG, witness_keys={})
    await country.settle(5)
    assert Counter(country.asked) == {JIANGSU: 1}
    assert country.settled() == {}


async def test_a_cosignature_of_one_revoked_since_does_not_count(country: Country) -> None:
    country.away |= {ZHEJIANG, ANHUI}
    await country.settle(5)
    country.change(JIANGSU, standing="revoked")
    country.away.remove(ANHUI)
    country.seconds += 60
    await country.settle()
    assert len(country.tree.cosignatures[5]) == 2
    assert country.settled() == {}


# --- answers that are worth nothing ---


def of_another_key(country: Country) -> WitnessAnswer:
    text, key = country.tree.log.checkpoint(5).text(), SigningKey.generate("EdDSA")
    return Cosigned(cosign(text, name=witness_name(ANHUI), signer=key, at=NOON).encode())


def of_another_name(country: Country) -> WitnessAnswer:
    text = country.tree.log.checkpoint(5).text()
    return Cosigned(cosign(text, name=witness_name(ZHEJIANG), signer=country.keys[ANHUI], at=NOON).encode())


def of_another_checkpoint(country: Country) -> WitnessAnswer:
    text = country.tree.log.checkpoint(4).text()
    return Cosigned(cosign(text, name=witness_name(ANHUI), signer=country.keys[ANHUI], at=NOON).encode())


def at_another_time(seconds: int) -> object:
    def made(country: Country) -> WitnessAnswer:
        text, at = country.tree.log.checkpoint(5).text(), NOON + timedelta(seconds=seconds)
        return Cosigned(cosign(text, name=witness_name(ANHUI), signer=country.keys[ANHUI], at=at).encode())

    return made


@pytest.mark.parametrize(
    "made",
    [
        of_another_key,
        of_another_name,
        of_another_checkpoint,
        at_another_time(61),
        at_another_time(-61),
        lambda _: Cosigned(b""),
        lambda _: Cosigned(b"\xff\n"),
        lambda _: WitnessRefused(404, "no member of the federation has a log of this origin"),
        lambda _: WitnessRefused(403, ""),
        lambda _: WitnessRefused(429, ""),
        lambda _: WitnessRefused(503, "own.store_unavailable"),
        lambda _: WitnessRefused(410, ""),
        lambda _: WitnessRefused(422, ""),
        lambda _: StandsAt(None),
        lambda _: StandsAt(0),
        lambda _: StandsAt(3),
        lambda _: StandsAt(99),
    ],
)
async def test_what_is_no_cosignature_does_not_count_and_stops_nobody(country: Country, made: object) -> None:
    """One witness alone can neither settle nor stop the log, whatever it answers."""
    assert callable(made)
    country.away.add(JIANGSU)
    country.answers[ANHUI] = made(country)
    await country.settle(5)
    assert [one.witness for one in country.tree.cosignatures[5]] == [ZHEJIANG]
    assert country.settled() == {}
    assert country.gate.reason == ""
    before = len(country.asked)
    await country.settle()
    assert len(country.asked) == before, "it is given time"


async def test_the_one_line_that_counts_is_kept(country: Country) -> None:
    text = country.tree.log.checkpoint(5).text()
    lines = [
        cosign(text, name=witness_name(ANHUI), signer=key, at=NOON)
        for key in (SigningKey.generate("EdDSA"), country.keys[ANHUI])
    ]
    country.answers[ANHUI] = Cosigned("".join(lines).encode())
    await country.settle(5)
    (kept,) = (one for one in country.tree.cosignatures[5] if one.witness == ANHUI)
    assert kept.line + "\n" == lines[1]


# --- witnesses that know more ---


async def restore(country: Country, *sizes: int, history: str = "") -> None:
    """The store is another one: its checkpoints are of these sizes, and of that history."""
    country.tree.rows.clear()
    country.tree.cosignatures.clear()
    if history:
        country.tree.log = MadeUpLog(OWN, key=country.log_key, history=history)
    for size in sizes:
        country.tree.grow(size)
    country.restarted()


async def test_a_store_as_the_witnesses_know_it_opens(country: Country) -> None:
    await country.settler.look_back()
    for size in (5, 9):
        await country.settle(size)
    country.tree.grow(12)
    country.restarted()
    await country.settler.look_back()
    assert country.gate.reason == ""
    del country.tree.rows[9]  # thinned out, but the tree extends it
    await country.settler.look_back()
    assert (country.gate.reason, country.conflicts.kept) == ("", [])


@pytest.mark.parametrize("sizes", [(), (5,)], ids=["empty", "older"])
async def test_a_restored_backup_is_closed_before_anything_is_logged(
    country: Country, sizes: tuple[int, ...]
) -> None:
    for size in (5, 9):
        await country.settle(size)
    witnessed = country.tree.log.note(9)
    await restore(country, *sizes)
    await country.settler.look_back()
    assert "holds a checkpoint that this node signed: size 9" in country.gate.reason
    assert {one.kind for one in country.conflicts.kept} == {ConflictKind.OWN_AHEAD}
    assert {(one.entity_id, one.known) for one in country.conflicts.kept} == {(OWN, witnessed)}
    await country.settle(10)
    assert country.asked.count(ANHUI) == 2, "a closed log asks nobody"


async def test_one_witness_that_shows_what_this_node_signed_is_enough(country: Country) -> None:
    country.away |= {JIANGSU, ZHEJIANG}
    await country.settle(9)
    await restore(country, 5)
    await country.settler.look_back()
    assert country.gate.reason


@pytest.mark.parametrize(
    ("sizes", "kind"),
    [
        ((9,), ConflictKind.OWN_FORK),
        ((12,), ConflictKind.OWN_FORK),
        ((8, 9, 12), ConflictKind.OWN_FORK),
        ((8,), ConflictKind.OWN_AHEAD),
    ],
)
@pytest.mark.parametrize("looks_back", [True, False])
async def test_another_history_is_closed(
    country: Country, sizes: tuple[int, ...], kind: ConflictKind, looks_back: bool
) -> None:
    """Whether it is found at the start or, since nobody could be asked then, by the first round."""
    await country.settle(9)
    await restore(country, *sizes, history="edited ")
    await (country.settler.look_back() if looks_back else country.settler.settle_once())
    assert country.gate.reason
    assert {one.kind for one in country.conflicts.kept} == {kind}
    assert country.settled() == {}


async def test_a_generation_that_this_store_does_not_have(country: Country) -> None:
    await country.settle(9)
    country.tree.restart()
    country.seen_generation = 2
    await country.settle(3)
    country.tree.log = MadeUpLog(OWN, key=country.log_key)
    country.tree.closed.clear()
    await restore(country, 9)
    await country.settler.look_back()
    assert "generation 2, here 1 is the newest" in country.gate.reason
    assert await country.settler.newest_generation() == 2


async def test_a_generation_that_is_only_claimed_or_known_here_moves_nothing(country: Country) -> None:
    """Otherwise a single witness could use up the numbers of generations."""
    await country.settle(9)
    assert await country.settler.newest_generation() == 0
    country.shown[JIANGSU] = MadeUpLog(OWN, generation=2**31 - 2).note(3).encode()
    assert await country.settler.newest_generation() == 0


async def test_a_new_generation_goes_on_whatever_the_one_before_came_to(country: Country) -> None:
    await country.settle(9)
    await restore(country, 5)
    country.tree.restart()
    country.seen_generation = 2
    await country.settler.look_back()
    await country.settle(2)
    assert (country.gate.reason, country.conflicts.kept) == ("", [])
    assert set(country.settled()) == {2}


async def test_what_is_only_claimed_needs_a_quorum_of_those_who_claim_it(country: Country) -> None:
    stranger = SigningKey.generate("EdDSA")
    claim = sign_checkpoint(country.tree.log.checkpoint(99), stranger).encode()
    await country.settle(5)
    country.shown[ANHUI] = claim
    for _ in range(2):
        await country.settler.look_back()
    assert country.gate.reason == ""
    assert [one.kind for one in country.conflicts.kept] == [ConflictKind.OWN_CLAIMED]
    country.shown[ZHEJIANG] = claim
    await country.settler.look_back()
    assert "2 witnesses know another history" in country.gate.reason


@pytest.mark.parametrize(
    ("quorum", "members", "closes"),
    [(0, 1, False), (0, 3, False), (1, 1, False), (1, 2, True), (3, 2, False), (3, 3, True)],
)
async def test_no_member_alone_closes_a_log_by_what_it_only_says(
    quorum: int, members: int, closes: bool
) -> None:
    country = Country(quorum=quorum)
    for entity_id in list(PEERS)[:members]:
        country.answers[entity_id] = WitnessRefused(410, "generation 1 is over")
    await country.settle(3)
    assert bool(country.gate.reason) is closes


async def test_a_generation_beyond_what_the_store_can_count_is_told_as_the_last_one(country: Country) -> None:
    country.shown[ANHUI] = MadeUpLog(OWN, key=country.log_key, generation=9_999_999_999).note(3).encode()
    await country.settle(3)
    assert await country.settler.newest_generation() == 2**31 - 2
    assert country.gate.reason, "one that shows this node's signature needs no other"


@pytest.mark.parametrize("looks_again", [True, False])
async def test_a_claim_that_is_taken_back_counts_no_more(country: Country, looks_again: bool) -> None:
    claim = sign_checkpoint(country.tree.log.checkpoint(99), SigningKey.generate("EdDSA")).encode()
    await country.settle(5)
    country.shown[ANHUI] = claim
    await country.settler.look_back()
    del country.shown[ANHUI]
    await (country.settler.look_back() if looks_again else country.settle(6))
    country.shown[ZHEJIANG] = claim
    await country.settler.look_back()
    assert country.gate.reason == ""


@pytest.mark.parametrize(
    "shown", [b"", b"hello", MadeUpLog(ANHUI).note(9).encode(), MadeUpLog(OWN, generation=0).note(9).encode()]
)
async def test_what_is_no_checkpoint_of_this_log_is_passed_over(country: Country, shown: bytes) -> None:
    country.shown = dict.fromkeys(PEERS, shown)
    await country.settler.look_back()
    assert (country.gate.reason, country.conflicts.kept) == ("", [])


async def test_nobody_there_lets_the_log_begin(country: Country) -> None:
    country.away |= set(PEERS)
    await country.settler.look_back()
    assert country.gate.reason == ""
