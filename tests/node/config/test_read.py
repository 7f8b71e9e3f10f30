from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.config import Address, ConfigFaults, read_config
from node.connectors.settings import HttpRegistrySettings
from tests.node.config.samples import NODE_TOML, enrolment, line_of, write_node_files


def faults_of(path: Path) -> dict[str, int]:
    with pytest.raises(ConfigFaults) as caught:
        read_config(path)
    assert all(fault.file == str(path) for fault in caught.value.faults)
    return {fault.key: fault.line for fault in caught.value.faults}


def test_a_good_file_is_read_whole(tmp_path: Path) -> None:
    config = read_config(write_node_files(tmp_path))
    assert config.listen.grpc == Address("127.0.0.1", 8333)
    assert config.grpc_target == config.listen.grpc
    assert config.store.url == f"sqlite:///{tmp_path}/node.db"
    assert config.limits.message_in_bytes == 1024 * 1024
    assert isinstance(config.registry, HttpRegistrySettings)
    assert config.registry.base_url == "http://127.0.0.1:8334"


def test_a_config_cannot_be_changed(tmp_path: Path) -> None:
    config = read_config(write_node_files(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        config.limits.skew_s = 600


def test_all_faults_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = (
        NODE_TOML.replace('province = "330000"\nname', 'province = "33"\nname')
        .replace("127.0.0.1:8331", "127.0.0.1:8330")
        .replace('control = "control.sock"', "control = 7")
        .replace("sqlite:///node.db", "mysql://x")
        .replace("parameters =", "parameterz =")
        + '[limits]\nskew_s = "60"\nskewed_s = 60\n[colour]\nred = 1\n'
    )
    path = write_node_files(tmp_path, text)
    assert faults_of(path) == {
        "node.province": 2,
        "listen.control": line_of(text, "control = 7"),
        "store.url": line_of(text, "mysql"),
        "registry.operations.certificates.query.parameterz": line_of(text, "parameterz"),
        "limits.skew_s": line_of(text, 'skew_s = "60"'),
        "limits.skewed_s": line_of(text, "skewed_s"),
        "colour": line_of(text, "[colour]"),
    }


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("127.0.0.1:8331", "127.0.0.1:8330", "listen.platform"),
        ("127.0.0.1:8331", "127.0.0.1", "listen.platform"),
        ("127.0.0.1:8331", "127.0.0.1:65536", "listen.platform"),
        ("127.0.0.1:8331", "bad_host:1", "listen.platform"),
        ('grpc = "127.0.0.1:8333"', 'grpc = "0.0.0.0:8333"', "public.grpc"),
        ("[store]", '[public]\ngrpc = "0.0.0.0:8333"\n[store]', "public.grpc"),
        ("[store]", '[public]\ngrpc = "[::]:8333"\n[store]', "public.grpc"),
        ('platform = "127.0.0.1:8331"', 'platform = "0.0.0.0:8331"', "public.platform"),
        ('platform = "127.0.0.1:8331"', 'platform = "[::]:8331"', "public.platform"),
        ("[store]", '[public]\nplatform = "http://0.0.0.0:8331"\n[store]', "public.platform"),
        ("[store]", '[public]\nplatform = "https://[::]/api"\n[store]', "public.platform"),
        ("http://127.0.0.1:8330", "https://0.0.0.0:8330", "node.entity_id"),
        ("http://127.0.0.1:8300", "https://[::]:8300", "trust.anchor"),
        ("allow_http_on_loopback = true", "", "node.entity_id"),
        ("http://127.0.0.1:8330", "http://node.example", "node.entity_id"),
        ("http://127.0.0.1:8330", "https://user@node.example", "node.entity_id"),
        ("http://127.0.0.1:8330", "https://node.example/?x", "node.entity_id"),
        ("http://127.0.0.1:8300", "http://127.0.0.1:8330", "trust.anchor"),
        ("[access]", 'mirrors = ["http://mirror.example"]\n[access]', "trust.mirrors"),
        ("[access]", 'mirrors = ["https://mirror.example/"]\n[access]', "trust.mirrors"),
        ("[access]", 'mirrors = "https://mirror.example"\n[access]', "trust.mirrors"),
        ("[access]", 'mirrors = ["file:///etc"]\n[access]', "trust.mirrors"),
        ('policy = "access.toml"', "", "access.policy"),
        ('"kek"', '"kek"\npublish_s = 9.9\npoll_s = 5.0', "keys.publish_s"),
        ('"kek"', '"kek"\noverlap_s = 0', "keys.overlap_s"),
        ('kind = "http"', 'kind = "ftp"', "registry.kind"),
        ('directory = "dialect"', 'directory = "elsewhere"', "dialect.directory"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in NODE_TOML
    assert key in faults_of(write_node_files(tmp_path, NODE_TOML.replace(old, new)))


def test_mirrors_are_urls_below_which_the_anchors_documents_are(tmp_path: Path) -> None:
    mirrors = ["https://mirror.example/anchor", "http://127.0.0.1:8090"]
    text = NODE_TOML.replace("[access]", f"mirrors = {json.dumps(mirrors)}\n[access]")
    assert read_config(write_node_files(tmp_path, text)).trust.mirrors == tuple(mirrors)


def test_no_mirrors_are_needed(tmp_path: Path) -> None:
    assert read_config(write_node_files(tmp_path)).trust.mirrors == ()


def test_a_missing_key_is_on_the_line_of_its_table(tmp_path: Path) -> None:
    text = NODE_TOML.replace('entity_id = "http://127.0.0.1:8330"\n', "")
    assert faults_of(write_node_files(tmp_path, text)) == {"node.entity_id": 1}


def test_a_missing_table_is_a_fault_of_the_file(tmp_path: Path) -> None:
    text = NODE_TOML.replace('[access]\npolicy = "access.toml"\n', "")
    assert faults_of(write_node_files(tmp_path, text)) == {"access": 0}


@pytest.mark.parametrize(
    ("text", "line"), [("[node]\nprovince = \n", 2), ("[node]\n[node]\n", 2), ('a = 1\nb = "', 2)]
)
def test_broken_toml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert faults_of(write_node_files(tmp_path, text)) == {"": line}


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none.toml") == {"": 0}
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert faults_of(tmp_path / "binary.toml") == {"": 0}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_node_files(tmp_path)
    (tmp_path / "kek").chmod(mode)
    assert faults_of(path) == {"keys.key_encryption_key": line_of(NODE_TOML, "key_encryption_key")}


PKCS11_TOML = """
[keys.pkcs11]
module = "module.so"
token = "yrd"
pin_file = "pin"
"""


def with_token(folder: Path) -> Path:
    """A node's files, with a token, its module and its PIN."""
    for name in ("module.so", "pin", "passphrase"):
        (folder / name).touch(0o600)
    text = NODE_TOML.replace('"kek"\n', '"kek"\npassphrase_file = "passphrase"\n')
    return write_node_files(folder, text + PKCS11_TOML)


def test_a_token_is_configured(tmp_path: Path) -> None:
    section = read_config(with_token(tmp_path)).keys.pkcs11
    assert section is not None
    assert (section.module, section.pin_file) == (tmp_path / "module.so", tmp_path / "pin")
    assert (section.token, section.purposes) == ("yrd", ["envelope"])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("module.so", "keys.pkcs11.module"),
        ("pin", "keys.pkcs11.pin_file"),
        ("passphrase", "keys.passphrase_file"),
    ],
)
def test_what_the_keys_need_must_be_there(tmp_path: Path, name: str, key: str) -> None:
    path = with_token(tmp_path)
    (tmp_path / name).unlink()
    faults = faults_of(path)
    assert list(faults) == [key]
    assert faults[key] == line_of(path.read_text("utf-8"), key.rpartition(".")[2])


@pytest.mark.parametrize(
    ("name", "key"), [("pin", "keys.pkcs11.pin_file"), ("passphrase", "keys.passphrase_file")]
)
def test_a_pin_or_passphrase_that_others_may_read_is_refused(tmp_path: Path, name: str, key: str) -> None:
    path = with_token(tmp_path)
    (tmp_path / name).chmod(0o640)
    assert list(faults_of(path)) == [key]


@pytest.mark.parametrize("purposes", ['["tls"]', '"envelope"', '["envelope", "status"]'])
def test_what_cannot_be_in_a_token_is_refused(tmp_path: Path, purposes: str) -> None:
    path = with_token(tmp_path)
    path.write_text(path.read_text("utf-8") + f"purposes = {purposes}\n", "utf-8")
    assert all(key.startswith("keys.pkcs11.purposes") for key in faults_of(path))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("kek", "keys.key_encryption_key"),
        ("anchor.jwks.json", "trust.anchor_keys"),
        ("enrolled.json", "trust.enrolment"),
        ("access.toml", "access.policy"),
    ],
)
def test_a_file_that_is_named_must_be_there(tmp_path: Path, name: str, key: str) -> None:
    path = write_node_files(tmp_path)
    (tmp_path / name).unlink()
    assert list(faults_of(path)) == [key]
    assert read_config(path, check_files=False).path == path


@pytest.mark.parametrize(
    "bundle",
    [
        {},
        [],
        enrolment() | {"statement": 7},
        enrolment("http://127.0.0.1:8310"),
        enrolment() | {"anchor": "http://127.0.0.1:9"},
        enrolment(tls_entity="http://127.0.0.1:8310"),
        enrolment() | {"tls_chain_pem": "none"},
    ],
)
def test_an_enrolment_that_is_not_this_nodes_is_refused(tmp_path: Path, bundle: object) -> None:
    path = write_node_files(tmp_path)
    (tmp_path / "enrolled.json").write_text(json.dumps(bundle), encoding="utf-8")
    assert faults_of(path) == {"trust.enrolment": line_of(NODE_TOML, "enrolment =")}


def test_every_message_is_in_chinese_and_english(tmp_path: Path) -> None:
    path = write_node_files(
        tmp_path,
        "[node]\nprovince = 1\nallow_http_on_loopback = 3\n[limits]\nin_flight = 0\ndeadline_s = true\n",
    )
    with pytest.raises(ConfigFaults) as caught:
        read_config(path)
    for fault in caught.value.faults:
        assert any("\u4e00" <= letter <= "\u9fff" for letter in fault.zh), fault
        assert fault.en.isascii(), fault
