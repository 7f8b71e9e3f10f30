"""`yrd evidence search`, `forget` and `rewrap`, as an operator runs them."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from node.cli.evidence_ground import opened_evidence
from node.clock import SystemClock
from node.config import read_config
from node.keystore.data_keys import DataPurpose
from node.keystore.sealed_files import SEALED_SUFFIX, seal_file
from tests.node.cli.conftest import Yrd
from tests.support.evidence import Exchange, World
from tests.support.exchange_rows import JIANGSU, SHANGHAI, LogRows

NUMBER = "330106199011020279"


async def _fill(config_path: Path) -> Sequence[str]:
    """Three exchanges; the last was about a holder."""
    config = read_config(config_path)
    rows = LogRows(at=SystemClock().now() - timedelta(days=3))
    async with opened_evidence(config) as ground:
        holder = ground.holders("111", NUMBER)
        ids = [
            rows.exchange(peer=JIANGSU, outcome="refused"),
            rows.exchange(asked=True, client="portal", case_number="沪-1"),
            rows.exchange(peer=SHANGHAI, holders=(holder,)),
        ]
        await rows.store(ground.database)
    return ids


@pytest.fixture
def ids(node: Path) -> Sequence[str]:
    return asyncio.run(_fill(node))


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_search_tells_the_newest_first(node: Path, ids: Sequence[str], yrd: Yrd) -> None:
    said = yrd("evidence", "search", "--config", node)
    assert said.code == 0, said.err
    heads, *lines = said.out.splitlines()
    assert "peer" in heads
    assert [line.split()[-1] for line in lines] == list(reversed(ids))
    assert "沪-1" in lines[1]
    assert "拒绝 refused" in lines[2]


def test_a_page_goes_on_where_its_cursor_says(node: Path, ids: Sequence[str], yrd: Yrd) -> None:
    first = json.loads(yrd("evidence", "search", "--limit", "2", "--json", "--config", node).out)
    assert [one["request_id"] for one in first["found"]] == [ids[2], ids[1]]
    rest = yrd("evidence", "search", "--after", first["next"], "--json", "--config", node)
    (last,) = json.loads(rest.out)["found"]
    assert (last["request_id"], last["outcome"], last["peer"]) == (ids[0], "refused", JIANGSU)
    other = yrd("evidence", "search", "--after", first["next"], "--peer", JIANGSU, "--config", node)
    assert other.code == 1
    assert "cursor" in other.err


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (("--peer", JIANGSU), [0]),
        (("--direction", "asked"), [1]),
        (("--outcome", "answered"), [2, 1]),
        (("--client", "portal"), [1]),
        (("--case", "沪-1"), [1]),
        (("--operation", "node.state"), []),
        (("--since", "2999-01-01"), []),
        (("--until", "2999-01-01T00:00+08:00", "--since", "2001-01-01"), [2, 1, 0]),
    ],
)
def test_each_condition_holds(
    node: Path, ids: Sequence[str], yrd: Yrd, condition: tuple[str, ...], found: list[int]
) -> None:
    said = yrd("evidence", "search", *condition, "--json", "--config", node)
    assert [one["request_id"] for one in json.loads(said.out)["found"]] == [ids[one] for one in found]


def test_a_holder_is_found_by_a_number_that_is_shown_nowhere(
    node: Path, ids: Sequence[str], yrd: Yrd, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, f"{NUMBER}\n")
    said = yrd("evidence", "search", "--holder", "111", "--config", node)
    assert said.code == 0, said.err
    assert ids[2] in said.out
    assert ids[1] not in said.out
    assert NUMBER not in said.out + said.err
    type_in(monkeypatch, "")
    assert "no holder's number" in yrd("evidence", "search", "--holder", "111", "--config", node).err
    type_in(monkeypatch, "310101199001011234\n")
    assert "nothing was found" in yrd("evidence", "search", "--holder", "111", "--config", node).err


def test_a_time_that_is_none_is_refused(node: Path, yrd: Yrd) -> None:
    assert yrd("evidence", "search", "--since", "yesterday", "--config", node).code == 2


def in_store(node: Path, text: bytes) -> bool:
    """Whether the bytes are anywhere in the database's files."""
    return any(text in file.read_bytes() for file in node.parent.glob("node.db*"))


def test_what_is_forgotten_is_gone_from_the_files(node: Path, ids: Sequence[str], yrd: Yrd) -> None:
    content = b"4 " + ids[2].encode()
    assert in_store(node, content)
    why = ("--reason", "the holder asked")
    said = yrd("evidence", "forget", "--request-id", ids[2], *why, "--yes", "--config", node)
    assert said.code == 0, said.err
    assert "forgot 2 records" in said.out
    assert not in_store(node, content)
    assert in_store(node, b"0 " + ids[0].encode())
    found = json.loads(yrd("evidence", "search", "--json", "--config", node).out)["found"]
    assert [one["forgotten"] for one in found] == [True, False, False]
    audited = yrd("audit", "--config", node).out
    assert "evidence.forget" in audited
    assert "the holder asked" in audited


async def _again(config_path: Path, request_id: str) -> None:
    """Another node asked under that id."""
    rows = LogRows(at=SystemClock().now(), next_index=100)
    rows._labels.update({("taken", number): 0 for number in range(10)})  # the others' numbers
    rows.exchange(peer=JIANGSU, request_id=request_id)
    async with opened_evidence(read_config(config_path)) as ground:
        await rows.store(ground.database)


def test_of_two_nodes_under_one_id_it_must_be_said_which(node: Path, ids: Sequence[str], yrd: Yrd) -> None:
    asyncio.run(_again(node, ids[2]))
    forget = ("evidence", "forget", "--request-id", ids[2], "--reason", "x", "--yes", "--config", node)
    said = yrd(*forget)
    assert said.code == 1
    assert f"several nodes asked under that id, say which: {JIANGSU}, {SHANGHAI}" in said.err
    assert in_store(node, b"4 " + ids[2].encode())
    said = yrd(*forget, "--asking", JIANGSU)
    assert said.code == 0, said.err
    assert in_store(node, b"4 " + ids[2].encode())
    assert not in_store(node, b"100 " + ids[2].encode())
    assert JIANGSU in yrd("audit", "--config", node).out


def test_a_holder_is_forgotten_and_named_nowhere(
    node: Path, ids: Sequence[str], yrd: Yrd, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = ("evidence", "forget", "--holder", "111", "--reason", "asked", "--config", node)
    type_in(monkeypatch, NUMBER)
    assert "confirm with --yes" in yrd(*forget).err
    type_in(monkeypatch, NUMBER)
    said = yrd(*forget, "--yes")
    assert said.code == 0, said.err
    assert NUMBER not in said.out + said.err + yrd("audit", "--config", node).out
    type_in(monkeypatch, NUMBER)
    assert "no such exchange" in yrd(*forget, "--yes").err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--reason", "x"),
        ("--request-id", "x", "--holder", "111", "--reason", "x"),
        ("--request-id", "x"),
        ("--request-id", "x", "--reason", " "),
        ("--holder", "111", "--asking", "x", "--reason", "x"),
    ],
)
def test_what_to_forget_and_why_must_be_said(node: Path, yrd: Yrd, arguments: tuple[str, ...]) -> None:
    assert yrd("evidence", "forget", *arguments, "--yes", "--config", node).code == 2


def test_a_new_data_key_waits_until_it_is_known_everywhere(node: Path, ids: Sequence[str], yrd: Yrd) -> None:
    said = yrd("evidence", "rewrap", "--new-key", "records", "--config", node)
    assert said.code == 0, said.err
    assert "run this again" in said.out
    with closing(sqlite3.connect(node.with_name("node.db"))) as store:
        purposes = [row[0] for row in store.execute("SELECT purpose FROM data_keys ORDER BY key_id")]
    assert purposes == ["records", "holders", "logins", "records"]
    assert "evidence.new_data_key" in yrd("audit", "--config", node).out


@pytest.mark.parametrize("command", ["search", "forget", "rewrap", "archive", "open"])
def test_each_explains_itself_in_both_languages(yrd: Yrd, command: str) -> None:
    said = yrd("evidence", command, "--help")
    assert said.code == 0
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said.out)


async def _seal(config_path: Path, data: bytes) -> bytes:
    async with opened_evidence(read_config(config_path)) as ground:
        return seal_file(data, ground.data_keys.newest(DataPurpose.RECORDS))


async def test_a_sealed_file_is_verified_with_the_nodes_configuration(
    node: Path, tmp_path: Path, yrd: Yrd
) -> None:
    world = World()
    data = await world.export(Exchange(world))
    keys = tmp_path / "anchor.jwks.json"
    keys.write_text(json.dumps(world.anchor_jwks))
    folder = tmp_path / "archive"
    folder.mkdir()
    sealed = folder / f"2026-11.000000000000{SEALED_SUFFIX}"
    sealed.write_bytes(await _seal(node, data))
    said = await asyncio.to_thread(yrd, "verify", folder, "--config", node, "--anchor", keys)
    assert said.code == 0, said.err
    report = tmp_path / "report.json"
    said = await asyncio.to_thread(
        yrd, "verify", folder, "--config", node, "--anchor", keys, "--json", report
    )
    assert str(sealed) in report.read_text("utf-8")
    assert (await asyncio.to_thread(yrd, "verify", sealed, "--anchor", keys)).code == 1
    out = tmp_path / "plain.zip"
    said = await asyncio.to_thread(yrd, "evidence", "open", sealed, "--out", out, "--config", node)
    assert said.code == 0, said.err
    assert out.read_bytes() == data
    sealed.write_bytes(sealed.read_bytes()[:-1])
    said = await asyncio.to_thread(yrd, "verify", sealed, "--config", node, "--anchor", keys)
    assert said.code == 1
    assert "altered or is cut off" in said.err


def test_an_anchor_or_a_configuration_is_needed_to_verify(node: Path, yrd: Yrd) -> None:
    assert yrd("verify", node).code == 2


def test_archiving_needs_a_folder_and_a_month_that_has_ended(node: Path, yrd: Yrd) -> None:
    assert "evidence.archive" in yrd("evidence", "archive", "--config", node).err
    node.write_text(node.read_text("utf-8") + '\n[evidence]\narchive = "archive"\n', "utf-8")
    assert yrd("evidence", "archive", "--before", "soon", "--config", node).code == 2
    assert "has not ended" in yrd("evidence", "archive", "--before", "2999-01", "--config", node).err
    said = yrd("evidence", "archive", "--config", node)
    assert (said.code, "0 files written" in said.out) == (0, True), said.err
