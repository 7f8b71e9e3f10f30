"""The life of keys as a pure function: each rule by itself, and what holds for any rows and times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.keystore import KeystoreError
from node.keystore.life import activated, added, as_of, begun_again, next_change, planned, retired
from node.store.keys import KeyRow, KeyState
from tests.support.clock import NOON

OVERLAP = timedelta(seconds=100)
PUBLISHED, ACTIVE, PASSIVE, RETIRED = KeyState


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def key(
    generation: int,
    state: KeyState = PUBLISHED,
    *,
    purpose: str = "envelope",
    activates: float | None = None,
    activated: float | None = None,
    retires: float | None = None,
) -> KeyRow:
    def at(seconds: float | None) -> object:
        return None if seconds is None else NOON + after(seconds)

    return KeyRow(
        kid=f"{purpose}-{generation}",
        purpose=purpose,
        alg="ES256",
        state=state,
        generation=generation,
        public_jwk={},
        wrapped=b"",
        created_at=NOON - after(1000),
        activates_at=at(activates),  # type: ignore[arg-type]
        activated_at=at(activated),  # type: ignore[arg-type]
        retires_at=at(retires),  # type: ignore[arg-type]
    )


def states(rows: list[KeyRow], seconds: float) -> list[KeyState]:
    return [row.state for row in as_of(rows, NOON + after(seconds), OVERLAP)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (9.999, [ACTIVE, PUBLISHED]),
        (10, [PASSIVE, ACTIVE]),
        (109.999, [PASSIVE, ACTIVE]),
        (110, [RETIRED, ACTIVE]),
    ],
)
def test_a_rotation_from_plan_to_history(seconds: float, expected: list[KeyState]) -> None:
    assert states([key(1, ACTIVE, activated=0), key(2, activates=10)], seconds) == expected


def test_what_was_planned_is_what_happened_however_late_it_is_written() -> None:
    old, new = as_of([key(1, ACTIVE, activated=0), key(2, activates=10)], NOON + after(9999), OVERLAP)
    assert (old.retires_at, old.retired_at, old.retired_reason) == (*[NOON + after(110)] * 2, "rotated")
    assert new.activated_at == NOON + after(10)


def test_a_key_without_a_plan_waits_for_ever() -> None:
    assert states([key(1, ACTIVE, activated=0), key(2)], 10**9) == [ACTIVE, PUBLISHED]


def test_an_end_that_is_written_is_kept() -> None:
    rows = [key(1, PASSIVE, activated=0, retires=500), key(2, ACTIVE, activated=10)]
    assert states(rows, 499) == [PASSIVE, ACTIVE]
    assert states(rows, 500) == [RETIRED, ACTIVE]


def test_of_two_that_start_together_the_younger_signs() -> None:
    assert states([key(1, ACTIVE, activated=0), key(2, activates=0)], 0) == [PASSIVE, ACTIVE]


def test_one_that_started_later_signs_whichever_is_younger() -> None:
    assert states([key(1, ACTIVE, activated=20), key(2, activates=10)], 30) == [ACTIVE, PASSIVE]


def test_purposes_do_not_touch_each_other() -> None:
    rows = [key(1, ACTIVE, activated=0), key(1, ACTIVE, purpose="openid", activated=50)]
    assert states(rows, 10**9) == [ACTIVE, ACTIVE]


def test_the_next_change_is_the_first_that_is_planned() -> None:
    rows = [key(1, ACTIVE, activated=0), key(2, activates=10), key(3)]
    first = next_change(as_of(rows, NOON, OVERLAP), NOON)
    assert first == NOON + after(10)
    second = next_change(as_of(rows, first, OVERLAP), first)
    assert second == NOON + after(110)
    assert next_change(as_of(rows, second, OVERLAP), second).year == 9999


@st.composite
def rows_of_one_purpose(draw: st.DrawFn) -> list[KeyRow]:
    found = []
    for generation in range(1, draw(st.integers(1, 5)) + 1):
        state = draw(st.sampled_from(list(KeyState)))
        at = draw(st.integers(-50, 0))
        if state is PUBLISHED:
            found.append(key(generation, activates=draw(st.none() | st.integers(0, 50))))
        elif state is ACTIVE:
            found.append(key(generation, state, activated=at))
        else:
            found.append(key(generation, state, activated=at, retires=draw(st.integers(-50, 200))))
    return found


@given(rows_of_one_purpose(), st.integers(0, 60), st.integers(0, 300))
def test_who_writes_and_when_changes_nothing(rows: list[KeyRow], first: int, more: int) -> None:
    one, two = NOON + after(first), NOON + after(first + more)
    written = as_of(rows, one, OVERLAP)
    assert as_of(written, one, OVERLAP) == written
    assert as_of(written, two, OVERLAP) == as_of(rows, two, OVERLAP)
    assert sum(row.state is ACTIVE for row in written) <= 1
    if any(row.state is ACTIVE for row in rows):
        assert any(row.state is ACTIVE for row in written)


@given(rows_of_one_purpose(), st.integers(0, 60))
def test_nothing_changes_before_the_next_change(rows: list[KeyRow], seconds: int) -> None:
    now = NOON + after(seconds)
    found = as_of(rows, now, OVERLAP)
    until = next_change(found, now)
    assert until > now
    assert [row.state for row in as_of(rows, until - timedelta.resolution, OVERLAP)] == [
        row.state for row in found
    ]


def test_a_new_key_has_the_next_generation_of_its_purpose() -> None:
    rows = [key(1, RETIRED), key(4, ACTIVE, activated=0), key(9, ACTIVE, purpose="openid", activated=0)]
    assert added(rows, key(0))[-1].generation == 5
    assert added(rows, key(0, purpose="log"))[-1].generation == 1


def test_a_key_that_must_be_alone_is_not_added_to_one_that_waits() -> None:
    rows = [key(1, ACTIVE, activated=0), key(2, purpose="openid")]
    assert len(added(rows, key(0), alone=True)) == 3
    with pytest.raises(KeystoreError, match="openid-2; wait"):
        added(rows, key(0, purpose="openid"), alone=True)


def test_a_plan_is_made_once_and_for_published_keys_only() -> None:
    rows = [key(1, ACTIVE, activated=0), key(2), key(3, activates=5)]
    later = NOON + after(60)
    assert planned(rows, "envelope-2", later)[1].activates_at == later
    for kid in ("envelope-1", "envelope-3"):
        assert planned(rows, kid, later) == rows
    with pytest.raises(KeystoreError, match="no key"):
        planned(rows, "unknown", later)


@pytest.mark.parametrize("state", [PASSIVE, RETIRED])
def test_only_a_published_key_is_activated(state: KeyState) -> None:
    rows = [key(1, state), key(2, ACTIVE, activated=0)]
    with pytest.raises(KeystoreError, match=f"is {state.value}"):
        activated(rows, "envelope-1", NOON)
    assert activated(rows, "envelope-2", NOON) == rows


def test_the_active_key_is_not_retired_and_a_retired_one_keeps_its_reason() -> None:
    rows = [key(1, PASSIVE, activated=0, retires=50), key(2, ACTIVE, activated=0)]
    gone = retired(rows, "envelope-1", NOON, "leaked")
    assert (gone[0].state, gone[0].retired_reason, gone[0].retired_at) == (RETIRED, "leaked", NOON)
    assert retired(gone, "envelope-1", NOON + after(9), "again") == gone
    with pytest.raises(KeystoreError, match="only active"):
        retired(rows, "envelope-2", NOON, "leaked")


def test_lost_keys_end_and_the_new_ones_sign_in_the_generation_after() -> None:
    before = [
        key(1, RETIRED),
        key(2, ACTIVE, activated=0),
        key(3),
        key(1, ACTIVE, purpose="openid", activated=0),
    ]
    lost = {row.kid: replace(row, backend="given-up", wrapped=b"vouched") for row in before[:3]}
    new = replace(key(9), kid="new", activated_at=None)
    rows = begun_again(before, lost, [new], NOON, "lost")
    assert [(row.kid, row.state, row.generation) for row in rows] == [
        ("envelope-1", RETIRED, 1),
        ("envelope-2", RETIRED, 2),
        ("envelope-3", RETIRED, 3),
        ("openid-1", ACTIVE, 1),
        ("new", ACTIVE, 4),
    ]
    assert (rows[0].retired_at, rows[0].retired_reason) == (before[0].retired_at, before[0].retired_reason)
    assert {(row.retired_at, row.retired_reason, row.wrapped) for row in rows[1:3]} == {
        (NOON, "lost", b"vouched")
    }
    assert as_of(rows, NOON, OVERLAP) == rows
