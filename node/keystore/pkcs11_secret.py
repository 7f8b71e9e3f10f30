"""A passphrase that only a token can compute: it protects the file of the key-encryption key.

It is the HMAC-SHA-256 of a fixed text under a key that was made in the token and never leaves it, label
``yrd-key-file``. So the file opens with the token and its PIN, and a copy of file and store without the token is
worth nothing. It is asked for once, at start; all replicas need the same key, as in `node.keystore.pkcs11`.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import MultipleObjectsReturned, NoSuchKey

from node.keystore.errors import KeystoreError
from node.keystore.pkcs11_session import Connection, TokenSession
from trust.algorithms import b64url

__all__ = ["token_passphrase"]

_LABEL: Final = "yrd-key-file"
_TEXT: Final = b"yrd-key-file-v1"
_KEY_BITS: Final = 256


def token_passphrase(session: TokenSession, *, make: bool = False) -> str:
    """The passphrase, 43 characters; `make` makes its key in a token that has none.

    Raises KeystoreError: the token cannot be used, has no such key, several, or one that could be taken out.
    """
    return session.run(lambda connection: _compute(connection, make=make))


def _compute(connection: Connection, *, make: bool) -> str:
    key = _find(connection.session)
    if key is None and make:
        _generate(connection.token)
        key = _find(connection.session)
    if key is None:
        raise KeystoreError(
            f"the token {connection.token.label!r} has no key {_LABEL!r} for the key file: it is another token, or"
            " yrd keys protect has not been run"
        )
    if not key[Attribute.SENSITIVE] or key[Attribute.EXTRACTABLE]:
        raise KeystoreError(f"the key {_LABEL!r} can be taken out of the token: make another one")
    if not key[Attribute.NEVER_EXTRACTABLE]:
        raise KeystoreError(
            f"the key {_LABEL!r} was not made in the token, or could be taken out of it before"
        )
    return b64url(key.sign(_TEXT, mechanism=Mechanism.SHA256_HMAC))


def _find(session: Any) -> Any:
    try:
        return session.get_key(
            object_class=ObjectClass.SECRET_KEY, key_type=KeyType.GENERIC_SECRET, label=_LABEL
        )
    except NoSuchKey:
        return None
    except MultipleObjectsReturned:
        raise KeystoreError(f"the token has several keys {_LABEL!r}: keep the one that fits") from None


def _generate(token: Any) -> None:
    session = token.open(rw=True)
    try:
        session.generate_key(
            KeyType.GENERIC_SECRET,
            _KEY_BITS,
            id=secrets.token_bytes(16),
            label=_LABEL,
            store=True,
            capabilities=MechanismFlag.SIGN,
            mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
            template={Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
    finally:
        session.close()
