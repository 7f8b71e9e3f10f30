from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.node.cli.conftest import Yrd
from tests.node.config.samples import line_of
from trust.keys import SigningKey, jwks_of


def test_the_help_lists_every_command_without_loading_any(yrd: Yrd) -> None:
    said = yrd("--help")
    assert said.code == 0
    for name in (
        "anchor",
        "init",
        "check-config",
        "serve",
        "client",
        "status",
        "trust",
        "reload",
        "verify",
        "demo",
    ):
        assert f"  {name} " in said.out
    assert "命令 / Commands" in said.out


@pytest.mark.parametrize(
    "command",
    [
        ("anchor",),
        ("anchor", "enroll"),
        ("init",),
        ("check-config",),
        ("serve",),
        ("client", "add"),
        ("status",),
        ("trust", "deny"),
        ("reload", "access"),
        ("map", "reload"),
        ("evidence", "export"),
        ("verify",),
    ],
)
def test_every_command_explains_itself_in_both_languages(yrd: Yrd, command: tuple[str, ...]) -> None:
    said = yrd(*command, "--help")
    assert said.code == 0
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said.out)


def test_what_is_logged_meanwhile_is_not_on_standard_output(node: Path, yrd: Yrd) -> None:
    with closing(sqlite3.connect(node.with_name("node.db"))) as store, store:
        store.execute("UPDATE keys SET wrapped = zeroblob(99) WHERE purpose = 'openid'")
    said = yrd("evidence", "export", "some-request", "--config", node)
    assert (said.code, said.out) == (1, "")
    logged, told = said.err.splitlines()
    assert json.loads(logged)["message"] == "keys.unusable"
    assert told.startswith("yrd: ")


def test_usage_errors_have_exit_code_2(yrd: Yrd) -> None:
    assert yrd("no-such-command").code == 2
    assert yrd("verify").code == 2


def test_without_a_running_node_the_exit_code_is_3(node: Path, yrd: Yrd) -> None:
    for command in (("status",), ("trust", "refresh"), ("reload", "access")):
        said = yrd(*command, "--config", node)
        assert said.code == 3
        assert "no node is running" in said.err


def test_faults_are_told_with_file_and_line(node: Path, yrd: Yrd) -> None:
    text = node.read_text("utf-8").replace('level = "info"', 'level = "loud"')
    node.write_text(text, "utf-8")
    (node.parent / "access.toml").write_text('version = "1"\nasking = [\n  { rule = "x" },\n]\n')
    said = yrd("check-config", "--config", node)
    assert said.code == 2
    assert f"{node}:{line_of(text, 'loud')}: log.level" in said.err
    only_rules = text.replace("loud", "info")
    node.write_text(only_rules, "utf-8")
    said = yrd("check-config", "--config", node)
    assert said.code == 2
    assert f"{node.parent / 'access.toml'}:3: " in said.err


def test_a_client_is_added_once_and_its_secret_is_shown_once(node: Path, yrd: Yrd) -> None:
    said = yrd("client", "add", "portal", "--operations", "certificates.query", "--config", node, "--json")
    assert said.code == 0
    secret = json.loads(said.out)["client_secret"]
    assert len(secret) >= 32
    assert secret.encode() not in (node.parent / "node.db").read_bytes()
    again = yrd("client", "add", "portal", "--config", node)
    assert again.code == 1
    listed = yrd("client", "list", "--config", node)
    assert "certificates.query" in listed.out
    assert secret not in listed.out
    assert yrd("client", "remove", "portal", "--config", node).code == 0
    assert "disabled" in yrd("client", "list", "--config", node).out
    assert yrd("client", "remove", "portal", "--config", node).code == 1


def test_a_client_may_have_keys_instead_of_a_secret(node: Path, tmp_path: Path, yrd: Yrd) -> None:
    jwks = tmp_path / "portal.jwks.json"
    jwks.write_text(json.dumps(jwks_of([SigningKey.generate().verification_key])))
    said = yrd("client", "add", "portal", "--private-key-jwt", jwks, "--config", node)
    assert said.code == 0
    assert "client_secret" not in said.out
    assert "private_key_jwt" in yrd("client", "list", "--config", node).out


@pytest.mark.parametrize(
    "arguments",
    [("Portal",), ("x",), ("portal", "--operations", "certificates.steal"), ("portal", "--operations", ",")],
)
def test_what_no_client_can_be_is_refused(node: Path, yrd: Yrd, arguments: tuple[str, ...]) -> None:
    assert yrd("client", "add", *arguments, "--config", node).code == 1
    assert "no clients yet" in yrd("client", "list", "--config", node).out


def test_serving_with_a_key_file_that_others_may_read_is_refused(node: Path, yrd: Yrd) -> None:
    (node.parent / "kek").chmod(0o644)
    said = yrd("serve", "--config", node)
    assert said.code == 2
    assert "chmod 600" in said.err


def test_evidence_of_an_unknown_exchange_is_refused(node: Path, tmp_path: Path, yrd: Yrd) -> None:
    out = tmp_path / "x.zip"
    said = yrd("evidence", "export", "0193-none", "--config", node, "--out", out)
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert not out.exists()


def test_what_is_no_evidence_file_does_not_hold(anchor: Path, tmp_path: Path, yrd: Yrd) -> None:
    (tmp_path / "x.zip").write_bytes(b"not a zip")
    said = yrd("verify", tmp_path / "x.zip", "--anchor", anchor / "anchor.public.json")
    assert said.code == 1
    assert "does not hold" in said.err


def test_what_operators_did_can_be_read(node: Path, yrd: Yrd) -> None:
    assert "nothing was done yet" in yrd("audit", "--config", node).out
    yrd("client", "add", "portal", "--config", node)
    yrd("client", "remove", "portal", "--config", node)
    said = yrd("audit", "--config", node)
    newest, oldest = said.out.splitlines()
    assert "client.remove" in newest
    assert "client.add" in oldest
    assert f"uid:{os.getuid()}" in oldest
    assert len(yrd("audit", "--last", "1", "--config", node).out.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "code", "said_so"),
    [
        ("access.toml", b"version = 1\n", 2, "access.toml:1"),
        ("kek", b"A" * 43 + b"=\n", 1, "key-encryption key"),
        ("kek", b"short\n", 1, "32 bytes"),
        ("node.db", b"this is no database at all, and long enough to be read as one" * 40, 1, "store"),
    ],
)
def test_a_node_that_cannot_start_says_why_in_a_line(
    node: Path, yrd: Yrd, name: str, content: bytes, code: int, said_so: str
) -> None:
    (node.parent / name).write_bytes(content)
    said = yrd("serve", "--config", node)
    assert said.code == code
    assert said_so in said.err
    assert "Traceback" not in said.err
