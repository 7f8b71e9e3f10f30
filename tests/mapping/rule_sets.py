"""Rule sets for the tests: those that are shipped, and copies of them that a test changes."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import mapping
from mapping.codelists import code_lists
from mapping.ruleset import RuleSet
from mapping.validate import load_rule_set

SHIPPED = Path(mapping.__file__).parent / "dialects"


@cache
def shipped(province: str) -> RuleSet:
    return load_rule_set(SHIPPED / province, code_lists())


def copied(province: str, to: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / province, to / f"changed-{province}"))


def changed(directory: Path, name: str, old: str, new: str) -> None:
    """Replace a text that occurs once."""
    text = (directory / name).read_text("utf-8")
    assert text.count(old) == 1, (name, old, text.count(old))
    (directory / name).write_text(text.replace(old, new), "utf-8")


def added(directory: Path, name: str, line: str) -> None:
    with (directory / name).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
