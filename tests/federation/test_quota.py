from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.quota import InFlight, TokenBuckets


class Seconds:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_a_burst_is_granted_and_what_follows_waits() -> None:
    seconds = Seconds()
    buckets = TokenBuckets(10, 3, now_s=seconds)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a") == 0.1
    seconds.at += 0.1
    assert buckets.take("a") == 0.0


def test_who_looks_takes_nothing() -> None:
    seconds = Seconds()
    buckets = TokenBuckets(10, 1, now_s=seconds, most=1)
    assert [buckets.wait_s("a") for _ in range(3)] == [0.0] * 3
    assert (len(buckets), buckets.take("a")) == (0, 0.0)
    assert buckets.wait_s("a") == buckets.take("a") == pytest.approx(0.1)
    assert buckets.wait_s("b") == buckets.take("b") > 0, "there is no room for another"
    seconds.at += 0.1
    assert buckets.wait_s("a") == 0.0


def test_keys_do_not_share_a_bucket() -> None:
    buckets = TokenBuckets(1, 1, now_s=Seconds())
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0.0


def test_buckets_that_had_time_to_fill_vanish() -> None:
    seconds = Seconds()
    buckets = TokenBuckets(10, 10, now_s=seconds)
    for key in "abc":
        buckets.take(key)
    assert len(buckets) == 3
    seconds.at += 1.0
    buckets.take("d")
    assert len(buckets) == 1


def test_a_new_key_without_room_is_refused_and_nobody_loses_a_debt() -> None:
    seconds = Seconds()
    buckets = TokenBuckets(1, 1, now_s=seconds, most=2)
    assert buckets.take("a") == 0.0
    assert buckets.take("b") == 0.0
    assert buckets.take("c") > 0
    assert buckets.take("a") > 0
    seconds.at += 1.0
    assert buckets.take("c") == 0.0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 0.5)), max_size=80))
def test_never_more_than_burst_and_rate(steps: list[tuple[str, float]]) -> None:
    seconds = Seconds()
    buckets = TokenBuckets(5, 4, now_s=seconds)
    granted = {"a": 0, "b": 0}
    for key, pause_s in steps:
        seconds.at += pause_s
        granted[key] += buckets.take(key) == 0.0
    most = 4 + (seconds.at - 1000.0) * 5 + 1e-6
    assert all(count <= most for count in granted.values())


def test_one_busy_key_leaves_half_of_the_room() -> None:
    room = InFlight(8)
    assert [room.enter("busy") for _ in range(8)] == [True] * 4 + [False] * 4
    assert room.enter("newcomer")


def test_a_place_given_back_can_be_taken_again() -> None:
    room = InFlight(2)
    assert room.enter("a")
    assert not room.enter("a")
    room.leave("a")
    assert room.enter("a")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=120))
def test_a_newcomer_finds_a_place_unless_the_room_is_full(steps: list[tuple[str, bool]]) -> None:
    room, held = InFlight(6), {"a": 0, "b": 0, "c": 0}
    for key, arrives in steps:
        if arrives:
            free = 6 - sum(held.values())
            entered = room.enter(key)
            assert entered == (held[key] < free)
            held[key] += entered
        elif held[key]:
            room.leave(key)
            held[key] -= 1
        assert sum(held.values()) <= 6
