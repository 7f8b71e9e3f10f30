"""What stands on the face of each certificate type, in shared words and shared codes.

One function per type: the elements of that type beyond those that every certificate carries. Element names
are those of `mapping.codelists`; a list within a face is one element with groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from mapping.element import Element
from mapping.identifiers import make_citizen_number
from simulators.divisions import counties, division_name
from simulators.names import name_of
from simulators.people import AS_OF, Organisation, Resident, age_on
from simulators.permutation import Draws

__all__ = [
    "birth_face",
    "builder_face",
    "business_face",
    "citizen_face",
    "diploma_face",
    "doctor_face",
    "driver_face",
    "household_face",
    "marriage_face",
    "property_face",
    "social_face",
    "vehicle_face",
]

Face = tuple[Element, ...]
CHINA = "CHN"
"""GB/T 2659.1, three letters."""

_PLATES = {"310000": "沪", "320000": "苏", "330000": "浙", "340000": "皖"}
_SCHOOLS = {
    "310000": ("浦江模拟大学", "申城模拟工程学院"),
    "320000": ("金陵模拟大学", "太湖模拟职业学院"),
    "330000": ("钱江模拟大学", "东海模拟职业学院"),
    "340000": ("江淮模拟大学", "黄山模拟职业学院"),
}
_DEGREES = {"11": "2", "14": "3", "21": "4"}
_YEARS = {"11": 4, "14": 3, "21": 4, "31": 3}
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


def elements(pairs: Iterable[tuple[str, str]]) -> Face:
    """Elements of shared values."""
    return tuple(Element(name, value) for name, value in pairs)


def _person(who: Resident, *names: str) -> list[tuple[str, str]]:
    said = {
        "姓名": who.name,
        "性别": who.sex,
        "民族": who.ethnic_group,
        "出生日期": who.born_on.isoformat(),
        "住址": who.address,
        "公民身份号码": who.citizen_number,
        "国籍": CHINA,
        "学历": who.education,
    }
    return [(name, said[name]) for name in names]


def _code(draws: Draws, name: str, length: int) -> str:
    return "".join(draws.pick(f"{name}.{place}", _LETTERS) for place in range(length))


def citizen_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """居民身份证."""
    return elements(_person(who, "姓名", "性别", "民族", "出生日期", "住址", "公民身份号码"))


def household_face(who: Resident, draws: Draws, issued_on: date, spouse: Resident | None) -> Face:
    """居民户口簿: the resident is the head, the spouse is the other member."""
    members = [_member(who, "02")] + (
        [_member(spouse, "12" if spouse.sex == "2" else "11")] if spouse else []
    )
    return (
        *elements(
            [
                ("户号", draws.digits("book", 9)),
                ("户别", draws.pick("kind", ("家庭户", "集体户"))),
                ("户主姓名", who.name),
                ("户主公民身份号码", who.citizen_number),
                ("住址", who.address),
                ("登记日期", issued_on.isoformat()),
            ]
        ),
        Element("家庭成员", "", groups=tuple(members)),
    )


def _member(who: Resident, relation: str) -> Face:
    head, *rest = _person(who, "姓名", "公民身份号码", "性别", "民族", "出生日期")
    return elements(
        [head, ("与户主关系", relation), *rest, ("婚姻状况", who.marital_status), ("学历", who.education)]
    )


def marriage_face(who: Resident, draws: Draws, issued_on: date, spouse: Resident) -> Face:
    """结婚证: the same face for both."""
    man, woman = sorted((who, spouse), key=lambda one: one.sex)
    said = [("登记日期", issued_on.isoformat())]
    for side, one in (("男方", man), ("女方", woman)):
        said += [
            (f"{side}姓名", one.name),
            (f"{side}公民身份号码", one.citizen_number),
            (f"{side}出生日期", one.born_on.isoformat()),
            (f"{side}国籍", CHINA),
        ]
    return elements(said)


def birth_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """出生医学证明."""
    said = [
        *_person(who, "姓名", "性别", "出生日期"),
        ("出生地", who.birth_division),
        ("出生孕周", str(37 + draws.below("weeks", 5))),
        ("出生体重", str(2600 + 10 * draws.below("weight", 140))),
        ("出生身长", str(47 + draws.below("length", 7))),
        ("出生医疗机构", f"{division_name(draws.pick('county', counties(who.home)))}模拟妇幼保健院"),
    ]
    for parent, sex, sequence in (("母亲", "2", 502), ("父亲", "1", 501)):
        born_on = who.born_on - timedelta(days=365 * 21 + draws.below(f"{parent}.age", 365 * 16))
        number = make_citizen_number(who.birth_division, born_on, sequence)
        name = name_of(Draws(who.seed, who.home, who.index, parent), sex, who.ethnic_group)
        said += [
            (f"{parent}姓名", name),
            (f"{parent}公民身份号码", number),
            (f"{parent}民族", who.ethnic_group),
        ]
    return elements(said)


def social_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """社会保障卡."""
    return elements(
        [
            *_person(who, "姓名", "性别", "民族", "出生日期", "公民身份号码"),
            ("社会保障卡卡号", _code(draws, "card", 9)),
            ("参保地", draws.pick("insured", counties(who.works_in))),
            ("开户银行", draws.pick("bank", ("模拟银行", "长三角模拟商业银行", "模拟农村信用社"))),
        ]
    )


def driver_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """机动车驾驶证."""
    return elements(
        [
            *_person(who, "姓名", "性别", "国籍", "住址", "出生日期", "公民身份号码"),
            ("初次领证日期", issued_on.isoformat()),
            ("准驾车型", draws.weigh("class", (("C1", 70), ("C2", 20), ("B2", 6), ("A2", 4)))),
            ("档案编号", who.drives_in[:4] + draws.digits("file", 8)),
            ("累积记分", str(draws.weigh("points", ((0, 70), (1, 10), (3, 12), (6, 6), (9, 2))))),
        ]
    )


def vehicle_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """机动车行驶证."""
    plate = f"{_PLATES[who.drives_in]}{draws.pick('city', 'ABCDEF')}{_code(draws, 'plate', 5)}"
    return elements(
        [
            ("号牌号码", plate),
            ("车辆类型", draws.pick("vehicle", ("小型轿车", "小型普通客车", "小型越野客车"))),
            ("所有人", who.name),
            ("住址", who.address),
            ("使用性质", "非营运"),
            ("品牌型号", f"模拟牌{_code(draws, 'model', 6)}"),
            ("车辆识别代号", "L" + _code(draws, "vin", 16)),
            ("发动机号码", _code(draws, "engine", 8)),
            ("注册日期", issued_on.isoformat()),
            ("核定载人数", draws.pick("seats", ("5", "5", "7"))),
        ]
    )


def diploma_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """普通高等学校毕业证书."""
    years = _YEARS[who.education]
    return elements(
        [
            *_person(who, "姓名", "性别", "出生日期", "公民身份号码"),
            ("学校名称", draws.pick("school", _SCHOOLS[who.studied_in])),
            (
                "专业",
                draws.pick(
                    "subject", ("计算机科学与技术", "临床医学", "土木工程", "法学", "会计学", "汉语言文学")
                ),
            ),
            ("学历", who.education),
            *([("学位", _DEGREES[who.education])] if who.education in _DEGREES else []),
            ("学习形式", draws.weigh("form", (("普通全日制", 90), ("非全日制", 10)))),
            ("学制", str(years)),
            ("入学日期", date(issued_on.year - years, 9, 1).isoformat()),
            ("毕业日期", issued_on.isoformat()),
        ]
    )


def doctor_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """医师执业证书."""
    county = draws.pick("county", counties(who.works_in))
    return elements(
        [
            *_person(who, "姓名", "性别", "民族", "出生日期", "公民身份号码", "学历"),
            ("医师级别", draws.weigh("level", (("执业医师", 80), ("执业助理医师", 20)))),
            ("执业类别", draws.weigh("class", (("临床", 70), ("中医", 15), ("口腔", 10), ("公共卫生", 5)))),
            (
                "执业范围",
                draws.pick("field", ("内科专业", "外科专业", "儿科专业", "妇产科专业", "全科医学专业")),
            ),
            ("执业机构", f"{division_name(county)}模拟人民医院"),
            ("执业地点", division_name(county)),
            ("资格证书编号", f"{issued_on.year}{county}{draws.digits('number', 8)}"),
        ]
    )


def builder_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """二级建造师注册证书."""
    place = division_name(draws.pick("county", counties(who.works_in)))
    return elements(
        [
            *_person(who, "姓名", "性别", "出生日期", "公民身份号码"),
            (
                "注册编号",
                f"{_PLATES[who.works_in]}2{who.works_in[:2]}{issued_on:%y%m}{draws.digits('number', 7)}",
            ),
            (
                "注册专业",
                draws.pick("field", ("建筑工程", "市政公用工程", "机电工程", "公路工程", "水利水电工程")),
            ),
            ("聘用企业", f"{place}模拟建设工程有限公司"),
            ("执业印章号", f"{_PLATES[who.works_in]}{draws.digits('seal', 10)}"),
        ]
    )


def property_face(who: Resident, draws: Draws, issued_on: date) -> Face:
    """不动产权证书."""
    shared = who.spouse is not None and draws.happens("shared", 600)
    county = draws.pick("county", counties(who.lives_in))
    parcel, plot, unit = (
        draws.digits(part, count) for part, count in (("parcel", 6), ("plot", 5), ("unit", 8))
    )
    return elements(
        [
            ("权利人", who.name),
            ("共有情况", "共同共有" if shared else "单独所有"),
            ("坐落", who.address),
            ("不动产单元号", f"{county}{parcel}GB{plot}F{unit}"),
            ("权利类型", "国有建设用地使用权/房屋所有权"),
            ("权利性质", draws.pick("nature", ("出让/市场化商品房", "划拨/房改房"))),
            ("用途", "城镇住宅用地/住宅"),
            ("面积", f"{45 + draws.below('area', 160)}.{draws.digits('area.part', 2)}"),
            ("使用期限截止日期", draws.pick("until", ("2065-06-30", "2076-12-31", "长期"))),
            ("登记日期", issued_on.isoformat()),
        ]
    )


def business_face(who: Organisation, draws: Draws, issued_on: date) -> Face:
    """营业执照."""
    return elements(
        [
            ("名称", who.name),
            ("统一社会信用代码", who.credit_code),
            (
                "主体类型",
                draws.weigh(
                    "kind", (("有限责任公司(自然人投资或控股)", 80), ("有限责任公司(自然人独资)", 20))
                ),
            ),
            ("法定代表人", who.representative),
            ("注册资本", str(draws.pick("capital", (100_000, 500_000, 1_000_000, 5_000_000, 50_000_000)))),
            ("成立日期", who.founded_on.isoformat()),
            ("住所", who.address),
            (
                "经营范围",
                draws.pick(
                    "scope",
                    ("技术开发、技术服务", "日用百货销售", "建筑材料销售", "道路货物运输", "食品生产"),
                ),
            ),
        ]
    )


def is_graduate(who: Resident) -> bool:
    """Whether someone left a university or college."""
    return who.education in _YEARS and age_on(AS_OF, who.born_on) >= 22
