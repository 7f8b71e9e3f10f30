"""The anchor as an operator runs it: with the root key on a stick, a published folder, a province's authority."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.anchor import AnchorFolder, enroll, plain_request
from tests.node.anchor.test_publishing import plain_server
from tests.node.cli.conftest import Yrd
from trust.documents import STATUS_PATH, statement_path
from trust.entity import WELL_KNOWN, build_entity_configuration, read_statement
from trust.keys import SigningKey
from trust.rollover import read_roll_overs
from trust.tokens import read_token
from trust.x509 import create_csr, identity_from_pem

ENTITY = "https://yrd.zj.example.cn"


@pytest.fixture
def stick(anchor: Path, tmp_path: Path) -> Path:
    """The root key, taken out of the anchor's folder."""
    folder = tmp_path / "stick"
    folder.mkdir()
    return (anchor / "keys" / "federation.pem").rename(folder / "root.pem")


def test_help_is_there_in_both_languages(yrd: Yrd) -> None:
    said = yrd("anchor", "--help").out
    for command in (
        "enroll", "init", "issue", "list", "publish", "request", "revoke", "rotate", "serve", "show",
        "status", "update",
    ):  # fmt: skip
        assert f"  {command} " in said
        assert yrd("anchor", command, "--help").code == 0


def test_the_root_key_is_made_elsewhere_from_the_first_moment(tmp_path: Path, yrd: Yrd) -> None:
    root = tmp_path / "root.pem"
    arguments = ("anchor", "init", "--dir", tmp_path / "a", "--entity-id", "https://anchor.example.cn")
    assert yrd(*arguments, "--root-key", root).code == 0
    assert root.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "a" / "keys").iterdir()) == ["ca.pem", "status.pem"]
    again = yrd("anchor", "init", "--dir", tmp_path / "b", *arguments[4:], "--root-key", root)
    assert again.code == 1
    assert "not overwritten" in again.err
    assert not (tmp_path / "b").exists()


def test_what_needs_the_root_key_says_so(
    anchor: Path, node: Path, stick: Path, tmp_path: Path, yrd: Yrd
) -> None:
    request, out = node.parent / "enrolment.json", tmp_path / "again.json"
    commands = (
        ("enroll", "--dir", anchor, request, "--out", out),
        ("publish", "--dir", anchor),
        ("update", "--dir", anchor, ENTITY),
        ("rotate", "--dir", anchor),
        ("rotate", "--status", "--dir", anchor),
        ("rotate", "--ca", "--dir", anchor),
        ("rotate", "--finish", "--dir", anchor),
    )
    for command in commands:
        said = yrd("anchor", *command)
        assert (said.code, "--root-key" in said.err, len(said.err.splitlines())) == (1, True, 1), command
    assert not out.exists()
    for command in commands:
        if command[0] != "update":
            assert yrd("anchor", *command, "--root-key", stick).code == 0, command
    assert yrd("anchor", "revoke", "--dir", anchor, ENTITY, "--reason", "gone").code == 0, "without it"


def test_finish_says_what_is_gone_or_that_nothing_is(anchor: Path, yrd: Yrd) -> None:
    finish = ("anchor", "rotate", "--finish", "--early", "--dir", anchor)
    assert "没有到期的密钥" in yrd(*finish).out
    assert yrd("anchor", "rotate", "--status", "--lead-s", "0", "--dir", anchor).code == 0
    assert yrd(*finish).out == "旧状态密钥已清除 / the old status key is gone\n"
    assert "没有到期的密钥" in yrd(*finish).out


def test_publish_lays_out_a_folder_and_warns_of_what_ends(
    anchor: Path, node: Path, tmp_path: Path, yrd: Yrd
) -> None:
    out = tmp_path / "public"
    said = yrd("anchor", "publish", "--dir", anchor, "--out", out)
    assert (said.code, "6 个文件" in said.out or "5 个文件" in said.out) == (0, True)
    assert (out / WELL_KNOWN[1:]).read_text() == AnchorFolder(anchor).configuration()
    assert "注意" not in said.out
    said = yrd("anchor", "publish", "--dir", anchor, "--days", "3")
    assert "注意" in said.out
    assert "yrd anchor publish" in said.out
    assert yrd("anchor", "publish", "--dir", anchor, "--days", "400").code == 2


def test_publish_changes_the_quorum_of_witnesses(anchor: Path, yrd: Yrd) -> None:
    assert yrd("anchor", "publish", "--dir", anchor, "--witness-quorum", "3").code == 0
    assert (
        read_token(AnchorFolder(anchor).configuration()).claims["metadata"]["yrd_anchor"]["witness_quorum"]
        == 3
    )
    assert yrd("anchor", "publish", "--dir", anchor, "--witness-quorum", "0").code == 2


@pytest.mark.parametrize("days", ["0", "-1", "91"])
def test_no_tls_certificate_outlives_what_a_change_of_the_ca_allows_for(
    anchor: Path, node: Path, stick: Path, tmp_path: Path, yrd: Yrd, days: str
) -> None:
    request, out = node.parent / "enrolment.json", tmp_path / "again.json"
    for command in (("enroll", "--root-key", stick), ("issue",)):
        assert yrd("anchor", *command, "--dir", anchor, request, "--out", out, "--days", days).code == 2
    assert not out.exists()


def test_the_status_is_kept_without_the_root_key(
    anchor: Path, node: Path, stick: Path, tmp_path: Path, yrd: Yrd
) -> None:
    out = tmp_path / "public"
    assert yrd("anchor", "status", "--dir", anchor, "--out", out, "--once").code == 0
    first = read_token((out / STATUS_PATH[1:]).read_text()).claims
    assert list(first["statements"]) == [ENTITY]
    yrd("anchor", "revoke", "--dir", anchor, ENTITY, "--reason", "key lost")
    assert yrd("anchor", "status", "--dir", anchor, "--out", out, "--once").code == 0
    second = read_token((out / STATUS_PATH[1:]).read_text()).claims
    assert second["sequence"] > first["sequence"]
    assert [entry["reason"] for entry in second["revocations"]] == ["key lost"]
    assert not (out / statement_path(ENTITY)[1:]).exists()
    said = yrd("anchor", "status", "--dir", anchor, "--out", anchor / "public", "--once")
    assert (said.code, "keys would be shown" in said.err) == (1, True)


def test_the_status_is_kept_until_told_to_stop(anchor: Path, node: Path, tmp_path: Path) -> None:
    out = tmp_path / "public"
    arguments = ["anchor", "status", "--dir", str(anchor), "--out", str(out), "--every", "1"]
    process = subprocess.Popen([sys.executable, "-c", "from node.cli import main; main()", *arguments])
    try:
        seen: set[int] = set()
        deadline = time.monotonic() + 60
        while len(seen) < 2:
            assert time.monotonic() < deadline
            assert process.poll() is None
            if (out / STATUS_PATH[1:]).exists():
                seen.add(read_token((out / STATUS_PATH[1:]).read_text()).claims["sequence"])
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_one_member_is_shown_in_full(anchor: Path, node: Path, yrd: Yrd) -> None:
    said = yrd("anchor", "show", "--dir", anchor, ENTITY)
    assert said.code == 0
    for part in (
        ENTITY,
        "330000",
        "federation keys",
        "statement ends",
        "TLS ends",
        "yrd_node.province",
        "constraints",
    ):
        assert part in said.out
    full = json.loads(yrd("anchor", "show", "--dir", anchor, ENTITY, "--json").out)
    assert (full["kind"], full["standing"], full["pending_keys"]) == ("node", "member", [])
    assert full["tls_ca_is_current"] is True
    said = yrd("anchor", "show", "--dir", anchor, "https://nobody.example")
    assert (said.code, "not a member" in said.err) == (1, True)


def test_a_rotation_gives_new_nodes_the_new_key(anchor: Path, stick: Path, yrd: Yrd) -> None:
    before = json.loads((anchor / "anchor.public.json").read_text())["jwks"]["keys"]
    said = yrd("anchor", "rotate", "--dir", anchor, "--root-key", stick, "--reason", "yearly")
    assert said.code == 0
    after = json.loads((anchor / "anchor.public.json").read_text())["jwks"]["keys"]
    new = SigningKey.from_pem(stick.read_bytes()).kid
    assert [key["kid"] for key in after] == [new] != [before[0]["kid"]]
    tokens = json.loads((anchor / "anchor.public.json").read_text())["roll_overs"]
    led = read_roll_overs(json.dumps(tokens), anchor=AnchorFolder(anchor).facts().entity_id)
    assert [(one.old.kid, one.new.kid) for one in led] == [(before[0]["kid"], new)]
    said = yrd("anchor", "rotate", "--dir", anchor, "--root-key", stick)
    assert (said.code, "one rotation at a time" in said.err) == (1, True)
    assert yrd("anchor", "rotate", "--dir", anchor, "--root-key", stick, "--overlap-days", "400").code == 2


def test_an_offline_ca_issues_from_a_file(
    anchor: Path, node: Path, stick: Path, tmp_path: Path, yrd: Yrd
) -> None:
    out = tmp_path / "tls.json"
    said = yrd("anchor", "issue", "--dir", anchor, node.parent / "enrolment.json", "--out", out)
    assert said.code == 0
    assert "to compare with its operator" in said.out
    assert identity_from_pem(json.loads(out.read_text())["tls_chain_pem"].encode()).entity_id == ENTITY
    forged = json.loads((node.parent / "enrolment.json").read_text())
    forged["tls_csr_pem"] = create_csr(SigningKey.generate(), "https://other.example").decode()
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    out.unlink()
    said = yrd("anchor", "issue", "--dir", anchor, tmp_path / "forged.json", "--out", out)
    assert (said.code, out.exists()) == (1, False)


def test_an_authority_is_made_and_taken_in(anchor: Path, tmp_path: Path, yrd: Yrd) -> None:
    authority, request = tmp_path / "authority", tmp_path / "request.json"
    url = "https://cities.zj.example.cn"
    made = yrd(
        *("anchor", "init", "--dir", authority, "--entity-id", url, "--name", "浙江省机构"),
        *("--superior", "https://anchor.example.cn"),
    )
    assert (made.code, "yrd anchor request" in made.out) == (0, True)
    assert yrd("anchor", "request", "--dir", authority, "--out", request).code == 0
    assert yrd("anchor", "request", "--dir", anchor, "--out", tmp_path / "no.json").code == 1
    out = tmp_path / "enrolled.json"
    said = yrd("anchor", "enroll", "--dir", anchor, request, "--out", out, "--permit", ".zj.example.cn")
    assert said.code == 0
    statement = read_statement(json.loads(out.read_text())["statement"])
    assert statement.claims["constraints"] == {
        "max_path_length": 1,
        "allowed_entity_types": ["openid_provider", "openid_relying_party"],
        "naming_constraints": {"permitted": [".zj.example.cn", "cities.zj.example.cn"]},
    }
    assert "机构 authority" in yrd("anchor", "list", "--dir", anchor).out
    for command in (("rotate", "--ca"), ("rotate", "--status")):
        assert yrd("anchor", *command, "--dir", authority).code == 1
    first = yrd("anchor", "rotate", "--dir", authority)
    assert (first.code, "let the superior run yrd anchor update" in first.out) == (0, True)


def test_an_update_takes_a_configuration_from_a_file(
    anchor: Path, node: Path, tmp_path: Path, yrd: Yrd
) -> None:
    file = tmp_path / "configuration.jwt"
    file.write_text("x")
    said = yrd("anchor", "update", "--dir", anchor, ENTITY, "--configuration", file)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    said = yrd("anchor", "update", "--dir", anchor, "https://nobody.example")
    assert (said.code, "not a member" in said.err) == (1, True)


def test_an_update_asks_the_member_itself(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int], yrd: Yrd
) -> None:
    folder, entity = tmp_path / "anchor", f"http://127.0.0.1:{unused_tcp_port_factory()}"
    url = f"http://127.0.0.1:{unused_tcp_port_factory()}"
    old, new = SigningKey.generate(), SigningKey.generate()
    yrd("anchor", "init", "--dir", folder, "--entity-id", url, "--allow-http-on-loopback")
    request = plain_request(
        entity_id=entity,
        name="市",
        federation_keys=[old.verification_key],
        entity_types=["openid_provider"],
    )
    enroll(folder, request, now=datetime.now(UTC))
    said = yrd("anchor", "update", "--dir", folder, entity)
    assert (said.code, "signing what is known" in said.out) == (0, True)
    files = tmp_path / "public" / ".well-known"
    files.mkdir(parents=True)
    (files / "openid-federation").write_text(
        build_entity_configuration(
            entity_id=entity,
            signer=old,
            metadata={},
            now=datetime.now(UTC),
            authority_hints=[url],
            published=[new.verification_key],
        )
    )
    with plain_server(tmp_path / "public", int(entity.rpartition(":")[2])):
        said = yrd("anchor", "update", "--dir", folder, entity)
    assert (said.code, old.kid in said.out, new.kid in said.out) == (0, True, True)


def test_a_folder_without_an_anchor_is_told_in_one_line(tmp_path: Path, yrd: Yrd) -> None:
    nowhere = tmp_path / "nowhere"
    for command in (
        ("publish",), ("show", ENTITY), ("update", ENTITY), ("rotate",), ("rotate", "--ca"), ("serve",),
        ("status", "--out", tmp_path / "o", "--once"), ("request", "--out", tmp_path / "r"),
    ):  # fmt: skip
        said = yrd("anchor", *command, "--dir", nowhere)
        assert (said.code, len(said.err.splitlines())) == (1, 1), command
        assert "holds no anchor" in said.err
    assert not nowhere.exists()
    assert list(tmp_path.iterdir()) == []
