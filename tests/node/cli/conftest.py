from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.cli import main


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Yrd = Callable[..., Said]


@pytest.fixture
def yrd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Yrd:
    """The command, as a shell would run it."""

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["yrd", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 0 if done.code is None else 1
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def anchor(tmp_path: Path, yrd: Yrd) -> Path:
    """An anchor that was just made."""
    folder = tmp_path / "anchor"
    said = yrd("anchor", "init", "--dir", folder, "--entity-id", "https://anchor.example.cn")
    assert said.code == 0, said.err
    return folder


@pytest.fixture
def node(tmp_path: Path, anchor: Path, yrd: Yrd) -> Path:
    """An enrolled node; the path of its node.toml."""
    folder = tmp_path / "zhejiang"
    entity = ("--entity-id", "https://yrd.zj.example.cn")
    assert yrd("init", "--province", "330000", "--dir", folder, "--anchor", anchor, *entity).code == 0
    enrolled = folder / "enrolled.json"
    assert yrd("anchor", "enroll", "--dir", anchor, folder / "enrolment.json", "--out", enrolled).code == 0
    return folder / "node.toml"
