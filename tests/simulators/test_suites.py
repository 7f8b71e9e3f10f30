"""Which node of the demonstration signs with what, and a machine that cannot."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from simulators.country import demo
from simulators.layout import SUITES, Layout
from tests.support.sm2 import without_sm2


def test_the_nodes_sign_with_es256_unless_the_suite_says_otherwise(tmp_path: Path) -> None:
    assert {seat.envelope_algorithm for seat in Layout(tmp_path).seats} == {"ES256"}
    found = {seat.province: seat.envelope_algorithm for seat in Layout(tmp_path, suite="sm2").seats}
    assert found == {"310000": "ES256", "320000": "ES256", "330000": "SM2", "340000": "SM2"}
    assert {"es256", "sm2"} <= set(SUITES)


def test_a_machine_without_sm2_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with without_sm2():
        done = CliRunner().invoke(demo, ["--suite", "sm2", "--check", "--dir", str(tmp_path / "demo")])
    assert done.exit_code == 1
    assert "SM2 needs OpenSSL 3" in done.output
    assert "--suite es256" in done.output
    assert list(tmp_path.iterdir()) == []
