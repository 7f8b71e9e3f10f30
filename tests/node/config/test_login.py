"""[login]: read whole, left out, and refused line by line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from node.config import ConfigFaults, read_config
from tests.node.config.samples import NODE_TOML, line_of, write_node_files

LOGIN = """
[login]
session_s = 3600

[login.identity_provider]
issuer = "https://id.example"
client_id = "node"
client_secret_file = "idp.secret"
scopes = ["openid", "profile"]

[login.identity_provider.acr]
"urn:plain" = "yrd.l1"
"urn:real" = "yrd.l2"

[login.identity_provider.claims]
XM = "name"
"""


def write(tmp_path: Path, login: str = LOGIN, *, mode: int = 0o600) -> Path:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    secret = folder / "idp.secret"
    secret.write_text("secret\n", "utf-8")
    secret.chmod(mode)
    return write_node_files(folder, NODE_TOML + login)


def faults_of(path: Path) -> dict[str, int]:
    with pytest.raises(ConfigFaults) as caught:
        read_config(path)
    return {fault.key: fault.line for fault in caught.value.faults}


def test_without_the_section_there_is_no_login(tmp_path: Path) -> None:
    assert read_config(write_node_files(tmp_path)).login is None


def test_a_section_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path)
    login = read_config(path).login
    assert login is not None
    assert (login.session_s, login.code_s, login.interaction_s) == (3600, 60, 900)
    provider = login.identity_provider
    assert list(provider.acr.items()) == [("urn:plain", "yrd.l1"), ("urn:real", "yrd.l2")]
    assert provider.claims == {"XM": "name"}
    assert provider.scopes == ("openid", "profile")
    assert provider.client_secret_file == path.parent / "idp.secret"


PROVIDER = "login.identity_provider"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("https://id.example", "http://id.example", f"{PROVIDER}.issuer"),
        ("https://id.example", "http://127.0.0.1:1", f"{PROVIDER}.issuer"),
        ("https://id.example", "https://id.example?x=1", f"{PROVIDER}.issuer"),
        ('["openid", "profile"]', '["profile"]', f"{PROVIDER}.scopes"),
        ('"yrd.l2"', '"gold"', f"{PROVIDER}.acr.urn:real"),
        ('client_id = "node"\n', "", f"{PROVIDER}.client_id"),
        ("session_s = 3600", "session_s = 1", "login.session_s"),
        ("session_s = 3600", "code_s = 61", "login.code_s"),
        ("session_s = 3600", "sesion_s = 3600", "login.sesion_s"),
        ('"idp.secret"', '"none.secret"', f"{PROVIDER}.client_secret_file"),
    ],
)
def test_each_fault_is_told(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = write(tmp_path, LOGIN.replace(old, new, 1))
    assert set(faults_of(path)) == {key}


def test_plain_http_is_for_loopback_and_by_its_own_setting(tmp_path: Path) -> None:
    local = LOGIN.replace("https://id.example", "http://127.0.0.1:1")
    allowed = local.replace("client_id =", "allow_http_on_loopback = true\nclient_id =", 1)
    assert read_config(write(tmp_path, allowed)).login is not None
    elsewhere = allowed.replace("127.0.0.1", "10.0.0.1")
    text = NODE_TOML + elsewhere
    assert faults_of(write(tmp_path, elsewhere)) == {f"{PROVIDER}.issuer": line_of(text, "10.0.0.1")}


def test_a_provider_whose_levels_are_not_known_is_of_no_use(tmp_path: Path) -> None:
    no_levels = LOGIN.replace('"urn:plain" = "yrd.l1"\n"urn:real" = "yrd.l2"\n', "")
    assert set(faults_of(write(tmp_path, no_levels))) == {f"{PROVIDER}.acr"}
    fallen_back = no_levels.replace("client_id =", 'acr_when_absent = "yrd.l1"\nclient_id =', 1)
    assert read_config(write(tmp_path, fallen_back)).login is not None


def test_logins_and_the_platforms_api_are_two_issuers(tmp_path: Path) -> None:
    entity_id, its_path = "http://127.0.0.1:8330", "http://127.0.0.1:8330/api"

    def public(platform: str) -> str:
        return f'{LOGIN}\n[public]\nplatform = "{platform}"\n'

    clash = public(entity_id)
    assert faults_of(write(tmp_path, clash)) == {
        "public.platform": line_of(NODE_TOML + clash, 'platform = "http')
    }
    assert read_config(write(tmp_path, public(its_path))).platform_url == its_path
    no_login = write_node_files(tmp_path, NODE_TOML + clash.removeprefix(LOGIN))
    assert read_config(no_login).login is None


def test_the_listeners_own_address_is_an_issuer_too(tmp_path: Path) -> None:
    path = write(tmp_path)
    text = path.read_text("utf-8").replace("127.0.0.1:8331", "127.0.0.1:18330")
    path.write_text(
        text.replace('entity_id = "http://127.0.0.1:8330"', 'entity_id = "http://127.0.0.1:18330"')
    )
    assert "public.platform" in faults_of(path)


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    assert set(faults_of(write(tmp_path, mode=0o644))) == {f"{PROVIDER}.client_secret_file"}
