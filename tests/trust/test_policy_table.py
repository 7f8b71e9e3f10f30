"""Metadata policy by tables: a row for each rule of OpenID Federation 1.1 §6.1.3 and §6.1.4.

Inputs and outputs of the rows that name a section come from the standard's own text, table or example there
(https://openid.net/specs/openid-federation-1_1.html).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from trust.errors import ChainBroken
from trust.operators import OPERATORS
from trust.policy import apply_policy, merge_policies, pinned_by

TYPE, NONE, ERROR = "openid_relying_party", "no parameter", "error"
Operators = dict[str, Any]


def _policy(operators: Operators, parameter: str) -> dict[str, Any]:
    return {TYPE: {parameter: operators}}


def _after(policies: list[Operators], value: Any, parameter: str = "p") -> Any:
    """The parameter after the policies of a chain, the anchor's first; or ERROR."""
    metadata = {TYPE: {} if value is NONE else {parameter: value}}
    try:
        merged = merge_policies(_policy(operators, parameter) for operators in policies)
        return apply_policy(metadata, merged).metadata[TYPE].get(parameter, NONE)
    except ChainBroken:
        return ERROR


APPLIED: list[tuple[str, Operators, Any, Any]] = [
    # §6.1.3.1.1
    ("value assigns what is absent", {"value": "a"}, NONE, "a"),
    ("value replaces", {"value": "a"}, "b", "a"),
    ("value replaces by an array", {"value": ["a"]}, "b", ["a"]),
    ("value replaces by false", {"value": False}, True, False),
    ("value replaces by zero", {"value": 0}, 5, 0),
    ("value replaces by an object", {"value": {"a": 1}}, NONE, {"a": 1}),
    ("value null removes", {"value": None}, "b", NONE),
    ("value null leaves absent", {"value": None}, NONE, NONE),
    # §6.1.3.1.2
    ("add appends", {"add": ["c"]}, ["a", "b"], ["a", "b", "c"]),
    ("add does not add twice", {"add": ["b", "c"]}, ["a", "b"], ["a", "b", "c"]),
    ("add to what is absent", {"add": ["a", "b"]}, NONE, ["a", "b"]),
    ("add to an empty array", {"add": ["a"]}, [], ["a"]),
    ("add nothing", {"add": []}, ["a"], ["a"]),
    ("add numbers", {"add": [2]}, [1], [1, 2]),
    ("add objects", {"add": [{"b": 1, "a": 2}]}, [{"a": 2, "b": 1}], [{"a": 2, "b": 1}]),
    ("add to text", {"add": ["a"]}, "a", ERROR),
    ("add to an object", {"add": ["a"]}, {"a": 1}, ERROR),
    # §6.1.3.1.3
    ("default for what is absent", {"default": "a"}, NONE, "a"),
    ("default has no effect on what is there", {"default": "a"}, "b", "b"),
    ("default has no effect on false", {"default": True}, False, False),
    ("default has no effect on an empty array", {"default": ["a"]}, [], []),
    # §6.1.3.1.4
    ("one_of those", {"one_of": ["a", "b"]}, "b", "b"),
    ("one_of none of those", {"one_of": ["a", "b"]}, "c", ERROR),
    ("one_of when absent", {"one_of": ["a"]}, NONE, NONE),
    ("one_of numbers", {"one_of": [1, 2]}, 2, 2),
    ("one_of objects", {"one_of": [{"a": 1}]}, {"a": 1}, {"a": 1}),
    ("one_of: 1 is not true", {"one_of": [1]}, True, ERROR),
    ("one_of: 1 is not text", {"one_of": ["1"]}, 1, ERROR),
    ("one_of an array", {"one_of": ["a"]}, ["a"], ERROR),
    # §6.1.3.1.5
    ("subset_of all", {"subset_of": ["a", "b"]}, ["b", "a"], ["b", "a"]),
    ("subset_of trims", {"subset_of": ["a", "b"]}, ["c", "b"], ["b"]),
    ("subset_of leaves nothing", {"subset_of": ["a"]}, ["b"], []),
    ("subset_of nothing", {"subset_of": []}, ["b"], []),
    ("subset_of when absent", {"subset_of": ["a"]}, NONE, NONE),
    ("subset_of text", {"subset_of": ["a"]}, "a", ERROR),
    ("subset_of mixed values", {"subset_of": ["a"]}, ["a", 1], ERROR),
    ("subset_of: true is not 1", {"subset_of": [1]}, [True], ERROR),
    # §6.1.3.1.6
    ("superset_of more", {"superset_of": ["a"]}, ["b", "a"], ["b", "a"]),
    ("superset_of the same", {"superset_of": ["a", "b"]}, ["b", "a"], ["b", "a"]),
    ("superset_of less", {"superset_of": ["a", "b"]}, ["a"], ERROR),
    ("superset_of nothing", {"superset_of": []}, [], []),
    ("superset_of when absent", {"superset_of": ["a"]}, NONE, NONE),
    ("superset_of text", {"superset_of": ["a"]}, "a", ERROR),
    # §6.1.3.1.7
    ("essential and there", {"essential": True}, {"a": 1}, {"a": 1}),
    ("essential and false", {"essential": True}, False, False),
    ("essential and empty", {"essential": True}, [], []),
    ("essential and absent", {"essential": True}, NONE, ERROR),
    ("voluntary and absent", {"essential": False}, NONE, NONE),
    # §6.1.3.1.8, table of essential with subset_of
    ("table row 1", {"essential": True, "subset_of": ["a", "b", "c"]}, ["a", "e"], ["a"]),
    ("table row 2", {"essential": False, "subset_of": ["a", "b", "c"]}, ["a", "e"], ["a"]),
    ("table row 3", {"essential": True, "subset_of": ["a", "b", "c"]}, ["d", "e"], []),
    ("table row 4", {"essential": False, "subset_of": ["a", "b", "c"]}, ["d", "e"], []),
    ("table row 5", {"essential": True, "subset_of": ["a", "b", "c"]}, NONE, ERROR),
    ("table row 6", {"essential": False, "subset_of": ["a", "b", "c"]}, NONE, NONE),
    ("set equals, kept", {"subset_of": ["a", "b"], "superset_of": ["a", "b"]}, ["b", "a"], ["b", "a"]),
    ("set equals, trimmed", {"subset_of": ["a"], "superset_of": ["a"]}, ["b", "a"], ["a"]),
    ("set equals, broken", {"subset_of": ["a", "b"], "superset_of": ["a", "b"]}, ["a"], ERROR),
    # the order of application, whatever the order in the policy
    ("value, then default", {"default": "b", "value": "a"}, NONE, "a"),
    ("value, then one_of", {"one_of": ["a"], "value": "a"}, "b", "a"),
    ("value, then essential", {"essential": True, "value": "a"}, NONE, "a"),
    ("add, then default", {"default": ["b"], "add": ["a"]}, NONE, ["a"]),
    ("add, then subset_of", {"subset_of": ["a"], "add": ["a"]}, ["b"], ["a"]),
    ("add, then superset_of", {"superset_of": ["a", "b"], "add": ["a"]}, ["b"], ["b", "a"]),
    ("add, then essential", {"essential": True, "add": ["a"]}, NONE, ["a"]),
    ("default, then one_of", {"one_of": ["a"], "default": "b"}, NONE, ERROR),
    ("default, then subset_of", {"subset_of": ["a"], "default": ["a", "b"]}, NONE, ["a"]),
    ("default, then superset_of", {"superset_of": ["a"], "default": ["b"]}, NONE, ERROR),
    ("default, then essential", {"essential": True, "default": "a"}, NONE, "a"),
    ("subset_of, then superset_of", {"superset_of": ["a"], "subset_of": ["a", "b"]}, ["a", "c"], ["a"]),
    # §6.1.3.2
    ("an operator that is not understood is passed over", {"regexp": "^a", "one_of": ["b"]}, "b", "b"),
    ("alone it does nothing", {"regexp": "^a"}, "b", "b"),
]


@pytest.mark.parametrize(
    ("operators", "value", "expected"), [row[1:] for row in APPLIED], ids=[row[0] for row in APPLIED]
)
def test_an_operator_does_to_a_parameter_what_the_standard_says(
    operators: Operators, value: Any, expected: Any
) -> None:
    assert _after([operators], value) == expected


SCOPES: list[tuple[str, Operators, Any, Any]] = [
    ("subset_of trims", {"subset_of": ["openid", "email"]}, "email phone openid", "email openid"),
    ("subset_of leaves nothing", {"subset_of": ["openid"]}, "phone", ""),
    ("superset_of", {"superset_of": ["openid"]}, "email openid", "email openid"),
    ("superset_of, lacking", {"superset_of": ["openid"]}, "email openidx", ERROR),
    ("add", {"add": ["email"]}, "openid", "openid email"),
    ("add twice", {"add": ["email"]}, "email openid", "email openid"),
    ("default as an array", {"default": ["openid", "email"]}, NONE, "openid email"),
    ("default as text", {"default": "openid email"}, NONE, "openid email"),
    ("default with subset_of", {"default": "openid phone", "subset_of": ["openid"]}, NONE, "openid"),
    ("value as an array", {"value": ["openid"]}, "email", "openid"),
    ("value as text", {"value": "openid email"}, "phone", "openid email"),
    ("value as text with superset_of", {"value": "a b", "superset_of": ["b"]}, NONE, "a b"),
    ("value null", {"value": None}, "email", NONE),
    ("essential", {"essential": True}, "openid", "openid"),
    ("essential and absent", {"essential": True}, NONE, ERROR),
    ("one_of sees an array", {"one_of": ["openid"]}, "openid", ERROR),
    ("no text", {"subset_of": ["openid"]}, 7, ERROR),
]


@pytest.mark.parametrize(
    ("operators", "value", "expected"), [row[1:] for row in SCOPES], ids=[row[0] for row in SCOPES]
)
def test_scope_is_an_array_for_operators_and_text_afterwards(
    operators: Operators, value: Any, expected: Any
) -> None:
    """§6.1.3.1.8."""
    assert _after([operators], value, "scope") == expected


PAIRS: list[tuple[Operators, Operators, bool]] = [
    ({"value": ["a", "b"]}, {"add": ["a"]}, True),
    ({"value": ["a", "b"]}, {"add": []}, True),
    ({"value": ["a"]}, {"add": ["a", "b"]}, False),
    ({"value": "a"}, {"add": ["a"]}, False),
    ({"value": None}, {"add": ["a"]}, False),
    ({"value": "a"}, {"default": "b"}, True),
    ({"value": False}, {"default": True}, True),
    ({"value": None}, {"default": "b"}, False),
    ({"value": "a"}, {"one_of": ["a", "b"]}, True),
    ({"value": "c"}, {"one_of": ["a", "b"]}, False),
    ({"value": ["a"]}, {"one_of": ["a", "b"]}, False),
    ({"value": None}, {"one_of": ["a", "b"]}, False),
    ({"value": ["a"]}, {"subset_of": ["a", "b"]}, True),
    ({"value": []}, {"subset_of": ["a", "b"]}, True),
    ({"value": ["a", "c"]}, {"subset_of": ["a", "b"]}, False),
    ({"value": "a"}, {"subset_of": ["a", "b"]}, False),
    ({"value": None}, {"subset_of": ["a", "b"]}, False),
    ({"value": ["a", "b"]}, {"superset_of": ["a"]}, True),
    ({"value": ["b"]}, {"superset_of": ["a"]}, False),
    ({"value": None}, {"superset_of": ["a"]}, False),
    ({"value": "a"}, {"essential": True}, True),
    ({"value": None}, {"essential": False}, True),
    ({"value": None}, {"essential": True}, False),
    ({"add": ["a"]}, {"default": ["b"]}, True),
    ({"add": ["a"]}, {"one_of": ["a"]}, False),
    ({"add": ["a"]}, {"subset_of": ["a", "b"]}, True),
    ({"add": ["a", "c"]}, {"subset_of": ["a", "b"]}, False),
    ({"add": ["a"]}, {"superset_of": ["b"]}, True),
    ({"add": ["a"]}, {"essential": True}, True),
    ({"default": "a"}, {"one_of": ["a"]}, True),
    ({"default": "c"}, {"one_of": ["a"]}, True),
    ({"default": ["a"]}, {"subset_of": ["a"]}, True),
    ({"default": ["a"]}, {"superset_of": ["a"]}, True),
    ({"default": "a"}, {"essential": True}, True),
    ({"one_of": ["a"]}, {"subset_of": ["a"]}, False),
    ({"one_of": ["a"]}, {"superset_of": ["a"]}, False),
    ({"one_of": ["a"]}, {"essential": True}, True),
    ({"subset_of": ["a", "b"]}, {"superset_of": ["a"]}, True),
    ({"subset_of": ["a"]}, {"superset_of": ["a"]}, True),
    ({"subset_of": ["a"]}, {"superset_of": ["a", "b"]}, False),
    ({"subset_of": ["a"]}, {"essential": True}, True),
    ({"superset_of": ["a"]}, {"essential": True}, True),
]


@pytest.mark.parametrize(("one", "other", "allowed"), PAIRS, ids=str)
def test_two_operators_stand_together_as_the_standard_allows(
    one: Operators, other: Operators, allowed: bool
) -> None:
    """§6.1.3.1, for one policy and for what two superiors merge into (§6.1.4.1), either way round."""
    for policies in ([one | other], [other | one], [one, other], [other, one], [one, {}, other]):
        try:
            merged: Any = merge_policies(_policy(operators, "p") for operators in policies)
        except ChainBroken:
            merged = ERROR
        assert merged == (_policy(one | other, "p") if allowed else ERROR), policies


def test_every_pair_of_operators_has_its_row() -> None:
    covered = {frozenset([*one, *other]) for one, other, _ in PAIRS}
    assert covered == {frozenset(pair) for pair in combinations(OPERATORS, 2)}


MERGES: list[tuple[str, Any, Any, Any]] = [
    ("value", "a", "a", "a"),
    ("value", ["a", "b"], ["a", "b"], ["a", "b"]),
    ("value", {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 2}),
    ("value", None, None, None),
    ("value", "a", "b", ERROR),
    ("value", True, 1, ERROR),
    ("value", "a", None, ERROR),
    ("value", None, "a", ERROR),
    ("add", ["a"], ["b"], ["a", "b"]),
    ("add", ["a", "b"], ["b"], ["a", "b"]),
    ("default", "a", "a", "a"),
    ("default", "a", "b", ERROR),
    ("one_of", ["a", "b"], ["b", "c"], ["b"]),
    ("one_of", ["a"], ["b"], ERROR),
    ("subset_of", ["a", "b"], ["b", "c"], ["b"]),
    ("subset_of", ["a"], ["b"], []),
    ("superset_of", ["a"], ["b"], ["a", "b"]),
    ("essential", True, True, True),
    ("essential", True, False, True),
    ("essential", False, True, True),
    ("essential", False, False, False),
]


@pytest.mark.parametrize(("operator", "superior", "subordinate", "expected"), MERGES)
def test_operands_merge_as_the_operator_says(
    operator: str, superior: Any, subordinate: Any, expected: Any
) -> None:
    """§6.1.3.1, «Operator value merge» of each operator."""
    policies = [_policy({operator: operand}, "p") for operand in (superior, subordinate)]
    if expected is ERROR:
        with pytest.raises(ChainBroken, match=f"{TYPE}.p"):
            merge_policies(policies)
    else:
        assert merge_policies(policies) == _policy({operator: expected}, "p")


OPERANDS: dict[str, list[Any]] = {
    "value": [],
    "add": ["a", 1, None, True, {"a": 1}, ["a", 1], [True], [None], [["a"]]],
    "default": [None],
    "one_of": ["a", 1, None, [], ["a", 1], [True], [None]],
    "subset_of": ["a", None, {"a": 1}, ["a", {}], [False]],
    "superset_of": ["a", None, {"a": 1}, [1, "a"], [None]],
    "essential": ["true", 1, 0, None, [], {}],
}


@pytest.mark.parametrize(
    ("operator", "operand"), [(name, operand) for name, wrong in OPERANDS.items() for operand in wrong]
)
def test_an_operand_of_a_type_that_the_operator_does_not_take_is_a_policy_error(
    operator: str, operand: Any
) -> None:
    with pytest.raises(ChainBroken, match=f"{operator} does not take"):
        merge_policies([_policy({operator: operand}, "p")])


@pytest.mark.parametrize("policy", [[], "a", None, 1, {"t": []}, {"t": {"p": []}}, {"t": {"p": "value"}}])
def test_what_is_no_policy_is_a_policy_error(policy: object) -> None:
    """§6.1.2: three levels of objects."""
    with pytest.raises(ChainBroken, match=r"§6\.1\.2"):
        merge_policies([policy])


def test_entity_types_and_parameters_merge_level_by_level() -> None:
    """§6.1.4.1: what only one has is copied."""
    anchor = {"a": {"p": {"essential": True}}, "b": {"q": {"value": 1}}}
    below = {"a": {"p": {"one_of": ["x"]}, "r": {"add": ["y"]}}, "c": {"s": {"default": 2}}}
    assert merge_policies([anchor, {}, below]) == {
        "a": {"p": {"essential": True, "one_of": ["x"]}, "r": {"add": ["y"]}},
        "b": {"q": {"value": 1}},
        "c": {"s": {"default": 2}},
    }


def test_three_superiors_merge_in_turn() -> None:
    choices = [{"one_of": ["a", "b", "c"]}, {"one_of": ["b", "c"]}, {"one_of": ["c", "d"]}]
    assert _after(choices, "c") == "c"
    assert _after(choices, "b") == ERROR
    assert _after([*choices, {"one_of": ["d"]}], NONE) == ERROR


def test_a_policy_is_for_the_entity_types_that_the_entity_has() -> None:
    policy = merge_policies([{"absent": {"p": {"essential": True, "default": 1}}}])
    assert apply_policy({TYPE: {}}, policy).metadata == {TYPE: {}}


def test_a_language_tag_makes_another_parameter() -> None:
    """§6.1.2."""
    policy = merge_policies([{TYPE: {"client_name#zh": {"value": "浙"}}}])
    applied = apply_policy({TYPE: {"client_name": "Zhe", "client_name#en": "Z"}}, policy)
    assert applied.metadata[TYPE] == {"client_name": "Zhe", "client_name#en": "Z", "client_name#zh": "浙"}


ANCHORS_POLICY = {
    TYPE: {
        "grant_types": {
            "default": ["authorization_code"],
            "subset_of": ["authorization_code", "refresh_token"],
            "superset_of": ["authorization_code"],
        },
        "token_endpoint_auth_method": {
            "one_of": ["private_key_jwt", "self_signed_tls_client_auth"],
            "essential": True,
        },
        "token_endpoint_auth_signing_alg": {"one_of": ["PS256", "ES256"]},
        "subject_type": {"value": "pairwise"},
        "contacts": {"add": ["helpdesk@federation.example.org"]},
    }
}
INTERMEDIATES_POLICY = {
    TYPE: {
        "grant_types": {"subset_of": ["authorization_code"]},
        "token_endpoint_auth_method": {"one_of": ["self_signed_tls_client_auth"]},
        "contacts": {"add": ["helpdesk@org.example.org"]},
    }
}
MERGED = {
    TYPE: {
        "grant_types": {
            "default": ["authorization_code"],
            "superset_of": ["authorization_code"],
            "subset_of": ["authorization_code"],
        },
        "token_endpoint_auth_method": {"one_of": ["self_signed_tls_client_auth"], "essential": True},
        "token_endpoint_auth_signing_alg": {"one_of": ["PS256", "ES256"]},
        "subject_type": {"value": "pairwise"},
        "contacts": {"add": ["helpdesk@federation.example.org", "helpdesk@org.example.org"]},
    }
}
CLAIMED = {
    TYPE: {
        "redirect_uris": ["https://rp.example.org/callback"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "contacts": ["rp_admins@rp.example.org"],
        # as the intermediate's metadata gives them
        "sector_identifier_uri": "https://org.example.org/sector-ids.json",
        "policy_uri": "https://org.example.org/policy.html",
    }
}
RESOLVED = {
    TYPE: {
        "redirect_uris": ["https://rp.example.org/callback"],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "subject_type": "pairwise",
        "sector_identifier_uri": "https://org.example.org/sector-ids.json",
        "policy_uri": "https://org.example.org/policy.html",
        "contacts": [
            "rp_admins@rp.example.org",
            "helpdesk@federation.example.org",
            "helpdesk@org.example.org",
        ],
    }
}


def test_the_example_of_the_standard() -> None:
    """§6.1.5: the policies of an anchor and an intermediate, merged and applied."""
    merged = merge_policies([ANCHORS_POLICY, INTERMEDIATES_POLICY])
    assert merged == MERGED
    applied = apply_policy(CLAIMED, merged)
    assert applied.metadata == RESOLVED
    assert {change.parameter: change.by for change in applied.changes} == {
        "grant_types": ("default",),
        "subject_type": ("value",),
        "contacts": ("add",),
    }


def test_what_was_changed_is_told_with_the_operators_that_did_it() -> None:
    policy = merge_policies([{TYPE: {"p": {"add": ["c"], "subset_of": ["a", "c"], "essential": True}}}])
    (change,) = apply_policy({TYPE: {"p": ["a", "b"]}}, policy).changes
    assert (change.entity_type, change.parameter) == (TYPE, "p")
    assert (change.claimed, change.after, change.by) == (["a", "b"], ["a", "c"], ("add", "subset_of"))
    assert apply_policy({TYPE: {"p": ["a", "c"]}}, policy).changes == ()


def test_only_value_pins() -> None:
    policy = merge_policies([{"t": {"a": {"value": 1}, "b": {"one_of": ["x"]}, "c": {"value": None}}}])
    assert pinned_by(policy) == {("t", "a"), ("t", "c")}


def test_the_operators_are_applied_in_the_order_of_the_standard() -> None:
    assert list(OPERATORS) == ["value", "add", "default", "one_of", "subset_of", "superset_of", "essential"]
