"""Constraints (OpenID Federation 1.1 §6.2) at each level of a chain, with the standard's own examples."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trust.deep import HANGZHOU, METADATA, YUHANG, about, line, own
from tests.trust.federation import ANCHOR, ZHEJIANG, resolve
from trust.errors import ChainBroken


def _limits(*levels: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What each superior constrains, the nearest first."""
    return [{"constraints": level} for level in levels]


def _length(longest: int | None) -> dict[str, Any] | None:
    return None if longest is None else {"max_path_length": longest}


@pytest.mark.parametrize(
    ("nearest", "middle", "anchor", "holds"),
    [
        # §6.2.1: four statements, two intermediates (the standard's own four cases)
        (None, None, 2, True),
        (None, 1, 2, True),
        (0, None, None, True),
        (None, None, 1, False),
        # and each level on its own
        (None, None, None, True),
        (0, 1, 2, True),
        (None, None, 3, True),
        (None, None, 0, False),
        (None, 0, None, False),
        (None, 0, 2, False),
        (2, 1, 1, False),
    ],
)
def test_path_length_counts_the_intermediates_between(
    nearest: int | None, middle: int | None, anchor: int | None, holds: bool
) -> None:
    statements = line(YUHANG, said=_limits(_length(nearest), _length(middle), _length(anchor)))
    if holds:
        assert resolve(statements).superiors == (HANGZHOU, ZHEJIANG, ANCHOR)
    else:
        with pytest.raises(ChainBroken, match=r"§6\.2\.1"):
            resolve(statements)


NAMES: list[tuple[str, dict[str, Any], bool]] = [
    # RFC 5280 §4.2.1.10, as §6.2.2 quotes it: a leading period is any host below, and not the domain itself
    ("any host below", {"permitted": [".zj.example"]}, True),
    ("a host two labels below", {"permitted": [".example"]}, True),
    ("not the domain itself", {"permitted": [".node.zj.example", ".hangzhou.zj.example"]}, False),
    ("a host is that host only", {"permitted": ["zj.example"]}, False),
    ("each host named", {"permitted": ["node.zj.example", "hangzhou.zj.example"]}, True),
    ("one host not named", {"permitted": ["hangzhou.zj.example"]}, False),
    ("upper case is the same", {"permitted": [".ZJ.Example"]}, True),
    ("a name that only ends alike", {"permitted": [".j.example"]}, False),
    ("excluded by its host", {"excluded": ["hangzhou.zj.example"]}, False),
    ("excluded by its domain", {"excluded": [".zj.example"]}, False),
    ("excluded though permitted", {"permitted": [".example"], "excluded": ["hangzhou.zj.example"]}, False),
    ("another excluded", {"excluded": ["east.example.com", ".ah.example"]}, True),
    ("neither", {}, True),
    ("nothing permitted", {"permitted": []}, False),
    ("what is unknown within", {"permitted": [".example"], "unknown": 1}, True),
]


@pytest.mark.parametrize(("names", "holds"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_names_bind_every_entity_below(names: dict[str, Any], holds: bool) -> None:
    statements = line(HANGZHOU, said=_limits(None, {"naming_constraints": names}))
    if holds:
        assert resolve(statements).entity_id == HANGZHOU
    else:
        with pytest.raises(ChainBroken, match=r"§6\.2\.2"):
            resolve(statements)


def test_names_of_an_intermediate_bind_only_what_is_below_it() -> None:
    names = {"naming_constraints": {"permitted": ["hangzhou.zj.example"]}}
    assert resolve(line(HANGZHOU, said=_limits(names, None))).entity_id == HANGZHOU
    with pytest.raises(ChainBroken, match="does not permit"):
        resolve(line(YUHANG, said=_limits(None, names, None)))


def test_an_address_has_no_name_to_permit() -> None:
    address = "https://192.0.2.7"
    statements = [
        own(address, ANCHOR),
        about(address, ANCHOR, constraints={"naming_constraints": {"excluded": ["x.example"]}}),
        own(ANCHOR),
    ]
    with pytest.raises(ChainBroken, match="has no host name"):
        resolve(statements)


@pytest.mark.parametrize(
    ("nearest", "anchor", "left"),
    [
        (None, None, {"openid_relying_party", "openid_provider"}),
        (None, [], set()),
        ([], None, set()),
        (None, ["openid_provider", "yrd_node"], {"openid_provider"}),
        (["openid_relying_party", "openid_provider"], ["openid_provider"], {"openid_provider"}),
        (["openid_relying_party"], ["openid_provider"], set()),
    ],
)
def test_types_that_a_superior_does_not_allow_are_taken_out(
    nearest: list[str] | None, anchor: list[str] | None, left: set[str]
) -> None:
    limits = [None if types is None else {"allowed_entity_types": types} for types in (nearest, anchor)]
    entity = resolve(line(HANGZHOU, said=_limits(*limits)))
    assert set(entity.metadata) == {"federation_entity", *left}
    assert {change.entity_type for change in entity.changes} == METADATA.keys() - entity.metadata.keys()
    assert set(entity.claimed) == set(METADATA)


def test_types_are_taken_out_before_policy_and_after_a_superiors_metadata() -> None:
    """§6.2.3: neither the policy nor the superior's metadata brings a type back."""
    said = {
        "constraints": {"allowed_entity_types": []},
        "metadata": {"openid_provider": {"issuer": HANGZHOU}},
        "policy": {"openid_provider": {"issuer": {"value": HANGZHOU}, "x": {"essential": True}}},
    }
    assert set(resolve(line(HANGZHOU, said=[said])).metadata) == {"federation_entity"}


def test_a_superiors_metadata_is_for_its_immediate_subordinate_only() -> None:
    """§3.1.1: no effect on what is below the subject."""
    said = {"metadata": {"federation_entity": {"policy_uri": "https://zj.example/policy"}}}
    assert "policy_uri" in resolve(line(HANGZHOU, said=[said])).metadata["federation_entity"]
    entity = resolve(line(HANGZHOU, said=[{}, said]))
    assert "policy_uri" not in entity.metadata["federation_entity"]


def test_unknown_constraints_are_passed_over() -> None:
    assert resolve(line(HANGZHOU, said=_limits({"max_cats": 1}, {"x": None}))).changes == ()
