"""What is wrong with a configuration, all of it at once, each fault with the line it is on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["ConfigFaults", "Fault", "message_of"]


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault. `line` counts from 1; 0 means the file as a whole. `zh` and `en` say what is wrong and what
    to do.
    """

    file: str
    line: int
    key: str
    zh: str
    en: str

    @property
    def message(self) -> str:
        """Both languages, Chinese first."""
        return f"{self.zh} / {self.en}"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"

    def in_file(self, path: Path) -> Fault:
        """The same fault, named for the file it is in."""
        return replace(self, file=str(path))


class ConfigFaults(Exception):
    """A configuration that cannot be used. `faults` has every fault that was found, in the order of the
    lines.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


_MESSAGES: dict[str, tuple[str, str]] = {
    "missing": ("缺少此项", "this key is missing"),
    "extra_forbidden": ("没有这个设置项", "there is no such setting"),
    "string_type": ("须为字符串", "must be a string"),
    "int_type": ("须为整数", "must be a whole number"),
    "float_type": ("须为数字", "must be a number"),
    "bool_type": ("须为 true 或 false", "must be true or false"),
    "model_type": ("须为一个表 [...]", "must be a table [...]"),
    "model_attributes_type": ("须为一个表 [...]", "must be a table [...]"),
    "dict_type": ("须为一个表 [...]", "must be a table [...]"),
    "dataclass_type": ("须为一个表 [...]", "must be a table [...]"),
    "tuple_type": ("须为数组 [ ]", "must be an array [ ]"),
    "list_type": ("须为数组 [ ]", "must be an array [ ]"),
    "finite_number": ("须为有限的数字", "must be a finite number"),
    "union_tag_not_found": (
        "缺少 kind，须为 {expected_tags}",
        "`kind` is missing; it must be one of {expected_tags}",
    ),
    "union_tag_invalid": ("kind 须为 {expected_tags}", "`kind` must be one of {expected_tags}"),
    "union_tag": ("须为 {expected_tags} 之一", "must be one of {expected_tags}"),
    "literal_error": ("须为 {expected} 之一", "must be one of {expected}"),
    "string_pattern_mismatch": ("格式不符，应合 {pattern}", "does not have the form {pattern}"),
    "string_too_short": ("至少 {min_length} 个字符", "must have at least {min_length} characters"),
    "string_too_long": ("至多 {max_length} 个字符", "must have at most {max_length} characters"),
    "greater_than": ("须大于 {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("须不小于 {ge}", "must be at least {ge}"),
    "less_than": ("须小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("须不大于 {le}", "must be at most {le}"),
}


def message_of(kind: str, context: dict[str, Any], fallback: str) -> tuple[str, str]:
    """What to tell people about a validation error: Chinese and English.

    A `value_error` raised by our own validators already carries both, divided by `` / ``.
    """
    if kind == "value_error":
        chinese, _, english = str(context.get("error", fallback)).partition(" / ")
        return chinese, english or chinese
    chinese, english = _MESSAGES.get(kind, ("值不正确", fallback))
    return chinese.format(**context), english.format(**context)
