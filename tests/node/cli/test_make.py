from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from node.config import read_config
from node.keystore import ALGORITHMS_FOR, Purpose
from tests.node.cli.conftest import Yrd
from tests.support.sm2 import without_sm2


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_node_has_everything_and_is_fine(node: Path, yrd: Yrd) -> None:
    folder = node.parent
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "access.toml",
        "anchor.jwks.json",
        "enrolled.json",
        "enrolment.json",
        "kek",
        "node.db",
        "node.toml",
    }
    assert mode_of(folder) == 0o700
    assert mode_of(folder / "kek") == 0o600
    assert mode_of(folder / "node.db") == 0o600
    config = read_config(node)
    assert config.node.name == "浙江省节点"
    assert str(config.listen.grpc) == "127.0.0.1:8333"
    assert yrd("check-config", "--config", node).code == 0


def test_no_private_key_leaves_the_store_unwrapped(node: Path) -> None:
    for path in node.parent.iterdir():
        assert b"PRIVATE KEY" not in path.read_bytes()
    request = json.loads((node.parent / "enrolment.json").read_text())
    assert "d" not in request["federation_jwks"]["keys"][0]


def test_access_is_denied_until_the_operator_says_otherwise(node: Path) -> None:
    from federation.access import parse_access

    text = (node.parent / "access.toml").read_text("utf-8")
    parse_access(text)
    opened = text.replace("  # {", "  {")
    assert opened != text
    parse_access(opened)


def test_nothing_is_overwritten(node: Path, anchor: Path, yrd: Yrd) -> None:
    before = {path: path.read_bytes() for path in node.parent.iterdir()}
    said = yrd("init", "--province", "330000", "--dir", node.parent, "--anchor", anchor)
    assert said.code == 1
    assert "not overwritten" in said.err
    assert {path: path.read_bytes() for path in node.parent.iterdir()} == before
    again = yrd("anchor", "init", "--dir", anchor, "--entity-id", "https://anchor.example.cn")
    assert again.code == 1
    assert "already holds an anchor" in again.err


def test_a_node_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, anchor: Path, yrd: Yrd) -> None:
    registry = tmp_path / "registry.toml"
    registry.write_text('[registry]\nkind = "ftp"\n')
    folder = tmp_path / "new" / "zhejiang"
    said = yrd("init", "--province", "330000", "--dir", folder, "--anchor", anchor, "--registry", registry)
    assert said.code == 2
    assert "registry.kind" in said.err
    assert list(folder.parent.iterdir()) == []


def test_a_node_to_try_out_needs_no_more_than_a_province(tmp_path: Path, yrd: Yrd) -> None:
    said = yrd("init", "--province", "340000", "--dir", tmp_path / "ah")
    assert said.code == 0, said.err
    assert "anchor.jwks.json" in said.out
    config = read_config(tmp_path / "ah" / "node.toml", check_files=False)
    assert config.node.entity_id == "http://127.0.0.1:8340"
    checked = yrd("check-config", "--config", tmp_path / "ah" / "node.toml")
    assert checked.code == 2
    assert "trust.anchor_keys" in checked.err


def test_who_listens_everywhere_says_where_others_reach_it(tmp_path: Path, yrd: Yrd) -> None:
    wanted = [
        "init",
        "--province",
        "340000",
        "--dir",
        tmp_path / "ah",
        "--entity-id",
        "https://yrd.ah.example.cn",
    ]
    for more in (
        [],
        ["--grpc-public", "yrd.ah.example.cn:8343"],
        ["--platform-url", "https://api.example.cn"],
    ):
        said = yrd(*wanted, "--host", "0.0.0.0", *more)
        assert said.code == 2
        assert "every address" in said.err
        assert not (tmp_path / "ah").exists()
    more = ["--grpc-public", "yrd.ah.example.cn:8343", "--platform-url", "https://api.example.cn"]
    assert yrd(*wanted, "--host", "::", *more).code == 0
    config = read_config(tmp_path / "ah" / "node.toml", check_files=False)
    assert (config.listen.grpc.host, str(config.grpc_target)) == ("::", "yrd.ah.example.cn:8343")
    assert config.platform_url == "https://api.example.cn"


def test_what_is_hardly_meant_is_said_when_a_node_is_made_and_whenever_it_is_checked(
    tmp_path: Path, yrd: Yrd
) -> None:
    wide = ["--host", "0.0.0.0", "--grpc-public", "yrd.ah.example.cn:8343"]
    wide += ["--platform-url", "https://api.example.cn"]
    made = yrd("init", "--province", "340000", "--dir", tmp_path / "ah", *wide)
    assert made.code == 0
    (line,) = made.err.splitlines()
    assert line.startswith(f"警告 / warning: {tmp_path / 'ah' / 'node.toml'}:7: node.entity_id: 为 127.0.0.1")
    checked = yrd("check-config", "--config", tmp_path / "ah" / "node.toml")
    assert checked.code == 2, "it is not enrolled"
    assert line in checked.err.splitlines()


def test_a_warning_is_no_fault(node: Path, yrd: Yrd) -> None:
    said = yrd("check-config", "--config", node)
    told = f"{node} 没有错误，有 2 处警告 / {node} has no faults, and 2 warnings\n"
    assert (said.code, said.out) == (0, told)
    keys = [line.split(": ")[2] for line in said.err.splitlines()]
    assert sorted(keys) == ["public.grpc", "public.proxies"]


def test_a_node_that_others_reach_is_fine(tmp_path: Path, anchor: Path, yrd: Yrd) -> None:
    folder, wanted = tmp_path / "zj", ["--entity-id", "https://yrd.zj.example.cn", "--proxies", "1"]
    wanted += ["--province", "330000", "--anchor", str(anchor), "--grpc-public", "yrd.zj.example.cn:8333"]
    made = yrd("init", "--dir", folder, *wanted)
    assert (made.code, made.err) == (0, "")
    enrolled = ("--out", folder / "enrolled.json")
    assert yrd("anchor", "enroll", "--dir", anchor, folder / "enrolment.json", *enrolled).code == 0
    assert read_config(folder / "node.toml").public.proxies == 1
    said = yrd("check-config", "--config", folder / "node.toml")
    assert (said.code, said.err) == (0, "")
    assert "is fine" in said.out


def test_a_province_is_six_digits(tmp_path: Path, yrd: Yrd) -> None:
    assert yrd("init", "--province", "33", "--dir", tmp_path / "x").code == 2
    assert (
        yrd("init", "--province", "330106", "--dir", tmp_path / "x", "--entity-id", "https://x.cn").code == 2
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("alg", ALGORITHMS_FOR[Purpose.ENVELOPE])
def test_the_envelope_key_is_of_the_algorithm_that_was_asked_for(alg: str, tmp_path: Path, yrd: Yrd) -> None:
    folder = tmp_path / "node"
    assert yrd("init", "--province", "330000", "--dir", folder, "--envelope-algorithm", alg).code == 0
    assert algorithms_of(folder) == {
        "federation": "ES256",
        "envelope": alg,
        "openid": "ES256",
        "tls": "ES256",
        "log": "EdDSA",
        "witness": "EdDSA",
    }


def test_the_envelope_key_is_es256_unless_asked_otherwise(node: Path, yrd: Yrd) -> None:
    assert algorithms_of(node.parent)["envelope"] == "ES256"
    said = yrd("init", "--province", "330000", "--dir", node.parent / "x", "--envelope-algorithm", "RS256")
    assert said.code == 2


def test_without_sm2_in_the_system_no_half_node_is_left(tmp_path: Path, yrd: Yrd) -> None:
    with without_sm2():
        said = yrd("init", "--province", "330000", "--dir", tmp_path / "node", "--envelope-algorithm", "SM2")
    assert said.code == 1
    assert "SM2 needs OpenSSL 3" in said.err
    assert list(tmp_path.iterdir()) == []


def algorithms_of(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "node.db")) as connection:
        return dict(connection.execute("SELECT purpose, alg FROM keys").fetchall())
