"""What can be wrong with an `access.toml`, and on which line. All faults are found, not only the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.query import PLATFORM_OPERATIONS, BasisKind

__all__ = ["OWN_CONSENTS", "AccessFault", "AccessFaults", "check_document", "rule_lines", "syntax_fault"]

_LISTS = ("operations", "certificate_types", "fields", "service_items", "bases")
OWN_CONSENTS = "own_consents"
"""A rule's key that may be left out: whether it takes consents that the asking node issued itself."""
_COUNTERPART = {"asking": "province", "answering": "asking"}
_WORDS = {
    "operations": frozenset(operation.value for operation in PLATFORM_OPERATIONS),
    "bases": frozenset(kind.word for kind in BasisKind),
}
# What begins a rule, or may look like it: strings and comments are stepped over with the braces in them.
_TOKEN = re.compile(
    r"""(?P<skip>"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*)|\[\[\s*(?P<table>asking|answering)\s*\]\]"""
    r"""|^\s*(?P<key>asking|answering)\s*=|(?P<open>\{)""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, order=True)
class AccessFault:
    """One fault: the line it is on (from 1; 0 for the file as a whole), the key, and what was expected."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.message}"


class AccessFaults(Exception):
    """An `access.toml` that cannot be used; `faults` has all of them in the order of lines."""

    def __init__(self, faults: tuple[AccessFault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def syntax_fault(error: Exception) -> AccessFault:
    """The fault of a text that is not TOML, on the line that the parser names."""
    found = re.search(r"at line (\d+)", str(error))
    return AccessFault(int(found.group(1)) if found else 0, "toml", str(error))


def rule_lines(text: str) -> dict[str, list[int]]:
    """On which line each rule of each list begins: ``{"asking": [3, 4], "answering": [8]}``."""
    lines: dict[str, list[int]] = {"asking": [], "answering": []}
    section = ""
    for token in _TOKEN.finditer(text):
        line = text.count("\n", 0, token.end()) + 1
        if token["table"]:
            lines[token["table"]].append(line)
            section = ""
        elif token["key"]:
            section = token["key"]
        elif token["open"] and section:
            lines[section].append(line)
    return lines


def check_document(document: Mapping[str, Any], lines: Mapping[str, Sequence[int]]) -> list[AccessFault]:
    """Every fault of a parsed text; empty when it can be used."""
    faults = [AccessFault(0, key, "unknown key") for key in document if key not in ("version", *_COUNTERPART)]
    version = document.get("version")
    if not isinstance(version, str) or not version:
        faults.append(AccessFault(0, "version", 'expected a text such as "2026-11-01"'))
    for section in _COUNTERPART:
        faults += _check_section(section, document.get(section, []), lines[section])
    return faults


def _check_section(section: str, rules: Any, lines: Sequence[int]) -> Iterator[AccessFault]:
    if not isinstance(rules, list):
        yield AccessFault(0, section, "expected a list of rules")
        return
    seen: set[str] = set()
    for number, rule in enumerate(rules):
        line = lines[number] if number < len(lines) else 0
        if not isinstance(rule, dict):
            yield AccessFault(line, section, "expected a rule in braces: { rule = …, … }")
            continue
        yield from _check_rule(section, rule, line)
        name = rule.get("rule")
        if isinstance(name, str) and name in seen:
            yield AccessFault(line, "rule", f"the name {name!r} is used twice in {section}")
        seen.add(str(name))


def _check_rule(section: str, rule: Mapping[str, Any], line: int) -> Iterator[AccessFault]:
    texts = ("rule", "platform", _COUNTERPART[section])
    for key in rule:
        if key not in (*texts, *_LISTS, OWN_CONSENTS):
            yield AccessFault(line, key, "unknown key")
    for key in (*texts, *_LISTS):
        if key not in rule:
            yield AccessFault(line, key, "missing")
    if not isinstance(rule.get(OWN_CONSENTS, False), bool):
        yield AccessFault(line, OWN_CONSENTS, "expected true or false")
    for key in texts:
        if key in rule:
            yield from _check_text(key, rule[key], line)
    for key in _LISTS:
        if key in rule:
            yield from _check_list(key, rule[key], line)


def _check_text(key: str, value: Any, line: int) -> Iterator[AccessFault]:
    if not isinstance(value, str) or not value:
        yield AccessFault(line, key, "expected a text that is not empty")
    elif key == "rule" and "*" in value:
        yield AccessFault(line, key, "a rule's name has no *")
    elif value != "*" and "*" in value:
        yield AccessFault(line, key, f"{value!r}: * stands for everything and only alone")
    elif (
        key in ("province", "asking")
        and value != "*"
        and not (value.isascii() and value.isdigit() and len(value) == 6)
    ):
        yield AccessFault(line, key, f"{value!r}: expected a province code of 6 digits, or *")


def _check_list(key: str, value: Any, line: int) -> Iterator[AccessFault]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(entry, str) and entry for entry in value)
    ):
        yield AccessFault(line, key, 'expected a list of texts that is not empty; ["*"] for everything')
        return
    words = _WORDS.get(key)
    for entry in value:
        if entry == "*" and len(value) > 1:
            yield AccessFault(line, key, "* stands for everything: nothing can stand beside it")
        elif entry != "*" and "*" in entry:
            yield AccessFault(line, key, f"{entry!r}: * stands for everything and only alone")
        elif entry != "*" and words is not None and entry not in words:
            yield AccessFault(line, key, f"{entry!r} is unknown; known: {', '.join(sorted(words))}")
