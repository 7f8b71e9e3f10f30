# ruff: noqa: E501 - a rule is one line
from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.access import AccessFaults, AccessHolder, AccessPolicy, cut, parse_access
from federation.errors import AccessConsentUnsupported, AccessDenied
from federation.query import Basis, BasisKind, Operation
from mapping.element import Element

ID_CARD, MARRIAGE = "11100000000013127D001", "111000000000131433001"
DUTY = Basis(BasisKind.OFFICIAL_DUTY, service_item_code="ITEM1")

TEXT = f"""\
version = "2026-11-01"
# a comment with a {{ brace
asking = [
  {{ rule = "cards", platform = "portal", province = "330000", operations = ["certificates.query"], certificate_types = ["{ID_CARD}"], fields = ["姓名"], service_items = ["*"], bases = ["official_duty"] }},
  {{ rule = "rest", platform = "portal", province = "*", operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["ITEM1"], bases = ["*"] }},
]
answering = [
  {{ rule = "for-sh", asking = "310000", platform = "*", operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], bases = ["official_duty"] }},
]
"""


def may_ask(policy: AccessPolicy, **other: Any) -> Any:
    wanted: dict[str, Any] = {
        "platform": "portal",
        "province": "330000",
        "operation": Operation.CERTIFICATES_QUERY,
        "basis": DUTY,
        "certificate_type": ID_CARD,
    }
    return policy.may_ask(**(wanted | other))


def test_the_first_rule_that_matches_decides() -> None:
    policy = parse_access(TEXT)
    assert may_ask(policy).rule == "cards"
    assert may_ask(policy).fields == {"姓名"}
    assert may_ask(policy, certificate_type=MARRIAGE).rule == "rest"
    assert may_ask(policy, province="320000").rule == "rest"
    assert may_ask(policy).policy_version == policy.version == "2026-11-01"
    assert policy.digest == hashlib.sha256(TEXT.encode()).digest()


def test_a_query_for_all_types_is_granted_those_of_its_rule() -> None:
    grant = may_ask(parse_access(TEXT), certificate_type="")
    assert grant.rule == "cards"
    assert grant.covers_type(ID_CARD)
    assert not grant.covers_type(MARRIAGE)


@pytest.mark.parametrize(
    "other",
    [
        {"platform": "stranger"},
        {"certificate_type": MARRIAGE, "basis": Basis(BasisKind.OFFICIAL_DUTY, service_item_code="ITEM2")},
        {"operation": Operation.SERVICES_GET, "basis": Basis(BasisKind.OFFICIAL_DUTY)},
    ],
)
def test_what_no_rule_lets_through_is_denied(other: dict[str, Any]) -> None:
    with pytest.raises(AccessDenied):
        may_ask(parse_access(TEXT), **other)


def test_an_empty_policy_denies_both_directions() -> None:
    policy = parse_access('version = "1"')
    with pytest.raises(AccessDenied):
        may_ask(policy)
    with pytest.raises(AccessDenied):
        policy.may_answer(asking="310000", platform="p", operation=Operation.NODE_STATE, basis=DUTY)


def test_the_answering_side_looks_at_the_asking_province() -> None:
    policy = parse_access(TEXT)
    grant = policy.may_answer(asking="310000", platform="any", operation=Operation.NODE_STATE, basis=DUTY)
    assert grant.rule == "for-sh"
    with pytest.raises(AccessDenied):
        policy.may_answer(asking="320000", platform="any", operation=Operation.NODE_STATE, basis=DUTY)


@pytest.mark.parametrize("kind", [BasisKind.HOLDERS_CONSENT, BasisKind.DELEGATED_CONSENT])
def test_a_consent_is_a_basis_where_a_rule_names_it_and_only_for_certificates(kind: BasisKind) -> None:
    policy, basis = parse_access(TEXT), Basis(kind, service_item_code="ITEM1")
    assert may_ask(policy, basis=basis).rule == "rest"
    with pytest.raises(AccessConsentUnsupported):
        may_ask(policy, basis=basis, operation=Operation.SERVICES_GET)
    with pytest.raises(AccessDenied):
        policy.may_answer(
            asking="310000", platform="any", operation=Operation.CERTIFICATES_QUERY, basis=basis
        )


def test_consents_that_the_asking_node_issued_itself_are_taken_by_a_rule_that_says_so() -> None:
    assert not may_ask(parse_access(TEXT)).own_consents
    rule = 'bases = ["*"]'
    assert may_ask(
        parse_access(TEXT.replace(rule, f"{rule}, own_consents = true")), certificate_type=MARRIAGE
    ).own_consents
    with pytest.raises(AccessFaults) as caught:
        parse_access(TEXT.replace(rule, f'{rule}, own_consents = "yes"'))
    assert [(fault.line, fault.key) for fault in caught.value.faults] == [(5, "own_consents")]


def test_a_grant_is_narrowed_to_what_a_consent_covers_and_never_widened() -> None:
    grant = may_ask(parse_access(TEXT))
    narrowed = grant.narrowed([ID_CARD, MARRIAGE], ["姓名", "住址"], ("111", "n"))
    assert (narrowed.types, narrowed.fields, narrowed.holder) == ({ID_CARD}, {"姓名"}, ("111", "n"))
    assert grant.narrowed([ID_CARD], None, None).fields == {"姓名"}
    every = may_ask(parse_access(TEXT), certificate_type=MARRIAGE).narrowed([MARRIAGE], ["登记日期"], None)
    assert (every.types, every.fields) == ({MARRIAGE}, {"登记日期"})


def test_all_faults_are_reported_together_each_with_its_line() -> None:
    text = """\
version = 3
extra = 1
asking = [
  { rule = "a", platform = "p*", province = "33", operations = ["certificates.steal"], certificate_types = ["*", "x"], fields = [], service_items = ["1110*"], bases = ["curiosity"] },
  # between { the rules
  { rule = "a", platform = "p", province = "*", operations = ["*"], certificate_types = ["*"], fields = ["*"], service_items = ["*"], colour = "red" },
]
answering = "all"
"""
    with pytest.raises(AccessFaults) as caught:
        parse_access(text)
    found = {(fault.line, fault.key) for fault in caught.value.faults}
    assert found == {
        (0, "version"),
        (0, "extra"),
        (0, "answering"),
        *((4, key) for key in ("platform", "province", "operations", "certificate_types", "fields")),
        *((4, key) for key in ("service_items", "bases")),
        *((6, key) for key in ("bases", "colour", "rule")),
    }


def test_rules_as_array_of_tables_have_lines_too() -> None:
    with pytest.raises(AccessFaults) as caught:
        parse_access('version = "1"\n\n[[asking]]\nrule = "a"\n\n[[answering]]\nrule = 7\n')
    assert {fault.line for fault in caught.value.faults} == {3, 6}


def test_text_that_is_no_toml_is_a_fault_on_its_line() -> None:
    with pytest.raises(AccessFaults) as caught:
        parse_access('version = "1"\nasking = [\n  { rule = }\n]\n')
    assert [fault.line for fault in caught.value.faults] == [3]


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_faults(text: str) -> None:
    with contextlib.suppress(AccessFaults):
        parse_access(text)


def test_a_policy_is_swapped_whole() -> None:
    holder = AccessHolder(parse_access(TEXT))
    held = holder.current
    holder.swap(parse_access('version = "2"'))
    assert held.version == "2026-11-01"
    assert holder.current.version == "2"


@given(st.lists(st.sampled_from("甲乙丙丁")), st.frozensets(st.sampled_from("甲乙丙丁")))
def test_cut_leaves_only_granted_fields_in_order(names: list[str], fields: frozenset[str]) -> None:
    elements = tuple(Element(name, str(place)) for place, name in enumerate(names))
    assert cut(elements, fields) == tuple(e for e in elements if e.name in fields)
    assert cut(elements, None) == elements
