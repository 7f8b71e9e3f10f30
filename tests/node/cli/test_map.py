"""`yrd map`: work on rule sets without a running node."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from mapping.codelists import code_lists
from mapping.translate import load_dialect
from tests.mapping.rule_sets import SHIPPED, added, changed, copied
from tests.mapping.samples import PROVINCES, all_codes, document
from tests.node.cli.conftest import Yrd

HOUSEHOLD = next(code for code, kind in code_lists().kinds.items() if kind.name == "居民户口簿")


@pytest.fixture
def household(tmp_path: Path) -> Path:
    """A household register as Anhui's registry holds it."""
    shared = document(HOUSEHOLD, all_codes, 7)
    path = tmp_path / "household.json"
    path.write_text(json.dumps(load_dialect("340000").render_local(HOUSEHOLD, shared)), "utf-8")
    return path


def from_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_node_is_told_what_map_check_refuses_before_it_serves(
    tmp_path: Path, node: Path, yrd: Yrd, command: str
) -> None:
    directory = copied("330000", tmp_path)
    added(directory, "maps/sex.csv", "x,x,narrower,9,,,to_local,yes,a test,a test,yrd,yrd")
    own_dialect(node, directory)
    said = yrd(command, "--config", node)
    assert (said.code, "x is written and never read" in said.err) == (2, True)


def test_a_dialect_of_another_province_is_a_fault_of_the_configuration(
    tmp_path: Path, node: Path, yrd: Yrd
) -> None:
    own_dialect(node, copied("320000", tmp_path))
    said = yrd("check-config", "--config", node)
    assert (said.code, "province is 320000" in said.err) == (2, True)


def own_dialect(node: Path, directory: Path) -> None:
    """Have a node use the rule set of a directory."""
    text = node.read_text("utf-8")
    assert text.count("[dialect]\n") == 1
    node.write_text(text.replace("[dialect]\n", f'[dialect]\ndirectory = "{directory}"\n'), "utf-8")


# --- check, coverage ------------------------------------------------------------------------------


def test_check_finds_no_fault_in_what_is_shipped(yrd: Yrd) -> None:
    said = yrd("map", "check")
    assert (said.code, said.err) == (0, "")
    assert [line[:6] for line in said.out.splitlines()] == list(PROVINCES)
    assert said.out.count("全部有行") == len(PROVINCES)


def test_check_tells_every_fault_and_exits_with_1(tmp_path: Path, yrd: Yrd) -> None:
    directory = copied("330000", tmp_path)
    added(directory, "maps/sex.csv", "x,x,exact,7,,,both,,,a test,yrd,yrd")
    added(directory, "maps/sex.csv", "y,y,exact,8,,,both,,,a test,yrd,yrd")
    said = yrd("map", "check", "--dir", directory)
    assert said.code == 1
    assert "7 is not in the list sex" in said.err
    assert "8 is not in the list sex" in said.err
    found = json.loads(yrd("map", "check", "--dir", directory, "--json").out)
    assert len(found[0]["faults"]) == 2


def test_check_refuses_a_code_that_is_written_and_never_read(tmp_path: Path, yrd: Yrd) -> None:
    directory = copied("330000", tmp_path)
    added(directory, "maps/sex.csv", "x,x,narrower,9,,,to_local,yes,a test,a test,yrd,yrd")
    said = yrd("map", "check", "--dir", directory)
    assert said.code == 1
    assert "x is written and never read" in said.err


def test_check_of_a_node_s_own_rule_set(node: Path, yrd: Yrd) -> None:
    said = yrd("map", "check", "--config", node, "--json")
    assert said.code == 0
    [found] = json.loads(said.out)
    assert (found["rule_set"], found["province"], found["faults"]) == ("330000", "330000", [])


@pytest.mark.parametrize(
    "options", [("--province", "990000"), ("--province", "310000", "--dir", str(SHIPPED / "310000"))]
)
def test_a_rule_set_that_is_not_named_well_is_a_usage_error(yrd: Yrd, options: tuple[str, ...]) -> None:
    assert yrd("map", "check", *options).code == 2


def test_coverage_as_a_table_as_json_and_as_a_page(tmp_path: Path, yrd: Yrd) -> None:
    page = tmp_path / "coverage.html"
    said = yrd("map", "coverage", "--province", "320000", "--types", "--on", "2026-11-22", "--html", page)
    assert said.code == 0
    assert "education" in said.out
    assert "家庭成员/婚姻状况" in said.out
    assert page.read_text("utf-8").startswith('<!doctype html><html lang="zh-CN">')
    found = json.loads(yrd("map", "coverage", "--json", "--on", "2026-11-22").out)
    assert [one["province"] for one in found] == list(PROVINCES)
    assert all(one["whole"] for one in found)
    assert all(codes["with_row"] == codes["sources"] for one in found for codes in one["lists"])
    assert yrd("map", "coverage", "--html", page).code == 1  # nothing is overwritten
    assert yrd("map", "coverage", "--on", "yesterday").code == 2


# --- translate, explain ---------------------------------------------------------------------------


def test_translate_to_shared_words(household: Path, yrd: Yrd) -> None:
    said = yrd("map", "translate", household, "--province", "340000", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert (found["kind_name"], found["from"]["province"]) == ("居民户口簿", "340000")
    dialect = load_dialect("340000")
    shared = dialect.to_shared(HOUSEHOLD, json.loads(household.read_text("utf-8")))
    assert [
        (one["name"], one["value"], one["original"], one["relation"], one["table"]) for one in found["shared"]
    ] == [(one.name, one.value, one.original, one.relation.word, one.table) for one in shared]


def test_translate_on_to_another_province(household: Path, yrd: Yrd) -> None:
    found = json.loads(
        yrd("map", "translate", household, "--province", "340000", "--to", "310000", "--json").out
    )
    assert found["to"]["province"] == "310000"
    assert found["document"]["certType"] == "居民户口簿"
    assert {one["name"]: one["value"] for one in found["local"]}["certType"] == "居民户口簿"
    said = yrd("map", "translate", household, "--province", "340000", "--to", "310000").out
    assert "memberList[1].maritalStatus" in said
    assert "等同 exact" in said


def test_translate_reads_standard_input(household: Path, yrd: Yrd, monkeypatch: pytest.MonkeyPatch) -> None:
    from_stdin(monkeypatch, household.read_bytes())
    assert yrd("map", "translate", "--province", "340000").code == 0


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"{}", b'{"licenseTypeCode": "1"}', b"[" * 100_000])
def test_what_is_no_document_is_told_in_one_line(
    yrd: Yrd, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    from_stdin(monkeypatch, data)
    said = yrd("map", "translate", "--province", "340000")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1


def test_values_do_not_steer_the_terminal(yrd: Yrd, monkeypatch: pytest.MonkeyPatch) -> None:
    from_stdin(monkeypatch, json.dumps({"xm": "\x1b[2J", "certInfo": {"xm": "\x1b[31m"}}).encode())
    said = yrd("map", "translate", "--province", "340000", "--kind", "居民身份证")
    assert said.code == 0
    assert "\x1b" not in said.out


def test_explain_tells_the_steps_of_one_value(yrd: Yrd) -> None:
    options = ("--kind", "居民户口簿", "--group", "家庭成员", "--element", "婚姻状况", "--value", "21")
    said = yrd("map", "explain", "--province", "340000", *options, "--on", "1999-01-01")
    assert said.code == 0
    assert "'21' → '20'" in said.out
    assert "1999-01-01" in said.out
    assert "maps/marital.csv" in said.out
    [found] = json.loads(yrd("map", "explain", "--province", "340000", *options, "--json").out)
    assert found["steps"][0]["step"] == "rule"


def test_explain_a_parameter_both_ways(yrd: Yrd) -> None:
    options = ("--province", "320000", "--parameter", "certificate_type", "--json")
    [there] = json.loads(yrd("map", "explain", *options, "--value", "JS-GA-001").out)
    [back] = json.loads(yrd("map", "explain", *options, "--value", there["value"], "--back").out)
    assert back["value"] == "JS-GA-001"


def test_explain_a_document(household: Path, yrd: Yrd) -> None:
    said = yrd("map", "explain", household, "--province", "340000", "--element", "登记日期", "--to", "310000")
    assert said.code == 0
    assert "certInfo.djsj → 登记日期" in said.out
    assert "registerDate" in said.out
    assert yrd("map", "explain", household, "--province", "340000", "--element", "x").code == 1
    assert yrd("map", "explain", "--province", "340000", "--value", "x").code == 2


# --- diff, export, import -------------------------------------------------------------------------


def test_diff_tells_what_becomes_of_which_values(tmp_path: Path, yrd: Yrd) -> None:
    directory = copied("340000", tmp_path)
    changed(directory, "maps/marital.csv", "2003-11-30", "2005-06-30")
    said = yrd("map", "diff", "340000", directory)
    assert said.code == 0
    assert "2003-12-01 – 2005-06-30" in said.out
    found: dict[str, Any] = json.loads(yrd("map", "diff", "340000", directory, "--json").out)
    assert [value["after"] for value in found["values"]] == [["20", "broader"]]
    assert "没有差别" in yrd("map", "diff", "340000", "340000").out
    assert yrd("map", "diff", "340000", "nowhere").code == 2


@pytest.mark.parametrize("form", ["sssom", "conceptmap", "spreadsheet"])
def test_export_writes_a_new_file_the_same_each_time(tmp_path: Path, yrd: Yrd, form: str) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        said = yrd("map", "export", "--to", form, "--province", "310000", "--out", file, "--json")
        assert json.loads(said.out)["bytes"] == file.stat().st_size
    assert files[0].read_bytes() == files[1].read_bytes()
    assert yrd("map", "export", "--to", form, "--province", "310000", "--out", files[0]).code == 1
    assert yrd("map", "export", "--to", form).code == 2


def test_a_spreadsheet_there_and_back_makes_no_difference(tmp_path: Path, yrd: Yrd) -> None:
    sheet, made = tmp_path / "310000.xlsx", tmp_path / "made"
    assert yrd("map", "export", "--to", "spreadsheet", "--province", "310000", "--out", sheet).code == 0
    assert yrd("map", "import", sheet, made).code == 0
    assert "没有差别" in yrd("map", "diff", "310000", made).out
    assert yrd("map", "import", sheet, made).code == 1  # it is there already
    assert yrd("map", "import", sheet, made, "--replace").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["310000.xlsx", "made"]


def test_a_faulty_spreadsheet_writes_nothing(tmp_path: Path, yrd: Yrd) -> None:
    sheet, made = tmp_path / "310000.xlsx", tmp_path / "made"
    yrd("map", "export", "--to", "spreadsheet", "--province", "310000", "--out", sheet)
    book = load_workbook(sheet)
    book["map sex"]["D2"] = "88"
    book["map sex"]["A3"] = "=1"
    book.save(sheet)
    said = yrd("map", "import", sheet, made)
    assert said.code == 1
    assert "map sex D2: 88 不在代码表 sex 中" in said.err
    assert "88 is not in the list sex" in said.err
    assert "map sex A3: 公式" in said.err
    assert not made.exists()
    faults = json.loads(yrd("map", "import", sheet, made, "--json").out)["faults"]
    assert {("map sex", "D2"), ("map sex", "A3")} <= {(fault["sheet"], fault["cell"]) for fault in faults}


def test_a_csv_table_over_a_rule_set(tmp_path: Path, yrd: Yrd) -> None:
    made = tmp_path / "made"
    table = SHIPPED / "330000" / "maps" / "sex.csv"
    assert yrd("map", "import", table, made, "--base", "330000", "--map", "sex").code == 0
    assert "没有差别" in yrd("map", "diff", "330000", made).out
    assert yrd("map", "import", table, tmp_path / "other").code == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("dialect.toml", "= ="), ("dialect.toml", "a = 1"), ("fields.csv", "\x00\n"), ("fields.csv", None)],
)
def test_a_base_that_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, yrd: Yrd, name: str, content: str | None
) -> None:
    base = copied("330000", tmp_path)
    (base / name).unlink()
    if content is not None:
        (base / name).write_text(content, "utf-8")
    table = SHIPPED / "330000" / "maps" / "sex.csv"
    said = yrd("map", "import", table, "--base", base, "--map", "sex")
    assert said.code == 1
    assert said.err


def test_only_a_rule_set_is_replaced(tmp_path: Path, yrd: Yrd) -> None:
    sheet, home = tmp_path / "310000.xlsx", tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear", "utf-8")
    yrd("map", "export", "--to", "spreadsheet", "--province", "310000", "--out", sheet)
    assert yrd("map", "import", sheet, home, "--replace").code == 1
    assert (home / "letter.txt").read_text("utf-8") == "dear"


@pytest.mark.parametrize("name", ["README.md", "maps/notes.txt", ".git/config"])
def test_a_rule_set_with_something_else_beside_it_is_not_replaced(
    tmp_path: Path, yrd: Yrd, name: str
) -> None:
    sheet, home = tmp_path / "310000.xlsx", copied("310000", tmp_path)
    (home / name).parent.mkdir(exist_ok=True)
    (home / name).write_text("dear", "utf-8")
    yrd("map", "export", "--to", "spreadsheet", "--province", "310000", "--out", sheet)
    said = yrd("map", "import", sheet, home, "--replace")
    assert said.code == 1
    assert name.split("/")[-1] in said.err or ".git" in said.err
    assert (home / name).read_text("utf-8") == "dear"


def test_a_name_that_stands_twice_in_a_document_is_refused_and_none_picked(
    yrd: Yrd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_stdin(monkeypatch, '{"certType":"居民身份证","certType":"结婚证"}'.encode())
    said = yrd("map", "translate", "--province", "310000")
    assert said.code == 1
    assert "twice" in said.err


def test_nothing_in_a_document_steers_the_terminal_of_who_asks_why(
    yrd: Yrd, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"certType": "结婚证", "certId": "x\x07\x1b[2J", "odd\x07\x1b]0;x": "男\x07"}
    from_stdin(monkeypatch, json.dumps(document).encode())
    said = yrd("map", "explain", "--province", "310000")
    assert said.code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in said.out)
    assert "odd\\x07" in said.out
