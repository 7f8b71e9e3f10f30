from __future__ import annotations

from uuid import UUID

from federation.request_ids import RequestIds
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


def test_ids_only_grow_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    clock = FixedClock()
    ids = RequestIds(clock)
    made = [ids.new() for _ in range(10_000)]
    clock.advance(seconds=-3600)
    made += [ids.new() for _ in range(100)]
    assert made == sorted(set(made))
