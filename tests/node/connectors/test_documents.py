"""Documents in a registry's answer: whatever it says, they are found or refused, and no value is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import RegistryBadAnswer
from federation.ports import RegistryAnswer
from node.connectors.documents import read_answer
from node.connectors.settings import AnswerTest, HttpOperation, JsonPath

DOCUMENT = {"name": "王芳"}


def operation(documents: str, **more: Any) -> HttpOperation:
    return HttpOperation("POST", "/", JsonPath.parse(documents), **more)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", [DOCUMENT]),
        ("", DOCUMENT),
        ("data.list", {"data": {"list": [DOCUMENT]}}),
        ("data|json.list", {"data": json.dumps({"list": [DOCUMENT]})}),
        ("data.0.list", {"data": [{"list": [DOCUMENT]}]}),
    ],
)
def test_documents_are_found(path: str, body: Any) -> None:
    assert read_answer(operation(path), body).documents == (DOCUMENT,)


@pytest.mark.parametrize(
    ("path", "body"), [("", []), ("", None), ("data.list", {"data": None}), ("data|json", {"data": ""})]
)
def test_nothing_is_an_empty_answer(path: str, body: Any) -> None:
    assert read_answer(operation(path), body) == RegistryAnswer()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("data", {"other": 1}),
        ("data", []),
        ("data", {"data": "330106199011020278"}),
        ("data", {"data": ["330106199011020278"]}),
        ("data|json", {"data": "{330106199011020278"}),
        ("data|json", {"data": 5}),
        ("data.5", {"data": [1]}),
    ],
)
def test_what_does_not_fit_is_refused_without_its_value(path: str, body: Any) -> None:
    with pytest.raises(RegistryBadAnswer) as raised:
        read_answer(operation(path), body)
    assert "330106199011020278" not in raised.value.detail


def test_ok_and_empty_are_tested_before_the_documents() -> None:
    ok = AnswerTest(JsonPath.parse("code"), frozenset({"200"}))
    empty = AnswerTest(JsonPath.parse("code"), frozenset({"404"}))
    asked = operation("list", ok=ok, empty=empty)
    assert read_answer(asked, {"code": 200, "list": [DOCUMENT]}).total == 1
    assert read_answer(asked, {"code": "404"}) == RegistryAnswer()
    with pytest.raises(RegistryBadAnswer, match="code"):
        read_answer(asked, {"code": 500})


@pytest.mark.parametrize("total", [-1, "x", 1.5, None, True, "9" * 20, "½"])
def test_a_total_that_is_no_count(total: Any) -> None:
    with pytest.raises(RegistryBadAnswer, match="count"):
        read_answer(operation("list", total=JsonPath.parse("n")), {"list": [], "n": total})


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["", "a", "a.b", "a|json", "a.0.b|json"]))
def test_any_answer_is_read_or_refused(body: Any, path: str) -> None:
    try:
        answer = read_answer(operation(path), body)
    except RegistryBadAnswer:
        return
    assert all(isinstance(document, dict) for document in answer.documents)
