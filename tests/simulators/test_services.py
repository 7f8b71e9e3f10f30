import pytest

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.identifiers import check_service_item_code, parse_service_item_code
from simulators.divisions import PROVINCES
from simulators.services import ServiceCatalogue, catalogue_of

SEED = 20261101


@pytest.fixture(params=PROVINCES)
def catalogue(request: pytest.FixtureRequest) -> ServiceCatalogue:
    return catalogue_of(request.param, SEED)


def test_a_province_offers_more_than_thirty_kinds_of_business(catalogue: ServiceCatalogue) -> None:
    assert len({entry.name for entry in catalogue.entries}) >= 30
    assert len({entry.item_code for entry in catalogue.entries}) == len(catalogue.entries)


def test_codes_have_31_or_33_characters_and_are_right(catalogue: ServiceCatalogue) -> None:
    assert {len(entry.item_code) for entry in catalogue.entries} == {31, 33}
    for entry in catalogue.entries:
        check_service_item_code(entry.item_code)
        said = {element.name: element.value for element in entry.elements}
        assert parse_service_item_code(entry.item_code).item_type == said["事项类型"]


def test_guides_have_every_element_and_only_codes_of_the_lists(catalogue: ServiceCatalogue) -> None:
    lists = code_lists()
    kind = lists.kinds[SERVICE_ITEM]
    for entry in catalogue.entries:
        assert [element.name for element in entry.elements] == list(kind.elements)
        rows = [entry.elements, *(row for element in entry.elements for row in element.groups)]
        for element in (element for row in rows for element in row):
            name = lists.elements[element.name].code_list
            assert not name or element.value in lists.get(name), element
        assert next(element for element in entry.elements if element.name == "申请材料").groups
        assert next(element for element in entry.elements if element.name == "办理地点").groups


def test_provinces_promise_different_days() -> None:
    promises = {
        tuple(
            e.value
            for entry in catalogue_of(p, SEED).entries
            for e in entry.elements
            if e.name == "承诺办结时限"
        )
        for p in PROVINCES
    }
    assert len(promises) == 4


def test_search_by_words_needs_every_word(catalogue: ServiceCatalogue) -> None:
    found, total = catalogue.search(words="居民身份证 换领", page_size=100)

    assert total == len(found) == 3
    assert {entry.name for entry in found} == {"居民身份证换领"}
    assert catalogue.search(words="居民身份证 没有的词") == ((), 0)


def test_search_by_code_and_get_find_the_same(catalogue: ServiceCatalogue) -> None:
    entry = catalogue.entries[5]

    assert catalogue.search(item_code=entry.item_code) == ((entry,), 1)
    assert catalogue.get(entry.item_code) == entry
    assert catalogue.get(entry.item_code[:-1]) is None


def test_search_by_division_holds_what_is_within_it() -> None:
    catalogue = catalogue_of("330000", SEED)
    county = next(entry.division for entry in catalogue.entries if entry.division != "330000")

    found, total = catalogue.search(division=county, page_size=100)
    assert total
    assert {entry.division for entry in found} == {county}
    assert catalogue.search(division="330000")[1] == len(catalogue.entries)
    assert catalogue.search(division="310000") == ((), 0)


def test_pages_follow_on_without_gap_or_repeat(catalogue: ServiceCatalogue) -> None:
    pages = [catalogue.search(page=page, page_size=10) for page in range(1, 13)]

    assert {total for _, total in pages} == {len(catalogue.entries)}
    assert [entry for found, _ in pages for entry in found] == list(catalogue.entries)
