"""What must hold for every policy and every parameter (hypothesis): order, merging, and never looser."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trust.errors import ChainBroken
from trust.policy import apply_policy, merge_policies

TYPE, ERROR = "openid_relying_party", "error"

letters = st.sampled_from(["a", "b", "c", "d"])
arrays = st.lists(letters, max_size=4, unique=True)
values = st.one_of(letters, arrays, st.booleans(), st.integers(0, 2), st.just({"a": 1}))
operators = st.fixed_dictionaries(
    {},
    optional={
        "value": values | st.none(),
        "add": arrays,
        "default": values,
        "one_of": st.lists(letters, min_size=1, max_size=4, unique=True),
        "subset_of": arrays,
        "superset_of": arrays,
        "essential": st.booleans(),
    },
)
names = st.sampled_from(["p", "q", "scope"])
policies = st.dictionaries(names, operators, max_size=3).map(lambda policy: {TYPE: policy})
parameters = st.dictionaries(names, values, max_size=3).map(lambda found: {TYPE: found})


def _merge(*several: Any) -> Any:
    try:
        return merge_policies(several)
    except ChainBroken:
        return ERROR


def _apply(metadata: Any, policy: Any) -> Any:
    if policy is ERROR:
        return ERROR
    try:
        return apply_policy(metadata, policy).metadata
    except ChainBroken:
        return ERROR


def _by_set(policy: Any) -> Any:
    """Where order is not defined (§6.1.3), it does not count."""
    if policy is ERROR:
        return ERROR
    sets = ("add", "one_of", "subset_of", "superset_of")
    return {
        name: {
            operator: frozenset(operand) if operator in sets else repr(operand)
            for operator, operand in found.items()
        }
        for name, found in policy.get(TYPE, {}).items()
    }


@given(policies, policies, parameters)
def test_merging_is_never_looser_than_either(superior: Any, subordinate: Any, metadata: Any) -> None:
    """What comes out under both already complies with each alone: neither would change or refuse it."""
    after = _apply(metadata, _merge(superior, subordinate))
    if after is not ERROR:
        assert _apply(after, _merge(superior)) == after
        assert _apply(after, _merge(subordinate)) == after


@given(policies, parameters)
def test_applying_twice_is_applying_once(policy: Any, metadata: Any) -> None:
    merged = _merge(policy)
    after = _apply(metadata, merged)
    assert after is ERROR or _apply(after, merged) == after


@given(policies, policies)
def test_who_stands_above_makes_no_difference(one: Any, other: Any) -> None:
    assert _by_set(_merge(one, other)) == _by_set(_merge(other, one))


@given(policies, policies, policies)
def test_three_levels_merge_alike_however_they_are_taken(one: Any, two: Any, three: Any) -> None:
    first, last = _merge(one, two), _merge(two, three)
    left = ERROR if first is ERROR else _merge(first, three)
    right = ERROR if last is ERROR else _merge(one, last)
    assert _by_set(_merge(one, two, three)) == _by_set(left)
    if left is not ERROR and right is not ERROR:
        assert _by_set(left) == _by_set(right)


@given(policies)
def test_a_policy_merged_with_itself_or_with_nothing_is_the_same(policy: Any) -> None:
    assert _by_set(_merge(policy, policy)) == _by_set(_merge(policy)) == _by_set(_merge({}, policy, {}))


@given(policies, parameters)
def test_metadata_never_has_null_and_the_input_stays_as_it_was(policy: Any, metadata: Any) -> None:
    before = repr(metadata)
    after = _apply(metadata, _merge(policy))
    assert after is ERROR or None not in after[TYPE].values()
    assert repr(metadata) == before


@given(policies, parameters)
def test_changes_tell_each_difference_and_nothing_else(policy: Any, metadata: Any) -> None:
    try:
        applied = apply_policy(metadata, merge_policies([policy]))
    except ChainBroken:
        return
    told = {change.parameter: (change.claimed, change.after) for change in applied.changes}
    claimed, after = metadata[TYPE], applied.metadata[TYPE]
    for name in claimed.keys() | after.keys():
        if repr(claimed.get(name)) != repr(after.get(name)):
            assert repr(told.pop(name)) == repr((claimed.get(name), after.get(name)))
    assert not told


json_noise = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([TYPE, "p", "value", "add", "one_of", "scope"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_noise, parameters)
def test_noise_is_a_policy_error_or_a_policy_and_never_anything_else(noise: Any, metadata: Any) -> None:
    _apply(metadata, _merge(noise))
