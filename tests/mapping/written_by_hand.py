"""How each province writes what is known about somebody, and what that says: an oracle for the dialects.

Written down from the standards and from what was seen of the provinces' systems, never read from the tables that
it checks. It knows the values that the synthetic population has, and what other provinces can make of them; the
names of local fields are not its business.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any

from mapping.element import Relation

__all__ = ["Word", "word_for"]

SHANGHAI, JIANGSU, ZHEJIANG, ANHUI = "310000", "320000", "330000", "340000"
EXACT, NARROWER, BROADER, RELATED = Relation.EXACT, Relation.NARROWER, Relation.BROADER, Relation.RELATED
UNMAPPED, INVALID = Relation.UNMAPPED, Relation.INVALID


@dataclass(frozen=True, slots=True)
class Word:
    """What a province writes for a shared value, and what that says to others.

    `within`: it is not all of its field, or in several.
    """

    raw: Any
    written: Relation = EXACT
    means: str = ""
    read: Relation = EXACT
    within: bool = False


# --- codes ------------------------------------------------------------------------------------------


def _table(shared: str, **by_province: str) -> dict[str, dict[str, str]]:
    """The provinces' words for shared codes, one under the other."""
    names = {"shanghai": SHANGHAI, "jiangsu": JIANGSU, "zhejiang": ZHEJIANG, "anhui": ANHUI}
    codes = shared.split()
    return {names[name]: dict(zip(codes, words.split(), strict=True)) for name, words in by_province.items()}


_ETHNIC_NAMES = (
    "汉 蒙古 回 藏 维吾尔 苗 彝 壮 布依 朝鲜 满 侗 瑶 白 土家 哈尼 哈萨克 傣 黎 傈僳 佤 畲 高山 拉祜 水 东乡 纳西 景颇 "
    "柯尔克孜 土 达斡尔 仫佬 羌 布朗 撒拉 毛南 仡佬 锡伯 阿昌 普米 塔吉克 怒 乌孜别克 俄罗斯 鄂温克 德昂 保安 裕固 京 "
    "塔塔尔 独龙 鄂伦春 赫哲 门巴 珞巴 基诺"
)
_ETHNIC_LETTERS = (
    "HA MG HU ZA UG MH YI ZH BY CS MA DO YA BA TJ HN KZ DA LI LS VA SH GS LH SU DX NX JP KG TU DU ML QI BL SL MN GL XB "
    "AC PM TA NU UZ RS EW DE BN YG GI TT DR OR HZ MB LB JN"
)
_ETHNIC = " ".join(f"{number:02d}" for number in range(1, 57))
_TYPES = (
    "11100000000013127D001 11100000000013127D901 111000000000131433001 11100000YRD000034T901 11100000YRD0000260901 "
    "11100000MB0143028R001 11100000MB03271699001 11100000000013127D902 11100000000013127D903 11100000YRD0000185901 "
    "11100000YRD000034T902 11100000000013338W001"
)
_EDUCATION = "10 11 14 20 21 30 31 40 41 60 61 70 71 80 81"

CODES: dict[str, dict[str, dict[str, str]]] = {
    "sex": _table("1 2", shanghai="男 女", jiangsu="M F", zhejiang="1 2", anhui="男性 女性"),
    "ethnic": _table(
        _ETHNIC,
        shanghai=" ".join(f"{name}族" for name in _ETHNIC_NAMES.split()),
        jiangsu=_ETHNIC,
        zhejiang=_ETHNIC,
        anhui=_ETHNIC_LETTERS,
    ),
    "marital": _table(
        "10 20 21 22 23 30 40",
        shanghai="未婚 已婚 初婚 再婚 复婚 丧偶 离婚",
        jiangsu="S M M R M W D",
        zhejiang="10 20 21 22 23 30 40",
        anhui="10 20 22 23 24 30 39",
    ),
    "education": _table(
        _EDUCATION,
        shanghai="研究生教育 博士研究生毕业 硕士研究生毕业 大学本科教育 大学本科毕业 大学专科教育 大学专科毕业 "
        "中等职业教育 中等专科毕业 普通高级中学教育 普通高中毕业 初级中学教育 初中毕业 小学教育 小学毕业",
        jiangsu="10 10 10 20 20 30 30 40 40 60 60 70 70 80 80",
        zhejiang=_EDUCATION,
        anhui=_EDUCATION,
    ),
    "degree": _table("2 3 4", shanghai="博士 硕士 学士", jiangsu="2 3 4", zhejiang="2 3 4", anhui="2 3 4"),
    "relation": _table(
        "02 11 12", shanghai="户主 夫 妻", jiangsu="02 11 12", zhejiang="02 11 12", anhui="02 11 12"
    ),
    "country": _table("CHN", shanghai="中国", jiangsu="156", zhejiang="CHN", anhui="CN"),
    "holder": _table(
        "001 111",
        shanghai="统一社会信用代码 公民身份号码",
        jiangsu="01 10",
        zhejiang="001 111",
        anhui="TYXYDM SFZ",
    ),
    "state": _table(
        "01 02 03 04 05 06 07",
        shanghai="01 02 03 04 05 06 07",
        jiangsu="ISSUED SUSPENDED REVOKED CANCELLED EXPIRED TRANSFERRED WITHDRAWN",
        zhejiang="有效 暂扣 撤销 注销 失效 办理转出 吊销",
        anhui="1 2 3 4 5 6 7",
    ),
    "type": _table(
        _TYPES,
        shanghai="居民身份证 居民户口簿 结婚证 出生医学证明 社会保障卡 营业执照 不动产权证书 机动车驾驶证 机动车行驶证 "
        "普通高等学校毕业证书 医师执业证书 二级建造师注册证书",
        jiangsu="JS-GA-001 JS-GA-002 JS-MZ-001 JS-WJ-001 JS-RS-001 JS-SC-001 JS-ZR-001 JS-GA-003 JS-GA-004 JS-JY-001 "
        "JS-WJ-002 JS-ZJ-001",
        zhejiang=_TYPES,
        anhui="100001 100002 200001 300001 400001 500001 600001 100003 100004 700001 300002 800001",
    ),
    "item_type": _table(
        "01 05 07 10 20",
        shanghai="行政许可 行政给付 行政确认 其他行政权力 公共服务",
        jiangsu="01 05 07 10 20",
        zhejiang="01 05 07 10 20",
        anhui="01 05 07 10 20",
    ),
    "object": _table("1 2", shanghai="自然人 企业法人", jiangsu="1 2", zhejiang="1 2", anhui="1 2"),
    "form": _table("2 3", shanghai="电子 纸质和电子", jiangsu="2 3", zhejiang="2 3", anhui="电子 纸质和电子"),
    "necessity": _table(
        "1 2 3", shanghai="必要 非必要 容缺后补", jiangsu="1 2 3", zhejiang="1 2 3", anhui="1 2 3"
    ),
}

# What is not the same there and back: (province, list, shared code) → how it is written, what that means, how it reads.
_COARSE = {"11": "10", "14": "10", "21": "20", "31": "30", "71": "70", "81": "80"}
LOSSY: dict[tuple[str, str, str], tuple[Relation, str, Relation]] = {
    **{(JIANGSU, "education", fine): (BROADER, coarse, EXACT) for fine, coarse in _COARSE.items()},
    # 40 is 中专 there and 中等职业教育 elsewhere; 60 is 高中 of every kind there, 普通高中 elsewhere.
    (JIANGSU, "education", "40"): (NARROWER, "40", BROADER),
    (JIANGSU, "education", "41"): (BROADER, "40", BROADER),
    (JIANGSU, "education", "60"): (BROADER, "60", NARROWER),
    (JIANGSU, "education", "61"): (BROADER, "60", NARROWER),
    (JIANGSU, "marital", "21"): (BROADER, "20", EXACT),
    (JIANGSU, "marital", "23"): (BROADER, "20", EXACT),
    # 56 has been 穿青人 in one list.
    (JIANGSU, "ethnic", "56"): (EXACT, "56", RELATED),
    # A table that was copied wrongly lacks 80.
    (ANHUI, "education", "80"): (UNMAPPED, "80", UNMAPPED),
}

LIST_OF = {
    "性别": "sex", "民族": "ethnic", "母亲民族": "ethnic", "父亲民族": "ethnic", "婚姻状况": "marital",
    "学历": "education", "学位": "degree", "与户主关系": "relation", "国籍": "country", "男方国籍": "country",
    "女方国籍": "country", "持证主体代码类型代码": "holder", "证照状态": "state", "证照类型代码": "type",
    "事项类型": "item_type", "服务对象": "object", "材料形式": "form", "必要性": "necessity", "可用电子证照": "type",
}  # fmt: skip


def _code(province: str, list_name: str, code: str) -> Word:
    raw = CODES[list_name][province][code]
    written, means, read = LOSSY.get((province, list_name, code), (EXACT, code, EXACT))
    return Word(raw, written, means, read)


# --- days -------------------------------------------------------------------------------------------

_LIFE = ("颁发日期", "有效期起始日期", "有效期截止日期")
_BIRTHS = ("出生日期", "男方出生日期", "女方出生日期")
_DAYS = (
    *_LIFE,
    *_BIRTHS,
    "登记日期",
    "成立日期",
    "初次领证日期",
    "注册日期",
    "入学日期",
    "毕业日期",
    "使用期限截止日期",
)
_CHINA = timezone(timedelta(hours=8))


def _day(province: str, element: str, value: str) -> Word:
    year, month, day = (9999, 12, 31) if value == "长期" else (int(part) for part in value.split("-"))
    if province == ANHUI:
        return Word(round(datetime(year, month, day, tzinfo=_CHINA).timestamp() * 1000), means=value)
    if province == JIANGSU:
        text = f"{year}-{month:02d}-{day:02d}"
        return Word(text if element in _LIFE else f"{text} 00:00:00", means=value)
    if value == "长期":
        return Word("长期" if province == SHANGHAI else "长期有效", means=value)
    if province == SHANGHAI:
        return Word(f"{year}{month:02d}{day:02d}", means=value)
    if element in _BIRTHS:
        return Word(f"{year}-{month}-{day}", means=value)
    slashes = element in ("颁发日期", "登记日期")
    return Word(f"{year}/{month}/{day}" if slashes else f"{year}年{month}月{day}日", means=value)


# --- numbers ----------------------------------------------------------------------------------------

_UNITS = {
    (SHANGHAI, "注册资本"): "万元", (SHANGHAI, "面积"): "平方米", (SHANGHAI, "学制"): "年",
    (ZHEJIANG, "注册资本"): "元", (ZHEJIANG, "面积"): "㎡", (ZHEJIANG, "法定办结时限"): "个工作日",
    (ZHEJIANG, "承诺办结时限"): "个工作日", (ANHUI, "法定办结时限"): "个工作日", (ANHUI, "承诺办结时限"): "个工作日",
}  # fmt: skip
_NUMBERS = (
    "注册资本", "面积", "学制", "出生孕周", "出生体重", "出生身长", "累积记分", "核定载人数", "法定办结时限",
    "承诺办结时限", "份数",
)  # fmt: skip


def _number(province: str, element: str, value: str) -> Word:
    amount = Decimal(value)
    means = _plain(amount)
    if element == "注册资本" and province in (SHANGHAI, ANHUI):  # counted in 万元
        amount /= 10_000
    text = _plain(amount)
    if province == JIANGSU or (province == ANHUI and element in ("注册资本", "份数")):
        return Word(float(text) if "." in text else int(text), means=means)
    return Word(text + _UNITS.get((province, element), ""), means=means)


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- everything else --------------------------------------------------------------------------------

_PLACES = ("出生地", "参保地", "行政区划")
_CHECKED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _has_right_check(parts: list[str]) -> bool:
    """ISO 7064 MOD 37,36 over the parts, the last of which is the check character."""
    product = 36
    for character in "".join(parts[:-1]):
        product = (product + _CHECKED.index(character)) % 36 or 36
        product = product * 2 % 37
    return (product + _CHECKED.index(parts[-1])) % 36 == 1


def _certificate_id(province: str, value: str) -> Word:
    parts = value.removeprefix("1.2.156.3005.2.").split(".")
    good = len(parts[1]) == 18 and _has_right_check(parts)
    token = urlsafe_b64encode(value.encode()).decode().rstrip("=")
    return Word(token if province == JIANGSU else value, means=value, read=EXACT if good else INVALID)


def _place(province: str, value: str) -> Word:
    return Word(value + "000000" if province in (JIANGSU, ANHUI) else value, means=value)


def _certificate_number(province: str, value: str) -> Word:
    full = province in (SHANGHAI, ZHEJIANG)
    return Word(value.replace("(", "（").replace(")", "）") if full else value, means=value)


_NAMES = ("持证主体", "姓名", "户主姓名", "男方姓名", "女方姓名", "母亲姓名", "父亲姓名", "法定代表人")


def _name(province: str, value: str) -> Word:
    return Word(value.replace("·", "•") if province == ANHUI else value, means=value)


_HOUSEHOLD, _LICENCE = "11100000000013127D901", "11100000000013127D902"


def _peculiar(province: str, kind: str, element: str, value: str) -> Word | None:
    """What a province has in another shape: several fields for one value, or one field for several."""
    if (province, kind, element) == (SHANGHAI, _HOUSEHOLD, "住址"):
        # In three fields there; where an address from elsewhere is to be cut is not known.
        return Word(value, RELATED, value, within=True)
    if (province, kind) == (ZHEJIANG, _LICENCE) and element in _LIFE[1:]:
        return Word(value, means=value, within=True)  # 2020-01-02至2026-01-02
    if (province, element) == (JIANGSU, "准驾车型"):
        return Word(value, means=value, within=True)  # ["C1"]
    return None


@cache
def word_for(province: str, kind: str, element: str, value: str) -> Word:
    """What the province writes for a shared value of an element. Raises KeyError for a code not written down."""
    peculiar = _peculiar(province, kind, element, value)
    if peculiar is not None:
        return peculiar
    if element in LIST_OF:
        return _code(province, LIST_OF[element], value)
    if element in _DAYS:
        return _day(province, element, value)
    if element in _NUMBERS:
        return _number(province, element, value)
    if element in _PLACES:
        return _place(province, value)
    if element in _NAMES:
        return _name(province, value)
    if element == "证照标识":
        return _certificate_id(province, value)
    if element == "证照编号":
        return _certificate_number(province, value)
    return Word(value, means=value)
