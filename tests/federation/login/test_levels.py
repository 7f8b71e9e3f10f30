from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.login.levels import ProviderLevels, demanded_level, require_level
from federation.login.model import LEVELS, meets
from federation.login.refusals import OAuthRefusal
from tests.support.login_flow import platform_request


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        ({}, "yrd.l1"),
        ({"acr_values": ("yrd.l3", "yrd.l2")}, "yrd.l2"),
        ({"acr_values": ("urn:gold", "yrd.l4")}, "yrd.l4"),
        ({"claims": frozenset({"name"})}, "yrd.l1"),
        ({"claims": frozenset({"citizen_number"})}, "yrd.l2"),
        ({"claims": frozenset({"face"}), "acr_values": ("yrd.l1",)}, "yrd.l2"),
        ({"claims": frozenset({"face"}), "acr_values": ("yrd.l4",)}, "yrd.l4"),
        ({"authorization_details": "[]"}, "yrd.l2"),
    ],
)
def test_what_a_request_demands(asked: dict[str, Any], level: str) -> None:
    assert demanded_level(platform_request(**asked)) == level


def test_levels_that_nobody_knows_cannot_be_met() -> None:
    with pytest.raises(OAuthRefusal) as caught:
        demanded_level(platform_request(acr_values=("urn:gold", "")))
    assert caught.value.error == "unmet_authentication_requirements"


@pytest.mark.parametrize("acr", ["", "yrd.l0", "yrd.l5", "YRD.L4"])
def test_a_level_that_nobody_knows_meets_nothing(acr: str) -> None:
    with pytest.raises(OAuthRefusal):
        require_level(acr, "yrd.l1")


@given(st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_higher_levels_meet_lower_ones(one: str, other: str) -> None:
    assert meets(one, other) is (LEVELS.index(one) >= LEVELS.index(other))


def test_the_identity_providers_values_are_worth_what_the_configuration_says() -> None:
    levels = ProviderLevels({"a": "yrd.l1", "b": "yrd.l2", "c": "yrd.l2", "d": "yrd.l3"})
    assert [levels.level_of(acr) for acr in ("a", "d", "e", "")] == ["yrd.l1", "yrd.l3", "", ""]
    assert levels.values_for("yrd.l2") == ["b", "c", "d"]
    assert levels.values_for("yrd.l4") == []
    assert ProviderLevels({}, "yrd.l1").level_of("") == "yrd.l1"
    assert ProviderLevels({}, "yrd.l1").level_of("x") == ""
