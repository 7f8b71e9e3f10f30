from __future__ import annotations

import json
from pathlib import Path

from tests.node.cli.conftest import Yrd
from trust.keys import SigningKey
from trust.x509 import create_csr

ENTITY = "https://yrd.zj.example.cn"


def test_the_public_file_has_public_keys_only(anchor: Path) -> None:
    public = json.loads((anchor / "anchor.public.json").read_text())
    assert public["entity_id"] == "https://anchor.example.cn"
    assert all("d" not in key for key in public["jwks"]["keys"])


def test_members_are_listed_and_revoked(anchor: Path, node: Path, yrd: Yrd) -> None:
    assert ENTITY in yrd("anchor", "list", "--dir", anchor).out
    said = yrd("anchor", "revoke", "--dir", anchor, ENTITY, "--reason", "key lost")
    assert said.code == 0
    assert "key lost" in yrd("anchor", "list", "--dir", anchor).out


def test_both_keys_of_a_request_can_be_compared_before_anyone_is_taken_in(
    anchor: Path, tmp_path: Path, yrd: Yrd
) -> None:
    folder = tmp_path / "zhejiang"
    made = yrd("init", "--province", "330000", "--dir", folder, "--anchor", anchor, "--entity-id", ENTITY)
    kids = dict(
        line.split() for line in made.out.splitlines() if line.startswith("  ") and len(line.split()) == 2
    )
    shown = yrd("anchor", "enroll", "--dir", anchor, "--only-show", folder / "enrolment.json")
    assert shown.code == 0
    assert kids["federation"] in shown.out
    assert kids["tls"] in shown.out
    assert ENTITY not in yrd("anchor", "list", "--dir", anchor).out
    assert yrd("anchor", "enroll", "--dir", anchor, folder / "enrolment.json").code == 2


def test_a_tls_key_that_was_exchanged_on_the_way_shows(anchor: Path, tmp_path: Path, yrd: Yrd) -> None:
    folder = tmp_path / "zhejiang"
    yrd("init", "--province", "330000", "--dir", folder, "--anchor", anchor, "--entity-id", ENTITY)
    request = folder / "enrolment.json"
    before = yrd("anchor", "enroll", "--dir", anchor, "--only-show", request).out
    forged = json.loads(request.read_text())
    forged["tls_csr_pem"] = create_csr(SigningKey.generate(), ENTITY).decode()
    request.write_text(json.dumps(forged))
    after = yrd("anchor", "enroll", "--dir", anchor, "--only-show", request).out
    assert before.splitlines()[0] == after.splitlines()[0]
    assert before != after


def test_what_the_anchor_refuses_is_told_in_one_line(anchor: Path, tmp_path: Path, yrd: Yrd) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    for arguments in (
        ("revoke", "--dir", anchor, ENTITY, "--reason", "none"),
        ("enroll", "--dir", anchor, empty, "--out", tmp_path / "out.json"),
        ("list", "--dir", tmp_path / "nowhere"),
        ("init", "--dir", tmp_path / "b", "--entity-id", "http://127.0.0.1:8300"),
    ):
        said = yrd("anchor", *arguments)
        assert said.code == 1, arguments
        assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


def test_statements_are_signed_ahead(anchor: Path, node: Path, yrd: Yrd) -> None:
    said = yrd("anchor", "publish", "--dir", anchor)
    assert said.code == 0
    assert "2 statements" in said.out
