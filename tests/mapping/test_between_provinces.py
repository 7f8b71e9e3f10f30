"""Between two provinces, for a thousand synthetic residents: nothing disappears, nothing is wrong, loss is marked.

Each of them between every ordered pair, with every certificate that they have. In `make soak` so many more residents
that each pair sees a thousand certificates of each type, the rare ones too.

What a value must become is written down in `written_by_hand`, from what is known about the resident. So a table
that is wrong in both directions is found too.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from hypothesis import settings

from mapping.codelists import SERVICE_ITEM
from mapping.element import Element, Relation
from mapping.translate import Dialect, load_dialect
from simulators.papers import Paper
from simulators.people import Organisation, Resident
from simulators.population import Population
from simulators.services import catalogue_of
from tests.mapping.samples import CERTIFICATES, PROVINCES
from tests.mapping.written_by_hand import Word, word_for

RESIDENTS = 1000
EACH_TYPE = RESIDENTS if settings().max_examples > 100 else 0
POPULATION = Population(residents=100_000)
CARRIED = (Relation.UNMAPPED, Relation.INVALID)
LISTS_OF_ROWS = ("家庭成员", "申请材料", "办理地点", "收费项目")


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province)


@cache
def papers() -> tuple[Paper, ...]:
    """Every certificate of a thousand residents, a quarter of them from each province, and of their enterprises;
    then those of others, until there are EACH_TYPE of each type.
    """
    found: list[Paper] = []
    of_type = Counter(dict.fromkeys(CERTIFICATES, 0))
    index, first = 0, RESIDENTS // len(PROVINCES)
    while index < first or min(of_type.values()) < EACH_TYPE:
        for paper in itertools.chain.from_iterable(map(POPULATION.papers_of, holders(index))):
            if index < first or of_type[paper.certificate_type] < EACH_TYPE:
                of_type[paper.certificate_type] += 1
                found.append(paper)
        index += 1
    return tuple(found)


def holders(index: int) -> Iterator[Resident | Organisation]:
    """A resident of each province, and an enterprise for every ten."""
    for home in PROVINCES:
        yield POPULATION.resident(home, index)
        if index % 10 == 0:
            yield POPULATION.organisation(home, index // 10)


@pytest.mark.parametrize("source", PROVINCES)
def test_a_thousand_residents_between_every_pair_of_provinces(source: str) -> None:
    compared: Counter[str] = Counter()
    for paper in papers():
        compared[paper.certificate_type] += follow(source, paper.certificate_type, paper.elements)
    assert set(compared) == set(CERTIFICATES)
    assert min(compared.values()) > 20 * 3 * 10


@pytest.mark.parametrize("source", PROVINCES)
def test_service_items_between_every_pair_of_provinces(source: str) -> None:
    entries = [entry for home in PROVINCES for entry in catalogue_of(home, POPULATION.seed).entries]
    assert sum(follow(source, SERVICE_ITEM, entry.elements) for entry in entries) > 10_000


def follow(source: str, kind: str, facts: Sequence[Element]) -> int:
    """Facts as the source's registry has them, in shared words, and in the other three's; how many values."""
    document = dialect(source).render_local(kind, facts)
    shared = dialect(source).to_shared(kind, document)
    told = {element.name: element for element in shared}
    assert told.keys() == {fact.name for fact in facts}
    assert len(told) == len(shared)
    assert set(leaves(document)) <= {leaf for element in every(shared) for leaf in leaves(element.original)}
    compared = sum(compare_source(source, kind, fact, told[fact.name]) for fact in facts)
    for target in PROVINCES:
        if target != source:
            local = dialect(target).to_local(kind, shared)
            compared += compare_target(target, kind, shared, local)
            assert [element.name for element in local] == [
                dialect(target).field_name(kind, element.name) for element in shared
            ]
    return compared


def compare_source(source: str, kind: str, fact: Element, told: Element) -> int:
    """The registry wrote what the oracle says, and it was read as the oracle says."""
    if fact.name in LISTS_OF_ROWS:
        assert len(fact.groups) == len(told.groups), fact.name
        return sum(
            compare_source(source, kind, known, read)
            for row, row_told in zip(fact.groups, told.groups, strict=True)
            for known, read in pairs(row, row_told)
        )
    word = word_for(source, kind, fact.name, fact.value)
    assert told.original == str(word.raw) or (word.within and str(word.raw) in told.original), (fact, told)
    assert (told.value, told.relation) == (word.means, word.read), (source, fact, told)
    return 1


def compare_target(target: str, kind: str, shared: Sequence[Element], local: Sequence[Element]) -> int:
    """Each shared value stands in the other province's words, as the oracle says, beside its original."""
    compared = 0
    for before, after in zip(shared, local, strict=True):
        assert after.original == before.value
        if before.name in LISTS_OF_ROWS:
            for row, row_after in zip(before.groups, after.groups, strict=True):
                compared += compare_target(target, kind, row, row_after)
        elif before.relation in CARRIED:
            assert (after.value, after.relation) == (before.value, before.relation), (target, before, after)
            compared += 1
        else:
            word: Word = word_for(target, kind, before.name, before.value)
            assert (after.value, after.relation) == (str(word.raw), word.written), (target, before, after)
            compared += 1
    return compared


def leaves(document: object) -> Iterator[str]:
    """Every value of a document as text; objects in a string are looked into."""
    if isinstance(document, str) and document[:1] in ("{", "["):
        document = json.loads(document)
    if isinstance(document, dict | list):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from leaves(inner)
    else:
        yield str(document)


def every(elements: Sequence[Element]) -> Iterator[Element]:
    """Elements, and those in their rows."""
    for element in elements:
        yield element
        for row in element.groups:
            yield from every(row)


def pairs(facts: Sequence[Element], told: Sequence[Element]) -> Iterator[tuple[Element, Element]]:
    """Facts and what was read of them, by name; both have the same names."""
    read = {element.name: element for element in told}
    assert read.keys() == {fact.name for fact in facts}
    return ((fact, read[fact.name]) for fact in facts)
