"""`yrd evidence export`: what it takes, and that a holder's number is never an argument."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.node.cli.conftest import Yrd


@pytest.mark.parametrize(
    "said",
    [
        (),
        ("01930000-0000-7000-8000-000000000001", "--case", "沪-2026-0001"),
        ("--case", "沪-2026-0001", "--from", "2026-11-01"),
        ("--until", "2026-11-01"),
        ("--holder-id", "-"),
        ("--holder-type", "111", "--holder-id", "330106199011020279"),
        ("--from", "yesterday"),
    ],
    ids=["nothing", "id and case", "case and period", "no beginning", "no type", "a number", "no time"],
)
def test_one_thing_is_exported_at_a_time(node: Path, yrd: Yrd, said: tuple[str, ...]) -> None:
    done = yrd("evidence", "export", *said, "--config", node)
    assert done.code == 2
    assert not list(node.parent.glob("*.zip"))


@pytest.mark.parametrize(
    "said",
    [
        ("01930000-0000-7000-8000-000000000001",),
        ("--case", "沪-2026-0001"),
        ("--from", "2026-11-01", "--until", "2026-12-01"),
    ],
    ids=["id", "case", "period"],
)
def test_what_is_not_there_makes_no_file(tmp_path: Path, node: Path, yrd: Yrd, said: tuple[str, ...]) -> None:
    out = tmp_path / "out.zip"
    done = yrd("evidence", "export", *said, "--out", out, "--config", node)
    assert done.code == 1, done.err
    assert "there is no" in done.err
    assert not out.exists()


def test_a_holders_number_comes_from_standard_input(
    tmp_path: Path, node: Path, yrd: Yrd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("330106199011020279\n"))
    done = yrd("evidence", "export", "--holder-type", "111", "--out", tmp_path / "x", "--config", node)
    assert (done.code, "there is no such exchange" in done.err) == (1, True)
    assert "330106199011020279" not in done.out + done.err
