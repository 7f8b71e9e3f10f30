"""The four dialects as facts: what real platforms of each province write, and what it means.

Everything expected here is written down from the facts, never read back from the tables under test.
"""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from typing import Any

import pytest

from mapping.element import Element, Relation
from mapping.errors import UnknownDocument, UnknownList
from mapping.translate import Dialect, load_dialect

SHANGHAI, JIANGSU, ZHEJIANG, ANHUI = "310000", "320000", "330000", "340000"
IDENTITY_CARD = "11100000000013127D001"
HOUSEHOLD = "11100000000013127D901"
LICENCE = "11100000MB0143028R001"
DIPLOMA = "11100000YRD0000185901"
CERTIFICATE_ID = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
EXACT, NARROWER, BROADER, RELATED = Relation.EXACT, Relation.NARROWER, Relation.BROADER, Relation.RELATED
UNMAPPED, INVALID = Relation.UNMAPPED, Relation.INVALID


@cache
def dialect(province: str) -> Dialect:
    return load_dialect(province)


def shared(province: str, kind: str, document: dict[str, Any], name: str) -> tuple[str, Relation]:
    found = next(e for e in dialect(province).to_shared(kind, document) if e.name == name)
    return found.value, found.relation


def local(province: str, kind: str, name: str, value: str) -> tuple[str, str, Relation]:
    (found,) = dialect(province).to_local(kind, [Element(name, value)])
    return found.name, found.value, found.relation


def household(marital: str) -> dict[str, Any]:
    return {"certInfo": {"memberList": [{"xm": "甲", "hyzk": marital}]}}


def member(province: str, document: dict[str, Any], name: str) -> tuple[str, Relation]:
    elements = dialect(province).to_shared(HOUSEHOLD, document)
    rows = next(e for e in elements if e.name == "家庭成员").groups
    found = next(e for e in rows[0] if e.name == name)
    return found.value, found.relation


# --- how each province writes it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("province", "document"),
    [
        (SHANGHAI, {"sex": "女"}),
        (JIANGSU, {"data_fields": '{"sex":"F"}'}),
        (ZHEJIANG, {"XB": "2"}),
        (ZHEJIANG, {"XB": 2}),
        (ZHEJIANG, {"XB": "女"}),
        (ANHUI, {"certInfo": {"xb": "女性"}}),
    ],
)
def test_female(province: str, document: dict[str, Any]) -> None:
    assert shared(province, IDENTITY_CARD, document, "性别") == ("2", EXACT)


@pytest.mark.parametrize(
    ("province", "document"),
    [
        (SHANGHAI, {"issueDate": "20200102"}),
        (JIANGSU, {"issue_date": "2020-01-02"}),
        (JIANGSU, {"issue_date": "2020-01-02 00:00:00"}),
        (ZHEJIANG, {"ZZBFRQ": "2020/1/2"}),
        (ZHEJIANG, {"ZZBFRQ": "2020年1月2日"}),
        (ZHEJIANG, {"ZZBFRQ": "2020-1-2"}),
        (ANHUI, {"issueTime": 1577894400000}),
    ],
)
def test_the_second_of_january_2020(province: str, document: dict[str, Any]) -> None:
    assert shared(province, IDENTITY_CARD, document, "颁发日期") == ("2020-01-02", EXACT)


@pytest.mark.parametrize(
    ("province", "document"),
    [
        (SHANGHAI, {"validTo": "长期"}),
        (JIANGSU, {"expire_date": "9999-12-31"}),
        (ZHEJIANG, {"ZZYXQJZRQ": "长期有效"}),
        (ANHUI, {"validEnd": 253402185600000}),
    ],
)
def test_a_paper_without_an_end(province: str, document: dict[str, Any]) -> None:
    assert shared(province, IDENTITY_CARD, document, "有效期截止日期") == ("长期", EXACT)


@pytest.mark.parametrize(
    ("province", "document"),
    [
        (SHANGHAI, {"certState": "01"}),
        (JIANGSU, {"license_status": "ISSUED"}),
        (ZHEJIANG, {"ZZZT": "有效"}),
        (ANHUI, {"handleStateCode": "1"}),
    ],
)
def test_a_valid_certificate(province: str, document: dict[str, Any]) -> None:
    assert shared(province, IDENTITY_CARD, document, "证照状态") == ("01", EXACT)


@pytest.mark.parametrize(
    ("code", "meaning", "relation"),
    [
        ("22", "21", EXACT),  # 初婚
        ("23", "22", EXACT),  # 再婚
        ("24", "23", EXACT),  # 复婚
        ("39", "40", EXACT),  # 离婚
        ("21", "20", BROADER),  # 已婚无子女, of an older list
        ("77", "77", UNMAPPED),
    ],
)
def test_marital_status_in_anhui(code: str, meaning: str, relation: Relation) -> None:
    assert member(ANHUI, household(code), "婚姻状况") == (meaning, relation)


@pytest.mark.parametrize(
    ("registered_at", "meaning", "relation"),
    [(859_824_000_000, "20", BROADER), (1_100_000_000_000, "21", UNMAPPED)],  # 1997, 2004
)
def test_a_code_of_an_older_list_is_none_in_a_register_written_later(
    registered_at: int, meaning: str, relation: Relation
) -> None:
    document = household("21")
    document["certInfo"]["djsj"] = registered_at
    assert member(ANHUI, document, "婚姻状况") == (meaning, relation)


@pytest.mark.parametrize(
    ("province", "kind", "document", "element", "value"),
    [
        (
            ZHEJIANG,
            "11100000000013127D902",
            {"YXQX": "2020-01-02至2026-01-02"},
            "有效期截止日期",
            "2026-01-02",
        ),
        (ZHEJIANG, "11100000000013127D902", {"YXQX": "2020-01-02至长期"}, "有效期起始日期", "2020-01-02"),
        (
            JIANGSU,
            "11100000000013127D902",
            {"data_fields": '{"vehicle_class":["C1","D"]}'},
            "准驾车型",
            "C1、D",
        ),
        (
            SHANGHAI,
            HOUSEHOLD,
            {"addrDistrict": "上海市黄浦区", "addrDetail": "人民路1号"},
            "住址",
            "上海市黄浦区人民路1号",
        ),
        (ANHUI, IDENTITY_CARD, {"holder": '{"userName":"甲"}'}, "持证主体", "甲"),
        (ANHUI, IDENTITY_CARD, {"handleStateName": "注销"}, "证照状态", "04"),
    ],
)
def test_values_that_are_parts_lists_or_in_several_fields(
    province: str, kind: str, document: dict[str, Any], element: str, value: str
) -> None:
    assert shared(province, kind, document, element) == (value, EXACT)


def test_a_state_that_differs_from_its_name_is_told() -> None:
    found = dialect(ANHUI).to_shared(IDENTITY_CARD, {"handleStateCode": "1", "handleStateName": "注销"})
    by_name = {e.name: (e.value, e.relation) for e in found}
    assert by_name["证照状态"] == ("01", EXACT)
    assert by_name["unmapped:handleStateName"] == ("注销", UNMAPPED)


@pytest.mark.parametrize(
    ("province", "document", "name"),
    [
        (ANHUI, {"certInfo": {"xm": "阿依古丽•买买提"}}, "阿依古丽·买买提"),
        (SHANGHAI, {"name": "阿依古丽・买买提"}, "阿依古丽·买买提"),
        (ZHEJIANG, {"XM": "王\ue82c"}, "王龷"),
        (JIANGSU, {"data_fields": '{"name":"\\ud842\\udfb7野"}'}, "𠮷野"),
    ],
)
def test_names_with_dots_and_rare_characters(province: str, document: dict[str, Any], name: str) -> None:
    assert shared(province, IDENTITY_CARD, document, "姓名") == (name, EXACT)
    assert local(ANHUI, IDENTITY_CARD, "姓名", name)[1] == name.replace("·", "•")


@pytest.mark.parametrize("word", ["M", "MARRIED"])
def test_words_beside_the_letters_in_jiangsu(word: str) -> None:
    document = {"data_fields": json.dumps({"members": [{"marital_status": word}]})}
    assert member(JIANGSU, document, "婚姻状况") == ("20", EXACT)


def test_a_number_that_one_list_gave_to_two_groups_is_not_certain() -> None:
    assert shared(JIANGSU, IDENTITY_CARD, {"data_fields": '{"nation":"56"}'}, "民族") == ("56", RELATED)
    assert local(JIANGSU, IDENTITY_CARD, "民族", "56") == ("nation", "56", EXACT)


def test_a_group_of_its_own_name_is_one_of_the_others() -> None:
    assert shared(SHANGHAI, IDENTITY_CARD, {"nation": "穿青人"}, "民族") == ("97", BROADER)


def test_the_table_of_anhui_lacks_primary_school() -> None:
    assert shared(ANHUI, DIPLOMA, {"certInfo": {"xl": "80"}}, "学历") == ("80", UNMAPPED)
    assert local(ANHUI, DIPLOMA, "学历", "80") == ("xl", "80", UNMAPPED)


@pytest.mark.parametrize(
    ("code", "meaning", "relation"),
    [("40", "40", BROADER), ("50", "40", BROADER), ("60", "60", NARROWER), ("70", "70", EXACT)],
)
def test_the_coarse_list_cuts_vocational_schools_elsewhere(
    code: str, meaning: str, relation: Relation
) -> None:
    document = {"data_fields": json.dumps({"education": code})}
    assert shared(JIANGSU, DIPLOMA, document, "学历") == (meaning, relation)


def test_a_permanent_residence_card_has_no_code_of_its_own() -> None:
    found = dialect(JIANGSU).code_to_shared("holder_id_type", "34")
    assert (found.value, found.original, found.relation) == ("999", "34", BROADER)


def test_the_empty_division_of_jiangsu_says_nothing() -> None:
    names = {e.name for e in dialect(JIANGSU).to_shared(IDENTITY_CARD, {"division": ""})}
    assert "行政区划" not in names


@pytest.mark.parametrize(
    ("province", "document", "element", "value"),
    [
        (SHANGHAI, {"businessCode": "001003519500001"}, "地方实施编码", "001003519500001"),
        (
            SHANGHAI,
            {"itemCode": "1131000068735121X0231010032700001"},
            "实施编码",
            "1131000068735121X0231010032700001",
        ),
        (ANHUI, {"serviceVersion": "3"}, "事项版本", "3"),
        (ANHUI, {"ssqdBaseCode": "340123456000"}, "基本编码", "340123456000"),
        (ANHUI, {"serviceDepartmentCode": "1131000068735121X"}, "实施机构代码", "1131000068735121X"),
    ],
)
def test_what_items_carry_in_one_province_only(
    province: str, document: dict[str, Any], element: str, value: str
) -> None:
    found = next(e for e in dialect(province).to_shared("service_item", document) if e.name == element)
    assert (found.value, found.original) == (value, value)


@pytest.mark.parametrize(("letter", "meaning"), [("M", "20"), ("D", "40"), ("R", "22"), ("W", "30")])
def test_marital_status_in_letters_in_jiangsu(letter: str, meaning: str) -> None:
    document = {"data_fields": json.dumps({"members": [{"marital_status": letter}]})}
    assert member(JIANGSU, document, "婚姻状况") == (meaning, EXACT)


@pytest.mark.parametrize(
    ("province", "document", "meaning"),
    [
        (SHANGHAI, {"nation": "畲族"}, "22"),
        (SHANGHAI, {"nation": "基诺族"}, "56"),
        (JIANGSU, {"data_fields": '{"nation":"57"}'}, "97"),
        (JIANGSU, {"data_fields": '{"nation":"58"}'}, "98"),
        (ZHEJIANG, {"MZ": "97"}, "97"),
        (ANHUI, {"certInfo": {"mz": "HU"}}, "03"),
    ],
)
def test_ethnic_groups(province: str, document: dict[str, Any], meaning: str) -> None:
    assert shared(province, IDENTITY_CARD, document, "民族") == (meaning, EXACT)


def test_the_coarse_education_list_says_less_than_the_standard() -> None:
    assert local(JIANGSU, DIPLOMA, "学历", "21") == ("education", "20", BROADER)
    assert local(JIANGSU, DIPLOMA, "学历", "20") == ("education", "20", EXACT)
    assert local(JIANGSU, DIPLOMA, "学历", "47") == ("education", "50", BROADER)
    # Its 90 is 文盲或半文盲, for which GB/T 4658 has no code; the shared 90 is 其他.
    assert shared(JIANGSU, DIPLOMA, {"data_fields": '{"education":"90"}'}, "学历") == ("90", UNMAPPED)
    assert local(JIANGSU, DIPLOMA, "学历", "90") == ("education", "90", UNMAPPED)


def test_a_table_copied_wrongly_in_anhui_is_read_as_it_is_meant() -> None:
    document = {"certInfo": {"xl": "63"}}
    assert shared(ANHUI, DIPLOMA, document, "学历") == ("73", EXACT)
    assert local(ANHUI, DIPLOMA, "学历", "63") == ("xl", "60", BROADER)


def test_subdivided_family_relations_of_zhejiang_lose_the_subdivision() -> None:
    document = {"JTCY": [{"YHZGX": "271"}]}
    assert member(ZHEJIANG, document, "与户主关系") == ("27", BROADER)


def test_a_zhejiang_licence_number_mixes_brackets() -> None:
    assert shared(ZHEJIANG, LICENCE, {"ZZBH": "浙（温）字1号"}, "证照编号") == ("浙(温)字1号", EXACT)


def test_an_opaque_code_of_jiangsu_is_the_certificate_id() -> None:
    token = (
        "MS4yLjE1Ni4zMDA1LjIuMTExMDAwMDAwMDAwMTMzMzhXMDExLjExNDMwMDAwMDA2MTIyMjQ0TC4yMDIzMDAwMDQwMy4wMDEuVQ"
    )
    assert dialect(JIANGSU).document_id({"license_code": token}) == CERTIFICATE_ID
    assert dialect(JIANGSU).code_to_local("certificate_id", CERTIFICATE_ID).value == token


def test_regions_of_anhui_are_padded_to_twelve_digits() -> None:
    assert shared(ANHUI, "service_item", {"regionCode": "340100000000"}, "行政区划") == ("340100", EXACT)
    assert dialect(ANHUI).code_to_local("division", "340100").value == "340100000000"


def test_days_with_their_unit() -> None:
    document = {"guide": {"legalLimit": "20个工作日"}}
    assert shared(ANHUI, "service_item", document, "法定办结时限") == ("20", EXACT)


def test_capital_is_counted_in_yuan_and_in_ten_thousand_yuan() -> None:
    assert shared(SHANGHAI, LICENCE, {"regCapital": "500万元"}, "注册资本") == ("5000000", EXACT)
    assert local(ANHUI, LICENCE, "注册资本", "5000000") == ("regCap", "500", EXACT)


# --- which certificate a document is ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("province", "document"),
    [
        (SHANGHAI, {"certType": "营业执照"}),
        (JIANGSU, {"license_type": "JS-SC-001"}),
        (ZHEJIANG, {"ZZLXDM": LICENCE}),
        (ANHUI, {"licenseTypeCode": "500001"}),
    ],
)
def test_each_province_announces_a_business_licence_in_its_way(
    province: str, document: dict[str, Any]
) -> None:
    assert dialect(province).document_kind(document) == LICENCE


@pytest.mark.parametrize("document", [{}, {"certType": "员工证"}, {"certType": None}, {"certType": ["x"]}])
def test_a_document_of_no_known_type_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(UnknownDocument):
        dialect(SHANGHAI).document_kind(document)


def test_a_document_without_an_id_is_refused() -> None:
    with pytest.raises(UnknownDocument):
        dialect(SHANGHAI).document_id({"certType": "营业执照"})


def test_a_kind_that_the_dialect_has_not_is_refused() -> None:
    with pytest.raises(UnknownDocument):
        dialect(ANHUI).to_shared("00000", {})
    with pytest.raises(UnknownDocument):
        dialect(ANHUI).to_local("00000", [])
    with pytest.raises(UnknownDocument):
        dialect(ANHUI).render_local("00000", [])


# --- request parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("province", "list_name", "value", "meaning"),
    [
        (SHANGHAI, "certificate_type", "不动产权证书", "11100000MB03271699001"),
        (SHANGHAI, "holder_id_type", "身份证", "111"),
        (SHANGHAI, "province", "浙江省", "330000"),
        (JIANGSU, "holder_id_type", "10", "111"),
        (JIANGSU, "holder_id_type", "16", "511"),
        (JIANGSU, "holder_id_type", "24", "516"),
        (JIANGSU, "certificate_state", "SUSPENDED", "02"),
        (JIANGSU, "division", "320100000000", "320100"),
        (ZHEJIANG, "holder_id_type", "111", "111"),
        (ZHEJIANG, "province", "330000", "330000"),
        (ANHUI, "holder_id_type", "SFZ", "111"),
        (ANHUI, "certificate_type", "100001", IDENTITY_CARD),
    ],
)
def test_parameters_of_requests(province: str, list_name: str, value: str, meaning: str) -> None:
    found = dialect(province).code_to_shared(list_name, value)
    assert (found.name, found.value, found.original, found.relation) == (list_name, meaning, value, EXACT)


def test_a_holder_id_type_that_jiangsu_has_not_becomes_other() -> None:
    found = dialect(JIANGSU).code_to_local("holder_id_type", "114")
    assert (found.value, found.relation) == ("99", BROADER)


def test_an_unknown_parameter_value_is_unmapped_with_its_original() -> None:
    found = dialect(SHANGHAI).code_to_shared("certificate_type", "员工证", date(2026, 1, 1))
    assert (found.value, found.original, found.relation) == ("员工证", "员工证", UNMAPPED)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(UnknownList):
        dialect(SHANGHAI).code_to_shared("shoe_size", "42")


# --- nothing guessed, nothing dropped ---------------------------------------------------------------


def test_unknown_local_fields_come_through_unmapped() -> None:
    found = dialect(JIANGSU).to_shared(IDENTITY_CARD, {"blood": "A", "data_fields": '{"shoe":42}'})
    by_name = {e.name: (e.value, e.relation) for e in found}
    assert by_name["blood"] == ("A", UNMAPPED)
    assert by_name["data_fields.shoe"] == ("42", UNMAPPED)


def test_an_unknown_field_cannot_pass_for_a_shared_element() -> None:
    found = dialect(ZHEJIANG).to_shared(IDENTITY_CARD, {"姓名": "乙", "XM": "甲"})
    by_name = {e.name: (e.value, e.relation) for e in found}
    assert by_name["姓名"] == ("甲", EXACT)
    assert by_name["unmapped:姓名"] == ("乙", UNMAPPED)


def test_an_element_that_the_target_has_not_comes_through_unmapped() -> None:
    assert local(ANHUI, IDENTITY_CARD, "血型", "A") == ("血型", "A", UNMAPPED)
    assert local(ANHUI, IDENTITY_CARD, "certInfo", "x") == ("certInfo", "x", UNMAPPED)
    assert local(ANHUI, IDENTITY_CARD, "xm", "x") == ("unmapped:xm", "x", UNMAPPED)


def test_a_code_unknown_to_one_province_is_not_read_as_a_code_of_another() -> None:
    # 01 is no word of Shanghai's list, but it is a code of Zhejiang's.
    (found,) = (e for e in dialect(SHANGHAI).to_shared(IDENTITY_CARD, {"nation": "01"}) if e.name == "民族")
    assert (found.value, found.relation) == ("01", UNMAPPED)
    (there,) = dialect(ZHEJIANG).to_local(IDENTITY_CARD, [found])
    assert (there.name, there.value, there.relation) == ("MZ", "01", UNMAPPED)


def test_what_must_be_there_and_is_not_is_reported() -> None:
    assert shared(SHANGHAI, IDENTITY_CARD, {"certState": ""}, "证照状态") == ("", INVALID)


def test_a_face_that_is_not_json_is_carried() -> None:
    assert shared(JIANGSU, IDENTITY_CARD, {"data_fields": "{broken"}, "data_fields") == ("{broken", INVALID)


def test_numbers_inside_the_json_string_keep_their_digits() -> None:
    document = {"data_fields": '{"name":12345678901234567890.10}'}
    assert shared(JIANGSU, IDENTITY_CARD, document, "姓名") == ("12345678901234567890.10", EXACT)


def test_every_value_names_its_table_and_its_original() -> None:
    found = dialect(ANHUI).to_shared(IDENTITY_CARD, {"issueTime": 1577894400000, "certInfo": {"xb": "男性"}})
    by_name = {e.name: (e.original, e.table) for e in found}
    assert by_name["颁发日期"] == ("1577894400000", "date@2026.2")
    assert by_name["性别"] == ("男性", "sex@2026.2")


def test_names_of_fields_both_ways() -> None:
    assert dialect(ANHUI).field_name(IDENTITY_CARD, "姓名") == "xm"
    assert dialect(ANHUI).element_name(IDENTITY_CARD, "xm") == "姓名"
    assert dialect(JIANGSU).field_name(IDENTITY_CARD, "血型") == "血型"
    assert dialect(JIANGSU).element_name(IDENTITY_CARD, "blood") == "blood"


def test_a_dialect_names_its_version_and_digest() -> None:
    version, digest = dialect(ZHEJIANG).map_set
    assert version == dialect(ZHEJIANG).version == "330000@2026.2"
    assert len(digest) == 32
    assert len({dialect(p).digest for p in (SHANGHAI, JIANGSU, ZHEJIANG, ANHUI)}) == 4


@pytest.mark.parametrize("province", [SHANGHAI, JIANGSU, ZHEJIANG, ANHUI])
def test_every_dialect_covers_twelve_certificate_types(province: str) -> None:
    names = {name for _, name, _ in dialect(province).certificate_types}
    assert names == {
        "居民身份证",
        "居民户口簿",
        "结婚证",
        "出生医学证明",
        "社会保障卡",
        "营业执照",
        "不动产权证书",
        "机动车驾驶证",
        "机动车行驶证",
        "普通高等学校毕业证书",
        "医师执业证书",
        "二级建造师注册证书",
    }
    for code, _, elements in dialect(province).certificate_types:
        assert len(code) == 21
        assert elements[0] == "证照名称"


def test_the_letters_of_a_copied_list_are_read_and_those_of_the_standard_written() -> None:
    """GB/T 3304-1991 has BN for 保安族; a public list of the letters has BO."""
    ethnic = dialect(ANHUI).builder.field(
        next(rule for rule in dialect(ANHUI).rules.fields["11100000000013127D001"] if rule.element == "民族")
    )
    assert ethnic.read("BO", "") == ethnic.read("BN", "") == ("47", Relation.EXACT)
    assert ethnic.write("47", "") == ("BN", Relation.EXACT)
