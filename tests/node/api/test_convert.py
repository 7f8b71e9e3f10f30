"""Answers as the API gives them: nothing is lost, and what was translated says so."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import FederationError
from federation.query import ServiceItem
from mapping.element import Element, Relation
from node.api import convert, models
from node.api.problems import from_validation
from node.api.reading import decode_body
from node.api.trace import traceparent_of

DECODER = msgspec.json.Decoder(models.CertificatesQuery)


def item(*elements: Element) -> models.ServiceItemModel:
    return convert._item(ServiceItem("code", "name", elements))


def test_groups_become_lists_of_objects_and_their_translations_say_where() -> None:
    row = (Element("form", "纸质", "1", Relation.EXACT, "form@1"), Element("copies", "2", "2"))
    found = item(Element("title", "x", "x"), Element("materials", "", groups=(row, row)))
    assert found.fields == {"title": "x", "materials": [{"form": "纸质", "copies": "2"}] * 2}
    assert [one.field for one in found.translation] == ["materials[0].form", "materials[1].form"]
    assert found.translation[0] == models.Translation("materials[0].form", "纸质", "1", "exact", "form@1")


def test_what_comes_twice_under_one_name_is_kept_twice() -> None:
    assert item(Element("a", "1", "1"), Element("a", "2", "2"), Element("a", "3", "3")).fields == {
        "a": ["1", "2", "3"]
    }


@pytest.mark.parametrize("relation", [one for one in Relation if one is not Relation.EXACT])
def test_a_value_that_is_not_exact_always_says_so(relation: Relation) -> None:
    [told] = item(Element("a", "1", "1", relation)).translation
    assert (told.relation, told.original) == (relation.word, "1")


JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["province", "holder", "basis", "officer", "id", "id_type", "kind", "x"]), inner
        )
    ),
    max_leaves=12,
)
SECRET = "330106199011020278"


def refusal(body: bytes) -> FederationError | None:
    try:
        decode_body(DECODER, body)
    except FederationError as error:
        return error
    return None


@given(JSON)
def test_any_json_is_a_request_or_a_refusal_that_names_a_field_of_ours(body: object) -> None:
    text = msgspec.json.encode(body).replace(b'"x"', f'"{SECRET}"'.encode())
    error = refusal(text)
    if error is not None:
        assert error.code in ("own.malformed_request", "own.bad_value")
        assert SECRET not in f"{error.detail} {error.field}"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    assert refusal(body) is not None


def test_a_wrong_choice_does_not_come_back_in_the_problem() -> None:
    error = from_validation(msgspec.ValidationError(f"Invalid enum value '{SECRET}' - at `$.basis.kind`"))
    assert (error.code, error.field) == ("own.bad_value", "basis.kind")
    assert SECRET not in error.detail


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize("header", [f"00-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-later"])
def test_a_trace_goes_on_with_a_span_of_its_own(header: str) -> None:
    version, trace, span, flags = traceparent_of(header).split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != SPAN


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01" + "x" * 600,
    ],
)
def test_a_header_that_breaks_the_form_begins_a_new_trace(header: str | None) -> None:
    assert traceparent_of(header).split("-")[1] != TRACE
