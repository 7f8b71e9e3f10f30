from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from federation.face import differing_names, face_digest
from mapping.element import Element

FACE = (Element("证照名称", "结婚证"), Element("姓名", "王芳"), Element("证照状态", "01"))

_elements = st.lists(
    st.builds(Element, st.text("甲乙丙丁戊己", min_size=1, max_size=3), st.text(max_size=5)),
    unique_by=lambda element: element.name,
    max_size=6,
)


def test_the_digest_is_that_of_the_sorted_names_and_values() -> None:
    text = "姓名\x1f王芳\x1e证照名称\x1f结婚证\x1e"
    assert face_digest(FACE) == hashlib.sha256(text.encode()).digest()


def test_the_state_and_the_digest_are_no_part_of_the_face() -> None:
    other = (*FACE[:2], Element("证照状态", "04"), Element("证照摘要", "abc"))
    assert face_digest(other) == face_digest(FACE)
    assert differing_names(other, FACE) == ()


@given(_elements, st.randoms())
def test_the_order_of_fields_does_not_matter(elements: list[Element], random: object) -> None:
    mixed = list(elements)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert face_digest(mixed) == face_digest(elements)


@given(_elements, st.data())
def test_a_changed_value_changes_the_digest_and_is_named(
    elements: list[Element], data: st.DataObject
) -> None:
    if not elements:
        return
    place = data.draw(st.integers(0, len(elements) - 1))
    altered = list(elements)
    altered[place] = Element(elements[place].name, elements[place].value + "x")
    assert face_digest(altered) != face_digest(elements)
    assert differing_names(altered, elements) == (elements[place].name,)


def test_what_was_not_presented_does_not_differ_and_what_is_not_held_does() -> None:
    assert differing_names([Element("姓名", " 王芳 ")], FACE) == ()
    assert differing_names([Element("住址", "西湖区")], FACE) == ("住址",)
