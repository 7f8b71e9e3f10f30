"""`yrd keys begin-again` and `yrd enrolment`: what is given up, what is kept, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from node.config import read_config
from node.control import serve_control
from node.enrolled import EnrolmentFile
from node.keystore import Keystore
from node.keystore.configured import opened_keystore
from node.own_documents import historical_keys
from node.store.database import open_database
from tests.node.cli.conftest import Said, Yrd
from tests.support.clock import FixedClock
from trust.tokens import read_token

PURPOSES = ["envelope", "federation", "log", "openid", "tls", "witness"]
REASON = "密钥文件丢失"


def listed(yrd: Yrd, node: Path) -> list[dict[str, Any]]:
    said = yrd("keys", "list", "--all", "--json", "--config", node)
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


def begin_again(yrd: Yrd, node: Path, *more: str) -> Said:
    return yrd("keys", "begin-again", "--reason", REASON, "--yes", "--config", node, *more)


def query(node: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(node.with_name("node.db"))) as store, store:
        return list(store.execute(sql, values))


async def historical(node: Path) -> dict[str, Any]:
    """What the node signs about its keys of before, by key id."""
    config, clock = read_config(node, check_files=False), FixedClock()
    database = open_database(config.store.url)
    async with opened_keystore(config.keys, database, clock) as keystore:
        token = historical_keys(config, keystore)(clock.now())
    await database.close()
    return {key["kid"]: key for key in read_token(token, max_bytes=1 << 20).claims["keys"]}


def enroll_again(yrd: Yrd, anchor: Path, node: Path) -> Said:
    enrolled = node.with_name("enrolled.json")
    enrolled.unlink(missing_ok=True)
    return yrd("anchor", "enroll", "--dir", anchor, node.with_name("enrolment.json"), "--out", enrolled)


def test_without_the_key_file_every_key_is_given_up_and_made_anew(yrd: Yrd, node: Path, anchor: Path) -> None:
    before = {key["purpose"]: key for key in listed(yrd, node)}
    node.with_name("kek").unlink()
    said = begin_again(yrd, node)
    assert said.code == 0, said.err
    assert all(key["kid"] in said.err for key in before.values())
    after = listed(yrd, node)
    retired = {key["purpose"]: key for key in after if key["state"] == "retired"}
    active = {key["purpose"]: key for key in after if key["state"] == "active"}
    assert sorted(retired) == sorted(active) == PURPOSES
    for purpose, old in before.items():
        assert (retired[purpose]["kid"], retired[purpose]["reason"]) == (old["kid"], REASON)
        assert active[purpose]["generation"] == old["generation"] + 1
        assert active[purpose]["kid"] in said.out
    assert all(not key["fault"] for key in after)

    request = json.loads(node.with_name("enrolment.json").read_text("utf-8"))
    assert [key["kid"] for key in request["federation_jwks"]["keys"]] == [active["federation"]["kid"]]
    assert enroll_again(yrd, anchor, node).code == 0
    config = read_config(node)
    EnrolmentFile(config.trust.enrolment, entity_id=config.node.entity_id, anchor=config.trust.anchor).read()

    told = asyncio.run(historical(node))
    assert set(told) == {old["kid"] for purpose, old in before.items() if purpose != "tls"}
    assert all(key["revoked"]["reason"] == REASON for key in told.values())
    (noted,) = query(node, "SELECT detail FROM audit WHERE action = 'keys.begin-again'")
    detail = json.loads(noted[0])
    assert (detail["reason"], detail["key_file"], len(detail["retired"])) == (REASON, "new", 6)


def test_a_key_that_was_retired_before_stays_in_the_history_as_it_was(yrd: Yrd, node: Path) -> None:
    (old,) = (key["kid"] for key in listed(yrd, node) if key["purpose"] == "envelope")
    assert yrd("keys", "retire", old, "--reason", "leaked", "--replace", "--config", node).code == 0
    for _ in range(2):
        node.with_name("kek").unlink()
        assert old in begin_again(yrd, node).err
        assert asyncio.run(historical(node))[old]["revoked"]["reason"] == "leaked"


def test_a_key_that_was_given_up_cannot_be_forged_or_brought_back(yrd: Yrd, node: Path) -> None:
    (envelope,) = (key for key in listed(yrd, node) if key["purpose"] == "envelope")
    node.with_name("kek").unlink()
    assert begin_again(yrd, node).code == 0
    query(node, "UPDATE keys SET state = 'active' WHERE kid = ?", envelope["kid"])
    (again,) = (key for key in listed(yrd, node) if key["kid"] == envelope["kid"])
    assert "was given up" in again["fault"]
    query(
        node,
        "UPDATE keys SET state = 'retired', purpose = 'log', generation = 9 WHERE kid = ?",
        envelope["kid"],
    )
    assert envelope["kid"] not in asyncio.run(historical(node))
    query(
        node,
        "UPDATE keys SET backend = 'store', purpose = 'envelope', generation = 1 WHERE kid = ?",
        envelope["kid"],
    )
    assert envelope["kid"] not in asyncio.run(historical(node))
    (live,) = query(node, "SELECT wrapped FROM keys WHERE purpose = 'envelope' AND state = 'active'")
    query(node, "UPDATE keys SET backend = 'given-up', wrapped = ? WHERE kid = ?", live[0], envelope["kid"])
    assert envelope["kid"] not in asyncio.run(historical(node))


@pytest.mark.parametrize("what", ["a passphrase that nobody knows", "garbage"])
def test_what_is_left_of_a_key_file_is_moved_aside(
    yrd: Yrd, node: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    kek = node.with_name("kek")
    if what == "garbage":
        kek.write_bytes(b"garbage\n")
    else:
        monkeypatch.setenv("YRD_KEY_PASSPHRASE", "a passphrase of some length")
        assert yrd("keys", "protect", "--config", node).code == 0
        monkeypatch.delenv("YRD_KEY_PASSPHRASE")
    left = kek.read_bytes()
    said = begin_again(yrd, node)
    assert said.code == 0, said.err
    (aside,) = node.parent.glob("kek.lost-*")
    assert (aside.read_bytes(), aside.stat().st_mode & 0o777) == (left, 0o600)
    assert kek.stat().st_mode & 0o777 == 0o600
    assert str(aside) in said.out
    assert len(listed(yrd, node)) == 12


def test_another_key_file_is_kept_and_a_repeat_has_nothing_to_do(
    yrd: Yrd, node: Path, tmp_path: Path
) -> None:
    kek = node.with_name("kek")
    assert yrd("init", "--province", "310000", "--dir", tmp_path / "other").code == 0
    kek.write_bytes((tmp_path / "other" / "kek").read_bytes())
    kept = kek.read_bytes()
    assert begin_again(yrd, node).code == 0
    assert kek.read_bytes() == kept
    again = begin_again(yrd, node)
    assert (again.code, again.out) == (1, "")
    assert "nothing to begin again" in again.err
    assert len(listed(yrd, node)) == 12


def test_one_row_that_cannot_be_opened_leaves_the_other_keys(yrd: Yrd, node: Path) -> None:
    before = {key["purpose"]: key["kid"] for key in listed(yrd, node)}
    query(node, "UPDATE keys SET wrapped = zeroblob(99) WHERE purpose = 'openid'")
    said = begin_again(yrd, node)
    assert said.code == 0, said.err
    active = {key["purpose"]: key["kid"] for key in listed(yrd, node) if key["state"] == "active"}
    assert active.pop("openid") != before.pop("openid")
    assert active == before


def test_the_algorithms_stay(yrd: Yrd, node: Path) -> None:
    yrd("keys", "rotate", "envelope", "--alg", "EdDSA", "--now", "--force", "--config", node)
    node.with_name("kek").unlink()
    assert begin_again(yrd, node).code == 0
    assert {key["purpose"]: key["alg"] for key in listed(yrd, node) if key["state"] == "active"} == {
        **dict.fromkeys(PURPOSES, "ES256"),
        **dict.fromkeys(("envelope", "log", "witness"), "EdDSA"),
    }


@pytest.mark.parametrize("answer", ["", "n\n", "\n"])
def test_nothing_changes_without_a_yes(
    yrd: Yrd, node: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    before = query(node, "SELECT * FROM keys")
    node.with_name("kek").unlink()
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    said = yrd("keys", "begin-again", "--reason", REASON, "--config", node)
    assert (said.code, said.out) == (130, "")
    assert "Give these keys up for ever?" in said.err
    assert query(node, "SELECT * FROM keys") == before
    assert not node.with_name("kek").exists()


def test_with_a_yes_it_goes_on(yrd: Yrd, node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node.with_name("kek").unlink()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert yrd("keys", "begin-again", "--reason", REASON, "--config", node).code == 0
    assert len(listed(yrd, node)) == 12


@pytest.mark.parametrize("reason", ["", " ", "x" * 201])
def test_a_reason_is_needed(yrd: Yrd, node: Path, reason: str) -> None:
    node.with_name("kek").unlink()
    said = yrd("keys", "begin-again", "--reason", reason, "--yes", "--config", node)
    assert said.code == 1
    assert "200" in said.err
    assert not node.with_name("kek").exists()


def test_a_key_file_that_only_needs_another_mode_is_not_lost(yrd: Yrd, node: Path) -> None:
    node.with_name("kek").chmod(0o644)
    said = begin_again(yrd, node)
    assert said.code == 1
    assert "chmod 600" in said.err
    assert not list(node.parent.glob("kek.lost-*"))


async def test_a_node_that_runs_is_left_alone(yrd: Yrd, node: Path) -> None:
    async def audit(*_: object) -> None:
        return None

    node.with_name("kek").unlink()
    async with serve_control(read_config(node, check_files=False).listen.control, {}, audit):
        said = await asyncio.to_thread(begin_again, yrd, node)
    assert said.code == 1
    assert "already running" in said.err
    assert not node.with_name("kek").exists()


def test_an_interruption_after_the_key_file_is_gone_over_again(
    yrd: Yrd, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: object) -> None:
        raise OSError(28, "No space left on device")

    node.with_name("kek").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Keystore, "begin_again", cut_off)
        assert begin_again(yrd, node).code == 1
    kek = node.with_name("kek").read_bytes()
    assert begin_again(yrd, node).code == 0
    assert node.with_name("kek").read_bytes() == kek
    assert {key["state"] for key in listed(yrd, node)} == {"active", "retired"}


def test_a_request_has_the_keys_of_now(yrd: Yrd, node: Path, tmp_path: Path, anchor: Path) -> None:
    first = json.loads(node.with_name("enrolment.json").read_text("utf-8"))
    said = yrd("enrolment", "--config", node)
    assert said.code == 0, said.err
    same = json.loads(said.out)
    assert {**same, "tls_csr_pem": ""} == {**first, "tls_csr_pem": ""}
    federation = first["federation_jwks"]["keys"][0]["kid"]
    assert federation in said.err

    yrd("keys", "rotate", "federation", "--now", "--force", "--config", node)
    out = tmp_path / "request.json"
    said = yrd("enrolment", "--config", node, "--out", out)
    assert (said.code, said.err) == (0, "")
    (key,) = json.loads(out.read_text("utf-8"))["federation_jwks"]["keys"]
    assert key["kid"] != federation
    assert key["kid"] in said.out

    yrd("keys", "rotate", "federation", "--config", node)
    coming = json.loads(yrd("enrolment", "--config", node).out)["federation_jwks"]["keys"]
    assert [one["kid"] for one in coming].index(key["kid"]) == 0
    assert len(coming) == 2
    again = yrd("enrolment", "--config", node, "--out", out)
    assert (again.code, "not overwritten" in again.err) == (1, True)
    enrolled = tmp_path / "enrolled.json"
    assert yrd("anchor", "enroll", "--dir", anchor, out, "--out", enrolled).code == 0
    assert "enrolment" in yrd("audit", "--config", node).out


def test_without_its_keys_there_is_no_request(yrd: Yrd, node: Path) -> None:
    node.with_name("kek").unlink()
    said = yrd("enrolment", "--config", node)
    assert (said.code, said.out) == (1, "")
    assert "restore it from its backup" in said.err
