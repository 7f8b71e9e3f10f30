"""Whatever a registry's document holds, and wherever: each value is found again here and in the other provinces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapping.converters import is_encodable, text_of
from mapping.element import Element, Relation
from mapping.translate import Dialect, load_dialect
from tests.mapping.samples import KINDS, PROVINCES, all_codes, document

EXAMPLES = settings().max_examples
tried = settings(
    max_examples=EXAMPLES if EXAMPLES > 100 else 40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""A few examples in `make test`, those of the profile in `make soak`."""
CARRIED = (Relation.UNMAPPED, Relation.INVALID)

odd_texts = st.one_of(
    st.text(st.characters(), min_size=1, max_size=20),  # halves of surrogate pairs included
    st.text(st.characters(categories=["Cc", "Cf", "Co", "Zs"]), min_size=1, max_size=8),
    st.sampled_from(
        ["长期", "None", "null", "{}", "[]", '{"a":1,"a":2}', "男;女", "1-2", "\ud83d", "\udc00\ud800"]
    ),
    st.integers(1, 40_000).map(lambda length: "甲" * length),
)
scalars = st.one_of(
    odd_texts,
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**301),
    st.floats(),
)
junk = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province)


@st.composite
def spoiled(draw: st.DrawFn, province: str) -> tuple[str, dict[str, Any]]:
    """A document as the province writes it, with junk in some fields and beside them, at any depth."""
    kind = draw(st.sampled_from(KINDS))
    whole = opened(
        dialect(province).render_local(kind, document(kind, all_codes, draw(st.integers(0, 2**32))))
    )
    for _ in range(draw(st.integers(1, 4))):
        node = draw(st.sampled_from(list(objects(whole))))
        key = draw(st.one_of(st.sampled_from(sorted(node) or ["x"]), odd_texts))
        node[key] = draw(junk)
    return kind, closed(whole)


class InString(dict[str, Any]):
    """An object that the document holds as JSON in a string."""


class ListInString(list[Any]):
    """A list that the document holds as JSON in a string."""


def opened(value: Any) -> Any:
    """A document with its JSON strings as what is in them, so that they can be spoiled and searched inside."""
    if isinstance(value, dict):
        return {key: opened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [opened(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            inner = opened(json.loads(value))
        except ValueError:
            return value
        return InString(inner) if isinstance(inner, dict) else ListInString(inner)
    return value


def closed(value: Any) -> Any:
    """The opposite of `opened`."""
    if isinstance(value, dict):
        made = {key: closed(inner) for key, inner in value.items()}
        return json.dumps(made) if isinstance(value, InString) else made
    if isinstance(value, list):
        rows = [closed(inner) for inner in value]
        return json.dumps(rows) if isinstance(value, ListInString) else rows
    return value


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from objects(inner)


def scalars_in(value: Any) -> Iterator[Any]:
    """Every value of a document that is one, in JSON strings too. Null and empty texts say nothing."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from scalars_in(inner)
    elif value is not None and value != "":
        yield value


def every(elements: Sequence[Element]) -> Iterator[Element]:
    for element in elements:
        yield element
        for row in element.groups:
            yield from every(row)


def is_found(value: Any, texts: frozenset[str], nested: Sequence[str]) -> bool:
    """As a text of its own, or within the JSON of something that was carried whole."""
    if text_of(value) in texts or (isinstance(value, float) and repr(value) in texts):
        return True
    forms = {text_of(json.dumps(value, ensure_ascii=False)), json.dumps(value), text_of(value)}
    forms |= {json.dumps(form)[1:-1] for form in forms}
    return any(form in text for form in forms for text in nested)


@pytest.mark.parametrize("province", PROVINCES)
@given(st.data())
@tried
def test_every_value_of_a_spoiled_document_is_found_again(province: str, data: st.DataObject) -> None:
    kind, local = data.draw(spoiled(province))
    shared = dialect(province).to_shared(kind, local)
    originals = frozenset(element.original for element in every(shared))
    nested = [text for text in originals if text[:1] in ("{", "[", '"') or "\\" in text]
    for value in scalars_in(opened(local)):
        assert is_found(value, originals, nested), (value, shared)
    assert all(is_encodable(e.name + e.value + e.original) for e in every(shared))
    for other in PROVINCES:
        there = dialect(other).to_local(kind, shared)
        assert [element.original for element in there] == [element.value for element in shared]
        for before, after in zip(every(shared), every(there), strict=True):
            assert after.original == before.value
            if before.relation in CARRIED:
                assert after.value == before.value
                assert after.relation in CARRIED


@pytest.mark.parametrize("province", PROVINCES)
@given(
    st.sampled_from(KINDS),
    st.lists(
        st.tuples(st.sampled_from(["姓名", "性别", "登记日期", "血型"]), odd_texts), min_size=2, max_size=8
    ),
)
def test_elements_of_one_name_all_come_through(province: str, kind: str, said: list[tuple[str, str]]) -> None:
    there = dialect(province).to_local(kind, [Element(name, value) for name, value in said])
    assert [element.original for element in there] == [value for _, value in said]


def test_a_name_said_twice_in_a_json_string_is_not_read_as_one() -> None:
    face = '{"name":"甲","sex":"M","name":"乙"}'
    shared = dialect("320000").to_shared("11100000000013127D001", {"data_fields": face})
    assert any(element.original == face and element.relation is Relation.INVALID for element in shared)
    assert not any(element.name == "姓名" and element.value for element in shared)
