"""Claims from the identity provider's words to shared ones, and from those to the visited province's."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.login.claims import (
    CLAIMS,
    ClaimsUnusable,
    account_claims,
    claims_of_scopes,
    minimised,
    peer_claims,
    platform_claims,
)
from federation.translator import Translator
from mapping.translate import load_dialect
from simulators.identity.accounts import Accounts
from simulators.population import Population
from tests.support.delta import ANHUI, JIANGSU, PROVINCES, SHANGHAI, ZHEJIANG

dialect = cache(load_dialect)
POPULATION = Population()
FIELDS = {"XM": "name", "GMSFHM": "number", "CZZTDM": "holder", "CZZTDMLXDM": "holder_type", "XB": "sex"}
NUMBER = "331024199605174978"


def words(province: str) -> Translator:
    return Translator(dialect(province))


def account(province: str, index: int = 0) -> tuple[dict[str, str], dict[str, Any]]:
    said = dict(Accounts(province, POPULATION).account(index).claims())
    return {name: name for name in said if name != "user_name"}, said


@pytest.mark.parametrize("visited", PROVINCES)
@pytest.mark.parametrize("home", PROVINCES)
def test_an_account_reaches_every_other_province_in_its_words(home: str, visited: str) -> None:
    fields, said = account(home)
    who = Accounts(home, POPULATION).account(0).resident
    reader = words(home)
    shared = account_claims(reader, fields, said)
    assert shared["name"] == who.name
    assert (shared["citizen_number"], shared["holder_id_type"]) == (who.citizen_number, "111")
    assert shared["birthdate"] == who.born_on.isoformat()
    assert reader.exact_read == len(fields)
    local = platform_claims(words(visited), peer_claims(shared, CLAIMS))
    assert set(local["face"]) == set(account(visited)[0])
    assert {name: local[name] for name in ("name", "gender", "birthdate", "citizen_number")} == {
        name: shared[name] for name in ("name", "gender", "birthdate", "citizen_number")
    }
    assert "face_relations" not in local


def test_what_the_identity_provider_does_not_say_is_not_there() -> None:
    assert account_claims(words(ZHEJIANG), FIELDS, {}) == {}
    said = {"name": "魏海成", "number": "", "sex": None, "other": "x"}
    assert account_claims(words(ZHEJIANG), FIELDS, said) == {"name": "魏海成", "face": {"姓名": "魏海成"}}


def test_a_holder_without_a_citizen_number_has_a_number_of_another_kind() -> None:
    said = {
        "holder": "军字第1234567号",
        "holder_type": dialect(ZHEJIANG).code_to_local("holder_id_type", "114").value,
    }
    shared = account_claims(words(ZHEJIANG), FIELDS, said)
    assert (shared["citizen_number"], shared["holder_id_type"]) == ("军字第1234567号", "114")
    assert "face" not in shared


@pytest.mark.parametrize(
    "said",
    [
        {"name": ["a", "b"]},
        {"name": {"first": "a"}},
        {"name": True},
        {"name": "x" * 513},
        {"number": "331024199605174979"},
        {"holder": NUMBER[:-1] + "0"},
        {"number": NUMBER, "holder": "军字第1号"},
    ],
    ids=["two values", "an object", "a truth", "too long", "wrong digit", "wrong holder", "two numbers"],
)
def test_what_cannot_be_used_is_refused_without_saying_what_it_was(said: dict[str, Any]) -> None:
    with pytest.raises(ClaimsUnusable) as caught:
        account_claims(words(ZHEJIANG), FIELDS, said)
    assert NUMBER[:6] not in str(caught.value)


def test_a_code_that_nobody_knows_is_carried_and_says_so() -> None:
    shared = account_claims(words(ZHEJIANG), FIELDS, {"name": "魏海成", "sex": "7"})
    assert shared["face"]["性别"] == "7"
    assert shared["face_relations"] == {"性别": "unmapped"}
    assert "gender" not in shared
    local = platform_claims(words(ANHUI), minimised(shared, {"face"}))
    assert (local["face"]["xb"], local["face_relations"]) == ("7", {"xb": "unmapped"})


def test_a_relation_that_nobody_knows_is_the_worst() -> None:
    local = platform_claims(words(SHANGHAI), {"face": {"姓名": "a"}, "face_relations": {"姓名": "perfect"}})
    assert local["face_relations"] == {"name": "invalid"}


def test_a_field_that_the_province_has_no_word_for_is_carried() -> None:
    local = platform_claims(words(JIANGSU), {"face": {"籍贯": "苏州"}, "holder_id_type": "777"})
    assert local["face"] == {"籍贯": "苏州"}
    assert local["face_relations"]["籍贯"] == "unmapped"
    assert local["holder_id_type"] == "777"


def test_scopes_ask_for_claims() -> None:
    assert claims_of_scopes({"openid", "profile"}) == {"name", "gender", "birthdate"}
    assert claims_of_scopes({"identity"}) == {"citizen_number", "holder_id_type", "face"}
    assert claims_of_scopes({"email"}) == frozenset()


@given(
    st.dictionaries(st.sampled_from([*sorted(CLAIMS), "face_relations", "admin"]), st.text()),
    st.sets(st.sampled_from(sorted(CLAIMS))),
)
def test_nothing_is_handed_over_that_was_not_asked_for(said: dict[str, str], asked: set[str]) -> None:
    found = minimised(said, asked)
    assert set(found) <= asked | {"face_relations"}
    assert ("face_relations" in found) <= ("face" in found)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*sorted(CLAIMS), "face_relations"]), _JSON))
def test_whatever_a_peer_says_is_taken_whole_or_refused(said: dict[str, Any]) -> None:
    try:
        claims = peer_claims(said, CLAIMS)
    except ClaimsUnusable:
        return
    platform_claims(words(ANHUI), claims)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS.values())), _JSON))
def test_whatever_an_identity_provider_says_is_taken_whole_or_refused(said: dict[str, Any]) -> None:
    try:
        shared = account_claims(words(ZHEJIANG), FIELDS, said)
    except ClaimsUnusable:
        return
    assert peer_claims(shared, CLAIMS) == minimised(shared, CLAIMS)
