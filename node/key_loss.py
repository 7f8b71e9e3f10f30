"""Beginning again with new keys where the old ones can be opened by nobody any more (`yrd keys begin-again`): the
key-encryption key is lost with every copy of it, or its passphrase.

 1. look: which keys cannot be opened; nothing changes
 2. where the key file is what was lost, what is left of it is moved aside and there is a new one
 3. in one transaction: the lost keys are history, with the reason, their public parts vouched for under the key file
    of now; each purpose that is without a key that signs has a new one, in the generation after
 4. the anchor must be asked anew (`node.enrolling`), since no key that it knows can sign for the new ones

A repeat after an interruption goes on where it was: what 2 made opens nothing, so the keys are still lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from federation.ports import Clock
from node.config.model import KeysSection
from node.keystore import ALGORITHMS_FOR, KeyEncryptionKey, Keystore, Purpose
from node.keystore.configured import key_file_passphrase, opened_keystore
from node.keystore.errors import KeystoreError, SourceAway
from node.keystore.key_file import KEY_BYTES, why_lost
from node.store.database import Database
from node.store.keys import KeyRow, KeyState
from trust.keys import VerificationKey

__all__ = ["Loss", "begin_again", "find_loss", "renew_key_file"]

_ALWAYS = (Purpose.FEDERATION, Purpose.ENVELOPE, Purpose.OPENID, Purpose.TLS)


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost. `key_file` says why the key-encryption key cannot be had, empty when it can; `faults` why each
    of the `keys` cannot be opened; `wanted` are the algorithms of new keys by purpose.
    """

    key_file: str
    keys: Sequence[KeyRow]
    faults: Mapping[str, str]
    wanted: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.key_file or self.keys or self.wanted)


async def find_loss(section: KeysSection, database: Database, clock: Clock) -> Loss:
    """Look, and change nothing.

    Raises KeystoreError for what is not lost but only cannot be reached: a token that is away, a key file that this
    user may not read; OwnStoreUnavailable.
    """
    with key_file_passphrase(section) as passphrase:
        key_file = why_lost(section.key_encryption_key, passphrase)
    stand_in = KeyEncryptionKey(os.urandom(KEY_BYTES)) if key_file else None
    async with opened_keystore(section, database, clock, whole=False, wrapping=stand_in) as keystore:
        if keystore.away:
            raise SourceAway(f"what is in the token is not lost: {next(iter(keystore.faults.values()))}")
        return _loss(key_file, keystore)


def _loss(key_file: str, keystore: Keystore) -> Loss:
    # With the key file the proof is lost that keys retired before were this node's: the operator's word stands in.
    known = {**keystore.faults, **(keystore.left_out if key_file else {})}
    rows = [row for row in keystore.describe() if row.state is not KeyState.RETIRED or row.kid in known]
    faults = {row.kid: known[row.kid] for row in rows if row.kid in known}
    keys = [row for row in rows if row.kid in faults]
    signing = {row.purpose for row in rows if row.state is KeyState.ACTIVE and row.kid not in faults}
    last = {row.purpose: row.alg for row in keys}  # of each purpose the newest comes last
    purposes = dict.fromkeys([*map(str, _ALWAYS), *last])
    wanted = {purpose: _algorithm(purpose, last) for purpose in purposes if purpose not in signing}
    return Loss(key_file, keys, MappingProxyType(faults), MappingProxyType(wanted))


def _algorithm(purpose: str, last: Mapping[str, str]) -> str:
    allowed = ALGORITHMS_FOR[purpose]
    return last[purpose] if last.get(purpose) in allowed else allowed[0]


def renew_key_file(path: Path, now: datetime) -> Path | None:
    """A new key file, plain, in the place of one that is lost; where what was left of that is now, if anything was.

    Raises KeystoreError, OSError.
    """
    aside = None
    if path.exists():
        aside = path.with_name(f"{path.name}.lost-{now:%Y%m%dT%H%M%SZ}")
        if aside.exists():
            raise KeystoreError(f"{aside} exists already and is not overwritten")
        path.rename(aside)
    KeyEncryptionKey.create(path)
    return aside


async def begin_again(keystore: Keystore, loss: Loss, reason: str) -> Sequence[VerificationKey]:
    """Give up what is lost and make what is wanted; the new keys, in the order of `wanted`.

    `keystore` is opened with the key file of now. Raises KeystoreError, KeyRejected, OwnStoreUnavailable; then no
    key changed.
    """
    return await keystore.begin_again({row.kid for row in loss.keys}, loss.wanted, reason)
