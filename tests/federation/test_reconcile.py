from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.query import LoggedMessage, Part
from federation.reconcile import (
    ADVICE,
    Finding,
    FindingKind,
    HourSum,
    Place,
    bounds_of_hour,
    by_exchange,
    compare_exchange,
    hour_of,
    start_of_hour,
)
from federation.request_ids import RequestIds, first_request_id
from tests.support.clock import NOON, FixedClock

HERE, THERE = "https://here.example", "https://there.example"
LONG_AFTER = NOON + timedelta(hours=1)
OLD = RequestIds(FixedClock(NOON)).new()
A, B, C = b"a" * 32, b"b" * 32, b"c" * 32

Messages = Sequence[LoggedMessage]


def said(
    part: Part, identity: bytes = A, *, by: str = HERE, late_s: float = 0, altered: bool = False
) -> LoggedMessage:
    """A message of the exchange that is looked at."""
    return LoggedMessage(OLD, by, part, identity, NOON + timedelta(seconds=late_s), altered)


def whole(by: str = HERE, *, request: bytes = A, answer: bytes = B) -> list[LoggedMessage]:
    """Request and answer."""
    return [said(Part.REQUEST, request, by=by), said(Part.ANSWER, answer, by=by)]


def kinds(own: Messages, theirs: Messages, *, after_s: float = 3600) -> set[tuple[str, str]]:
    """What is found, by kind and place."""
    now = NOON + timedelta(seconds=after_s)
    found = compare_exchange(own, theirs, own_entity=HERE, now=now)
    assert all((one.kind, one.place) in ADVICE for one in found)
    return {(one.kind.value, one.place.value) for one in found}


@pytest.mark.parametrize("by", [HERE, THERE])
def test_what_both_logs_say_is_no_finding(by: str) -> None:
    assert kinds(whole(by), whole(by)) == set()


FOUND = [
    # asked here
    ([said(Part.REQUEST)], [], {("one_sided", "here")}),
    ([said(Part.REQUEST)], whole(), {("unfetched", "here")}),
    ([], whole(), {("missing_here", "here")}),
    (whole(), [], {("missing_there", "there")}),
    (whole(), [said(Part.REQUEST)], {("missing_there", "there")}),
    (whole(), [said(Part.ANSWER, B)], {("missing_there", "there")}),
    ([said(Part.ANSWER, B)], whole(), {("missing_here", "here")}),
    (whole(), whole(answer=C), {("altered", "between")}),
    (whole(), whole(request=C), {("altered", "between")}),
    ([*whole(), said(Part.REQUEST, C)], whole(), set()),
    ([said(Part.REQUEST, A), said(Part.REQUEST, C)], whole(), {("unfetched", "here")}),
    (whole(), [*whole(), said(Part.REQUEST, C), said(Part.ANSWER, C)], {("missing_here", "here")}),
    # asked there
    ([], [said(Part.REQUEST, by=THERE)], {("one_sided", "there")}),
    (whole(THERE), [said(Part.REQUEST, by=THERE)], {("unfetched", "there")}),
    (whole(THERE), [], {("missing_there", "there")}),
    ([], whole(THERE), {("missing_here", "here")}),
    ([said(Part.REQUEST, by=THERE)], whole(THERE), {("missing_here", "here")}),
]


@pytest.mark.parametrize(("own", "theirs", "found"), FOUND)
def test_each_difference_has_its_kind(own: Messages, theirs: Messages, found: set[tuple[str, str]]) -> None:
    assert kinds(own, theirs) == found


@pytest.mark.parametrize(("own", "theirs", "found"), FOUND)
def test_what_one_side_misses_the_other_side_finds_there(
    own: Messages, theirs: Messages, found: set[tuple[str, str]]
) -> None:
    mirrored = {"here": "there", "there": "here", "between": "between"}
    now = NOON + timedelta(hours=1)
    seen_there = compare_exchange(theirs, own, own_entity=THERE, now=now)
    assert {
        (one.kind.value.replace(one.place.value, "?"), mirrored[one.place.value]) for one in seen_there
    } == {(kind.replace(place, "?"), place) for kind, place in found}


@pytest.mark.parametrize(("own", "theirs", "found"), FOUND)
def test_what_may_still_be_going_on_is_no_finding(own: Messages, theirs: Messages, found: object) -> None:
    assert kinds(own, theirs, after_s=119) == set()


@pytest.mark.parametrize("after_s", [1, 3600])
def test_altered_bytes_are_found_at_once_and_in_whose_log(after_s: float) -> None:
    changed = [said(Part.REQUEST), said(Part.ANSWER, B, altered=True)]
    assert kinds(whole(), changed, after_s=after_s) == {("altered", "there")}
    assert kinds(changed, whole(), after_s=after_s) == {("altered", "here")}


def test_what_an_answering_node_recorded_at_another_time_is_late() -> None:
    late = [said(Part.REQUEST, late_s=121), said(Part.ANSWER, B, late_s=121)]
    assert kinds(whole(), late) == {("late", "there")}
    assert kinds(late, whole()) == set()  # an answer may be fetched whenever
    early = [said(Part.REQUEST, by=THERE, late_s=-121), said(Part.ANSWER, B, by=THERE)]
    assert kinds(early, whole(THERE)) == {("late", "here")}


def test_missing_and_altered_are_alarming_and_the_rest_is_explained() -> None:
    assert {kind.value for kind in FindingKind if kind.is_alarming} == {
        "missing_here",
        "missing_there",
        "altered",
    }


def test_every_advice_is_in_both_languages() -> None:
    for zh, en in ADVICE.values():
        assert not zh.isascii()
        assert en.isascii()


# --- roots ------------------------------------------------------------------------------------------


def root_of(messages: Messages) -> bytes:
    """The root of these messages."""
    summed = HourSum(1)
    for exchange in by_exchange(sorted(messages, key=lambda one: one.request_id)):
        summed.add(exchange)
    return summed.root().root


identities = st.binary(min_size=32, max_size=32)


@st.composite
def logs(draw: st.DrawFn) -> list[LoggedMessage]:
    """Answered exchanges of one hour."""
    ids = RequestIds(FixedClock())
    made: list[LoggedMessage] = []
    for _ in range(draw(st.integers(0, 6))):
        request_id, by = ids.new(), draw(st.sampled_from([HERE, THERE]))
        made += [LoggedMessage(request_id, by, part, draw(identities), NOON) for part in Part]
    return made


@given(logs(), st.randoms(use_true_random=False))
def test_the_root_is_of_the_set_whatever_its_order_and_times(
    log: list[LoggedMessage], random: Random
) -> None:
    shuffled = [
        LoggedMessage(one.request_id, one.asking, one.part, one.identity, NOON + timedelta(days=1))
        for one in log
    ]
    random.shuffle(shuffled)
    assert root_of(shuffled) == root_of(log)


@given(logs().filter(bool), st.data())
def test_the_root_changes_with_every_message(log: list[LoggedMessage], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    without = [one for number, one in enumerate(log) if number != place]
    assert root_of(without) != root_of(log)
    one = log[place]
    changed = LoggedMessage(one.request_id, one.asking, one.part, bytes(32), one.recorded_at)
    assert root_of([*without, changed]) != root_of(log) or one.identity == bytes(32)
    marked = LoggedMessage(one.request_id, one.asking, one.part, one.identity, one.recorded_at, True)
    assert root_of([*without, marked]) != root_of(log)


@given(logs())
def test_a_request_that_was_never_answered_is_no_difference_of_roots(log: list[LoggedMessage]) -> None:
    open_one = LoggedMessage(
        RequestIds(FixedClock(NOON + timedelta(seconds=1))).new(), HERE, Part.REQUEST, A, NOON
    )
    assert root_of([*log, open_one]) == root_of(log)


def test_the_bounds_of_an_hour_hold_its_ids_and_no_others() -> None:
    hour = hour_of(NOON + timedelta(minutes=59))
    lower, upper = bounds_of_hour(hour, LONG_AFTER)
    assert lower <= RequestIds(FixedClock(NOON)).new() < upper
    assert RequestIds(FixedClock(NOON - timedelta(milliseconds=1))).new() < lower
    assert RequestIds(FixedClock(NOON + timedelta(hours=1))).new() >= upper
    assert start_of_hour(hour) == NOON


def test_nothing_of_until_and_later_is_within_the_bounds() -> None:
    hour, until = hour_of(NOON), NOON + timedelta(minutes=5)
    assert bounds_of_hour(hour, until)[1] == first_request_id(until)
    lower, upper = bounds_of_hour(hour, NOON - timedelta(minutes=1))
    assert lower == upper


def test_findings_are_sorted_by_exchange() -> None:
    first, second = (
        Finding("1", FindingKind.LATE, Place.HERE, True),
        Finding("2", FindingKind.ALTERED, Place.HERE, True),
    )
    assert sorted([second, first]) == [first, second]
