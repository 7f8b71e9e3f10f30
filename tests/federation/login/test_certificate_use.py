"""`authorization_details` of the type certificate_use: what is read, in whose words, and what is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.login.certificate_use import CertificateUse, PaperLimits, read_details, written
from federation.login.refusals import OAuthRefusal
from mapping.translate import load_dialect
from tests.support.consents import ITEM_CODE, USE
from tests.support.exchange import ID_CARD, MARRIAGE

ANHUI, ZHEJIANG = load_dialect("340000"), load_dialect("330000")
LIMITS = PaperLimits(life_s=86400, uses=3, per_login=2)


def read(*entries: Any) -> tuple[CertificateUse, ...]:
    return read_details(orjson.dumps(list(entries)).decode(), ANHUI, LIMITS)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in USE.items() if key != name}


def test_what_is_read_is_whole() -> None:
    (use,) = read(USE)
    assert use == CertificateUse(
        answering=("330000",),
        certificate_types=(ID_CARD,),
        fields=("姓名", "公民身份号码"),
        service_item_name="出生一件事",
        service_item_code=ITEM_CODE,
        case_number="C-1",
        purpose="核验身份",
        basis="holders_consent",
        uses=2,
        valid_s=3600,
    )


def test_what_is_left_out_has_the_least() -> None:
    (use,) = read({k: v for k, v in USE.items() if k not in ("fields", "uses", "valid_s")})
    assert (use.fields, use.uses, use.valid_s) == ((), 1, 86400)
    assert "fields" not in written([use])[0]


def test_the_provinces_own_words_become_shared_words() -> None:
    local = ZHEJIANG.code_to_local("certificate_type", MARRIAGE).value
    names = [ZHEJIANG.field_name(MARRIAGE, name) for name in ("男方姓名", "登记日期")]
    assert names != ["男方姓名", "登记日期"]
    said = USE | {"certificate_types": [local], "fields": names, "answering": ["340000"]}
    (use,) = read_details(orjson.dumps([said]).decode(), ZHEJIANG, LIMITS)
    assert (use.certificate_types, use.fields) == ((MARRIAGE,), ("男方姓名", "登记日期"))


def test_reading_what_was_written_changes_nothing() -> None:
    uses = read(USE, USE | {"case_number": "C-2"})
    assert read_details(orjson.dumps(written(uses)).decode(), ZHEJIANG, LIMITS) == uses


WRONG: dict[str, tuple[Any, str]] = {
    "another type": (USE | {"type": "payment"}, "is of type"),
    "no object": ("text", "is of type"),
    "an unknown member": (USE | {"actions": ["read"]}, "others than the known"),
    **{
        f"no {name}": (without(name), f"missing are {name}")
        for name in sorted(USE)
        if name
        in (
            "answering",
            "certificate_types",
            "service_item_code",
            "service_item_name",
            "case_number",
            "purpose",
        )
    },
    "no province": (USE | {"answering": ["nowhere"]}, "no province"),
    "an empty list": (USE | {"answering": []}, "a list of 1 to"),
    "no list": (USE | {"certificate_types": ID_CARD}, "a list of 1 to"),
    "twice": (USE | {"answering": ["330000", "330000"]}, "twice"),
    "an unknown certificate type": (USE | {"certificate_types": ["x"]}, "not in the list"),
    "a service item as a type": (USE | {"certificate_types": ["service_item"]}, "not in the list"),
    "an unknown field": (USE | {"fields": ["登记日期"]}, "none of the certificate types has"),
    "no field": (USE | {"fields": []}, "a list of 1 to"),
    "a wrong item code": (USE | {"service_item_code": ITEM_CODE[:-1]}, "GB/T 39554"),
    "an empty case": (USE | {"case_number": ""}, "case_number is a text"),
    "a number as case": (USE | {"case_number": 7}, "case_number is a text"),
    "a long purpose": (USE | {"purpose": "长" * 201}, "purpose is a text"),
    "a line break": (USE | {"purpose": "a\nb"}, "purpose is a text"),
    "a direction mark": (USE | {"purpose": "a\u202eb"}, "purpose is a text"),
    "official duty": (USE | {"basis": "official_duty"}, "basis is one of"),
    "no use": (USE | {"uses": 0}, "uses is a whole number of 1 to 3"),
    "too many uses": (USE | {"uses": 4}, "uses is a whole number of 1 to 3"),
    "half a use": (USE | {"uses": 1.5}, "uses is a whole number"),
    "true uses": (USE | {"uses": True}, "uses is a whole number"),
    "too long": (USE | {"valid_s": 86401}, "valid_s is a whole number of 1 to 86400"),
}


@pytest.mark.parametrize(("entry", "says"), WRONG.values(), ids=WRONG)
def test_what_breaks_a_rule_is_refused_and_says_which(entry: Any, says: str) -> None:
    with pytest.raises(OAuthRefusal) as caught:
        read(entry)
    assert caught.value.error == "invalid_authorization_details"
    assert says in caught.value.description
    assert caught.value.description.isascii()
    assert not {'"', "\\"} & set(caught.value.description)  # RFC 6749 §5.2


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", "[]", "null", orjson.dumps([USE] * 3).decode(), "[" + " " * 17000 + "]"],
    ids=range(7),
)
def test_what_is_no_list_of_such_objects_is_refused(text: str) -> None:
    with pytest.raises(OAuthRefusal) as caught:
        read_details(text, ANHUI, LIMITS)
    assert caught.value.error == "invalid_authorization_details"


@given(
    st.dictionaries(
        st.sampled_from([*USE, "basis", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
            ),
            max_leaves=6,
        ),
    )
)
def test_whatever_comes_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        text = orjson.dumps([USE | changes]).decode()
    except orjson.JSONEncodeError:
        return
    try:
        uses = read_details(text, ANHUI, LIMITS)
    except OAuthRefusal:
        return
    assert read_details(orjson.dumps(written(uses)).decode(), ANHUI, LIMITS) == uses
