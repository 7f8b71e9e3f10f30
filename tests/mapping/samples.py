"""Strategies for the shared elements of every kind of document, for the round trips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from hypothesis import strategies as st

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.element import Element
from mapping.identifiers import (
    make_certificate_id,
    make_citizen_number,
    make_service_item_code,
    make_uscc,
)

PROVINCES = ("310000", "320000", "330000", "340000")
LISTS = code_lists()
KINDS = tuple(LISTS.kinds)
CERTIFICATES = tuple(kind for kind in KINDS if kind != SERVICE_ITEM)

# What JSON text can hold, and a sender of UTF-8 can send.
texts = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=30)
days = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31)).map(date.isoformat)
authorities = st.builds(
    make_uscc,
    st.just("1"),
    st.just("1"),
    st.sampled_from(("310101", "320100", "330106", "340100")),
    st.text("0123456789", min_size=8, max_size=8),
)
citizen_numbers = st.builds(
    make_citizen_number,
    st.sampled_from(("310101", "320705", "330103", "341400")),
    st.dates(min_value=date(1900, 1, 1), max_value=date(2026, 1, 1)),
    st.integers(0, 999),
)
numbers = st.one_of(
    st.integers(0, 10**12).map(str),
    st.decimals(min_value=0, max_value=10**6, places=2, allow_nan=False).map(
        lambda d: f"{d:.2f}".rstrip("0").rstrip(".")
    ),
)


def values(element: str, *, exact: Callable[[str], Sequence[str]]) -> st.SearchStrategy[str]:
    """Any shared value of an element; of a code list only those that `exact` lets through."""
    kind = LISTS.elements[element].type
    if kind.startswith("code:"):
        return st.sampled_from(sorted(exact(kind.removeprefix("code:"))))
    by_type: dict[str, st.SearchStrategy[str]] = {
        "text": texts,
        "date": days,
        "date_or_long": st.one_of(days, st.just("长期")),
        "number": numbers,
        "citizen_number": citizen_numbers,
        "uscc": authorities,
        "division": st.sampled_from(("310101", "320705", "330103", "340100", "310101013", "110000")),
        "certificate_id": st.builds(
            make_certificate_id,
            st.just("11100000000013338W011"),
            authorities,
            st.text("0123456789ABC", min_size=1, max_size=20),
            st.just("001"),
        ),
        "service_item_code": st.builds(
            make_service_item_code,
            authorities,
            st.sampled_from("123456"),
            st.text("0123456789", min_size=12, max_size=12),
            st.sampled_from(("", "01")),
        ),
    }
    return by_type[kind]


@st.composite
def documents(draw: st.DrawFn, kind: str, exact: Callable[[str], Sequence[str]]) -> tuple[Element, ...]:
    """All shared elements of a kind with drawn values."""
    described = LISTS.kinds[kind]
    elements = []
    for name in described.elements:
        if name in described.groups:
            rows = [
                tuple(Element(inner, draw(values(inner, exact=exact))) for inner in described.groups[name])
                for _ in range(draw(st.integers(0, 2)))
            ]
            elements.append(Element(name, "", groups=tuple(rows)))
        elif name == "证照类型代码":
            elements.append(Element(name, kind))
        else:
            elements.append(Element(name, draw(values(name, exact=exact))))
    return tuple(elements)


Plain = list[tuple[str, str, list["Plain"]]]


def plain(elements: Sequence[Element]) -> Plain:
    """Names and values only, in a comparable order."""
    return sorted((e.name, e.value, [plain(row) for row in e.groups]) for e in elements)
