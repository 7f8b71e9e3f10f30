"""Names for people who do not exist: rare surnames, rare characters outside the BMP, names with a ·.

The lists are made of single characters and common romanised given names; a combination may still be
somebody's name by chance, as with any made-up name.
"""

from __future__ import annotations

from simulators.permutation import Draws

__all__ = ["BOYS", "GIRLS", "name_of"]

BOYS = "1"
"""GB/T 2261.1: 男."""
GIRLS = "2"
"""GB/T 2261.1: 女."""

_SURNAMES = tuple(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任"
)
_RARE_SURNAMES = (
    "欧阳",
    "上官",
    "司马",
    "诸葛",
    "皇甫",
    "仇",
    "查",
    "单",
    "盖",
    "尉迟",
    "逄",
    "亓",
    "㑇",
    "笪",
    "郤",
)
_GIVEN = {
    BOYS: tuple("伟强磊军洋勇杰涛明超刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林建国志文海峰东成毅晨"),
    GIRLS: tuple("芳娜敏静秀丽娟英华慧巧美静淑惠珠翠雅芝玉萍红娥玲芬燕彩春菊兰凤洁梅琳素云莲真环雪荣爱"),
}
_RARE_GIVEN = ("龑", "犇", "翀", "赟", "祎", "喆", "玥", "䶮", "㛃", "𬱖", "𣲗", "𠅤", "𤧛", "𬸦", "堃", "燚")
_DOT_GIVEN = {
    BOYS: ("阿卜杜拉", "买买提", "艾山", "吐尔逊", "库尔班", "热合曼", "亚森", "玉素甫"),
    GIRLS: ("阿依古丽", "帕提古丽", "古丽娜尔", "热依汗", "阿米娜", "佐然木", "茹仙古丽", "海热古丽"),
}
_DOT_GROUPS = {"05": 1000, "17": 1000, "29": 700, "43": 900, "44": 800, "49": 900, "50": 900}
"""Per mille of people with a · in the name, by GB/T 3304 group; elsewhere 3."""


def name_of(draws: Draws, sex: str, ethnic_group: str) -> str:
    """A name that fits sex (GB/T 2261.1) and ethnic group (GB/T 3304)."""
    if draws.happens("name.dot", _DOT_GROUPS.get(ethnic_group, 3)):
        return f"{draws.pick('name.own', _DOT_GIVEN[sex])}·{draws.pick('name.fathers', _DOT_GIVEN[BOYS])}"
    rare_surname = draws.happens("name.rare_surname", 30)
    surname = draws.pick("name.surname", _RARE_SURNAMES if rare_surname else _SURNAMES)
    given = draws.pick("name.given", _GIVEN[sex])
    if draws.happens("name.two", 750):
        rare = draws.happens("name.rare", 40)
        given += draws.pick("name.second", _RARE_GIVEN if rare else _GIVEN[sex])
    return surname + given
