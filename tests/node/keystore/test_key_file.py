"""The file of the key-encryption key: protected by a passphrase and back, and what is refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from node.keystore import KeyEncryptionKey, KeystoreError
from node.keystore import key_file as subject
from node.keystore.key_file import protect_key_file, read_key_file, read_passphrase, unprotect_key_file

PHRASE = "长三角一网通办 correct horse"


def phrase(text: str = PHRASE) -> Callable[[], str]:
    return lambda: text


def refused() -> str:
    raise KeystoreError("nobody should have asked")


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_SCRYPT", {"n": 16, "r": 8, "p": 1})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kek"
    KeyEncryptionKey.create(path)
    return path


def test_protected_and_back_it_is_the_same_key(path: Path) -> None:
    plain = path.read_bytes()
    wrapped = KeyEncryptionKey.load(path, refused).wrap(b"secret", purpose="tls", kid="k")
    protect_key_file(path, phrase())
    assert path.stat().st_mode & 0o777 == 0o600
    assert plain.strip() not in path.read_bytes()
    assert KeyEncryptionKey.load(path, phrase()).unwrap(wrapped, purpose="tls", kid="k") == b"secret"
    unprotect_key_file(path, phrase())
    assert path.read_bytes() == plain
    assert [entry.name for entry in path.parent.iterdir()] == ["kek"]


def test_the_form_is_what_its_own_text_says(path: Path) -> None:
    key = base64.b64decode(path.read_bytes())
    protect_key_file(path, phrase())
    document = orjson.loads(path.read_bytes())
    sealed, nonce, salt = (base64.b64decode(document[name]) for name in ("sealed", "nonce", "salt"))
    del document["sealed"]
    n, r, p = (document[name] for name in ("n", "r", "p"))
    derived = hashlib.scrypt(PHRASE.encode(), salt=salt, n=n, r=r, p=p, dklen=32)
    aad = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    assert AESGCM(derived).decrypt(nonce, sealed, aad) == key


def test_the_cost_is_what_the_text_promises(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.undo()
    protect_key_file(path, phrase())
    document = orjson.loads(path.read_bytes())
    assert (document["n"], document["r"], document["p"]) == (2**17, 8, 1)
    assert read_key_file(path, phrase())


def test_a_wrong_passphrase_says_so_and_changes_nothing(path: Path) -> None:
    protect_key_file(path, phrase())
    before = path.read_bytes()
    for use in (read_key_file, unprotect_key_file):
        with pytest.raises(KeystoreError, match="does not open with this passphrase") as caught:
            use(path, phrase("another one altogether"))
        assert "another one" not in str(caught.value)
    assert path.read_bytes() == before


def test_what_is_converted_already_is_refused(path: Path) -> None:
    with pytest.raises(KeystoreError, match="plain already"):
        unprotect_key_file(path, phrase())
    protect_key_file(path, phrase())
    with pytest.raises(KeystoreError, match="protected already"):
        protect_key_file(path, phrase())


def test_a_short_passphrase_is_refused(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(KeystoreError, match="fewer than 12"):
        protect_key_file(path, phrase("x" * 11))
    assert path.read_bytes() == before


def test_a_file_that_others_can_reach_is_not_converted(path: Path) -> None:
    path.chmod(0o640)
    for convert in (protect_key_file, unprotect_key_file):
        with pytest.raises(KeystoreError, match="chmod 600"):
            convert(path, phrase())


def test_a_folder_that_takes_no_file_leaves_it_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(KeystoreError, match="it is as it was"):
            protect_key_file(path, phrase())
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["kek"]


@pytest.mark.parametrize(
    "change",
    [
        {"format": "yrd-kek-v3"},
        {"kdf": "pbkdf2"},
        {"cipher": "AES-128-GCM"},
        {"n": 2**21},
        {"n": 3},
        {"n": 1},
        {"n": "16"},
        {"n": True},
        {"r": 0},
        {"p": 5},
        {"salt": "AAAA"},
        {"nonce": "!"},
        {"sealed": 1},
        {"more": 1},
    ],
)
def test_another_form_is_refused_before_anything_is_computed(path: Path, change: dict[str, Any]) -> None:
    protect_key_file(path, phrase())
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    with pytest.raises(KeystoreError, match="no form that this release knows"):
        read_key_file(path, phrase())


@pytest.mark.parametrize("change", [{"n": 32}, {"r": 4}, {"salt": base64.b64encode(bytes(16)).decode()}])
def test_altered_parameters_are_refused(path: Path, change: dict[str, Any]) -> None:
    protect_key_file(path, phrase())
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    with pytest.raises(KeystoreError, match="was altered"):
        read_key_file(path, phrase())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "kek"
    path.touch(0o600)
    path.write_bytes(data)
    try:
        key = read_key_file(path, phrase())
    except KeystoreError:
        return
    assert len(key) == 32


def test_the_passphrase_is_in_a_file_of_mode_0600_or_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.touch(0o600)
    file.write_text(f"{PHRASE}\n", "utf-8")
    assert read_passphrase(file, {}) == PHRASE
    assert read_passphrase(None, {"YRD_KEY_PASSPHRASE": PHRASE}) == PHRASE
    with pytest.raises(KeystoreError, match="YRD_KEY_PASSPHRASE"):
        read_passphrase(None, {})
    file.chmod(0o644)
    with pytest.raises(KeystoreError, match="chmod 600"):
        read_passphrase(file, {"YRD_KEY_PASSPHRASE": PHRASE})
    with pytest.raises(KeystoreError, match="cannot be read"):
        read_passphrase(tmp_path / "missing", {})


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_passphrase_file_with_nothing_in_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "passphrase"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(KeystoreError, match="not one line"):
        read_passphrase(file, {})
