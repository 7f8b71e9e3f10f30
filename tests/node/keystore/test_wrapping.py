"""The key-encryption key: its file, and what it refuses to unwrap."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from node.keystore import KeyEncryptionKey, KeystoreError

RAW = bytes(range(32))
KEY = KeyEncryptionKey(RAW)


def test_a_new_file_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    wrapped = KeyEncryptionKey.create(path).wrap(b"secret", purpose="tls", kid="k")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(path.read_bytes())) == 32
    assert KeyEncryptionKey.load(path).unwrap(wrapped, purpose="tls", kid="k") == b"secret"


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    KeyEncryptionKey.create(path)
    before = path.read_bytes()
    with pytest.raises(KeystoreError, match="cannot be made"):
        KeyEncryptionKey.create(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek"
    KeyEncryptionKey.create(path)
    path.chmod(mode)
    with pytest.raises(KeystoreError, match="chmod 600"):
        KeyEncryptionKey.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"AAAA", base64.b64encode(bytes(31)), base64.b64encode(bytes(33)), b"\xff" * 44, RAW]
)
def test_a_file_with_something_else_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeystoreError, match="32 bytes in base64"):
        KeyEncryptionKey.load(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="restore it from its backup"):
        KeyEncryptionKey.load(tmp_path / "missing")
    with pytest.raises(KeystoreError):
        KeyEncryptionKey.load(tmp_path)


@given(st.binary(max_size=300), st.text(max_size=20), st.text(max_size=20))
def test_wrapping_comes_back(secret: bytes, purpose: str, kid: str) -> None:
    wrapped = KEY.wrap(secret, purpose=purpose, kid=kid)
    assert KEY.unwrap(wrapped, purpose=purpose, kid=kid) == secret
    assert KEY.wrap(secret, purpose=purpose, kid=kid) != wrapped


def test_the_form_is_aes_256_gcm_with_purpose_and_key_id_bound() -> None:
    wrapped = KEY.wrap(b"secret", purpose="tls", kid="k1")
    assert wrapped[:1] == b"\x01"
    plain = AESGCM(RAW).decrypt(wrapped[1:13], wrapped[13:], b"yrd-key-v1\x1ftls\x1fk1")
    assert plain == b"secret"


@given(st.integers(0, 1 + 12 + 6 + 16 - 1), st.integers(0, 7))
def test_one_altered_bit_is_refused(place: int, bit: int) -> None:
    wrapped = bytearray(KEY.wrap(b"secret", purpose="tls", kid="k1"))
    wrapped[place] ^= 1 << bit
    with pytest.raises(KeystoreError):
        KEY.unwrap(bytes(wrapped), purpose="tls", kid="k1")


@pytest.mark.parametrize(("purpose", "kid"), [("envelope", "k1"), ("tls", "k2")])
def test_another_place_is_refused(purpose: str, kid: str) -> None:
    with pytest.raises(KeystoreError, match="altered"):
        KEY.unwrap(KEY.wrap(b"secret", purpose="tls", kid="k1"), purpose=purpose, kid=kid)


@pytest.mark.parametrize("wrapped", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(40)])
def test_what_is_no_wrapping_is_refused(wrapped: bytes) -> None:
    with pytest.raises(KeystoreError):
        KEY.unwrap(wrapped, purpose="tls", kid="k1")


def test_nothing_shows_the_key() -> None:
    assert repr(KEY) == "KeyEncryptionKey(…)"
    with pytest.raises(KeystoreError):
        KeyEncryptionKey(b"short")
