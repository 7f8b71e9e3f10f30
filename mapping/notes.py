"""What happens to a value on its way, step by step, in the words of whoever asks why.

A converter that is given a `note` tells each step it takes while it takes it; nothing here computes a value, so
what is told is what was done. Without a note nothing is told and nothing is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

__all__ = ["STEPS", "Note", "Step"]

Note = Callable[[str, str], None]
"""Called with a word of `STEPS` and a detail: the value reached, the row used, the rule broken."""

STEPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # what the rule set says
        "rule": ("适用规则", "rule"),
        "no_rule": ("没有规则提到此字段,原样传送", "no rule names the field; carried as it was"),
        "missing": ("必填字段缺失", "a required field is missing"),
        "default": ("字段缺失,按规则取默认值", "the field is missing; the rule supplies a default"),
        "carried": ("此前未能转换,原样传送", "could not be translated before; carried as it was"),
        "parsed": ("解析字符串中的 JSON", "JSON in the string was read"),
        "joined": ("多个字段合为一个值", "several fields joined to one value"),
        "spread": ("一个值分写到多个字段", "one value spread over several fields"),
        "not_spread": ("无法拆分,整体写入最后一个字段", "cannot be spread; written whole to the last field"),
        "part": ("取字段中的一部分", "one part of the field"),
        "wrong_parts": ("字段的部分数与规则不符", "the field has not as many parts as the rule says"),
        "listed": ("数组合为一个值", "an array joined to one value"),
        "not_listed": ("应为非空文本数组", "not an array of texts that can be joined"),
        "again": ("另一字段已给出同一要素", "another field gave this element already"),
        "group": ("列表,逐行转换", "a list; its rows follow"),
        "not_a_list": ("应为列表,原样传送", "not a list; carried as it was"),
        # text
        "text": ("文本,原样传送", "text, carried as it is"),
        "not_text": ("不是文本或数字,按 JSON 原样传送", "neither text nor number; carried as JSON"),
        "surrogates": ("代理对合为一个字符", "surrogate pairs joined to characters"),
        "half_surrogate": ("含不成对的代理码元", "half of a surrogate pair"),
        "private_use": (
            "含专用区 (PUA) 字符,不作猜测",
            "characters of the private use area; what they stand for is not guessed",
        ),
        "gb18030": ("按 GB 18030-2022 改用标准字符", "given the standard characters of GB 18030-2022"),
        "dot": ("间隔号统一为 ·", "look-alikes of the middle dot replaced"),
        "half_width": ("全角转半角", "full width became half width"),
        "full_width": ("括号转全角", "brackets became full width"),
        # dates
        "day": ("日期", "a day"),
        "chinese_day": ("汉字日期", "a day in Chinese numerals"),
        "milliseconds": ("毫秒时间戳,按中国标准时间", "milliseconds, read in China Standard Time"),
        "daylight": ("中国夏令时的零点", "midnight of China's daylight saving time"),
        "time_lost": ("时刻不保留", "the time of day is lost"),
        "long_term": ("长期", "without an end"),
        "no_long_term": ("此字段没有“长期”的写法", "the field has no word for it"),
        "like_long_term": (
            "与“长期”的写法无法区分",
            "cannot be told from the word for a date without an end",
        ),
        "no_day": ("不是日期", "no day"),
        # numbers
        "number": ("数", "a number"),
        "unit": ("去掉单位", "the unit was taken off"),
        "grouped": ("去掉千分位", "the separators of thousands were taken out"),
        "chinese_number": ("汉字数字", "a number in Chinese numerals"),
        "scaled": ("按单位换算", "counted in the other unit"),
        "no_number": ("不是数", "no number"),
        # identifiers
        "upper": ("转为大写", "in upper case"),
        "proven": ("格式与校验码正确", "form and check character are right"),
        "broken": ("不符合标准", "breaks its standard"),
        "decoded": ("解出不透明令牌", "the opaque token was opened"),
        "no_token": ("不是令牌", "no token"),
        # codes and divisions
        "on": ("代码书写之日", "the day the code was written on"),
        "no_day_known": ("书写之日不明", "the day it was written on is not known"),
        "row": ("代码表行", "row of the code map"),
        "passed_over": ("该行在此日不适用", "a row that does not hold on the day"),
        "none": ("没有对应代码", "there is no code for it"),
        "ambiguous": ("各行含义不同,不作猜测", "the rows mean different things; none is picked"),
        "preferred": ("首选回译", "the preferred way back"),
        "no_row": ("代码表没有此代码", "the code map has no row for it"),
        "padded": ("补零", "zeros were added"),
        "unpadded": ("去掉补零", "the padding was taken off"),
        "cut": ("舍去乡镇部分", "the township was cut off"),
        "division": ("当日的行政区划", "the division of that day"),
        "districts": (
            "市辖区是一市各区的统称,不是一个区划,不作猜测",
            "stands for all districts of a city and for none of them; which is meant is not guessed",
        ),
        "no_division": ("从未有过的区划代码", "a code that never was one of the four provinces"),
        "not_then": ("当日没有此区划代码", "no such division on the day"),
        "forward": ("沿变更推至今天", "followed along the changes to today"),
        "candidate": ("可能的后继,不作猜测", "a possible successor; none is picked"),
        "backward": ("沿变更回到当日", "followed back to the day"),
        "no_form": ("格式不符", "not of the form"),
    }
)
"""Every step by its word: in Chinese and in English."""


class Step(Struct, frozen=True):
    """One step: its word, and what it was about."""

    word: str
    detail: str

    @property
    def text(self) -> str:
        """The step as people read it, Chinese first."""
        chinese, english = STEPS[self.word]
        return f"{chinese} ({english})" + (f": {self.detail}" if self.detail else "")
