"""`yrd keys` where no node runs: the commands work on the store, and say what comes next."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.node.cli.conftest import Yrd


def listed(yrd: Yrd, node: Path) -> list[dict[str, Any]]:
    said = yrd("keys", "list", "--all", "--json", "--config", node)
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


def of(yrd: Yrd, node: Path, purpose: str) -> list[dict[str, Any]]:
    return [key for key in listed(yrd, node) if key["purpose"] == purpose]


def test_a_new_node_has_one_active_key_a_purpose(yrd: Yrd, node: Path) -> None:
    keys = listed(yrd, node)
    assert {key["purpose"]: key["alg"] for key in keys} == {
        **dict.fromkeys(("envelope", "federation", "openid", "tls"), "ES256"),
        **dict.fromkeys(("log", "witness"), "EdDSA"),
    }
    assert {(key["state"], key["backend"]) for key in keys} == {("active", "store")}
    assert len(keys) == 6
    said = yrd("keys", "list", "--config", node)
    assert all(key["kid"] in said.out for key in keys)


def test_a_rotation_tells_its_plan_and_leaves_an_audit_row(yrd: Yrd, node: Path) -> None:
    (old,) = of(yrd, node, "envelope")
    said = yrd("keys", "rotate", "envelope", "--alg", "EdDSA", "--json", "--config", node)
    assert said.code == 0, said.err
    plan = json.loads(said.out)
    new = plan["new"]
    used_at, made_at = (datetime.fromisoformat(new[name]) for name in ("activates_at", "created_at"))
    assert (used_at - made_at).total_seconds() == 180
    assert (datetime.fromisoformat(plan["old_ends_at"]) - used_at).total_seconds() == 3600
    assert [(key["kid"], key["state"], key["alg"]) for key in of(yrd, node, "envelope")] == [
        (old["kid"], "active", "ES256"),
        (new["kid"], "published", "EdDSA"),
    ]
    assert "keys.rotate" in yrd("audit", "--config", node).out
    assert "将启用于" in yrd("keys", "list", "--config", node).out


def test_a_second_rotation_waits_for_the_first(yrd: Yrd, node: Path) -> None:
    assert yrd("keys", "rotate", "envelope", "--config", node).code == 0
    said = yrd("keys", "rotate", "envelope", "--config", node)
    assert said.code == 1
    assert "published already" in said.err
    assert len(of(yrd, node, "envelope")) == 2


def test_what_waits_says_for_whom(yrd: Yrd, node: Path) -> None:
    assert "请锚认可" in yrd("keys", "rotate", "federation", "--config", node).out
    assert "自行申请证书" in yrd("keys", "rotate", "tls", "--config", node).out
    keys = {(key["purpose"], key["state"]): key for key in listed(yrd, node)}
    assert keys["federation", "published"]["waits_for"] == "anchor"
    assert keys["tls", "published"]["waits_for"] == "x509"
    assert keys["tls", "published"]["activates_at"] is None
    assert "等待锚" in yrd("keys", "list", "--config", node).out


@pytest.mark.parametrize("purpose", ["envelope", "federation", "tls"])
def test_what_others_must_know_first_is_not_used_at_once(yrd: Yrd, node: Path, purpose: str) -> None:
    said = yrd("keys", "rotate", purpose, "--now", "--config", node)
    assert said.code == 1
    assert purpose in said.err
    assert len(of(yrd, node, purpose)) == 1


def test_publishing_shorter_than_peers_need_is_refused(yrd: Yrd, node: Path) -> None:
    said = yrd("keys", "rotate", "envelope", "--publish-s", "179", "--config", node)
    assert said.code == 1
    assert "180 s" in said.err
    assert yrd("keys", "rotate", "envelope", "--publish-s", "200", "--config", node).code == 0


@pytest.mark.parametrize(
    ("purpose", "options"),
    [("openid", ["--now"]), ("envelope", ["--now", "--force"]), ("federation", ["--now", "--force"])],
)
def test_at_once_where_it_is_safe_or_forced(yrd: Yrd, node: Path, purpose: str, options: list[str]) -> None:
    (old,) = of(yrd, node, purpose)
    said = yrd("keys", "rotate", purpose, *options, "--config", node)
    assert said.code == 0, said.err
    assert "验证至" in said.out
    states = {key["kid"]: key["state"] for key in of(yrd, node, purpose)}
    assert states.pop(old["kid"]) == "passive"
    assert list(states.values()) == ["active"]


@pytest.mark.parametrize("purpose", ["log", "witness"])
def test_what_signs_notes_is_ed25519(yrd: Yrd, node: Path, purpose: str) -> None:
    assert yrd("keys", "rotate", purpose, "--config", node).code == 0
    assert [(key["state"], key["alg"]) for key in of(yrd, node, purpose)] == [
        ("active", "EdDSA"),
        ("published", "EdDSA"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("openid", "--alg", "EdDSA"),
        ("federation", "--alg", "SM2"),
        ("log", "--alg", "ES256"),
        ("envelope", "--alg", "RS256"),
    ],
)
def test_an_algorithm_that_the_purpose_cannot_have(yrd: Yrd, node: Path, arguments: tuple[str, ...]) -> None:
    said = yrd("keys", "rotate", *arguments, "--config", node)
    assert said.code == 1
    assert arguments[0] in said.err


def test_the_only_active_key_is_not_retired(yrd: Yrd, node: Path) -> None:
    (key,) = of(yrd, node, "envelope")
    said = yrd("keys", "retire", key["kid"], "--reason", "泄露", "--config", node)
    assert said.code == 1
    assert "--replace" in said.err
    assert of(yrd, node, "envelope") == [key]


def test_a_replacement_takes_over_at_once(yrd: Yrd, node: Path) -> None:
    (old,) = of(yrd, node, "envelope")
    said = yrd("keys", "retire", old["kid"], "--reason", "泄露", "--replace", "--config", node)
    assert said.code == 0, said.err
    assert said.out.count(old["kid"]) == 1
    retired, new = of(yrd, node, "envelope")
    assert (retired["kid"], retired["state"], retired["reason"]) == (old["kid"], "retired", "泄露")
    assert new["state"] == "active"
    assert retired["kid"] not in yrd("keys", "list", "--config", node).out
    assert "泄露" in yrd("keys", "list", "--all", "--config", node).out


def test_a_successor_that_is_published_takes_over(yrd: Yrd, node: Path) -> None:
    (old,) = of(yrd, node, "envelope")
    yrd("keys", "rotate", "envelope", "--config", node)
    said = yrd("keys", "retire", old["kid"], "--reason", "泄露", "--config", node)
    assert said.code == 0, said.err
    assert [key["state"] for key in of(yrd, node, "envelope")] == ["retired", "active"]


def test_an_active_federation_key_waits_for_the_anchor_or_for_force(yrd: Yrd, node: Path) -> None:
    (old,) = of(yrd, node, "federation")
    retire = ("keys", "retire", old["kid"], "--reason", "泄露", "--replace", "--config", node)
    said = yrd(*retire)
    assert said.code == 1
    assert "the anchor must list" in said.err
    assert yrd(*retire, "--force").code == 0
    assert [key["state"] for key in of(yrd, node, "federation")] == ["retired", "active"]


def test_an_active_tls_key_is_not_retired_even_with_a_replacement(yrd: Yrd, node: Path) -> None:
    (old,) = of(yrd, node, "tls")
    said = yrd("keys", "retire", old["kid"], "--reason", "x", "--replace", "--force", "--config", node)
    assert said.code == 1
    assert "yrd keys rotate tls" in said.err
    assert of(yrd, node, "tls") == [old]


@pytest.mark.parametrize("reason", ["", " ", "x" * 201])
def test_a_retirement_has_a_reason(yrd: Yrd, node: Path, reason: str) -> None:
    (key,) = of(yrd, node, "openid")
    said = yrd("keys", "retire", key["kid"], "--reason", reason, "--replace", "--config", node)
    assert said.code == 1
    assert "200" in said.err


@pytest.mark.parametrize("kid", ["-h" + 41 * "x", "--reason" + 35 * "x", "-_" + 41 * "A"])
def test_a_key_id_that_begins_with_a_hyphen_is_no_option(yrd: Yrd, node: Path, kid: str) -> None:
    said = yrd("keys", "retire", kid, "--reason", "x", "--config", node)
    assert said.code == 1
    assert f"there is no key {kid}" in said.err


def test_an_unknown_key_and_an_unknown_purpose(yrd: Yrd, node: Path) -> None:
    said = yrd("keys", "retire", "nothing", "--reason", "x", "--config", node)
    assert said.code == 1
    assert "there is no key nothing" in said.err
    assert yrd("keys", "rotate", "status", "--config", node).code == 2
    assert yrd("keys", "rotate", "envelope", "--now", "--publish-s", "1", "--config", node).code == 2


def test_the_key_file_gets_a_passphrase_and_loses_it(
    yrd: Yrd, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kek = node.with_name("kek")
    plain = kek.read_bytes()
    said = yrd("keys", "protect", "--config", node)
    assert said.code == 1
    assert "YRD_KEY_PASSPHRASE" in said.err

    monkeypatch.setenv("YRD_KEY_PASSPHRASE", "a passphrase of some length")
    assert yrd("keys", "protect", "--config", node).code == 0
    assert kek.read_bytes() != plain
    assert len(listed(yrd, node)) == 6

    monkeypatch.setenv("YRD_KEY_PASSPHRASE", "another one of some length")
    said = yrd("keys", "list", "--config", node)
    assert said.code == 1
    assert "does not open with this passphrase" in said.err
    monkeypatch.delenv("YRD_KEY_PASSPHRASE")
    assert "keys.passphrase_file" in yrd("keys", "list", "--config", node).err

    file = node.with_name("passphrase")
    file.touch(0o600)
    file.write_text("a passphrase of some length\n", "utf-8")
    text = node.read_text("utf-8")
    node.write_text(text.replace("[keys]\n", '[keys]\npassphrase_file = "passphrase"\n'), "utf-8")
    assert len(listed(yrd, node)) == 6
    file.chmod(0o644)
    assert "chmod 600" in yrd("keys", "unprotect", "--config", node).err
    file.chmod(0o600)
    assert yrd("keys", "unprotect", "--config", node).code == 0
    assert kek.read_bytes() == plain
