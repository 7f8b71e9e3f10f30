"""Identifiers: published examples, made-up ones that hold, and everything else refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import identifiers as ids
from mapping.errors import InvalidIdentifier

CERTIFICATE_ID = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"


def test_the_example_of_gb_11643() -> None:
    parsed = ids.parse_citizen_number("11010519491231002X")
    assert (parsed.division, parsed.born_on, parsed.sequence, parsed.sex) == (
        "110105",
        date(1949, 12, 31),
        2,
        "2",
    )
    assert parsed.kind is ids.IdentityKind.CITIZEN


def test_a_man_of_gb_11643_born_in_1880() -> None:
    parsed = ids.parse_citizen_number("440524188001010014")
    assert (parsed.born_on, parsed.sex) == (date(1880, 1, 1), "1")


@pytest.mark.parametrize(
    ("division", "kind"),
    [
        ("810000", ids.IdentityKind.HONG_KONG),
        ("820000", ids.IdentityKind.MACAU),
        ("830000", ids.IdentityKind.TAIWAN),
    ],
)
def test_residence_permits_have_a_division_of_their_own(division: str, kind: ids.IdentityKind) -> None:
    assert ids.parse_citizen_number(ids.make_citizen_number(division, date(1990, 5, 6), 7)).kind is kind


def test_the_foreign_permanent_resident_card_of_2023_names_a_nationality() -> None:
    parsed = ids.parse_citizen_number(ids.make_citizen_number("931840", date(1981, 2, 3), 15))
    assert (parsed.kind, parsed.nationality, parsed.division) == (ids.IdentityKind.FOREIGN, "840", "")


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("110105194912310021", "check"),
        ("11010519491231002x", "form"),
        ("110105491231002", "form"),
        ("110105194902310020", "date"),
        ("110105194913310020", "date"),
        ("01010519491231002X", "form"),
        ("１１010519491231002X", "form"),
        ("11010519491231002X\n", "form"),
        ("", "form"),
    ],
)
def test_a_wrong_citizen_number_is_refused(number: str, rule: str) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        ids.check_citizen_number(number)
    assert refused.value.rule == rule
    assert not number or number not in refused.value.detail


@given(st.dates(min_value=date(1000, 1, 1)), st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_one_changed_digit_of_a_citizen_number_is_noticed(
    born_on: date, sequence: int, place: int, step: int
) -> None:
    number = ids.make_citizen_number("310101", born_on, sequence)
    ids.check_citizen_number(number)
    changed = number[:place] + str((int(number[place]) + step) % 10) + number[place + 1 :]
    with pytest.raises(InvalidIdentifier):
        ids.check_citizen_number(changed)


def test_the_example_of_gb_11714() -> None:
    ids.check_organisation_code("D2143569X")
    assert ids.make_organisation_code("D2143569") == "D2143569X"


@pytest.mark.parametrize("code", ["D21435690", "D2143569", "d2143569X", "D2143569-X"])
def test_a_wrong_organisation_code_is_refused(code: str) -> None:
    with pytest.raises(InvalidIdentifier):
        ids.check_organisation_code(code)


def test_the_example_of_gb_32100() -> None:
    parsed = ids.parse_uscc("91350100M000100Y43")
    assert (parsed.department, parsed.category, parsed.division, parsed.organisation) == (
        "9",
        "1",
        "350100",
        "M000100Y4",
    )


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("91350100M000100Y44", "check"),
        ("91350100M000100Y4O", "form"),
        ("91350100I000100Y43", "form"),
        ("9135010XM000100Y43", "form"),
        ("", "form"),
    ],
)
def test_a_wrong_credit_code_is_refused(code: str, rule: str) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        ids.check_uscc(code)
    assert refused.value.rule == rule


def test_a_credit_code_with_a_wrong_organisation_code_inside_is_refused() -> None:
    # 91350100M000100Y5 with a fitting outer check character: computed by hand with the weights 3^i mod 31.
    alphabet, body = "0123456789ABCDEFGHJKLMNPQRTUWXY", "91350100M000100Y5"
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    total = sum(alphabet.index(c) * w for c, w in zip(body, weights, strict=True))
    with pytest.raises(InvalidIdentifier) as refused:
        ids.check_uscc(body + alphabet[(31 - total % 31) % 31])
    assert refused.value.rule == "organisation"


def test_a_real_certificate_id() -> None:
    parsed = ids.parse_certificate_id(CERTIFICATE_ID)
    assert parsed.certificate_type == "11100000000013338W011"
    assert (parsed.authority, parsed.serial, parsed.version) == ("11430000006122244L", "20230000403", "001")
    assert parsed.advice == ()
    assert (
        ids.make_certificate_id("11100000000013338W011", "11430000006122244L", "20230000403")
        == CERTIFICATE_ID
    )


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (CERTIFICATE_ID[:-1] + "V", "check"),
        (CERTIFICATE_ID.replace("20230000403", "20230000404"), "check"),
        (CERTIFICATE_ID.replace("3005.2", "3005.3"), "form"),
        (CERTIFICATE_ID.lower(), "form"),
        (CERTIFICATE_ID + "\n", "form"),
        ("", "form"),
    ],
)
def test_a_wrong_certificate_id_is_refused(value: str, rule: str) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        ids.check_certificate_id(value)
    assert refused.value.rule == rule


def test_a_division_in_place_of_the_authority_is_reported_not_refused() -> None:
    value = ids.make_certificate_id("11100000000013338W001", "340100", "2022000001")
    assert ids.parse_certificate_id(value).advice == (
        "authority: a division code in place of a unified social credit code",
    )


@pytest.mark.parametrize(
    "code",
    [
        "11100000000013127D001",
        "111000000000131433001",
        "11100000MB0143028R001",
        "11100000MB03271699001",
        "11100000MB03271699022",
        "11100000000013338W001",
        "11100000000013338W011",
        "11100000000013338W032",
    ],
)
def test_certificate_types_seen_in_real_systems(code: str) -> None:
    assert ids.parse_certificate_type(code).serial == code[18:]


def test_a_real_service_item_code_of_shanghai() -> None:
    parsed = ids.parse_service_item_code("1131000068735121X0231010032700001")
    assert (parsed.authority, parsed.level, parsed.area, parsed.item_type) == (
        "1131000068735121X0",
        "2",
        "31",
        "01",
    )
    assert (parsed.main, parsed.sub, parsed.handling) == ("00327", "000", "01")


@pytest.mark.parametrize("cut", [30, 32, 34])
def test_a_service_item_code_of_another_length_is_refused(cut: int) -> None:
    with pytest.raises(InvalidIdentifier):
        ids.check_service_item_code("1131000068735121X02310100327000012"[:cut])


@pytest.mark.parametrize(
    ("check", "value", "position", "expected", "found"),
    [
        (ids.check_organisation_code, "D21435690", 9, "X", "0"),
        (ids.check_uscc, "91350100M000100Y44", 18, "3", "4"),
        (
            ids.check_uscc,
            "91350100I000100Y43",
            9,
            "a digit or a capital letter but I, O, S, V, Z",
            "I",
        ),
        (ids.check_certificate_id, CERTIFICATE_ID[:-1] + "V", len(CERTIFICATE_ID), "U", "V"),
        (ids.check_certificate_id, CERTIFICATE_ID.replace("3005", "3006"), 1, "1.2.156.3005.2.", ""),
        (ids.check_certificate_id, CERTIFICATE_ID.replace("W011", "W0"), 16, "a type of 21 characters", ""),
        (
            ids.check_certificate_id,
            CERTIFICATE_ID.replace(".001.", ".1."),
            69,
            "a version of three digits",
            "",
        ),
        (ids.check_certificate_id, CERTIFICATE_ID[:-2], 0, "five parts", "4 parts"),
        (ids.check_service_item_code, "1131000068735121X02310100327A", 0, "31 characters", "29 characters"),
        (ids.check_service_item_code, "1131000068735121X023101003270000A", 33, "a digit", "A"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    check: Callable[[str], object], value: str, position: int, expected: str, found: str
) -> None:
    with pytest.raises(InvalidIdentifier) as refused:
        check(value)
    error = refused.value
    assert (error.position, error.expected, error.found) == (position, expected, found)
    assert expected in str(error)
    assert value not in str(error)


@pytest.mark.parametrize(
    ("kind", "value", "good"),
    [
        ("111", "11010519491231002X", True),
        ("111", "110105194912310021", False),
        ("001", "91350100M000100Y43", True),
        ("001", "11010519491231002X", False),
        ("414", "E12345678", True),
        ("516", " ", False),
    ],
)
def test_a_holders_number_is_checked_by_its_type(kind: str, value: str, good: bool) -> None:
    if good:
        ids.check_holder_id(kind, value)
    else:
        with pytest.raises(InvalidIdentifier):
            ids.check_holder_id(kind, value)


@given(st.one_of(st.text(), st.text("0123456789X", min_size=17, max_size=19)))
@pytest.mark.parametrize(
    "check",
    [
        ids.check_citizen_number,
        ids.check_uscc,
        ids.check_organisation_code,
        ids.check_certificate_type,
        ids.check_certificate_id,
        ids.check_service_item_code,
    ],
)
def test_any_text_is_right_or_refused(check: Callable[[str], object], value: str) -> None:
    with contextlib.suppress(InvalidIdentifier):
        check(value)
