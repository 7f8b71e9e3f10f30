"""The file of the key-encryption key, plain or protected by a passphrase; mode 0600 in either form.

Plain: 32 random bytes in base64, one line. Protected, format ``yrd-kek-v2``: one JSON object in which the key is
sealed by AES-256-GCM (NIST SP 800-38D) under a key from the passphrase by scrypt (RFC 7914); the parameters are in
the object and are authenticated with it. N = 2^17, r = 8, p = 1 cost 128 MiB and some tenths of a second once, at
start.

A change of form writes the new file beside, syncs it and renames it into place, so that there is the old one or the
new one and never none. The key itself stays the same, so no row of the store changes.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from node.keystore.errors import KeystoreError, SourceAway
from node.keystore.secret_file import read_secret_file

__all__ = [
    "KEY_BYTES",
    "LEAST_PASSPHRASE",
    "PASSPHRASE_VARIABLE",
    "Passphrase",
    "new_key_file",
    "protect_key_file",
    "read_key_file",
    "read_passphrase",
    "unprotect_key_file",
    "why_lost",
]

PASSPHRASE_VARIABLE: Final = "YRD_KEY_PASSPHRASE"  # noqa: S105
"""The environment variable that holds the passphrase when no file does."""

KEY_BYTES: Final = 32
LEAST_PASSPHRASE: Final = 12
"""Characters of a passphrase that protects a key-encryption key."""

_FORMAT: Final = "yrd-kek-v2"
_WHAT: Final = "key-encryption key"
_MOST_FILE_BYTES: Final = 1024
_MOST_PASSPHRASE_BYTES: Final = 1024
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_SCRYPT: Final = {"n": 2**17, "r": 8, "p": 1}
_MOST_SCRYPT: Final = {"n": 2**20, "r": 16, "p": 4}
_NAMES: Final = frozenset({"format", "kdf", "cipher", "n", "r", "p", "salt", "nonce", "sealed"})

Passphrase = Callable[[], str]
"""Gives the passphrase when it is needed. Raises KeystoreError when there is none."""


def read_passphrase(path: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """The passphrase, from its file or else from the environment.

    Raises KeystoreError: neither, or a file that is missing, empty, not UTF-8, or that others can reach. The text
    never has any of it.
    """
    if path is None:
        text = environment.get(PASSPHRASE_VARIABLE, "")
        if not text:
            raise KeystoreError(
                f"there is no passphrase for the {_WHAT}: name keys.passphrase_file, or set {PASSPHRASE_VARIABLE}"
            )
        return text
    data = read_secret_file(path, "passphrase file", most_bytes=_MOST_PASSPHRASE_BYTES)
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise KeystoreError(f"the passphrase file {path} is not one line of UTF-8")
    return text


def new_key_file(path: Path) -> bytes:
    """Make a new key in a new file of mode 0600, plain. Raises KeystoreError when the file exists."""
    key = os.urandom(KEY_BYTES)
    try:
        _write(path, _plain(key))
    except OSError as error:
        raise KeystoreError(f"{path} cannot be made: {error.strerror}") from error
    return key


def read_key_file(path: Path, passphrase: Passphrase) -> bytes:
    """The key of a file of either form; `passphrase` is asked for the protected one only.

    Raises KeystoreError: missing, reachable by others, of no known form, no passphrase, or a wrong one.
    """
    try:
        text = read_secret_file(path, _WHAT, most_bytes=_MOST_FILE_BYTES).strip()
    except KeystoreError as error:
        if isinstance(error.__cause__, OSError):
            raise KeystoreError(
                f"{error}; without it no key of this node can be used, so restore it from its backup"
            ) from error
        raise
    return _unseal(path, text, passphrase()) if text.startswith(b"{") else _read_plain(path, text)


def why_lost(path: Path, passphrase: Passphrase) -> str:
    """Why the key in the file cannot be had: it is missing, of no known form, or does not open; empty when it can.

    Raises KeystoreError for a file that is there and only needs to be made readable, and SourceAway.
    """
    try:
        read_secret_file(path, _WHAT, most_bytes=_MOST_FILE_BYTES)
    except KeystoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return str(error)
        raise
    try:
        read_key_file(path, passphrase)
    except SourceAway:
        raise
    except KeystoreError as error:
        return str(error)
    return ""


def protect_key_file(path: Path, passphrase: Passphrase) -> None:
    """Protect a plain file by the passphrase. Raises KeystoreError: protected already, the passphrase is short."""
    if _is_protected(path):
        raise KeystoreError(f"the {_WHAT} {path} is protected already: yrd keys unprotect first")
    key = read_key_file(path, passphrase)
    text = passphrase()
    if len(text) < LEAST_PASSPHRASE:
        raise KeystoreError(
            f"the passphrase has fewer than {LEAST_PASSPHRASE} characters: choose a longer one"
        )
    _replace(path, _seal(key, text))


def unprotect_key_file(path: Path, passphrase: Passphrase) -> None:
    """Make it a plain file again. Raises KeystoreError: plain already, a wrong passphrase."""
    if not _is_protected(path):
        raise KeystoreError(f"the {_WHAT} {path} is plain already")
    _replace(path, _plain(read_key_file(path, passphrase)))


def _is_protected(path: Path) -> bool:
    return read_secret_file(path, _WHAT, most_bytes=_MOST_FILE_BYTES).lstrip().startswith(b"{")


def _plain(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"


def _read_plain(path: Path, text: bytes) -> bytes:
    key = _base64(text)
    if key is None or len(key) != KEY_BYTES:
        raise KeystoreError(f"the {_WHAT} {path} is not {KEY_BYTES} bytes in base64")
    return key


def _seal(key: bytes, passphrase: str) -> bytes:
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    header = {
        "format": _FORMAT,
        "kdf": "scrypt",
        "cipher": "AES-256-GCM",
        **_SCRYPT,
        "salt": base64.b64encode(salt).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    cipher = AESGCM(_derive(passphrase, salt, _SCRYPT))
    sealed = cipher.encrypt(nonce, key, _bound(header))
    document = {**header, "sealed": base64.b64encode(sealed).decode()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _unseal(path: Path, text: bytes, passphrase: str) -> bytes:
    header, salt, nonce, sealed = _read_header(path, text)
    try:
        key = AESGCM(_derive(passphrase, salt, header)).decrypt(nonce, sealed, _bound(header))
    except InvalidTag:
        raise KeystoreError(
            f"the {_WHAT} {path} does not open with this passphrase: it is the wrong one, or the file was altered"
        ) from None
    if len(key) != KEY_BYTES:
        raise _unknown(path)
    return key


def _read_header(path: Path, text: bytes) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    """The object without its sealed part; bounded before anything is computed from it."""
    try:
        document = orjson.loads(text)
    except ValueError:
        raise _unknown(path) from None
    if document.keys() != _NAMES or (document["format"], document["kdf"], document["cipher"]) != (
        *(_FORMAT, "scrypt"),
        "AES-256-GCM",
    ):
        raise _unknown(path)
    bounded = all(
        type(document[name]) is int and 0 < document[name] <= most for name, most in _MOST_SCRYPT.items()
    )
    salt, nonce, sealed = (_base64(document.pop(name)) for name in ("salt", "nonce", "sealed"))
    n = document["n"]
    if not bounded or n < 2 or n & (n - 1) or salt is None or nonce is None or sealed is None:
        raise _unknown(path)
    if len(salt) != _SALT_BYTES or len(nonce) != _NONCE_BYTES:
        raise _unknown(path)
    encoded = {"salt": base64.b64encode(salt).decode(), "nonce": base64.b64encode(nonce).decode()}
    return {**document, **encoded}, salt, nonce, sealed


def _unknown(path: Path) -> KeystoreError:
    return KeystoreError(f"the {_WHAT} {path} is of no form that this release knows")


def _derive(passphrase: str, salt: bytes, parameters: Mapping[str, Any]) -> bytes:
    n, r, p = (int(parameters[name]) for name in ("n", "r", "p"))
    return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(passphrase.encode())


def _bound(header: Mapping[str, Any]) -> bytes:
    return orjson.dumps(dict(header), option=orjson.OPT_SORT_KEYS)


def _base64(text: object) -> bytes | None:
    if not isinstance(text, str | bytes):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(beside, data)
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise KeystoreError(f"{path} cannot be replaced: {error.strerror}; it is as it was") from error
