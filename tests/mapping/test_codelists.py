"""The shared lists, and divisions by code and date. Expected names are written down from public records."""

from __future__ import annotations

from datetime import date

import pytest

from mapping.codelists import SERVICE_ITEM, code_lists
from mapping.errors import UnknownList
from mapping.identifiers import check_certificate_type, check_uscc

LISTS = code_lists()


@pytest.mark.parametrize(
    ("code", "on", "names"),
    [
        ("320705", date(1981, 6, 1), ["海州区"]),
        ("320705", date(1990, 6, 1), ["新浦区"]),
        ("320705", date(1985, 1, 1), []),
        ("330103", date(2019, 1, 1), ["下城区"]),
        ("330104", date(2010, 1, 1), ["江干区"]),
        ("341400", date(2005, 1, 1), ["巢湖市"]),
        ("310101", date(2026, 11, 1), ["黄浦区"]),
        ("310102", date(1990, 1, 1), ["南市区"]),
        ("310102", date(2020, 1, 1), []),
        ("999999", date(2020, 1, 1), []),
    ],
)
def test_a_division_code_means_what_it_meant_on_the_day(code: str, on: date, names: list[str]) -> None:
    assert [name.name for name in LISTS.divisions.at(code, on)] == names


def test_between_two_snapshots_both_names_are_possible_and_none_is_picked() -> None:
    # 下城区 was last seen in April 2019 and gone in September 2026; there is no snapshot between.
    assert [name.name for name in LISTS.divisions.at("330103", date(2022, 1, 1))] == ["下城区"]
    assert [name.name for name in LISTS.divisions.at("330103", date(2026, 10, 1))] == []


def test_the_history_of_a_code_is_told_oldest_first() -> None:
    names = [name.name for name in LISTS.divisions.history("320705")]
    assert names == ["海州区", "新浦区"]


@pytest.mark.parametrize(
    ("name", "code", "label"),
    [
        ("sex", "2", "女性"),
        ("marital", "40", "离婚"),
        ("ethnic", "56", "基诺族"),
        ("education", "73", "初中肄业"),
        ("family_relation", "02", "户主"),
        ("holder_id_type", "516", "港澳居民来往内地通行证号码"),
        ("certificate_state", "07", "吊销"),
        ("service_item_type", "20", "公共服务"),
        ("identity_document", "335", "机动车驾驶证"),
        ("country", "CHN", "中国"),
        ("township", "310101013", "外滩街道"),
        ("division", "340800", "安庆市"),
    ],
)
def test_lists_hold_what_the_standards_say(name: str, code: str, label: str) -> None:
    assert LISTS.get(name).label(code) == label
    assert code in LISTS.get(name)


def test_an_unknown_list_is_refused() -> None:
    with pytest.raises(UnknownList):
        LISTS.get("shoe_size")


def test_codes_that_are_not_there_have_no_label() -> None:
    assert LISTS.get("sex").label("3") == ""


def test_every_certificate_type_has_a_code_that_checks() -> None:
    for code, row in LISTS.get("certificate_type").rows.items():
        check_certificate_type(code)
        check_uscc(row["authority_uscc"])
        assert code.startswith(row["authority_uscc"])


def test_what_is_made_up_says_so() -> None:
    rows = LISTS.get("certificate_type").rows
    real = {code for code, row in rows.items() if row["synthetic"] == "no"}
    assert real == {
        "11100000000013127D001",
        "111000000000131433001",
        "11100000MB0143028R001",
        "11100000MB03271699001",
        "11100000MB03271699022",
        "11100000000013338W001",
        "11100000000013338W011",
        "11100000000013338W032",
    }


def test_a_kind_lists_its_common_and_its_own_elements() -> None:
    household = next(kind for kind in LISTS.kinds.values() if kind.name == "居民户口簿")
    assert household.elements[0] == "证照名称"
    assert "家庭成员" in household.elements
    assert household.groups["家庭成员"][:2] == ("姓名", "与户主关系")
    assert household.synthetic
    assert set(LISTS.kinds[SERVICE_ITEM].groups) == {"申请材料", "办理地点", "收费项目"}


def test_every_element_that_a_kind_names_is_described() -> None:
    for kind in LISTS.kinds.values():
        names = {*kind.elements, *(name for names in kind.groups.values() for name in names)}
        assert names <= set(LISTS.elements)


def test_every_code_element_names_a_list() -> None:
    assert {rule.code_list for rule in LISTS.elements.values() if rule.code_list} <= set(LISTS.lists)
