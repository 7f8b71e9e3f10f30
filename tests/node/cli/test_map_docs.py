"""The commands that docs/mapping.md shows work as they stand there, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.node.cli.conftest import Yrd

PAGE = Path(__file__).parents[3] / "docs" / "mapping.md"


def block(language: str) -> str:
    """The first block of a language in the section on tools."""
    section = PAGE.read_text("utf-8").partition("\n## Tools\n")[2].partition("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_command_on_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yrd: Yrd) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text(block("json"), "utf-8")
    commands = [shlex.split(line) for line in block("sh").splitlines()]
    assert len(commands) > 10
    for command in commands:
        said = yrd(*command[1:])
        assert (said.code, said.err) == (0, ""), command


def test_the_limits_are_those_of_the_reader() -> None:
    from mapping.formats import workbook

    page = " ".join(PAGE.read_text("utf-8").split())
    mib = 1024 * 1024
    assert f"{workbook.MAX_FILE_BYTES // mib} MiB, {workbook.MAX_UNPACKED_BYTES // mib} MiB unpacked" in page
    assert f"{workbook.MAX_SHEETS} sheets, {workbook.MAX_ROWS:,} rows, {workbook.MAX_COLUMNS} columns" in page
    assert f"{workbook.MAX_CELL_CHARACTERS:,} characters in a cell" in page
