"""The keystore as ``[keys]`` has it: key-encryption key, life of keys, and the token where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from federation.ports import Clock
from node.config.model import KeysSection
from node.keystore.key_file import Passphrase, read_passphrase
from node.keystore.keystore import KeyPlan, Keystore
from node.keystore.sources import PKCS11
from node.keystore.wrapping import KeyEncryptionKey
from node.store.database import Database
from node.store.keys import KeyRows

if TYPE_CHECKING:
    from node.keystore.pkcs11 import Pkcs11Source

__all__ = ["key_file_passphrase", "key_plan", "opened_keystore"]


def key_plan(section: KeysSection) -> KeyPlan:
    """How keys follow each other, and which of them are made in the token."""
    purposes: Iterable[str] = section.pkcs11.purposes if section.pkcs11 else ()
    homes = dict.fromkeys(purposes, PKCS11)
    return KeyPlan(publish_s=section.publish_s, overlap_s=section.overlap_s, homes=homes)


@asynccontextmanager
async def opened_keystore(
    section: KeysSection,
    database: Database,
    clock: Clock,
    *,
    whole: bool = True,
    wrapping: KeyEncryptionKey | None = None,
) -> AsyncIterator[Keystore]:
    """The keystore, with every key opened; the token is let go at the end.

    `wrapping` stands for the key in the file. Unless it must be `whole`, keys that cannot be opened are its
    `faults`: so can a key be replaced whose token was lost. Raises KeystoreError: the key-encryption key cannot be
    used or, of a whole one, a key; OwnStoreUnavailable.
    """
    token = _token(section)
    tokens: Mapping[str, Pkcs11Source] = {PKCS11: token} if token else {}
    try:
        if wrapping is None:
            wrapping = KeyEncryptionKey.load(section.key_encryption_key, _passphrase(section, token))
        if whole:
            keystore = await Keystore.open(database, wrapping, clock, tokens, key_plan(section))
        else:
            keystore = Keystore(KeyRows(database), wrapping, clock, tokens, key_plan(section))
            await keystore.reload()
        yield keystore
    finally:
        if token:
            await asyncio.to_thread(token.close)


@contextmanager
def key_file_passphrase(section: KeysSection, *, make: bool = False) -> Iterator[Passphrase]:
    """What gives the passphrase of the key-encryption key's file: the token, a file or the environment.

    `make` has a token make its part of it when it has none yet.
    """
    token = _token(section)
    try:
        yield _passphrase(section, token, make=make)
    finally:
        if token:
            token.close()


def _passphrase(section: KeysSection, token: Pkcs11Source | None, *, make: bool = False) -> Passphrase:
    if token and section.pkcs11 and section.pkcs11.protect_key_file:
        return lambda: token.passphrase(make=make)
    return lambda: read_passphrase(section.passphrase_file)


def _token(section: KeysSection) -> Pkcs11Source | None:
    if section.pkcs11 is None:
        return None
    # Only here: a node without a token does not load the library for it.
    from node.keystore.pkcs11 import Pkcs11Source

    return Pkcs11Source.open(section.pkcs11.module, section.pkcs11.token, section.pkcs11.pin_file)
