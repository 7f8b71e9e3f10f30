"""The shared lists. Expected labels are written down from the standards' public lists."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mapping.codelists import SERVICE_ITEM, code_lists, load_code_lists
from mapping.errors import UnknownList
from mapping.identifiers import check_certificate_type, check_uscc

LISTS = code_lists()
SHIPPED = Path(__file__).parents[2] / "mapping" / "codelists"


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
        ("review_level", "5", "非常满意"),
        ("review_level", "1", "非常不满意"),
        ("service_item_type", "01", "行政许可"),
        ("certificate_state", "01", "有效"),
    ],
)
def test_lists_hold_what_the_standards_say(name: str, code: str, label: str) -> None:
    assert LISTS.get(name).label(code) == label
    assert code in LISTS.get(name)


def test_an_unknown_list_is_refused() -> None:
    with pytest.raises(UnknownList):
        LISTS.get("shoe_size")


def test_every_list_says_its_name_version_and_source() -> None:
    for name, found in LISTS.lists.items():
        assert LISTS.list(name) is found
        assert (found.name, found.version) == (name, LISTS.version)
        assert found.source
        assert found.validity
        assert len(found) == len(found.rows)
        assert all(found.label(code) for code in found)


def test_a_row_is_valid_from_day_to_day(tmp_path: Path) -> None:
    for table in SHIPPED.iterdir():
        (tmp_path / table.name).write_bytes(table.read_bytes())
    (tmp_path / "sex.csv").write_text(
        "code,name,valid_from,valid_to\n1,男性,,\n2,女性,2003-12-01,2020-01-31\n", encoding="utf-8"
    )
    sex = load_code_lists(tmp_path).list("sex")
    assert sex.at("1", date(1900, 1, 1)) == ("1", "男性", None, None, sex.rows["1"])
    assert sex.at("2", date(2003, 11, 30)) is None
    assert sex.at("2", date(2003, 12, 1)) is not None
    assert sex.at("2", date(2020, 1, 31)) is not None
    assert sex.at("2", date(2020, 2, 1)) is None
    assert sex.at("3", date(2020, 2, 1)) is None


def test_a_code_twice_in_a_list_is_refused(tmp_path: Path) -> None:
    for table in SHIPPED.iterdir():
        (tmp_path / table.name).write_bytes(table.read_bytes())
    (tmp_path / "sex.csv").write_text("code,name\n1,男性\n1,女性\n", encoding="utf-8")
    with pytest.raises(ValueError, match="sex"):
        load_code_lists(tmp_path)


def test_todays_divisions_are_valid_since_they_are() -> None:
    divisions = LISTS.list("division")
    assert divisions.at("330114", date(2020, 12, 31)) is None
    assert divisions.at("330114", date(2022, 1, 1)) is not None
    assert divisions.at("310101", date(1970, 1, 1)) is not None


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
