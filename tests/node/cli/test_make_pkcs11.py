"""`yrd init` with a token: the envelope key is made in it, everything else in the store; `yrd keys` when it is lost."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from pathlib import Path

import pytest

from node.config import read_config
from node.control import CommandRefused
from node.keystore import KeystoreError
from tests.support.federation import yrd
from tests.support.softhsm import TestToken, new_token
from trust.errors import KeyRejected


@pytest.fixture
def token() -> TestToken:
    return new_token()


def backends(folder: Path) -> dict[str, str]:
    with sqlite3.connect(folder / "node.db") as connection:
        found = dict(connection.execute("SELECT purpose, backend FROM keys").fetchall())
    connection.close()
    return found


def test_the_envelope_key_is_made_in_the_token(token: TestToken, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    done = yrd(
        *("init", "--province", "330000", "--dir", folder, "--pkcs11-module", token.module),
        *("--pkcs11-token", token.label, "--pkcs11-pin-file", token.pin_file),
    )
    assert done.exit_code == 0, done.output
    assert backends(folder) == {
        "federation": "store",
        "envelope": "pkcs11",
        "openid": "store",
        "tls": "store",
        "log": "store",
        "witness": "store",
    }
    section = read_config(folder / "node.toml", check_files=False).keys.pkcs11
    assert section is not None
    assert (section.module, section.token, section.pin_file) == (token.module, token.label, token.pin_file)
    assert token.pin not in done.output + (folder / "node.toml").read_text("utf-8")


def test_an_ed25519_key_is_made_there_and_an_sm2_key_is_not(token: TestToken, tmp_path: Path) -> None:
    made = ("init", "--province", "330000", *token.init, "--envelope-algorithm")
    assert yrd(*made, "EdDSA", "--dir", tmp_path / "node").exit_code == 0
    assert backends(tmp_path / "node")["envelope"] == "pkcs11"
    with pytest.raises(KeyRejected, match="no SM2 key can be in a PKCS#11 token"):
        yrd(*made, "SM2", "--dir", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_without_a_token_nothing_is_said_of_one(tmp_path: Path) -> None:
    assert yrd("init", "--province", "330000", "--dir", tmp_path / "node").exit_code == 0
    assert "pkcs11" not in tomllib.loads((tmp_path / "node" / "node.toml").read_text("utf-8"))["keys"]


@pytest.mark.parametrize("given", [("--pkcs11-module",), ("--pkcs11-token",)])
def test_half_a_token_is_refused(token: TestToken, tmp_path: Path, given: tuple[str, ...]) -> None:
    values = {"--pkcs11-module": str(token.module), "--pkcs11-token": token.label}
    done = yrd(
        "init",
        "--province",
        "330000",
        "--dir",
        tmp_path / "node",
        *(x for n in given for x in (n, values[n])),
    )
    assert done.exit_code == 2
    assert "--pkcs11-token" in done.output
    assert not (tmp_path / "node").exists()


def test_a_token_that_refuses_leaves_no_half_node(token: TestToken, tmp_path: Path) -> None:
    token.set_pin("00000000")
    with pytest.raises(KeystoreError, match="its PIN was refused") as refused:
        yrd(
            *("init", "--province", "330000", "--dir", tmp_path / "node", "--pkcs11-module", token.module),
            *("--pkcs11-token", token.label, "--pkcs11-pin-file", token.pin_file),
        )
    assert "00000000" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_key_whose_token_is_lost_is_replaced_without_it(token: TestToken, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    config = folder / "node.toml"
    yrd("init", "--province", "330000", "--dir", folder, *token.init)

    def envelope_keys() -> list[dict[str, str]]:
        listed = json.loads(yrd("keys", "list", "--all", "--json", "--config", config).stdout)
        return [key for key in listed if key["purpose"] == "envelope"]

    with token.away():
        (lost,) = envelope_keys()
        assert token.label in lost["fault"]
        retire = ("keys", "retire", lost["kid"], "--replace", "--reason", "token lost", "--config", config)
        with pytest.raises(CommandRefused, match="cannot be used"):  # the next one would be made there too
            yrd(*retire)
        text = config.read_text("utf-8")
        start, end = text.index("[keys.pkcs11]"), text.index("[trust]")
        config.write_text(text[:start] + text[end:], "utf-8")
        done = yrd(*retire)
        assert done.exit_code == 0, done.output
        states = {(key["backend"], key["state"]) for key in envelope_keys()}
        assert states == {("pkcs11", "retired"), ("store", "active")}
