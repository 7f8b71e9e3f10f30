"""docs/bad-input.md names codes and tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from federation.errors import TABLE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "bad-input.md").read_text("utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("|") and "tests/" in line]
SHOWN_BY = re.compile(r"(tests/[\w/]+\.py)::(\w+)")


@pytest.mark.parametrize(("file", "test"), sorted(set(SHOWN_BY.findall(TEXT))))
def test_every_test_that_is_named_is_there(file: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / file).read_text("utf-8")


def test_every_row_has_a_test_and_every_code_is_of_the_table() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    tables = sum(row.startswith("|---") for row in rows)
    assert len(ROWS) == len(rows) - 2 * tables
    codes = set(re.findall(r"`((?:own|peer|registry|access)\.\w+)`", TEXT))
    assert codes <= set(TABLE)
