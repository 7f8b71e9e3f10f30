"""`yrd client` for platforms that log citizens in: what is registered, shown and rotated, and what is not taken."""

from __future__ import annotations

import json
from pathlib import Path

from joserfc.jwk import ECKey

from tests.node.cli.conftest import Yrd

BACK = "https://portal.zj.example/back"


def jwks_file(folder: Path, *kids: str) -> Path:
    """Public keys as other software names them."""
    keys = [ECKey.generate_key("P-256", {"kid": kid, "use": "sig"}).as_dict(private=False) for kid in kids]
    path = folder / f"{'-'.join(kids)}.jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    return path


def test_a_relying_party_is_registered_and_shown(node: Path, yrd: Yrd) -> None:
    said = yrd(
        *("client", "add", "portal", "--login", "--title", "浙江门户", "--operations", "none"),
        *("--redirect-uri", BACK, "--redirect-uri", "http://127.0.0.1:8080/back"),
        *("--post-logout-redirect-uri", "https://portal.zj.example/"),
        *("--backchannel-logout-uri", "https://portal.zj.example/out"),
        *("--scopes", "profile offline_access", "--claims", "citizen_number", "--sector", "zj-portals"),
        *("--config", node, "--json"),
    )
    assert said.code == 0, said.err
    secret = json.loads(said.out)["client_secret"]
    shown = yrd("client", "show", "portal", "--config", node)
    assert shown.code == 0
    assert secret not in shown.out
    for line in (
        ("name", "浙江门户"),
        ("operations", "none"),
        ("redirect_uri", BACK),
        ("redirect_uri", "http://127.0.0.1:8080/back"),
        ("post_logout_redirect_uri", "https://portal.zj.example/"),
        ("backchannel_logout_uri", "https://portal.zj.example/out"),
        ("profile", "basic"),
        ("scopes", "offline_access openid profile"),
        ("claims", "citizen_number"),
        ("sector", "zj-portals"),
    ):
        assert f"{line[0]:26} {line[1]}" in shown.out
    assert "login:basic" in yrd("client", "list", "--config", node).out
    assert yrd("client", "show", "nobody", "--config", node).code == 1
    rotated = yrd("client", "rotate", "portal", "--config", node, "--json")
    assert json.loads(rotated.out)["client_secret"] != secret
    assert "client.rotate" in yrd("audit", "--config", node).out


def test_keys_are_rotated_too(node: Path, tmp_path: Path, yrd: Yrd) -> None:
    first, second = jwks_file(tmp_path, "2026"), jwks_file(tmp_path, "2026", "2027")
    added = yrd(
        *("client", "add", "bank", "--login", "--profile", "fapi2", "--redirect-uri", BACK),
        *("--private-key-jwt", first, "--config", node),
    )
    assert added.code == 0, added.err
    assert yrd("client", "rotate", "bank", "--private-key-jwt", second, "--config", node).code == 0
    shown = yrd("client", "show", "bank", "--config", node).out
    assert f"{'key':26} 2026" in shown
    assert f"{'key':26} 2027" in shown
    assert yrd("client", "rotate", "bank", "--config", node).code == 1, "it has no secret"
    assert yrd("client", "remove", "bank", "--config", node).code == 0
    assert yrd("client", "rotate", "bank", "--private-key-jwt", first, "--config", node).code == 1
    assert "disabled_at" in yrd("client", "show", "bank", "--config", node).out


REFUSED: tuple[tuple[str, ...], ...] = (
    ("--login",),
    ("--redirect-uri", BACK),
    ("--login", "--redirect-uri", "http://portal.zj.example/back"),
    ("--login", "--redirect-uri", f"{BACK}#here"),
    ("--login", "--redirect-uri", "https://portal.zj.example@evil.example/"),
    ("--login", "--redirect-uri", "https://*.zj.example/back"),
    ("--login", "--redirect-uri", "https://portal.zj.example/\\evil"),
    ("--login", "--redirect-uri", "https:///back"),
    ("--login", "--redirect-uri", "https://[::1/back"),
    ("--login", "--redirect-uri", "javascript:alert(1)"),
    ("--login", "--redirect-uri", "/back"),
    ("--login", "--redirect-uri", f"https://portal.zj.example/{'x' * 512}"),
    ("--login", "--redirect-uri", BACK, "--post-logout-redirect-uri", "http://portal.zj.example/"),
    ("--login", "--redirect-uri", BACK, "--backchannel-logout-uri", "http://portal.zj.example/"),
    ("--login", "--redirect-uri", BACK, "--scopes", "openid email"),
    ("--login", "--redirect-uri", BACK, "--claims", "phone"),
    ("--login", "--redirect-uri", BACK, "--sector", "https://node.js.example"),
    ("--login", "--redirect-uri", BACK, "--profile", "fapi2"),
    ("--login", "--redirect-uri", BACK, "--title", "x" * 61),
    ("--login", "--redirect-uri", BACK, "--title", "a\nb"),
    ("--login", *("--redirect-uri", BACK) * 17),
)


def test_what_no_relying_party_can_be_is_refused(node: Path, yrd: Yrd) -> None:
    for arguments in REFUSED:
        assert yrd("client", "add", "portal", *arguments, "--config", node).code == 1, arguments
    assert "no clients yet" in yrd("client", "list", "--config", node).out


def test_what_no_keys_are_is_refused(node: Path, tmp_path: Path, yrd: Yrd) -> None:
    path = tmp_path / "keys.json"
    for text in ('{"keys":[]}', "[]", '{"keys":["x"]}', "nonsense", '{"keys":[{"kty":"oct"}]}'):
        path.write_text(text)
        assert yrd("client", "add", "portal", "--private-key-jwt", path, "--config", node).code == 1, text


def test_each_key_has_a_name_of_its_own(node: Path, tmp_path: Path, yrd: Yrd) -> None:
    path = jwks_file(tmp_path, "same", "same")
    said = yrd("client", "add", "portal", "--private-key-jwt", path, "--config", node)
    assert (said.code, "kid" in said.err) == (1, True)
