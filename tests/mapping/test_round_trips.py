"""Local → shared → local: for every kind, every dialect and every ordered pair of provinces."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapping.converters import is_encodable
from mapping.element import Element, Relation
from mapping.translate import Dialect, load_dialect
from tests.mapping.samples import CERTIFICATES, KINDS, LISTS, PROVINCES, Codes, all_codes, document, plain
from tests.mapping.test_converters import hostile

EXACT = Relation.EXACT
seeds = st.integers(0, 2**32)

# Shared codes for which a province has no code that means just this; see its maps.
LOSSY: dict[str, dict[str, set[str]]] = {
    "310000": {},
    "320000": {
        "marital": {"21", "23"},
        "education": set(LISTS.get("education").rows) - {"10", "20", "30", "70", "80"},
        "ethnic": {"56"},
        "holder_id_type": set(LISTS.get("holder_id_type").rows)
        - {"001", "099", "111", "411", "412", "413", "414", "511", "516", "999"},
    },
    "330000": {},
    "340000": {
        "education": {"63", "80"},
        "holder_id_type": set(LISTS.get("holder_id_type").rows)
        - {"001", "099", "111", "414", "511", "516", "999"},
    },
}


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province)


def exact_codes(province: str) -> Codes:
    """The codes of a list that the province can say exactly."""
    lossy = LOSSY[province]
    return lambda name: [code for code in all_codes(name) if code not in lossy.get(name, ())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("province", PROVINCES)
@given(seeds)
@settings(max_examples=15)
def test_a_rendered_document_reads_as_what_it_was_made_of(province: str, kind: str, seed: int) -> None:
    own, elements = dialect(province), document(kind, exact_codes(province), seed)
    local = own.render_local(kind, elements)
    read = own.to_shared(kind, local)
    assert plain(read) == plain(elements)
    # A place of birth is read on the day of birth, on which it may not have been there yet.
    assert {element.relation for element in read if element.name != "出生地"} == {EXACT}
    assert own.to_shared(kind, own.render_local(kind, read)) == read
    if kind in CERTIFICATES:
        assert own.document_kind(local) == kind
        assert own.document_id(local) == next(e.value for e in elements if e.name == "证照标识")


@pytest.mark.parametrize(("source", "target"), list(permutations(PROVINCES, 2)))
@given(st.sampled_from(KINDS), seeds)
@settings(max_examples=25)
def test_between_two_provinces_nothing_is_lost_or_wrong(
    source: str, target: str, kind: str, seed: int
) -> None:
    here, there = dialect(source), dialect(target)
    shared = here.to_shared(kind, here.render_local(kind, document(kind, all_codes, seed)))
    local = there.to_local(kind, shared)
    assert len(local) == len(shared)
    for before, after in zip(shared, local, strict=True):
        assert after.name == there.field_name(kind, before.name)
        assert after.original == before.value
        assert len(after.groups) == len(before.groups)
    # What is said to be exact on the whole way reads, over there, as what it was over here.
    kept = [b for b, a in zip(shared, local, strict=True) if b.relation is EXACT and a.relation is EXACT]
    read = {element.name: element for element in there.to_shared(kind, there.render_local(kind, kept))}
    assert all(read[element.name].value == element.value for element in kept)


@given(st.dictionaries(st.text(st.characters(), max_size=12), hostile, max_size=6), st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("province", PROVINCES)
def test_no_document_makes_a_translation_raise(province: str, strange: dict[str, Any], data: Any) -> None:
    own = dialect(province)
    kind = data.draw(st.sampled_from(KINDS))
    known = data.draw(st.dictionaries(st.sampled_from(local_keys(own, kind)), hostile, max_size=6))
    shared = own.to_shared(kind, strange | known)
    for element in shared:
        assert is_encodable(element.name + element.value + element.original)
    for other in PROVINCES:
        local = dialect(other).to_local(kind, shared)
        assert len(local) == len(shared)
        dialect(other).render_local(kind, shared)


@given(
    st.lists(
        st.builds(
            Element,
            st.one_of(st.text(max_size=5), st.sampled_from(sorted(LISTS.elements))),
            st.text(st.characters(), max_size=12),
            st.text(max_size=5),
            st.sampled_from(Relation),
            st.text(max_size=5),
            st.lists(
                st.lists(st.builds(Element, st.text(), st.text()), max_size=2).map(tuple), max_size=2
            ).map(tuple),
        ),
        max_size=6,
    ),
    st.sampled_from(KINDS),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("province", PROVINCES)
def test_no_answer_of_a_peer_makes_a_translation_raise(
    province: str, elements: list[Element], kind: str
) -> None:
    local = dialect(province).to_local(kind, elements)
    assert [element.original for element in local] == [element.value for element in elements]
    assert isinstance(dialect(province).render_local(kind, elements), dict)


def local_keys(own: Dialect, kind: str) -> list[str]:
    """Keys that the dialect's own documents of the kind have at the top, and some that it has elsewhere."""
    names = [own.field_name(kind, element) for element in LISTS.kinds[kind].elements]
    return [*names, "data_fields", "certInfo", "holder", "guide"]
