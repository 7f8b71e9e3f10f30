"""What the provinces' service items are made from: real kinds of 跨省通办 business with made-up guides."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TEMPLATES", "ItemTemplate"]

PERMISSION, CONFIRMATION, OTHER, SERVICE = "01", "07", "10", "20"
PEOPLE, ENTERPRISES = "1", "2"


@dataclass(frozen=True, slots=True)
class ItemTemplate:
    """One kind of service item. `papers` are the names of the certificate types that may stand for materials.

    `fee` is (what, how much, by which rule) or None.
    """

    name: str
    item_type: str
    authority: str
    applicant: str
    condition: str
    papers: tuple[str, ...]
    legal_days: int
    fee: tuple[str, str, str] | None = None


_ID, _BOOK, _WED, _BORN = "居民身份证", "居民户口簿", "结婚证", "出生医学证明"
_CARD, _LICENCE, _HOUSE = "社会保障卡", "营业执照", "不动产权证书"
_DRIVE, _CAR, _STUDY, _DOCTOR, _BUILD = (
    "机动车驾驶证",
    "机动车行驶证",
    "普通高等学校毕业证书",
    "医师执业证书",
    "二级建造师注册证书",
)
_POLICE, _TRAFFIC, _HEALTH = "公安局", "公安局交通警察支队", "卫生健康委员会"
_LABOUR, _MARKET, _LAND = "人力资源和社会保障局", "市场监督管理局", "自然资源和规划局"
_CIVIL, _SCHOOLS, _BUILDING = "民政局", "教育局", "住房和城乡建设局"
_MEDICAL, _FUND, _TAX = "医疗保障局", "住房公积金管理中心", "税务局"


def _people(
    name: str, item_type: str, authority: str, condition: str, papers: tuple[str, ...], days: int
) -> ItemTemplate:
    return ItemTemplate(name, item_type, authority, PEOPLE, condition, papers, days)


TEMPLATES = (
    ItemTemplate(
        "居民身份证换领", CONFIRMATION, _POLICE, PEOPLE, "证件有效期满或者损坏", (_ID, _BOOK), 60,
        ("居民身份证工本费", "20元/证", "发改价格〔2003〕2322号"),
    ),
    ItemTemplate(
        "居民身份证丢失补领", CONFIRMATION, _POLICE, PEOPLE, "证件丢失", (_BOOK,), 60,
        ("居民身份证工本费", "40元/证", "发改价格〔2003〕2322号"),
    ),
    _people("户口迁移", CONFIRMATION, _POLICE, "在迁入地有合法稳定住所", (_ID, _BOOK, _HOUSE), 20),
    _people("新生儿入户", CONFIRMATION, _POLICE, "父母一方为本地户籍", (_BORN, _BOOK, _WED), 15),
    _people("开具户籍类证明", SERVICE, _POLICE, "本人申请", (_ID, _BOOK), 5),
    _people("开具有无犯罪记录证明", SERVICE, _POLICE, "年满十八周岁", (_ID,), 10),
    ItemTemplate(
        "机动车驾驶证补换领", PERMISSION, _TRAFFIC, PEOPLE, "驾驶证有效期满、损坏或者遗失", (_ID, _DRIVE), 3,
        ("驾驶证工本费", "10元/证", "发改价格〔2004〕2831号"),
    ),
    _people("机动车行驶证补换领", PERMISSION, _TRAFFIC, "行驶证损坏或者遗失", (_ID, _CAR), 3),
    _people("机动车转移登记", PERMISSION, _TRAFFIC, "机动车所有权已转移", (_ID, _CAR), 5),
    _people("结婚登记预约", SERVICE, _CIVIL, "双方自愿且达到法定婚龄", (_ID, _BOOK), 1),
    _people("婚姻登记档案查询", SERVICE, _CIVIL, "当事人本人", (_ID, _WED), 5),
    _people("高龄津贴申领", OTHER, _CIVIL, "年满八十周岁", (_ID, _BOOK), 20),
    _people("出生医学证明补发", CONFIRMATION, _HEALTH, "原证遗失", (_ID, _BORN, _BOOK), 10),
    _people("医师执业注册", PERMISSION, _HEALTH, "取得医师资格", (_ID, _DOCTOR, _STUDY), 20),
    _people("生育登记", SERVICE, _HEALTH, "夫妻双方申请", (_ID, _WED, _BOOK), 5),
    _people("社会保障卡申领", SERVICE, _LABOUR, "本地参保", (_ID,), 30),
    _people("社会保障卡补换", SERVICE, _LABOUR, "原卡遗失或者损坏", (_ID, _CARD), 30),
    _people("企业职工基本养老保险关系转移接续", SERVICE, _LABOUR, "已在新就业地参保", (_ID, _CARD), 15),
    _people("失业保险金申领", SERVICE, _LABOUR, "已办理失业登记", (_ID, _CARD), 10),
    _people("就业困难人员认定", CONFIRMATION, _LABOUR, "符合就业援助条件", (_ID, _BOOK), 20),
    _people("专业技术人员职业资格证书查询", SERVICE, _LABOUR, "本人申请", (_ID, _STUDY), 1),
    _people("基本医疗保险关系转移接续", SERVICE, _MEDICAL, "已在转入地参保", (_ID, _CARD), 15),
    _people("异地就医结算备案", SERVICE, _MEDICAL, "跨省异地长期居住或者临时外出就医", (_ID, _CARD), 1),
    _people("住房公积金异地转移接续", SERVICE, _FUND, "已在转入地缴存", (_ID,), 3),
    _people("异地购房提取住房公积金", SERVICE, _FUND, "本人或者配偶异地购买自住住房", (_ID, _HOUSE, _WED), 3),
    ItemTemplate(
        "国有建设用地使用权及房屋所有权转移登记", CONFIRMATION, _LAND, PEOPLE, "买卖双方共同申请",
        (_ID, _HOUSE, _WED), 30, ("不动产登记费", "80元/件", "发改价格规〔2016〕2559号"),
    ),
    _people("不动产登记资料查询", SERVICE, _LAND, "权利人或者利害关系人", (_ID, _HOUSE), 1),
    _people("义务教育入学报名", SERVICE, _SCHOOLS, "适龄儿童的监护人", (_BOOK, _HOUSE, _BORN), 15),
    _people("学历公证核验", SERVICE, _SCHOOLS, "毕业生本人", (_ID, _STUDY), 5),
    _people("二级建造师变更注册", PERMISSION, _BUILDING, "变更聘用企业", (_ID, _BUILD), 20),
    ItemTemplate("企业设立登记", PERMISSION, _MARKET, ENTERPRISES, "名称已经申报", (_ID,), 5),
    ItemTemplate("企业变更登记", PERMISSION, _MARKET, ENTERPRISES, "登记事项发生变更", (_LICENCE, _ID), 5),
    ItemTemplate("企业注销登记", PERMISSION, _MARKET, ENTERPRISES, "清算完毕", (_LICENCE,), 5),
    ItemTemplate("营业执照补换领", PERMISSION, _MARKET, ENTERPRISES, "执照遗失或者损坏", (_LICENCE,), 1),
    ItemTemplate("食品经营许可", PERMISSION, _MARKET, ENTERPRISES, "有适合经营的场所", (_LICENCE, _ID), 20),
    ItemTemplate("跨区域涉税事项报告", SERVICE, _TAX, ENTERPRISES, "外出经营", (_LICENCE,), 1),
)  # fmt: skip
"""Thirty-six kinds of business."""
