from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.permutation import Draws, Permutation


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 64, 1000, 4097])
def test_every_index_has_its_own_image(bound: int) -> None:
    permutation = Permutation(bound, ("seed", 1))

    images = [permutation.image(index) for index in range(bound)]

    assert sorted(images) == list(range(bound))
    assert [permutation.index(image) for image in images] == list(range(bound))


@given(bound=st.integers(1, 2**48), data=st.data())
def test_the_way_back_is_a_computation(bound: int, data: st.DataObject) -> None:
    permutation = Permutation(bound, ("seed", 2))
    index = data.draw(st.integers(0, bound - 1))

    image = permutation.image(index)

    assert 0 <= image < bound
    assert permutation.index(image) == index


def test_another_key_is_another_order() -> None:
    first, second = (Permutation(1000, (seed,)) for seed in (1, 2))

    assert [first.image(i) for i in range(20)] != [second.image(i) for i in range(20)]


@pytest.mark.parametrize("outside", [-1, 10])
def test_a_number_outside_the_bound_is_refused(outside: int) -> None:
    permutation = Permutation(10, ())

    with pytest.raises(ValueError, match=r"range\(10\)"):
        permutation.image(outside)
    with pytest.raises(ValueError, match=r"range\(10\)"):
        permutation.index(outside)


def test_draws_follow_from_their_key_and_name_alone() -> None:
    one, same, other = Draws(1, "a"), Draws(1, "a"), Draws(2, "a")

    assert one.digits("number", 12) == same.digits("number", 12) != other.digits("number", 12)
    assert one.digits("number", 12) != one.digits("other", 12)


def test_draws_stay_within_what_they_choose_from() -> None:
    draws = [Draws(n) for n in range(200)]

    assert {d.weigh("w", (("a", 1), ("never", 0), ("b", 1))) for d in draws} == {"a", "b"}
    assert {d.day("d", date(2020, 1, 1), date(2020, 1, 2)) for d in draws} == {
        date(2020, 1, 1),
        date(2020, 1, 2),
    }
    assert draws[0].day("d", date(2020, 1, 2), date(2020, 1, 1)) == date(2020, 1, 2)
    assert sum(d.happens("h", 500) for d in draws) in range(60, 140)
