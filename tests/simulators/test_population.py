"""What an integrator may rely on: the same people each time, right numbers, real divisions, papers that are
found.
"""

import tracemalloc
from collections import Counter
from datetime import date
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.codelists import code_lists
from mapping.errors import InvalidIdentifier
from mapping.identifiers import (
    check_certificate_id,
    check_citizen_number,
    check_uscc,
    parse_certificate_id,
    parse_citizen_number,
)
from simulators.divisions import PROVINCES
from simulators.papers import DIVISION_ISSUER, WRONG_CHECK, Paper
from simulators.people import Resident
from simulators.population import Population

POPULATION = Population()
provinces = st.sampled_from(PROVINCES)


def sample(per_province: int) -> list[Resident]:
    return [POPULATION.resident(province, index) for province in PROVINCES for index in range(per_province)]


@pytest.fixture(scope="module")
def papers() -> list[tuple[Resident, Paper]]:
    return [(who, paper) for who in sample(150) for paper in POPULATION.papers_of(who)]


def said(paper: Paper) -> dict[str, str]:
    return {element.name: element.value for element in paper.elements}


@given(province=provinces, index=st.integers(0, 999_999), seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_resident_follows_from_seed_province_and_index(province: str, index: int, seed: int) -> None:
    once, again = (Population(seed, 1_000_000) for _ in range(2))

    who = once.resident(province, index)

    assert again.resident(province, index) == who
    assert once.find_holder("111", who.citizen_number) == who
    assert tuple(once.papers_of(who)) == tuple(again.papers_of(who))
    assert who.synthetic


def test_another_seed_is_another_population() -> None:
    assert (
        Population(1).resident("310000", 0).citizen_number
        != Population(2).resident("310000", 0).citizen_number
    )


def test_a_smaller_population_is_the_beginning_of_a_larger_one() -> None:
    assert Population(residents=50).resident("340000", 7) == Population(residents=1_000_000).resident(
        "340000", 7
    )


def test_no_two_residents_share_a_number() -> None:
    numbers = [who.citizen_number for who in sample(1000)]

    assert len(set(numbers)) == 4000
    for number in numbers:
        check_citizen_number(number)


def test_divisions_were_in_use_when_the_number_was_given() -> None:
    """Numbers were first given in 1984: the division is of that year or, for younger people, of the birth
    month.
    """
    divisions = code_lists().divisions
    current = code_lists().get("division")

    retired = 0
    for who in sample(250):
        assert divisions.at(who.birth_division, max(who.born_on, date(1984, 12, 31)))
        assert parse_citizen_number(who.citizen_number).division == who.birth_division
        retired += who.birth_division not in current
    assert retired > 100


def test_names_have_rare_characters_and_middle_dots() -> None:
    names = [who.name for who in sample(1000)]

    assert any("·" in name for name in names)
    assert any(ord(character) > 0xFFFF for name in names for character in name)


def test_there_are_many_ethnic_groups() -> None:
    groups = Counter(who.ethnic_group for who in sample(500))

    assert groups["01"] > 1500
    assert len(groups) > 20
    assert set(groups) <= set(code_lists().get("ethnic").rows)


def test_papers_lie_in_one_two_and_three_provinces() -> None:
    spread = Counter(len({paper.province for paper in POPULATION.papers_of(who)}) for who in sample(150))

    assert {1, 2, 3} <= set(spread)


def test_a_registry_finds_the_papers_of_other_provinces_residents(
    papers: list[tuple[Resident, Paper]],
) -> None:
    abroad = [(who, paper) for who, paper in papers if paper.province != who.home]

    assert {(who.home, paper.province) for who, paper in abroad} == {
        (home, other) for home in PROVINCES for other in PROVINCES if home != other
    }
    for who, paper in abroad:
        found = POPULATION.papers_in(paper.province, "111", who.citizen_number)
        assert paper in found
        assert all(other.province == paper.province for other in found)
        assert POPULATION.papers_in(paper.province, "111", who.citizen_number, paper.certificate_type) == (
            paper,
        )


def test_a_certificate_is_found_by_its_id_where_it_lies_and_nowhere_else(
    papers: list[tuple[Resident, Paper]],
) -> None:
    for _, paper in islice(papers, 0, None, 7):
        assert POPULATION.paper_in(paper.province, paper.certificate_id) == paper
        elsewhere = next(province for province in PROVINCES if province != paper.province)
        assert POPULATION.paper_in(elsewhere, paper.certificate_id) is None


def test_all_twelve_types_occur_with_the_elements_of_their_type(papers: list[tuple[Resident, Paper]]) -> None:
    kinds = code_lists().kinds
    licence = next(POPULATION.papers_of(POPULATION.organisation("310000", 0)))
    every = [licence, *(paper for _, paper in papers)]

    assert len({paper.certificate_type for paper in every}) == 12
    for paper in every:
        names = [element.name for element in paper.elements]
        missing = set(kinds[paper.certificate_type].elements) - set(names)
        assert set(names) <= set(kinds[paper.certificate_type].elements)
        assert missing <= {"学位"}
        assert paper.synthetic


def test_every_code_is_in_its_list(papers: list[tuple[Resident, Paper]]) -> None:
    lists = code_lists()
    for _, paper in papers:
        rows = [paper.elements, *(row for element in paper.elements for row in element.groups)]
        for element in (element for row in rows for element in row):
            name = lists.elements[element.name].code_list
            assert not name or element.value in lists.get(name), element


def test_most_ids_are_right_and_the_known_faults_are_marked(papers: list[tuple[Resident, Paper]]) -> None:
    faults = Counter(paper.fault for _, paper in papers)

    assert faults[""] > 0.9 * len(papers)
    assert {WRONG_CHECK, DIVISION_ISSUER} <= set(faults)
    for _, paper in papers:
        check_uscc(said(paper)["颁发机构代码"])
        if paper.fault == WRONG_CHECK:
            with pytest.raises(InvalidIdentifier):
                check_certificate_id(paper.certificate_id)
            continue
        authority = parse_certificate_id(paper.certificate_id).authority
        assert (len(authority) == 6) == (paper.fault == DIVISION_ISSUER)


def test_there_are_certificates_that_are_not_valid(papers: list[tuple[Resident, Paper]]) -> None:
    states = Counter(paper.state for _, paper in papers)

    assert states["01"] > 0.8 * len(papers)
    assert set(states) == {"01", "02", "03", "04", "05", "06", "07"}


def test_both_spouses_have_the_same_marriage(papers: list[tuple[Resident, Paper]]) -> None:
    married = [(who, paper) for who, paper in papers if said(paper)["证照名称"] == "结婚证"]

    assert married
    for who, paper in married:
        assert who.spouse is not None
        spouse = POPULATION.resident(who.home, who.spouse)
        theirs = next(p for p in POPULATION.papers_of(spouse) if p.certificate_type == paper.certificate_type)
        assert spouse.spouse == who.index
        assert theirs.elements[13:] == paper.elements[13:]
        assert theirs.province == paper.province


def test_an_enterprise_holds_its_licence_under_its_credit_code() -> None:
    for province in PROVINCES:
        who = POPULATION.organisation(province, 3)
        check_uscc(who.credit_code)
        (licence,) = POPULATION.papers_in(province, "001", who.credit_code)
        assert said(licence)["统一社会信用代码"] == who.credit_code
        assert POPULATION.paper_in(province, licence.certificate_id) == licence


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("111", "330102199001011234"),
        ("111", "110101199001011237"),
        ("111", ""),
        ("001", "91330100MA2AAAAA0X"),
        ("414", "E12345678"),
        ("001", "11330305013303051E"),
    ],
)
def test_a_number_that_is_nobodys_finds_nothing(kind: str, number: str) -> None:
    assert POPULATION.find_holder(kind, number) is None
    assert POPULATION.papers_in("330000", kind, number) == ()


@given(
    st.text(max_size=40)
    | st.from_regex(r"1\.2\.156\.3005\.2\.\w{21}\.\w{18}\.\w{13}\.001\.\w", fullmatch=True)
)
def test_any_text_may_be_asked_for_as_an_id(text: str) -> None:
    assert POPULATION.paper_in("330000", text) is None


@given(st.text(max_size=20))
def test_any_text_may_be_asked_for_as_a_number(text: str) -> None:
    for kind in ("111", "001"):
        assert POPULATION.find_holder(kind, text) is None


def test_who_is_beyond_the_population_is_not_in_it() -> None:
    stranger = Population(residents=2000).resident("330000", 1500)

    assert POPULATION.find_holder("111", stranger.citizen_number) is None
    with pytest.raises(ValueError, match="1500"):
        POPULATION.resident("330000", 1500)


def test_a_million_residents_take_no_more_memory_than_a_thousand() -> None:
    million = Population(residents=1_000_000)
    million.papers_in(
        "330000", "111", million.resident("330000", 0).citizen_number
    )  # the code lists are read
    tracemalloc.start()
    try:
        for index in range(0, 1_000_000, 5_000):
            million.papers_in("330000", "111", million.resident("330000", index).citizen_number)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
