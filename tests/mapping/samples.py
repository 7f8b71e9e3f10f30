"""Shared elements of every kind of document, made from a seed, for the round trips; and strategies for values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from random import Random

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
Codes = Callable[[str], Sequence[str]]

# What JSON text can hold, a sender of UTF-8 can send, and anybody can read: no private use.
texts = st.text(st.characters(exclude_categories=["Cs", "Co"]), min_size=1, max_size=30)
days = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31)).map(date.isoformat)
numbers = st.one_of(
    st.integers(0, 10**12).map(str),
    st.integers(1, 10**8).map(lambda n: f"{n // 100}.{n % 100:02d}".rstrip("0").rstrip(".")),
)

_CHARACTERS = "甲乙丙丁(一)·𠮷㛃 aZ09-/\"'\\{}[]:,\n\t\x00éß"
_DIVISIONS_OF_TODAY = ("310101", "320102", "330106", "340100", "110000")
_DIVISIONS = ("310101", "320705", "330103", "341400", "340100")


def _text(random: Random) -> str:
    return "".join(random.choices(_CHARACTERS, k=random.randint(1, 12)))


def _day(random: Random) -> str:
    return (date(1900, 1, 1) + timedelta(days=random.randrange(73_000))).isoformat()


def _digits(random: Random, length: int) -> str:
    return "".join(random.choices("0123456789", k=length))


def _authority(random: Random) -> str:
    return make_uscc("1", "1", random.choice(_DIVISIONS), _digits(random, 8))


def _citizen(random: Random) -> str:
    return make_citizen_number(
        random.choice(_DIVISIONS), date.fromisoformat(_day(random)), random.randrange(1000)
    )


_MAKERS: dict[str, Callable[[Random], str]] = {
    "text": _text,
    "date": _day,
    "date_or_long": lambda random: random.choice(("长期", _day(random))),
    "number": lambda random: random.choice(("0", "89.5", "0.25", str(random.randint(1, 10**12)))),
    "citizen_number": _citizen,
    "uscc": _authority,
    "division": lambda random: random.choice(_DIVISIONS_OF_TODAY),
    "certificate_id": lambda random: make_certificate_id(
        "11100000000013338W011", _authority(random), _digits(random, 11)
    ),
    "service_item_code": lambda random: make_service_item_code(
        _authority(random), random.choice("123456"), _digits(random, 12), random.choice(("", "01"))
    ),
}


def document(kind: str, codes: Codes, seed: int) -> tuple[Element, ...]:
    """All shared elements of a kind; codes of a list are among those that `codes` gives for it."""
    random, described = Random(seed), LISTS.kinds[kind]

    def element(name: str) -> Element:
        if name in described.groups:
            rows = [tuple(map(element, described.groups[name])) for _ in range(random.randint(0, 2))]
            return Element(name, "", groups=tuple(rows))
        rule = LISTS.elements[name]
        if name == "证照类型代码":
            return Element(name, kind)
        if rule.code_list:
            return Element(name, random.choice(codes(rule.code_list)))
        return Element(name, _MAKERS[rule.type](random))

    return tuple(map(element, described.elements))


@cache
def all_codes(list_name: str) -> Sequence[str]:
    """Every code of a shared list."""
    return sorted(LISTS.get(list_name).rows)


Plain = list[tuple[str, str, list["Plain"]]]


def plain(elements: Sequence[Element]) -> Plain:
    """Names and values only, in a comparable order."""
    return sorted((e.name, e.value, [plain(row) for row in e.groups]) for e in elements)
