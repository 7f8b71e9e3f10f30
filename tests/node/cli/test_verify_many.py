"""`yrd verify` of folders, its reports for programs and people, and that it needs neither network nor node."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.node.cli.conftest import Yrd
from tests.support.evidence import HOLDER_ID, Exchange, World

BLOCKED = """
import sys
def no_network(event, arguments):
    if event.startswith("socket.") or event.startswith("sqlite3."):
        raise RuntimeError(event)
sys.addaudithook(no_network)
sys.argv = ["yrd", *sys.argv[1:]]
from node.cli import main
if __name__ == "__main__":
    main()
"""
"""Every process of the command runs this first: whoever opens a socket or a database fails."""


async def fill(folder: Path, *, count: int = 3, spoil: int = 0) -> Path:
    """A folder of evidence, some of it below, some of it spoilt; the anchor's keys beside it."""
    world = World()
    below = folder / "files" / "2026" / "11"
    below.mkdir(parents=True)
    for number in range(count):
        if number == count - 1:
            world.cosigners = {}
        data = bytearray(await world.export(Exchange(world)))
        if number < spoil:
            data[len(data) // 2] ^= 1
        (below if number % 2 else folder / "files").joinpath(f"{number}.zip").write_bytes(data)
    (folder / "files" / "readme.txt").write_text("no evidence")
    anchor = folder / "anchor.jwks.json"
    anchor.write_text(json.dumps(world.anchor_jwks))
    return anchor


async def test_a_folder_is_told_in_one_line(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path)
    said = yrd("verify", tmp_path / "files", "--anchor", anchor)
    assert said.code == 0, said.err
    assert "3 of 3 files hold; 3 exchanges: 2 proven, 1 with something unproven, 0 forgotten" in said.out
    assert said.err == ""


async def test_what_does_not_hold_is_told_and_fails(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path, spoil=1)
    said = yrd("verify", tmp_path / "files", "--anchor", anchor)
    assert said.code == 1
    assert "0.zip: 不成立 / does not hold: " in said.err
    assert "1 of 3 did not hold" in said.err


async def test_what_is_not_settled_fails_when_it_must_be(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path)
    said = yrd("verify", tmp_path / "files", "--anchor", anchor, "--require-settled")
    assert said.code == 1
    assert "0 of 2 witnesses: signed, time unproven" in said.err


async def test_a_folder_without_evidence_proves_nothing(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path)
    (tmp_path / "empty").mkdir()
    said = yrd("verify", tmp_path / "empty", "--anchor", anchor)
    assert (said.code, "no evidence file" in said.err) == (1, True)


async def test_the_report_for_programs(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path, spoil=1)
    report = tmp_path / "report.json"
    said = yrd("verify", tmp_path / "files", "--anchor", anchor, "--json", report)
    assert said.code == 1
    found = json.loads(report.read_text())
    assert found["summary"] == {
        "files": 3, "holding": 2, "broken": 1, "unknown": 0,
        "exchanges": 2, "proven": 1, "signed": 1, "forgotten": 0,
    }  # fmt: skip
    by_name = {Path(one["path"]).name: one for one in found["files"]}
    assert (by_name["0.zip"]["holds"], "error" in by_name["0.zip"]) == (False, True)
    [exchange] = by_name["1.zip"]["exchanges"]
    assert (exchange["verdict"], exchange["question"]["case_number"]) == ("proven", "沪-2026-0001")
    assert HOLDER_ID not in report.read_text()


async def test_the_report_on_standard_output_is_nothing_else(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path)
    said = yrd("verify", tmp_path / "files", "--anchor", anchor, "--json", "-")
    assert json.loads(said.out)["summary"]["files"] == 3


class Page(HTMLParser):
    """What a browser would see: tags that are open, and that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_for_people(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path, spoil=1)
    file = tmp_path / "report.html"
    assert yrd("verify", tmp_path / "files", "--anchor", anchor, "--html", file).code == 1
    text, page = file.read_text(), Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.seen
    assert not {"link", "img", "iframe"} & page.seen
    for words in (
        "3 份文件，2 份成立", "上海市节点", "浙江省节点", "出生一件事", "沪-2026-0001", "核验婚姻状况", "依职能",
        "1 份电子证照：结婚证", "2026-11-02 12:00:02", "不成立", "It does not hold", "official duty",
        "The evidence holds, and its time is proven", "时间未经证明",
    ):  # fmt: skip
        assert words in text
    assert HOLDER_ID not in text


async def test_what_others_wrote_stays_text_on_the_page(tmp_path: Path, yrd: Yrd) -> None:
    world = World()
    (tmp_path / "<b>.zip").write_bytes(
        await world.export(Exchange(world, request_says={"officer": "<script>alert(1)</script>"}))
    )
    anchor, file = tmp_path / "anchor.jwks.json", tmp_path / "report.html"
    anchor.write_text(json.dumps(world.anchor_jwks))
    assert yrd("verify", tmp_path / "<b>.zip", "--anchor", anchor, "--html", file).code == 0
    assert "<script" not in file.read_text()
    assert "&lt;script&gt;" in file.read_text()


async def test_a_bar_only_where_it_is_wanted(tmp_path: Path, yrd: Yrd) -> None:
    anchor = await fill(tmp_path)
    assert "3/3" in yrd("verify", tmp_path / "files", "--anchor", anchor, "--progress").err


@pytest.mark.parametrize("count", [2, 40])
def test_without_network_database_and_configuration(tmp_path: Path, count: int) -> None:
    """One process for a few files, several for many; a process of its own, so that nothing is loaded before."""
    anchor = asyncio.run(fill(tmp_path, count=count))
    script = tmp_path / "blocked.py"
    script.write_text(BLOCKED)
    done = subprocess.run(
        [sys.executable, script, "verify", tmp_path / "files", "--anchor", anchor, "--jobs", "2"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert f"{count} of {count} files hold" in done.stdout
    assert not list(tmp_path.glob("**/*.toml"))
