from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from federation.request_ids import RequestIds, first_request_id, time_of_request_id
from tests.support.clock import NOON, FixedClock


def test_the_example_of_rfc_9562() -> None:
    """RFC 9562, appendix A.6."""
    clock = FixedClock(NOON.fromtimestamp(0x017F22E279B0 / 1000, tz=NOON.tzinfo))
    bits = {11: 0x4C3, 62: 0x18C4DC0C0C07398F}
    # The example's rand_a is CC3; here its highest bit is kept clear, as §6.2 asks of a counter.
    assert RequestIds(clock, bits.__getitem__).new() == "017f22e2-79b0-74c3-98c4-dc0c0c07398f"


def test_ids_are_version_7_of_the_rfc_variant_and_carry_the_time() -> None:
    clock = FixedClock()
    made = UUID(RequestIds(clock).new())
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(NOON.timestamp() * 1000)


def test_ids_only_grow_within_a_millisecond_and_when_the_clock_goes_back_a_little() -> None:
    clock = FixedClock()
    ids = RequestIds(clock)
    made = [ids.new() for _ in range(10_000)]
    clock.advance(seconds=-20)
    made += [ids.new() for _ in range(100)]
    assert made == sorted(set(made))


def test_ids_follow_a_clock_that_was_set_back_so_that_peers_still_take_them() -> None:
    clock = FixedClock()
    ids = RequestIds(clock)
    before = ids.new()
    clock.advance(hours=-1)
    made = [ids.new() for _ in range(100)]
    assert made == sorted(set(made))
    assert before not in made
    assert all(abs((time_of_request_id(one) - clock.now()).total_seconds()) < 1 for one in made)


@given(st.datetimes(NOON.replace(year=1971, tzinfo=None), NOON.replace(year=9998, tzinfo=None)))
def test_the_time_of_an_id_and_the_first_id_of_a_time_fit(moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    first = first_request_id(at)
    assert time_of_request_id(first) == at
    assert first < RequestIds(FixedClock(at)).new() < first_request_id(at + timedelta(milliseconds=2))


def test_an_id_from_beyond_the_calendar_is_of_its_end() -> None:
    assert time_of_request_id("ffffffff-ffff-7000-8000-000000000000").year == 9999
